"""``limen lint``: verdicts, words, exit codes, and its three forms."""

from __future__ import annotations

import json
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from services.cli.main import cli
from services.contract.annotations.entry import PREFIX
from services.contract.annotations.registry import REGISTRY
from services.contract.diagnostic_codes import CODES
from services.contract.nginx_behaviour import known_codes
from tests.support.manifests import Manifest, ingress, ingress_class, secret, service
from tests.support.pairs import tls_data


def annotated(name: str, **annotations: str) -> Manifest:
    words = {PREFIX + key.replace("_", "-"): value for key, value in annotations.items()}
    return ingress(name, "shop", f"{name}.example", annotations=words)


def lint(folder: Path, *manifests: Manifest, words: tuple[str, ...] = ()) -> Result:
    (folder / "all.yaml").write_text("\n---\n".join(json.dumps(manifest) for manifest in manifests))
    return CliRunner().invoke(cli, ["lint", str(folder), *words], catch_exceptions=False)


def report(folder: Path, *manifests: Manifest, words: tuple[str, ...] = ()) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(lint(folder, *manifests, words=("--json", *words)).stdout)
    return found


def verdicts(found: dict[str, Any]) -> dict[str, str]:
    return {entry["name"].partition("/")[2]: entry["verdict"] for entry in found["ingresses"]}


def test_three_verdicts_and_what_is_not_ours(tmp_path: Path) -> None:
    foreign = ingress("foreign", "shop", "foreign.example")
    foreign["spec"]["ingressClassName"] = "another"
    found = report(
        tmp_path,
        annotated("good"),
        annotated("odd", use_regex="yes"),
        annotated("raw", server_snippet="deny all;"),
        foreign,
    )
    assert verdicts(found) == {"good": "served", "odd": "notices", "raw": "refused", "foreign": "passed-over"}
    assert found["verdicts"] == {"served": 1, "notices": 1, "refused": 1, "passed-over": 1}


def test_a_finding_says_who_does_what(tmp_path: Path) -> None:
    found = report(tmp_path, annotated("odd", use_regex="yes"))
    ((finding,),) = [entry["findings"] for entry in found["ingresses"]]
    assert finding["code"] == "annotation-invalid"
    assert (finding["object"], finding["value"]) == ("ingress shop/odd", "yes")
    assert finding["field"] == f"metadata.annotations[{PREFIX}use-regex]"
    assert finding["ingress_nginx"] == "Passes over the value; the default holds."
    assert "is not a boolean" in finding["limen"]
    assert finding["remedy"].startswith("Write a valid value.")


@pytest.mark.parametrize("name", sorted(REGISTRY))
def test_every_annotation_is_spoken_of_without_words_of_its_own(name: str, tmp_path: Path) -> None:
    """What the registry holds is enough: whatever an annotation's state, ingress-nginx's part is told."""
    found = report(tmp_path, annotated("any", **{name.replace("-", "_"): "\r\nneither here nor there;"}))
    for entry in found["ingresses"]:
        assert all(finding["ingress_nginx"] for finding in entry["findings"] if name in finding["field"])


def test_words_are_for_codes_that_exist() -> None:
    assert known_codes() <= CODES.keys()


@pytest.mark.parametrize(
    ("manifest", "words", "code"),
    [
        (annotated("good"), (), 0),
        (annotated("odd", use_regex="yes"), (), 0),
        (annotated("odd", use_regex="yes"), ("--fail-on=warning",), 1),
        (annotated("unknown", spelled_wrong="x"), ("--fail-on=warning",), 0),
        (annotated("unknown", spelled_wrong="x"), ("--fail-on=notice",), 1),
        (annotated("raw", server_snippet="x"), (), 1),
        ({"kind": "Ingress", "apiVersion": "networking.k8s.io/v1"}, (), 1),
    ],
)
def test_exit_codes(manifest: Manifest, words: tuple[str, ...], code: int, tmp_path: Path) -> None:
    assert lint(tmp_path, manifest, words=words).exit_code == code


@pytest.mark.parametrize("words", [[], ["--kube", "x"], ["/nowhere"], ["--kube", "--kubeconfig", "/nowhere"]])
def test_what_cannot_be_read_ends_with_2(words: list[str]) -> None:
    assert CliRunner().invoke(cli, ["lint", *words]).exit_code == 2


def test_nothing_at_all_is_no_clean_bill(tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text("no manifest")
    result = CliRunner().invoke(cli, ["lint", str(tmp_path)])
    assert result.exit_code == 2
    assert f"{tmp_path}: no file *.yaml, *.yml, *.json there" in result.output
    result = CliRunner().invoke(cli, ["lint", "-"], input="\n")
    assert result.exit_code == 2
    assert "standard input is empty: nothing was judged" in result.output
    result = CliRunner().invoke(cli, ["lint", "-"], input="apiVersion: v1\nkind: List\nitems: []\n")
    assert result.exit_code == 0


def test_files_and_a_cluster_exclude_each_other(tmp_path: Path) -> None:
    result = CliRunner().invoke(cli, ["lint", "--kube", str(tmp_path)])
    assert "--kube and files exclude each other" in result.output


def test_what_was_not_given_is_not_held_against_anybody(tmp_path: Path) -> None:
    with_tls = ingress("web", "shop", "web.example", secret="web-tls")
    alone = report(tmp_path, with_tls)
    assert verdicts(alone) == {"web": "served"}
    assert any("No Service was given" in note for note in alone["notes"])
    others = service("other", "shop"), secret("other", "shop", tls_data("other.example"))
    given = report(tmp_path, with_tls, *others, ingress_class())
    assert {finding["code"] for finding in given["ingresses"][0]["findings"]} == {
        "service-not-found",
        "secret-not-found",
    }
    assert given["notes"] == []


def test_spans_that_go_nowhere_are_said_of_whoever_wants_them(tmp_path: Path) -> None:
    meta = {"name": "ingress-nginx-controller", "namespace": "ingress-nginx"}
    config = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta, "data": {"otlp-collector-host": "otel"}}
    traced = annotated("traced", enable_opentelemetry="true"), annotated("not", enable_opentelemetry="false")
    alone = report(tmp_path, *traced)
    codes = {entry["name"]: [found["code"] for found in entry["findings"]] for entry in alone["ingresses"]}
    assert codes == {"shop/traced": ["collector-missing"], "shop/not": []}
    assert verdicts(report(tmp_path, *traced, config)) == {"traced": "served", "not": "served"}


def test_the_last_line_counts_what_is_found_beside_ingresses_too(tmp_path: Path) -> None:
    meta = {"name": "ingress-nginx-controller", "namespace": "ingress-nginx"}
    data = {"keep-alive": "much", "use-geoip2": "true", "http-snippet": "x", "worker-processes": "2"}
    config = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta, "data": data}
    last = lint(tmp_path, annotated("good"), config).stdout.splitlines()[-1]
    assert last == "1 Ingresses: 1 served fully; beside them 2 errors, 1 notice, 1 warning"


def test_the_controllers_configmap_is_found(tmp_path: Path) -> None:
    meta = {"name": "ingress-nginx-controller", "namespace": "ingress-nginx"}
    config = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta, "data": {"keep-alive": "much"}}
    found = report(tmp_path, annotated("good"), config)
    assert [finding["code"] for finding in found["others"]] == ["configmap-invalid"]
    other = report(tmp_path, annotated("good"), config, words=("--configmap=a/b",))
    assert [finding["code"] for finding in other["others"]] == ["configmap-not-found"]


def test_flags_of_ingress_nginx_are_taken_as_they_are(tmp_path: Path) -> None:
    own = annotated("own")
    own["spec"]["ingressClassName"] = "internal"
    words = ("--ingress-class=internal", "--controller-class=example.com/internal", "--v=2")
    words += ("--publish-service", "a/b", "--enable-metrics=false", "--http-port=80")
    result = lint(tmp_path, own, words=words)
    assert result.exit_code == 0
    assert "1 served fully" in result.stdout
    assert "--v has no effect" in result.stderr


def test_other_kinds_are_counted_and_standard_input_is_read(tmp_path: Path) -> None:
    text = "kind: Deployment\napiVersion: apps/v1\nmetadata: {name: x}\n---\n" + json.dumps(annotated("good"))
    result = CliRunner().invoke(cli, ["lint", "-", "--all"], input=text, catch_exceptions=False)
    assert result.exit_code == 0
    assert "passed over: 1" in result.stdout
    assert "shop/good" in result.stdout


class Reader(HTMLParser):
    """Looks for what a page must not hold: anything from elsewhere, and text that became markup."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        assert not {name for name, _ in attrs} & {"src", "href", "onclick", "onerror"}

    def handle_data(self, data: str) -> None:
        self.text += data


def test_the_page_needs_nothing_else_and_shows_text_as_text(tmp_path: Path) -> None:
    target = tmp_path / "report.html"
    (tmp_path / "in").mkdir()
    evil = annotated("evil", spelled_wrong="</code><script>alert(1)</script><img src=x onerror=y>")
    rate = annotated("rate", limit_rps="`<b>`")
    lint(tmp_path / "in", evil, annotated("raw", server_snippet="x"), rate, words=(f"--html={target}",))
    text = target.read_text()
    reader = Reader()
    reader.feed(text)
    assert reader.tags.count("script") == 1
    assert "img" not in reader.tags
    assert "<script>alert(1)</script>" in reader.text
    assert "http://" not in text
    assert "https://" not in text
    assert "shop/evil" in reader.text
    assert "shop/raw" in reader.text
    assert "<code>limit-req-status-code</code>" in text
    assert "<b>`" not in text


def test_a_page_that_cannot_be_written(tmp_path: Path) -> None:
    result = lint(tmp_path, annotated("good"), words=(f"--html={tmp_path}/no/where.html",))
    assert result.exit_code == 2
    assert "--html" in result.output


@pytest.mark.parametrize("name", ["auth_always_set_cookie", "auth_cache_duration"])
def test_what_stands_open_there_is_told(name: str, tmp_path: Path) -> None:
    found = report(tmp_path, annotated("open", auth_url="https://a.example/", auth_cache_key="$host", **{name: "yes;"}))
    words = {
        entry["ingress_nginx"]
        for entry in found["ingresses"][0]["findings"]
        if name.replace("_", "-") in entry["field"]
    }
    assert words == {"Drops auth-url along with it, without a word: the routes stand open."}


def test_a_name_that_nobody_knows_is_likened_to_one_that_is_known(tmp_path: Path) -> None:
    found = report(tmp_path, annotated("typo", proxy_body_szie="1m"), annotated("other", made_up="x"))
    remedies = {entry["name"]: entry["findings"][0]["remedy"] for entry in found["ingresses"]}
    assert remedies["shop/typo"] == "Did you mean proxy-body-size? Else remove it."
    assert remedies["shop/other"] == "Check the spelling, or remove it."


def test_whatever_is_said_of_an_ingress_says_what_ingress_nginx_does() -> None:
    of_values = {"annotation-denied", "annotation-invalid", "annotation-rejected"}
    elsewhere = {
        "configmap-denied",
        "manifest-passed-over",
        "object-too-large",
        "object-unreadable",
    }
    defects = {"internal-error", "service-internal-error"}
    streams = {code for code in CODES if code.startswith("stream")}
    assert CODES.keys() - known_codes() <= of_values | elsewhere | defects | streams
