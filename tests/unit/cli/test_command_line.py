"""The command line as people and manifests write it: names, environment, both forms of switches, what is refused."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner

from services.cli import option_table, options
from services.cli.main import COMMANDS, cli
from services.cli.nginx_flags import CALLED_OTHERWISE, WITHOUT_EFFECT, NginxCommand, separate
from services.cli.up import CHANGES, OPTIONS
from services.runtime.settings import HostPort
from services.runtime.version import software

ALL_FLAGS = """
    add_dir_header log_file log_file_max_size one_output skip_headers skip_log_headers root-ca-file
    alsologtostderr annotations-prefix apiserver-host bind-addresses bucket-factor certificate-authority configmap
    controller-class deep-inspect default-backend-service default-server-port default-ssl-certificate disable-catch-all
    disable-full-test disable-leader-election disable-svc-external-name disable-sync-events
    dynamic-configuration-retries election-id election-ttl enable-annotation-validation enable-dynamic-configuration
    enable-metrics enable-ssl-chain-completion enable-ssl-passthrough enable-topology-aware-routing
    exclude-socket-metrics force-namespace-isolation health-check-path health-check-timeout healthz-host healthz-port
    http-port https-port ingress-class ingress-class-by-name internal-logger-address kubeconfig length-buckets
    log_backtrace_at log_dir logtostderr max-buckets maxmind-edition-ids maxmind-license-key maxmind-mirror
    maxmind-retries-count maxmind-retries-timeout metrics-per-host metrics-per-undefined-host monitor-max-batch-size
    post-shutdown-grace-period profiler-address profiler-port profiling publish-service publish-status-address
    report-node-internal-ip-address report-status-classes shutdown-grace-period size-buckets sort-backends
    ssl-passthrough-proxy-port status-port status-update-interval stderrthreshold stream-port sync-period
    sync-rate-limit tcp-services-configmap time-buckets udp-services-configmap update-status update-status-on-shutdown
    v validating-webhook validating-webhook-certificate validating-webhook-key vmodule watch-ingress-without-class
    watch-namespace watch-namespace-selector
"""


def _up(*words: str, env: dict[str, str] | None = None) -> dict[str, Any]:
    """What ``limen up`` would be told."""
    seen: dict[str, Any] = {}

    @click.command(cls=NginxCommand)
    @options.with_options(OPTIONS, **CHANGES)
    def command(**values: Any) -> None:
        seen.update(values)

    result = CliRunner().invoke(command, list(words), env=env, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return {**seen, "output": result.output}


def test_defaults_of_up() -> None:
    values = _up()
    assert values["http"] == (HostPort("127.0.0.1", 8080),)
    assert values["https"] == (HostPort("127.0.0.1", 8443),)
    assert values["admin"] == HostPort("127.0.0.1", 10254)
    assert (values["edges"], values["workers"], values["nats"]) == (1, 1, ())
    assert values["controller_class"] == "k8s.io/ingress-nginx"
    assert values["update_status"] is True


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["--watch-ingress-without-class"], True),
        (["--watch-ingress-without-class=true"], True),
        (["--watch-ingress-without-class=false"], False),
        (["--watch-ingress-without-class", "--kube"], True),
        ([], False),
    ],
)
def test_switches_take_both_forms(words: list[str], expected: bool) -> None:
    assert _up(*words)["watch_ingress_without_class"] is expected


def test_a_switch_that_is_on_can_be_put_off() -> None:
    assert _up("--update-status=false")["update_status"] is False


def test_values_take_both_forms_and_environment() -> None:
    assert _up("--configmap=a/b")["configmap"] == "a/b"
    assert _up("--configmap", "a/b")["configmap"] == "a/b"
    values = _up(env={"LIMEN_CONFIGMAP": "a/b", "LIMEN_KUBE": "true", "LIMEN_HTTP": "[::1]:80 10.244.0.1:81"})
    assert (values["configmap"], values["kube"]) == ("a/b", True)
    assert values["http"] == (HostPort("::1", 80), HostPort("10.244.0.1", 81))
    assert _up("--configmap=c/d", env={"LIMEN_CONFIGMAP": "a/b"})["configmap"] == "c/d"


def test_servers_may_be_repeated_or_joined() -> None:
    assert options.servers(("nats://a:1,nats://b:2", " c ")) == ("nats://a:1", "nats://b:2", "c")


@pytest.mark.parametrize(
    ("text", "seconds"), [("240", 240), ("240s", 240), ("4m", 240), ("1m30s", 90), ("500ms", 0.5), ("1h", 3600)]
)
def test_durations(text: str, seconds: float) -> None:
    assert _up(f"--worker-shutdown-timeout={text}")["worker_shutdown_timeout"] == seconds


@pytest.mark.parametrize(
    "words",
    [
        ["up", "--no-such-flag"],
        ["up", "--kube", "--manifests", "x"],
        ["up"],
        ["up", "--kube", "--configmap", "nameonly"],
        ["up", "--kube", "--http", "8080"],
        ["up", "--kube", "--instance", "Upper"],
        ["up", "--kube", "--worker-shutdown-timeout", "soon"],
        ["up", "--kube", "--edges", "0"],
        ["up", "--kube", "--election-ttl", "2s"],
        ["up", "--kube", "--election-ttl", "10500ms"],
        ["edge", "--http", ":80"],
        ["edge", "--sealing-key", "a", "--verify-key", "b"],
        ["watcher", "--sealing-key", "a", "--objects-key", "b"],
        ["compiler"],
        ["nothing"],
    ],
)
def test_what_makes_no_sense_is_refused(words: list[str]) -> None:
    result = CliRunner().invoke(cli, words)
    assert result.exit_code == 2, result.output
    assert "Error" in result.output


@pytest.mark.parametrize(
    ("words", "error"),
    [
        (["--nats=ws://127.0.0.1:1"], "ws:// is not supported"),
        (["--nats-nkey=/nowhere/x.nk"], "--nats-nkey: no such file: /nowhere/x.nk"),
    ],
)
def test_a_bus_that_can_never_be_reached_is_refused(words: list[str], error: str, tmp_path: Path) -> None:
    role = ["edge", "--http=127.0.0.1:0", "--sealing-key=a", "--verify-key=b", f"--state={tmp_path}"]
    for command in (role, ["status"]):
        result = CliRunner().invoke(cli, [*command, *words])
        assert result.exit_code == 2, result.output
        assert error in result.output


def test_flags_without_effect_are_said_and_passed_over() -> None:
    words = [
        "--sync-period=1s",
        "--stream-port",
        "1080",
        "--skip_headers",
        "--kube",
        "-v=3",
        "--v",
        "2",
    ]
    left, notices = separate(words)
    assert left == ["--kube"]
    assert [notice.split()[0] for notice in notices] == [
        "--sync-period",
        "--stream-port",
        "--skip_headers",
        "--v",
        "--v",
    ]
    values = _up(*words)
    assert values["kube"] is True
    assert "notice: --stream-port has no effect: there is no inner server" in values["output"]


@pytest.mark.parametrize("words", [["up", "--version"], ["edge", "--http=:80", "--version"]])
def test_every_role_says_its_version(words: list[str]) -> None:
    result = CliRunner().invoke(cli, words)
    assert result.exit_code == 0
    assert result.output.strip() == software()


def test_ports_are_options_here() -> None:
    values = _up("--http-port=1080", "--https-port", "1443", "-healthz-port=1254", "--healthz-host=::1")
    assert (values["http"], values["https"]) == ((HostPort("", 1080),), (HostPort("", 1443),))
    assert values["admin"] == HostPort("::1", 1254)
    given = _up("--http=10.0.0.1:80", "--http-port=1080")
    assert given["http"] == (HostPort("10.0.0.1", 80),)
    assert "--http-port has no effect: --http says so already" in given["output"]


def test_another_prefix_of_annotations_is_not_passed_over() -> None:
    assert _up("--annotations-prefix=nginx.ingress.kubernetes.io")["kube"] is False
    result = CliRunner().invoke(cli, ["up", "--kube", "--annotations-prefix", "example.com"])
    assert result.exit_code == 2
    assert "could leave open what they guard" in result.output


def test_all_flags_of_ingress_nginx_are_taken() -> None:
    """Those of its last release, and of old ones whose command lines are still about."""
    known = {option.name for option in (*option_table.ROLE_OPTIONS, *OPTIONS)} | WITHOUT_EFFECT.keys()
    assert set(ALL_FLAGS.split()) <= known | CALLED_OTHERWISE.keys()


def test_no_flag_is_both_known_and_without_effect() -> None:
    assert not {option.name for option in (*option_table.ROLE_OPTIONS, *OPTIONS)} & WITHOUT_EFFECT.keys()


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_every_option_shows_its_variable(name: str) -> None:
    command = cli.get_command(click.Context(cli), name)
    assert command is not None
    for option in command.params:
        if isinstance(option, click.Option):
            assert option.envvar == "LIMEN_" + option.opts[0].lstrip("-").replace("-", "_").upper()
            assert option.show_envvar
    result = CliRunner().invoke(cli, [name, "--help"])
    assert result.exit_code == 0, result.output


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_scripts(shell: str) -> None:
    result = CliRunner().invoke(cli, ["completion", shell], prog_name="limen")
    assert result.exit_code == 0
    assert "_LIMEN_COMPLETE" in result.output


def test_completion_names_commands_and_options() -> None:
    for words, expected in (("limen st", "status"), ("limen edge --sea", "--sealing-key")):
        parts = words.split()
        env = {"_LIMEN_COMPLETE": "bash_complete", "COMP_WORDS": words, "COMP_CWORD": str(len(parts) - 1)}
        found = subprocess.run(
            [sys.executable, "-m", "services.cli.main"], env=env, capture_output=True, text=True, check=False
        )
        assert expected in found.stdout


def test_arguments_give_the_same_values_again() -> None:
    words = ["--kube=true", "--update-status=false", "--configmap=a/b", "--http=[::1]:80", "--http=10.0.0.1:81"]
    values = _up(*words)
    again = options.arguments(OPTIONS, {**values, "https": ()})
    assert sorted(again) == sorted(
        [*words, "--admin=127.0.0.1:10254"]  # not the default of a role
    )


def test_a_missing_extra_is_named(tmp_path: Path) -> None:
    script = (
        "import sys; sys.modules['kubernetes'] = None; sys.modules['yaml'] = None; sys.modules['re2'] = None;"
        "from services.cli.main import cli; cli(sys.argv[1:], prog_name='limen')"
    )
    words = ["watcher", "--manifests", str(tmp_path), "--sealing-key", "a", "--objects-key", "b"]
    found = subprocess.run([sys.executable, "-c", script, *words], capture_output=True, text=True, check=False)
    assert found.returncode == 1
    assert "pip install 'limen[watcher]'" in found.stderr


def test_an_edge_needs_no_kubernetes_client_and_no_yaml() -> None:
    script = "import services.edge.main, sys; print([name for name in ('kubernetes', 'yaml') if name in sys.modules])"
    found = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"
