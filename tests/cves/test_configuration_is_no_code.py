"""CVEs of ingress-nginx whose root is text of an Ingress in a configuration that is run. Here nothing is rendered: a
field is a value in a struct, so each payload is refused by name, or stands there as the text that it is.
"""

from __future__ import annotations

import base64
import re

import msgspec
import pytest

from proto.codec import decode_resource
from proto.policies import Rewrite
from proto.resources import VirtualHost
from services.contract.annotations.registry import REGISTRY
from tests.cves.yard import EVIL, OPEN_DOORS, compiled, hostile, said_of, unharmed, victims, yard
from tests.support.pairs import make_pair, pem

TOKEN = "/var/run/secrets/kubernetes.io/serviceaccount/token"
BREAK_OUT = [
    f"x; }} location /leak {{ alias {TOKEN}; }} #",
    'x";\n} } server { listen 81; location / { root /; } } #',
    "${ssl_engine}\r\nssl_engine /proc/self/fd/9;",
    'x\\"; content_by_lua_block { os.execute("id") } #',
    "\0;load_module /tmp/x.so;",
]


def hosts(compiler: object) -> dict[str, VirtualHost]:
    found = (decode_resource(record) for record in compiler.records())  # type: ignore[attr-defined]
    return {host.host: host for host in found if isinstance(host, VirtualHost)}


@pytest.mark.parametrize("settings", [{}, OPEN_DOORS], ids=["off", "on"])
@pytest.mark.parametrize("kind", ["configuration", "server"])
async def test_cve_2021_25742_snippets_that_read_the_token(kind: str, settings: dict[str, str]) -> None:
    """A snippet is read as three directives about response headers, or refused: there is no text that is run."""
    for body in (
        f"location /leak {{ alias {TOKEN}; }}",
        'more_set_headers "A: b"; location /leak { content_by_lua_block { ngx.say(io.open("/x"):read()) } }',
        'more_set_headers "A: b"; } location /leak { return 200; ',
        f'more_set_headers "A: $(cat {TOKEN})";',
    ):
        async with yard(hostile(**{f"{kind}_snippet": body}), settings=settings) as made:
            assert "annotation-refused" in made.codes()
            reply, arrived = await made.ask("/leak")
            assert (reply.status, arrived) == (404, [])


async def test_cve_2023_5043_configuration_snippet_as_a_way_in() -> None:
    """What a snippet may say is a closed grammar; a header's value cannot end its line, whatever its quotes hold."""
    payload = 'more_set_headers "X-A: b; } location / { return 200 pwned; }";'
    async with yard(hostile(configuration_snippet=payload), settings=OPEN_DOORS) as made:
        reply, (arrival,) = await made.ask("/any")
        assert (reply.status, arrival.pod.service) == (200, "evil")
        assert reply.value("X-A") == b"b; } location / { return 200 pwned; }"
    for body in ('more_set_headers "X-A: b\r\nSet-Cookie: a=b";', r'more_set_headers "X-A: b\r\nSet-Cookie: a=b";'):
        assert [
            found.code for found in said_of(compiled(hostile(configuration_snippet=body), settings=OPEN_DOORS))
        ] == ["annotation-refused"]


@pytest.mark.parametrize("path", [TOKEN, f"/x/..{TOKEN}", "/etc/nginx/nginx.conf", "/etc/passwd"])
async def test_cve_2021_25745_a_path_that_points_at_the_token(path: str) -> None:
    """A path is compared with requests and never opened; such ones are refused all the same, as ingress-nginx does."""
    async with yard(hostile(path, "ImplementationSpecific")) as made:
        assert made.codes() == {"spec-unsafe"}
        reply, arrived = await made.ask(path)
        assert (reply.status in (400, 404), arrived) == (True, [])


@pytest.mark.parametrize("name", sorted(REGISTRY))
def test_cve_2021_25746_any_annotation(name: str) -> None:
    """Each annotation has a parser of its own; none of them can be made to say anything about somebody else."""
    for text in BREAK_OUT:
        for settings in ({}, OPEN_DOORS):
            compiler = compiled(hostile(**{name.replace("-", "_"): text}), settings=settings)
            assert victims(compiler) == unharmed(), text
            assert not [found for found in said_of(compiler) if found.code == "internal-error"]
            assert set(hosts(compiler)) <= {EVIL, "bank.example"}


@pytest.mark.parametrize(
    "path",
    [
        "/x\n}location /leak{alias /;}",
        "/x\r\nHost: bank.example",
        '/x" { return 200; } #',
        "/x{proxy_pass $host;}",
    ],
)
async def test_cve_2021_25748_a_newline_in_a_path(path: str) -> None:
    """There is no sanitiser to get past: a path with a newline is a path that has one, and matches nothing else."""
    async with yard(hostile(path, "ImplementationSpecific")) as made:
        for target in ("/x", "/leak", "/"):
            reply, arrived = await made.ask(target)
            assert (reply.status, arrived) == (404, [])
        quoted = "".join(f"%{ord(letter):02X}" for letter in path[1:])
        if "spec-unsafe" not in made.codes():
            _, (arrival,) = await made.ask(f"/{quoted}")
            assert arrival.pod.service == "evil"
            assert arrival.path == f"/{quoted}"


async def test_cve_2022_4886_log_format_by_a_path() -> None:
    """The access log's form comes from the ConfigMap alone, parsed once; a path is one of the values that fill it."""
    path = '/x"; log_format evil "$request_body"; access_log /tmp/x evil; #'
    async with yard(hostile(path, "ImplementationSpecific")) as made:
        assert "log_format" not in str([record for record in made.compiler.records() if record.kind == "settings"])
        reply, arrived = await made.ask("/x")
        assert (reply.status, arrived) == (404, [])


@pytest.mark.parametrize("name", ["permanent_redirect", "temporal_redirect"])
async def test_cve_2023_5044_permanent_redirect(name: str) -> None:
    """Where a redirect leads is an address of a few characters; with any other, the Ingress is not taken over."""
    for text in (
        "https://x.example;}}location /leak{alias /;}",
        "https://x.example/\r\nSet-Cookie: a=b",
        "https://x.example/$(id)",
    ):
        async with yard(hostile(**{name: text})) as made:
            assert made.codes() == {"annotation-rejected"}
            reply, arrived = await made.ask()
            assert (reply.status, reply.value("Set-Cookie"), arrived) == (404, b"", [])


@pytest.mark.parametrize("byte", ["\r", "\n", "\0", "\x0b", "\u2028", "\x85"])
def test_cve_2024_7646_odd_bytes_behind_a_good_value(byte: str) -> None:
    """Every validator looks at the whole of a value: what follows an odd byte is not there, or the value is refused."""
    good = {
        "auth_url": "https://auth.example/check",
        "auth_realm": "Realm",
        "permanent_redirect": "https://x.example/",
        "rewrite_target": "/a",
        "upstream_vhost": "x.example",
        "server_alias": "alias.example",
        "cors_allow_origin": "https://x.example",
        "proxy_cookie_path": "/a /b",
        "proxy_http_version": "1.1",
        "auth_method": "GET",
        "auth_tls_match_cn": "CN=x",
        "session_cookie_name": "route",
        "connection_proxy_header": "close",
    }
    for name, value in good.items():
        more = {"enable_cors": "true"} if name.startswith("cors") else {}
        text = f"{value}{byte};evil_directive on;"
        compiler = compiled(hostile(**{name: text}, **more), settings=OPEN_DOORS)
        policies = [route.policies for host in hosts(compiler).values() for route in host.routes if route.policies]
        assert b"evil_directive" not in msgspec.json.encode(policies), name
        assert victims(compiler) == unharmed()


async def test_cve_2025_1097_auth_tls_match_cn() -> None:
    """It is a pattern that the subject is searched for, compiled by RE2; as text it goes nowhere."""
    authority = pem(make_pair(common_name="authority", ca=True)[0])
    secret = {
        "apiVersion": "v1",
        "kind": "Secret",
        "type": "Opaque",
        "metadata": {"name": "ca", "namespace": "evil"},
        "data": {"ca.crt": base64.b64encode(authority).decode()},
    }
    for text in ("CN=x#(\n);\n}}}\nssl_engine ../../../../../proc/9/fd/9;\n#", "CN=abc); ssl_engine x;", "CN=["):
        evil = hostile(auth_tls_secret="evil/ca", auth_tls_match_cn=text)
        async with yard(evil, secret) as made:
            reply, arrived = await made.ask()
            assert (reply.status in (400, 403), arrived) == (True, []), text


@pytest.mark.parametrize("name", ["mirror_target", "mirror_host"])
async def test_cve_2025_1098_mirrors(name: str) -> None:
    """A mirror's address is parsed into host, port and path; what does not parse is no mirror, and nothing else."""
    for text in BREAK_OUT:
        more = {"mirror_target": "http://127.0.0.1:1/"} if name == "mirror_host" else {}
        async with yard(hostile(**{**more, name: text})) as made:
            reply, arrived = await made.ask("/leak")
            assert reply.status in (200, 404, 503)
            assert all(arrival.pod.service == "evil" for arrival in arrived)


@pytest.mark.parametrize(
    "text",
    [
        "http://auth.example/#;}}\n\nssl_engine /tmp/x;",
        "http://auth.example/#;load_module /x;\n",
        'https://"$host;',
        "http://auth.example/\r\nX-A: b",
        "file:///etc/passwd",
        "http://",
    ],
)
async def test_cve_2025_24514_auth_url(text: str) -> None:
    """Who is asked is an address or nobody: what is none closes the routes, and is never sent anywhere."""
    async with yard(hostile(auth_url=text)) as made:
        reply, arrived = await made.ask()
        assert (reply.status, arrived) == (503, [])


@pytest.mark.parametrize("text", ["GET;evil", "xGET", "GETx", "GET\r\nX-A: b", "POST /leak HTTP/1.1", "*"])
async def test_cve_2026_1580_auth_method(text: str) -> None:
    """The method is compared as a whole with those that there are; anything else closes the routes."""
    async with yard(hostile(auth_url="http://127.0.0.1:1/", auth_method=text)) as made:
        reply, arrived = await made.ask()
        assert (reply.status, arrived) == (503, [])


@pytest.mark.parametrize("path", ['/x";return 200;#', "/x'", "/x;", "/x {", "/x\\", "/${document_root}", "/#"])
async def test_cve_2026_24512_a_path_that_is_not_quoted(path: str) -> None:
    """There is nothing to be quoted in: the path stands in a table of matches, beside others as it is written."""
    async with yard(hostile(path, "ImplementationSpecific")) as made:
        (route,) = [route for route in hosts(made.compiler)[EVIL].routes if not route.synthetic]
        assert route.match.value == path
        reply, arrived = await made.ask("/other")
        assert (reply.status, arrived) == (404, [])


async def test_cve_2026_3288_rewrite_target() -> None:
    """A target is text and numbers of groups; with any other character it has no effect, and says so."""
    for text in ('/$1";}location /leak{alias /;}#', "/$1 last;", "/$1\n", "/{evil}", '/"$1"'):
        async with yard(hostile("/(.*)", "ImplementationSpecific", rewrite_target=text)) as made:
            assert "annotation-invalid" in made.codes()
            routes = hosts(made.compiler)[EVIL].routes
            assert not [policy for route in routes for policy in route.policies if isinstance(policy, Rewrite)]


async def test_cve_2026_42945_a_group_and_a_question_mark() -> None:
    """The path is rewritten by Python's own text: there is no length that is computed once and written twice."""
    async with yard(hostile("/a(/|$)(.*)", "ImplementationSpecific", rewrite_target="/b/$2")) as made:
        for tail in ("%3F" * 1500, "?" * 3000, "+%2B%3F&" * 700, "%25" * 2000):
            reply, (arrival,) = await made.ask(f"/a/{tail}")
            assert reply.status == 200
            assert arrival.path.startswith("/b/")
            assert not re.search(r"[\r\n\0 ]", arrival.path)


async def test_cve_2026_4342_a_comment_with_a_path() -> None:
    """No file is written that could have a comment; names and paths reach people as values of a diagnostic."""
    path = "/x #\n}}\nhttp { server { listen 81; } }\n#"
    async with yard(hostile(path, "ImplementationSpecific", name="evil")) as made:
        reply, arrived = await made.ask("/x")
        assert (reply.status, arrived) == (404, [])


@pytest.mark.parametrize(
    "host", ["evil.example; } server {", "evil.example\nserver_name x", '"', "evil.example #", "*.*", "~^x"]
)
def test_cve_2026_24512_a_host_that_is_not_quoted(host: str) -> None:
    """A host is a DNS name, or its Ingress is not taken over."""
    compiler = compiled(hostile(host=host))
    assert "host-invalid" in {found.code for found in said_of(compiler)}
    assert set(hosts(compiler)) <= {"bank.example"}
    assert victims(compiler) == unharmed()


@pytest.mark.parametrize("alias", ["bank.example", "*.example;}", "x.example\nroot /;", "~(", "~^(a+)+$", "_"])
async def test_cve_2025_1098_names_that_are_others(alias: str) -> None:
    """A further name is one that nobody declares; it cannot take a victim's host, nor hold an edge."""
    async with yard(hostile(server_alias=alias)) as made:
        reply, _ = await made.ask("/x", host="a" * 60 + "!.example")
        assert reply.status in (400, 404)


def test_cve_2021_25745_a_secret_of_tls_that_is_a_path() -> None:
    """Names of Secrets are looked up in a table; such ones are refused as ingress-nginx does."""
    for name in ("../../var/run/secrets/x", "/etc/nginx/nginx.conf", "x;alias /;"):
        evil = hostile()
        evil["spec"]["tls"] = [{"hosts": [EVIL], "secretName": name}]
        compiler = compiled(evil)
        assert {found.code for found in said_of(compiler)} & {"spec-unsafe", "secret-not-found"}
        assert not [record for record in compiler.records() if record.kind == "certificate"]
