"""What ``limen up`` starts, and how its children's metrics become one."""

from __future__ import annotations

from pathlib import Path

from services.cli import pipeline
from services.cli.merge import merged
from services.cli.up import OPTIONS
from services.runtime.settings import HostPort


def _plan(**values: object) -> pipeline.Plan:
    return pipeline.Plan(
        values={option.key: option.default for option in OPTIONS} | values,
        state=Path("/s"),
        nats=("nats://limen:secret@127.0.0.1:4222",),
        http=(HostPort("10.244.0.1", 80),),
        https=(HostPort("10.244.0.1", 443),),
        edges=2,
        admin_sockets={"watcher": 5, "compiler": 6, "edge-1": 7, "edge-2": 8},
    )


def test_each_role_gets_its_own_options_and_keys() -> None:
    plan = _plan(
        kube=True,
        kubeconfig="/k",
        configmap="a/b",
        publish_status_address="10.0.0.1",
        workers=3,
        disable_catch_all=True,
    )
    watcher, compiler, first, second = pipeline.specs(plan)
    assert [spec.name for spec in (watcher, compiler, first, second)] == ["watcher", "compiler", "edge-1", "edge-2"]
    assert {"--kube=true", "--kubeconfig=/k", "--configmap=a/b", "--publish-status-address=10.0.0.1"} <= set(
        watcher.command
    )
    assert {"--configmap=a/b", "--disable-catch-all=true", "--signing-key=/s/keys/signing.key"} <= set(compiler.command)
    assert "--kube=true" not in compiler.command
    assert {"--workers=3", "--http=10.244.0.1:80", "--https=10.244.0.1:443", "--admin=fd:7"} <= set(first.command)
    assert not any("signing" in word or "objects" in word or "kube" in word for word in first.command)
    assert "--allow-loopback-upstreams=true" not in first.command
    assert (second.inherit, second.stop_within) == ((8,), 250.0)


def test_passwords_are_not_on_command_lines() -> None:
    for spec in pipeline.specs(_plan(kube=True)):
        assert "secret" not in " ".join(spec.command)
        assert spec.environment["LIMEN_NATS"] == "nats://limen:secret@127.0.0.1:4222"


def test_own_manifests_may_name_loopback() -> None:
    edge = pipeline.specs(_plan(manifests=(Path("/m"),)))[2]
    assert "--allow-loopback-upstreams=true" in edge.command


def test_state_is_apart_for_each_source(tmp_path: Path) -> None:
    config = tmp_path / "kubeconfig"
    config.write_text("one")
    values = {"manifests": (), "kubeconfig": str(config), "context": ""}
    first = pipeline.source_of(values)
    config.write_text("two")
    assert pipeline.source_of(values) != first
    folder = {"manifests": (tmp_path,), "kubeconfig": "", "context": ""}
    assert pipeline.source_of(folder) == pipeline.source_of({**folder, "manifests": (tmp_path / "x" / "..",)})


ONE = """# HELP nginx_ingress_controller_requests Requests.
# TYPE nginx_ingress_controller_requests counter
nginx_ingress_controller_requests{host="a",status="200"} 3
# HELP t_seconds Time.
# TYPE t_seconds histogram
t_seconds_bucket{le="1.0"} 1
t_seconds_bucket{le="+Inf"} 2
t_seconds_sum 1.5
t_seconds_count 2
# HELP limen_edge_ready Ready.
# TYPE limen_edge_ready gauge
limen_edge_ready 1
# HELP limen_edge_connections Open.
# TYPE limen_edge_connections gauge
limen_edge_connections{state="idle"} 4
# HELP limen_edge_snapshot_version Version.
# TYPE limen_edge_snapshot_version gauge
limen_edge_snapshot_version 7
# HELP limen_events_published_total Events.
# TYPE limen_events_published_total counter
limen_events_published_total 2
"""


def test_metrics_of_several_become_those_of_one() -> None:
    two = ONE.replace("limen_edge_ready 1", "limen_edge_ready 0").replace("version 7", "version 8")
    lines = merged([ONE, two.replace('host="a"', 'host="b\\"c"')]).decode().splitlines()
    assert 'nginx_ingress_controller_requests{host="a",status="200"} 3' in lines
    assert 'nginx_ingress_controller_requests{host="b\\"c",status="200"} 3' in lines
    assert "# TYPE nginx_ingress_controller_requests counter" in lines
    assert {'t_seconds_bucket{le="+Inf"} 4', "t_seconds_sum 3", "t_seconds_count 4"} <= set(lines)
    assert "limen_edge_ready 0" in lines
    assert 'limen_edge_connections{state="idle"} 8' in lines
    assert "limen_edge_snapshot_version 8" in lines
    assert "limen_events_published_total 4" in lines
    assert "# TYPE limen_events_published_total counter" in lines


def test_merging_one_changes_nothing() -> None:
    assert merged([ONE]).decode() == ONE
