"""``limen explain`` over manifests: who wins and why, what phases say, what leaves."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from services.cli.main import cli
from services.contract.annotations.entry import PREFIX
from tests.support.manifests import Manifest, endpoints, ingress, secret, service
from tests.support.pairs import tls_data


def made(name: str, host: str, *paths: tuple[str, str], tls: str = "", **annotations: str) -> Manifest:
    """An Ingress with these (pathType, path)."""
    words = {PREFIX + key.replace("_", "-"): value for key, value in annotations.items()}
    manifest = ingress(name, "shop", host, secret=tls, annotations=words)
    (rule,) = manifest["spec"]["rules"]
    (one,) = rule["http"]["paths"]
    rule["http"]["paths"] = [one | {"pathType": kind, "path": path} for kind, path in paths or [("Prefix", "/")]]
    return manifest


def run(folder: Path, words: list[str], *manifests: Manifest) -> Result:
    (folder / "all.yaml").write_text("\n---\n".join(json.dumps(manifest) for manifest in manifests))
    return CliRunner().invoke(cli, ["explain", *words, "--manifests", str(folder)], catch_exceptions=False)


def told(folder: Path, words: list[str], *manifests: Manifest) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(run(folder, [*words, "--json"], *manifests).stdout)
    return found


def why(found: dict[str, Any]) -> dict[str, str]:
    return {entry["match"]: entry["why"] for entry in found["candidates"]["routes"]}


def said(found: dict[str, Any]) -> dict[str, str]:
    return {step["phase"]: step["said"] for step in found["steps"]}


def test_losers_know_why(tmp_path: Path) -> None:
    web = made("web", "shop.example", ("Prefix", "/a"), ("Prefix", "/a/b"), ("Exact", "/a/b"), ("Prefix", "/ab"))
    found = told(tmp_path, ["GET", "http://shop.example/a/b"], web)
    assert why(found) == {
        "exact /a/b": "the very path",
        "prefix /a/b": "matches too, but an exact path goes before prefixes",
        "prefix /a": "matches too, but an exact path goes before prefixes",
        "prefix /ab": "the path does not begin with it, element by element",
        "prefix /": "matches too, but an exact path goes before prefixes",
    }
    assert [entry["match"] for entry in found["candidates"]["routes"] if entry["won"]] == ["exact /a/b"]
    longer = told(tmp_path, ["GET", "shop.example/a/b/c"], web)
    assert why(longer)["prefix /a/b"] == "the longest prefix"
    assert why(longer)["prefix /a"] == "matches too, but a longer prefix does as well"


def test_patterns_are_tried_in_their_order(tmp_path: Path) -> None:
    web = made("web", "shop.example", ("ImplementationSpecific", "/a.*"), ("ImplementationSpecific", "/a/[0-9]+$"),
               use_regex="true")  # fmt: skip
    found = told(tmp_path, ["GET", "http://shop.example/A/7"], web)
    assert found["candidates"]["mode"] == "regex"
    assert sum("first pattern that matches" in reason for reason in why(found).values()) == 1
    assert any("comes later" in reason for reason in why(found).values())


@pytest.mark.parametrize(
    ("host", "by"),
    [
        ("shop.example", "by its name"),
        ("other.example", "other.example falls under it"),
        ("elsewhere.test", "nobody declared elsewhere.test"),
    ],
)
def test_how_the_host_was_found(host: str, by: str, tmp_path: Path) -> None:
    hosts = made("web", "shop.example"), made("any", "*.example")
    assert told(tmp_path, ["GET", f"http://{host}/"], *hosts)["by"] == by


def test_the_request_as_it_leaves(tmp_path: Path) -> None:
    web = made("web", "shop.example", ("ImplementationSpecific", "/api/(.*)"), rewrite_target="/$1")
    words = ["POST", "http://shop.example/api/x%20y?q=1", "-H", "X-Forwarded-For: 9.9.9.9", "-H", "X-Own: yes",
             "-H", "Content-Length: 4", "--client-ip", "203.0.113.9"]  # fmt: skip
    found = told(tmp_path, words, web)
    lines = found["leaves"].split("\r\n")
    assert lines[0] == "POST /x%20y?q=1 HTTP/1.1"
    assert {
        "Host: shop.example", "X-Real-IP: 203.0.113.9", "X-Forwarded-For: 203.0.113.9", "X-Own: yes",
        "X-Original-Forwarded-For: 9.9.9.9", "Content-Length: 4", "X-Request-ID: <32 hexadecimal digits>",
    } <= set(lines)  # fmt: skip
    assert said(found)["rewrite"] == "passes, asks the endpoint for /x%20y?q=1"
    assert found["outcome"] == "forward to shop/web:80"


def test_https_app_root_and_body_size_are_decided_where_the_edge_decides_them(tmp_path: Path) -> None:
    pair = secret("pair", "shop", tls_data("shop.example"))
    web = made("web", "shop.example", tls="pair", app_root="/home", proxy_body_size="1k")
    plain = told(tmp_path, ["GET", "http://shop.example/x?y"], web, pair)
    assert (plain["status"], said(plain)["https"]) == (308, "answers 308 to https://shop.example/x?y")
    assert told(tmp_path, ["GET", "https://shop.example/x"], web, pair)["status"] == 0
    root = told(tmp_path, ["GET", "https://shop.example/"], web, pair)
    assert said(root) == {"app-root": "answers 302 to https://shop.example/home"}
    large = told(tmp_path, ["PUT", "https://shop.example/x", "-H", "Content-Length: 9999"], web, pair)
    assert (large["status"], list(said(large))) == (413, ["body-size"])


def test_endpoints(tmp_path: Path) -> None:
    web = made("web", "shop.example")
    there = told(tmp_path, ["GET", "http://shop.example/"], web, service("web", "shop"),
                 endpoints("web", "shop", "10.0.0.1", "10.0.0.2"))  # fmt: skip
    assert there["endpoints"]["addresses"] == ["10.0.0.1:8080", "10.0.0.2:8080"]
    assert "at most 3 are tried, after error timeout" in there["endpoints"]["rule"]
    none = told(tmp_path, ["GET", "http://shop.example/"], web, service("web", "shop"),
                endpoints("other", "shop", "10.0.0.1"))  # fmt: skip
    assert (none["status"], said(none)["endpoints"]) == (503, "answers 503")


@pytest.mark.parametrize(
    ("annotations", "rule"),
    [
        ({}, "by turns (round robin), those left out that failed of late; at most 3"),
        ({"load_balance": "ewma"}, "the quicker of two"),
        ({"upstream_hash_by": "$request_uri"}, "by the hash of $request_uri"),
        ({"affinity": "cookie", "affinity_mode": "persistent"}, "the endpoint of the cookie INGRESSCOOKIE, until it"),
    ],
)
def test_how_an_endpoint_is_chosen(annotations: dict[str, str], rule: str, tmp_path: Path) -> None:
    objects = made("web", "shop.example", **annotations), service("web", "shop"), endpoints("web", "shop", "10.0.0.1")
    assert told(tmp_path, ["GET", "http://shop.example/"], *objects)["endpoints"]["rule"].startswith(rule)


@pytest.mark.parametrize(
    ("words", "status"),
    [
        (["GET", "http://shop.example/%00"], 400),
        (["GET", "http://elsewhere.test/healthz"], 200),
        (["GET", "http://elsewhere.test/x"], 404),
    ],
)
def test_answers_without_a_route(words: list[str], status: int, tmp_path: Path) -> None:
    assert told(tmp_path, words, made("web", "shop.example"))["status"] == status


def test_who_is_blocked_is_told_by_what(tmp_path: Path) -> None:
    meta = {"namespace": "limen", "name": "settings"}
    settings = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta, "data": {"block-user-agents": "evil"}}
    words = ["GET", "http://shop.example/", "-H", "User-Agent: evil", "--configmap=limen/settings"]
    found = told(tmp_path, words, made("web", "shop.example"), settings)
    assert found["status"] == 403
    assert said(found) == {"blocked": "answers 403"}


def test_what_is_no_request_is_said_so(tmp_path: Path) -> None:
    result = run(tmp_path, ["TRACE", "http://shop.example/"], made("web", "shop.example"))
    assert result.exit_code == 1
    assert "refused: 405" in result.stdout


@pytest.mark.parametrize(
    "words",
    [
        ["GET", "ftp://x/"],
        ["GET", "http:///x"],
        ["GET", "http://x:port/"],
        ["GET", "http://x/", "--client-ip=here"],
        ["GET", "http://x/", "-H", "no colon"],
        ["GET"],
    ],
)
def test_what_makes_no_sense(words: list[str], tmp_path: Path) -> None:
    assert run(tmp_path, words, made("web", "shop.example")).exit_code == 2


def test_phases_say_what_they_ask_and_what_they_change(tmp_path: Path) -> None:
    web = made(
        "web",
        "shop.example",
        enable_opentelemetry="true",
        opentelemetry_trust_incoming_span="false",
        auth_url="http://auth.example:8080/check?u=$request_uri",
        auth_response_headers="X-User",
        upstream_vhost="inner.example",
        limit_rps="5",
        limit_connections="2",
        canary_by_header="",
    )
    found = told(tmp_path, ["GET", "http://shop.example/x", "-H", "traceparent: 1"], web)
    waved = "; taken for an answer that lets it pass"
    assert said(found) == {
        "trace": "passes, begins a span, sets traceparent, takes out tracestate",
        "endpoints": "passes",
        "rates": f"asks outside: has 127.0.0.1 asked too often?{waved}",
        "at-once": f"asks outside: has 127.0.0.1 2 requests under way?{waved}",
        "claimed": "passes, takes out x-user",
        "external": f"asks outside: may it pass? GET http://auth.example:8080/check?u=/x{waved}",
        "upstream-host": "passes, Host: inner.example",
    }
    assert "\r\ntraceparent: 00-aaaa" in found["leaves"]


def with_errors(statuses: str) -> Manifest:
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "ingress-nginx-controller", "namespace": "ingress-nginx"},
        "data": {"custom-http-errors": statuses},
    }


def test_answers_that_are_replaced_are_told_as_clients_get_them(tmp_path: Path) -> None:
    closed = made("web", "shop.example", allowlist_source_range="10.0.0.0/33")
    url = ["GET", "http://shop.example/"]
    found = told(tmp_path, url, closed, with_errors("502,503"))
    assert (found["outcome"], found["status"]) == (
        "answers 503; instead of it 404, for there is no default backend (custom-http-errors)",
        404,
    )
    found = told(tmp_path, url, closed, with_errors("502"))
    assert (found["outcome"], found["status"]) == ("answers 503", 503)
    found = told(tmp_path, url, made("web", "shop.example"), with_errors("503,502"))
    assert found["errors"] == "502, 503: 404, for there is no default backend (custom-http-errors)"
    pages = [*url, "--default-backend-service", "shop/pages"]
    there = [service("web", "shop"), service("pages", "shop"), endpoints("pages", "shop", "10.0.0.9")]
    found = told(tmp_path, pages, closed, with_errors("503"), *there)
    assert (found["status"], found["outcome"].partition("; ")[2]) == (
        0,
        "instead of it what the default backend shop/pages says of it (custom-http-errors)",
    )


def test_what_the_route_itself_answers_is_no_phase_s_word(tmp_path: Path) -> None:
    password = secret("users", "shop", {"auth": b"a:{PLAIN}b"})
    web = made("web", "shop.example", ("Prefix", "/a"), auth_type="basic", auth_secret="users")
    words = ["GET", "http://shop.example/", "-H", "Authorization: Basic YTpi"]
    found = told(tmp_path, words, web, password)
    assert "authorization" in said(found)
    assert found["outcome"] == "answers 404"


def test_the_text_names_winner_phases_and_head(tmp_path: Path) -> None:
    text = run(tmp_path, ["GET", "http://shop.example/"], made("web", "shop.example")).stdout
    for part in ("wins prefix /  of shop/web", "outcome: forward to shop/web:80", "  GET / HTTP/1.1", "round robin"):
        assert part in text


def test_tls_that_passes_unopened_is_said_to(tmp_path: Path) -> None:
    web = made("web", "shop.example", tls="shop-tls", ssl_passthrough="true", whitelist_source_range="10.0.0.0/8")
    objects = (web, service("web", "shop"), endpoints("web", "shop", "10.1.0.1"))
    words = ["GET", "https://SHOP.example/", "--enable-ssl-passthrough"]
    found = told(tmp_path, words, *objects)
    assert found["passes"] == "shop/web:80"
    assert found["steps"] == []
    text = run(tmp_path, words, *objects).stdout
    assert "TLS is not opened here: the connection is handed on to shop/web:80 (ssl-passthrough)" in text
    assert "10.1.0.1:" in text
    for others in (["GET", "http://shop.example/", "--enable-ssl-passthrough"], ["GET", "https://shop.example/"]):
        assert told(tmp_path, others, *objects)["passes"] == ""


def test_a_host_that_is_nobodys_says_whose_it_would_be(tmp_path: Path) -> None:
    refused = made("raw", "raw.example", configuration_snippet="deny all;")
    found = told(tmp_path, ["GET", "http://raw.example/"], refused, made("web", "web.example"))
    assert (found["status"], len(found["remarks"])) == (404, 1)
    assert found["remarks"][0].startswith("Ingress shop/raw names this host: ")
    assert "It has the directive deny;" in found["remarks"][0]
    assert "It is not taken over. Remove it. Instead of deny," in found["remarks"][0]
    assert "note: Ingress shop/raw" in run(tmp_path, ["GET", "http://raw.example/"], refused).stdout
    wildcard = made("raw", "*.raw.example", configuration_snippet="deny all;")
    assert told(tmp_path, ["GET", "http://a.raw.example/"], wildcard)["remarks"]
    assert told(tmp_path, ["GET", "http://web.example/"], refused, made("web", "web.example"))["remarks"] == []


def test_where_copies_go(tmp_path: Path) -> None:
    web = made("web", "shop.example", mirror_target="https://shadow.example/m")
    words = ["POST", "http://shop.example/x?q", "-H", "Content-Length: 1"]
    assert said(told(tmp_path, words, web))["mirror"] == "a copy with its body goes to https://shadow.example:443/m?q"
    web = made("web", "shop.example", mirror_target="http://$arg_nobody/m")
    assert said(told(tmp_path, words, web))["mirror"] == "no copy goes anywhere: the target comes to no address"


def test_what_a_route_puts_into_responses_is_shown(tmp_path: Path) -> None:
    web = made("web", "web.example", enable_cors="true", cors_allow_origin="https://a.example")
    words = ["GET", "http://web.example/", "-H", "Origin: https://a.example"]
    assert "Access-Control-Allow-Origin: https://a.example\r\n" in told(tmp_path, words, web)["gets"]
    text = run(tmp_path, words, web).stdout
    assert "the response gets\n  Access-Control-Allow-Origin: https://a.example" in text
    assert told(tmp_path, words, made("web", "web.example"))["gets"] == ""
