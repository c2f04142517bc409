"""CVEs of ingress-nginx about who may pass, what may be referred to, and the admission webhook."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from proto.codec import decode_resource
from proto.objects import ObjectKey, key_of
from proto.policies import BasicAuth
from proto.resources import VirtualHost
from services.contract.annotations.entry import PREFIX
from tests.cves.yard import EVIL, OPEN_DOORS, compiled, configmap, hostile, objects_of, opaque, said_of, yard
from tests.support.manifests import ingress

HASH = "$2y$04$abcdefghijklmnopqrstuuEnktNu4dNa/sMz6nY.lAbxawdTTajT2"
LOGIN = "Authorization: Basic YmFyOmJhcg=="  # bar:bar


async def test_cve_2020_8553_two_secrets_whose_names_run_together() -> None:
    """Passwords are held by namespace and name, in memory: there is no file a-b-c that two of them could share."""
    words = {PREFIX + "auth-type": "basic", PREFIX + "auth-secret": "c"}
    one = ingress("app", "a-b", "one.example", annotations=words)
    two = ingress("app", "a", "two.example", annotations=words | {PREFIX + "auth-secret": "b-c"})
    secrets = opaque("c", "a-b", auth=f"bar:{HASH}\n"), opaque("b-c", "a", auth=f"other:{HASH}\n")
    async with yard(one, two, *secrets, namespaces=("bank", "evil", "a", "a-b")) as made:
        assert (await made.ask("/", LOGIN, host="one.example"))[0].status == 200
        reply, arrived = await made.ask("/", LOGIN, host="two.example")
        assert (reply.status, arrived) == (401, [])


@pytest.mark.parametrize(
    "name", ["../../etc/shadow", "..", "a/../../b", "/etc/passwd", "evil/../bank", "x\0", "bank/s"]
)
async def test_cve_2025_24513_a_secret_name_as_a_path(name: str) -> None:
    """A Secret's name is a key of a table; what is no name, or of another namespace, closes the routes."""
    async with yard(hostile(auth_type="basic", auth_secret=name), opaque("s", "bank", auth=f"bar:{HASH}")) as made:
        reply, arrived = await made.ask("/", LOGIN)
        assert (reply.status, arrived) == (503, [])


@pytest.mark.parametrize(
    "data",
    [
        {"X-A": "b\r\nX-Injected: 1"},
        {"X-A": 'b"; } location / { return 200; }\n'},
        {"X-A: b\r\nX-Injected": "1"},
        {"X A": "b"},
        {"X-A": "$evil_variable"},
    ],
)
async def test_cve_2025_15566_headers_in_a_configmap_that_is_named(data: dict[str, str]) -> None:
    """What is referred to is judged like what is written: a line that is no header closes the routes."""
    headers = configmap("headers", "evil", data)
    evil = hostile(auth_url="http://127.0.0.1:1/", auth_proxy_set_headers="evil/headers")
    async with yard(evil, headers) as made:
        reply, arrived = await made.ask()
        assert (reply.status, arrived) == (503, [])
        assert made.codes() == {"auth-headers-unusable"}


@pytest.mark.parametrize("verdict", ["/status/401", "/status/403", "/status/500"])
async def test_cve_2026_24513_error_pages_do_not_let_anybody_in(verdict: str) -> None:
    """Who asks is told apart before an error page is fetched: it changes what is shown, never who passes."""
    async with yard() as made:
        auth = f"http://127.0.0.1:{made.pods['bank'].port}{verdict}"
        evil = hostile(auth_url=auth, custom_http_errors="401,403,500", default_backend="web")
        async with yard(evil) as asked:
            reply, arrived = await asked.ask("/protected")
            assert all(arrival.path != "/protected" for arrival in arrived)
            assert not reply.body.endswith(b"got /protected")


FAIL_OPEN = [
    {"auth_always_set_cookie": "yes"},
    {"auth_cache_key": "$remote_user", "auth_cache_duration": "200 10m; 401 5m"},
    {"auth_request_redirect": "https://x.example/\r\nX: y"},
    {"auth_request_redirect": "https://x.example/$request_uri"},
    {"auth_response_headers": "X-A;X-B"},
    {"auth_method": "FETCH"},
    {"auth_snippet": "proxy_set_header X 1;"},
    {"auth_proxy_set_headers": "no-such-map"},
]


@pytest.mark.parametrize("said", FAIL_OPEN, ids=lambda said: next(iter(said)))
async def test_a_guard_that_cannot_be_read_as_a_whole_lets_nobody_pass(said: dict[str, str]) -> None:
    """In ingress-nginx a bad companion of auth-url takes the whole guard away, and the path is served open."""
    async with yard(hostile(auth_url="http://127.0.0.1:1/", **said)) as made:
        reply, arrived = await made.ask()
        assert (reply.status, arrived) == (404 if "auth_snippet" in said else 503, [])


REFERENCES = {
    "auth_secret": {"auth_type": "basic"},
    "auth_tls_secret": {},
    "proxy_ssl_secret": {"backend_protocol": "HTTPS"},
    "auth_proxy_set_headers": {"auth_url": "http://127.0.0.1:1/"},
    "custom_headers": {},
}


@pytest.mark.parametrize("name", sorted(REFERENCES))
async def test_references_to_another_namespace_close_the_routes(name: str) -> None:
    """What is another namespace's is not lent by naming it, unless the administrator says so for all."""
    theirs = opaque("theirs", "bank", auth=f"bar:{HASH}"), configmap("theirs", "bank", {"X-A": "b"})
    settings = {"global-allowed-response-headers": "X-A"}
    evil = hostile(**{name: "bank/theirs", **REFERENCES[name]})
    async with yard(evil, *theirs, settings=settings) as made:
        reply, arrived = await made.ask("/", LOGIN)
        assert (reply.status in (403, 503), arrived) == (True, [])


def test_no_secret_leaves_the_watcher_unsealed() -> None:
    """Whoever may listen on the bus learns neither a password's hash nor a key."""
    secret = opaque("users", "evil", auth=f"bar:{HASH}\n")
    for value in objects_of(secret):
        assert HASH not in str(value)
    compiler = compiled(hostile(auth_type="basic", auth_secret="users"), secret)
    assert not [record for record in compiler.records() if HASH.encode() in record.body or b"bar:" in record.body]
    (host,) = [decode_resource(record) for record in compiler.records() if record.name == EVIL]
    assert isinstance(host, VirtualHost)
    assert BasicAuth in {type(policy) for policy in host.routes[0].policies}


WATCHED = """
import sys
from tests.cves.test_access_and_references import reviewed
reviewed()                                    # whatever is imported or compiled once, is by now
seen, on = [], False
LOUD = ("open", "exec", "compile", "import", "subprocess.", "os.", "socket.", "ctypes.", "shutil.", "tempfile.")
sys.addaudithook(lambda event, words: seen.append((event, str(words)[:200])) if on and event.startswith(LOUD) else None)
on = True
reviewed()
done, seen = seen, []
open("/dev/null").close()                     # the hook does hear
print(done, len(seen))
"""


def reviewed() -> None:
    """Reviews of hostile objects."""
    compiler = compiled(settings=OPEN_DOORS)
    for evil in (
        hostile(auth_tls_match_cn="CN=x#;\n}}\nssl_engine /proc/9/fd/9;"),
        hostile(server_snippet="ssl_engine /proc/self/fd/7;"),
        hostile(configuration_snippet='more_set_headers "A: b";'),
        hostile("/x\n}", "ImplementationSpecific", mirror_target="http://x/#;\n}"),
        hostile("/(.*)", "ImplementationSpecific", rewrite_target="/$1"),
        hostile(auth_secret="../../etc/shadow", auth_type="basic"),
    ):
        for value in objects_of(evil):
            assert key_of(value) == ObjectKey("ingress", "evil", "evil")
            compiler.review(value)  # type: ignore[arg-type]


def test_cve_2025_1974_the_webhook_runs_opens_and_asks_nothing() -> None:
    """A review is a pure function of an object and the compiled table: Python itself tells what it would have done."""
    root = Path(__file__).parents[2]
    done = subprocess.run([sys.executable, "-c", WATCHED], cwd=root, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[] 1"


@pytest.mark.parametrize("uid", ['x"; } server {', "../../x", "0b0f7c3e-2f6e-4a64-9d3a-5f8d6f9f0c1\n"])
def test_cve_2025_1098_the_uid_of_an_object(uid: str) -> None:
    """The webhook refuses what is no UUID, and nothing is ever made of a UID but a comparison."""
    evil = hostile()
    evil["metadata"]["uid"] = uid
    compiler = compiled()
    (value,) = objects_of(evil)
    assert "uid" in compiler.review(value).refusal  # type: ignore[arg-type]
    assert not [found for found in said_of(compiled(evil)) if found.severity == "error"]
