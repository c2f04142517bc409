"""What people do with popular applications works through an edge that serves all of their manifests at once."""

from __future__ import annotations

import asyncio
import base64
import ssl
from collections.abc import AsyncIterator

import grpc
import grpc.aio
import pytest
import pytest_asyncio
from cryptography import x509

from tests.integration.real.installation import KNOWN_COOKIE, POD_NAME, Installation, installed
from tests.support.edge import connection, read_reply, request

pytestmark = pytest.mark.asyncio(loop_scope="module")
ALICE = f"Cookie: {KNOWN_COOKIE.decode()}"
PASSWORD = "Authorization: Basic " + base64.b64encode(b"bar:bar").decode()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def here() -> AsyncIterator[Installation]:
    async with installed() as made:
        yield made


async def test_everything_is_served_but_what_is_refused(here: Installation) -> None:
    refused = {
        "authelia/wiki-with-snippet",
        "kubernetes-dashboard/kubernetes-dashboard-with-snippet",
        "matrix-synapse/synapse-well-known-inline",
        "mattermost/mattermost-cached",
        "nextcloud/nextcloud-with-snippet",
    }
    errors = [found for entries in here.compiler.diagnostics.values() for found in entries if found.severity == "error"]
    assert {(found.object.namespace, found.object.name) for found in errors} == {tuple(n.split("/")) for n in refused}
    assert {found.code for found in errors} == {"annotation-refused"}


async def test_oauth2_proxy_sends_strangers_to_log_in_and_names_the_others(here: Installation) -> None:
    reply, arrived = await here.ask("dashboard.example.com", "/reports?year=2024")
    assert reply.status == 302
    assert reply.value("Location") == b"https://dashboard.example.com/oauth2/start?rd=%2Freports%3Fyear%3D2024"
    assert not arrived
    reply, (arrival,) = await here.ask("dashboard.example.com", "/reports", ALICE, "X-Auth-Request-User: mallory")
    assert (reply.status, arrival.values("X-Auth-Request-User")) == (200, ["alice"])
    reply, (arrival,) = await here.ask("dashboard.example.com", "/oauth2/start?rd=%2F")
    assert arrival.pod.service == "oauth2-proxy/oauth2-proxy"


async def test_authelia_is_told_what_is_asked_for_and_says_who_asks(here: Installation) -> None:
    assert here.auth is not None
    reply, arrived = await here.ask("wiki.example.com", "/page", "X-Forwarded-Method: evil", method="DELETE")
    assert (reply.status, arrived) == (302, [])
    assert reply.value("Location") == b"https://login.example.com?rm=DELETE&rd=https://wiki.example.com%2Fpage"
    question = here.auth.log[-1]
    assert (question.path, question.values("X-Forwarded-Method")) == ("/api/authz/auth-request", ["DELETE"])
    reply, (arrival,) = await here.ask(
        "wiki.example.com", "/page", ALICE, "Remote-User: mallory", "Remote-Groups: root"
    )
    assert (reply.status, arrival.values("Remote-User"), arrival.values("Remote-Groups")) == (200, ["alice"], [])


async def test_temporal_remembers_who_was_let_in(here: Installation) -> None:
    assert here.auth is not None
    mark = len(here.auth.log)
    for _ in range(3):
        reply, _ = await here.ask("temporal-web.example.com", "/namespaces", ALICE)
        assert reply.status == 200
    assert len(here.auth.log) == mark + 1
    reply, _ = await here.ask("temporal-web.example.com", "/namespaces?a=b")
    assert reply.value("Location").startswith(b"https://dashboard.example.com/oauth2/start?rd=https://temporal-web")


async def test_grafana_is_below_a_path_and_talks_over_websockets(here: Installation) -> None:
    reply, (arrival,) = await here.ask("tools.example.com", "/grafana/d/abc?orgId=1")
    assert (reply.status, arrival.path, arrival.values("X-Forwarded-Prefix")) == (200, "/d/abc?orgId=1", ["/grafana"])
    lines = ("Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Version: 13")
    key = "Sec-WebSocket-Key: " + base64.b64encode(b"0123456789abcdef").decode()
    async with asyncio.timeout(10), connection(here.https, tls="tools.example.com") as (reader, writer):
        writer.write(request("GET", "/grafana/api/live/ws", *lines, key, name="tools.example.com"))
        answer = await read_reply(reader)
        assert (answer.status, here.arrived[-1].path) == (101, "/api/live/ws")
        writer.write(b"\x81\x85mask....")
        assert await reader.readexactly(10) == b"\x81\x85mask...."


async def test_nextcloud_takes_large_files_moves_calendars_and_hides_its_folders(here: Installation) -> None:
    reply, (arrival,) = await here.ask("files.example.com", "/remote.php/dav/a", method="PUT", body=b"x" * 3_000_000)
    assert (reply.status, len(arrival.seen.body)) == (200, 3_000_000)
    assert reply.value("X-Robots-Tag") == b"noindex, nofollow"
    assert reply.value("Referrer-Policy") == b"no-referrer"
    reply, arrived = await here.ask("files.example.com", "/.well-known/carddav", method="PROPFIND")
    assert (reply.status, reply.value("Location"), arrived) == (301, b"https://files.example.com/remote.php/dav", [])
    for path in ("/data/alice/files/x", "/data", "/config/config.php"):
        reply, arrived = await here.ask("files.example.com", path)
        assert (reply.status, arrived) == (403, [])
    lines = ("Origin: https://office.example.com", "Access-Control-Request-Method: PUT")
    reply, arrived = await here.ask("files.example.com", "/remote.php/dav/a", *lines, method="OPTIONS")
    assert (reply.status, reply.value("Access-Control-Allow-Origin")) == (204, b"https://office.example.com")


@pytest.mark.parametrize("host", ["kas.example.com", "minio.example.com"])
async def test_who_says_nothing_of_bodies_has_a_megabyte(here: Installation, host: str) -> None:
    reply, arrived = await here.ask(host, "/", method="POST", body=b"x" * (1024 * 1024 + 1))
    assert (reply.status, arrived) == (413, [])


@pytest.mark.parametrize(
    ("host", "path"),
    [
        ("registry.example.com", "/v2/a/blobs/uploads/"),
        ("s3.example.com", "/bucket/key"),
        ("git.example.com", "/a.git/"),
    ],
)
async def test_pushes_and_uploads_go_through(here: Installation, host: str, path: str) -> None:
    reply, (arrival,) = await here.ask(host, path, method="PUT", body=b"x" * 2_000_000)
    assert (reply.status, len(arrival.seen.body)) == (200, 2_000_000)


async def test_a_docker_registry_asks_for_its_password_first(here: Installation) -> None:
    reply, arrived = await here.ask("images.example.com", "/v2/")
    assert (reply.status, reply.value("WWW-Authenticate"), arrived) == (401, b'Basic realm="Registry"', [])
    reply, (arrival,) = await here.ask(
        "images.example.com", "/v2/a/blobs/uploads/", PASSWORD, method="PUT", body=b"x" * 2_000_000
    )
    assert (reply.status, len(arrival.seen.body)) == (200, 2_000_000)


async def test_harbor_goes_by_its_paths(here: Installation) -> None:
    paths = {"/": "portal", "/harbor/projects": "portal", "/v2/": "core", "/api/v2.0/x": "core", "/c/login": "core"}
    for path, part in paths.items():
        _, (arrival,) = await here.ask("harbor.example.com", path)
        assert arrival.pod.service == f"harbor/harbor-{part}", path
    reply, _ = await here.ask("harbor.example.com", "/v2/a?b=c", http=True)
    assert (reply.status, reply.value("Location")) == (308, b"https://harbor.example.com/v2/a?b=c")


async def test_keycloak_sends_large_heads_stays_with_a_pod_and_closes_its_administration(here: Installation) -> None:
    reply, (first,) = await here.ask("sso.example.com", "/realms/a/large-head")
    assert (reply.status, reply.head.count(b"Set-Cookie: part")) == (200, 8)
    cookie = next(line for line in reply.head.split(b"\r\n") if b"KC_ROUTE=" in line).decode()
    assert "SameSite=None" in cookie
    assert "Secure" in cookie
    crumb = "Cookie: " + cookie.partition(": ")[2].partition(";")[0]
    for _ in range(6):
        reply, (arrival,) = await here.ask("sso.example.com", "/realms/a/token", crumb)
        assert arrival.pod is first.pod
    reply, arrived = await here.ask("sso.example.com", "/admin/master/console")
    assert (reply.status, arrived) == (403, [])


async def test_rocketchat_clients_stay_with_their_pod(here: Installation) -> None:
    used = set()
    for _ in range(12):
        reply, (first,) = await here.ask("rocket.example.com")
        crumb = "Cookie: " + reply.value("Set-Cookie").decode().partition(";")[0]
        assert crumb.startswith("Cookie: route=")
        _, (second,) = await here.ask("rocket.example.com", "/api/info", crumb)
        assert second.pod is first.pod
        used.add(first.pod.port)
    assert len(used) > 1


async def test_a_certificate_can_be_asked_for_while_all_else_is_closed(here: Installation) -> None:
    challenge = "/.well-known/acme-challenge/Xn2FbGQmSyT1yzJkDgVR"
    reply, (arrival,) = await here.ask("newshop.example.com", challenge, http=True)
    assert (reply.status, arrival.pod.service) == (200, "cert-manager/cm-acme-http-solver-7bd9t")
    reply, _ = await here.ask("newshop.example.com", "/basket", http=True)
    assert (reply.status, reply.value("Location")) == (308, b"https://newshop.example.com/basket")
    reply, _ = await here.ask("newshop.example.com", "/basket")
    assert reply.status == 401


async def test_prometheus_has_a_password_and_a_pushgateway_an_address_or_one(here: Installation) -> None:
    for host in ("prometheus.example.com", "alertmanager.example.com"):
        assert (await here.ask(host, "/graph"))[0].status == 401
        assert (await here.ask(host, "/graph", PASSWORD))[0].status == 200
    assert (await here.ask("push.example.com", "/metrics/job/a", method="PUT"))[0].status == 401
    assert (await here.ask("push.example.com", "/metrics/job/a", PASSWORD, method="PUT"))[0].status == 200


async def test_wordpress_has_one_name_few_logins_and_no_remote_calls(here: Installation) -> None:
    reply, _ = await here.ask("www.blog.example.com", "/2024/05/")
    assert reply.status == 308
    assert reply.value("Location").startswith(b"https://blog.example.com")
    reply, arrived = await here.ask("blog.example.com", "/xmlrpc.php", method="POST")
    assert (reply.status, arrived) == (403, [])
    statuses = [(await here.ask("blog.example.com", "/wp-login.php"))[0].status for _ in range(12)]
    assert statuses[:7] == [200] * 7
    assert 503 in statuses[7:]  # one more passes in ten seconds, however long all this takes
    reply, _ = await here.ask("blog.example.com", "/archive/2009/x")
    assert (reply.status, reply.value("Location")) == (307, b"https://blog.example.com/2024/")


async def test_synapse_is_found_by_patterns_and_pages_of_everybody_read_where_it_is(here: Installation) -> None:
    _, (arrival,) = await here.ask("matrix.example.com", "/_matrix/client/v3/sync?since=%2F")
    assert (arrival.pod.service, arrival.path) == ("matrix-synapse/synapse", "/_matrix/client/v3/sync?since=%2F")
    assert (await here.ask("matrix.example.com", "/_synapse/admin/v1/users"))[0].status == 404
    reply, _ = await here.ask("example.com", "/.well-known/matrix/client")
    assert reply.value("Access-Control-Allow-Origin") == b"*"
    assert reply.head.lower().count(b"content-type: ") == 1
    assert reply.value("Content-Type") == b"application/json"


async def test_sentry_tells_events_from_pages(here: Installation) -> None:
    services = {"/api/store/": "relay", "/api/17/envelope/": "relay", "/api/0/projects/": "web", "/issues/": "web"}
    for path, part in services.items():
        _, (arrival,) = await here.ask("sentry.example.com", path, method="POST")
        assert arrival.pod.service == f"sentry/sentry-{part}", path
    lines = ("Origin: https://any.example", "Access-Control-Request-Method: POST")
    reply, arrived = await here.ask("sentry.example.com", "/api/17/envelope/", *lines, method="OPTIONS")
    assert (reply.status, reply.value("Access-Control-Allow-Origin"), arrived) == (204, b"*", [])


async def test_rabbitmq_keeps_what_is_encoded_in_names(here: Installation) -> None:
    reply, (arrival,) = await here.ask("queues.example.com", "/rabbitmq/api/queues/%2F/jobs?columns=name", http=True)
    assert reply.status == 200
    assert arrival.path.startswith("/api/queues/")


async def test_podinfo_shows_testers_the_new_version(here: Installation) -> None:
    for line, part in (("X-Canary: insider", "canary"), ("Cookie: canary=never", "primary")):
        _, (arrival,) = await here.ask("podinfo.example.com", "/version", line)
        assert arrival.pod.service == f"podinfo/podinfo-{part}"


async def test_n8n_is_called_by_its_partners_pages_alone(here: Installation) -> None:
    lines = ("Access-Control-Request-Method: POST", "Origin: https://shop.partner.example")
    reply, _ = await here.ask("flows.example.com", "/webhook/order", *lines, method="OPTIONS")
    assert (reply.status, reply.value("Access-Control-Allow-Origin")) == (204, b"https://shop.partner.example")
    reply, _ = await here.ask("flows.example.com", "/webhook/order", "Origin: https://evil.example")
    assert (reply.status, reply.value("Access-Control-Allow-Origin")) == (200, b"")


async def test_jenkins_root_leads_to_its_path_and_ghost_has_other_names(here: Installation) -> None:
    reply, _ = await here.ask("ci.example.com", "/")
    assert (reply.status, reply.value("Location")) == (302, b"https://ci.example.com/jenkins")
    for name in ("journal.example.com", "anything.ghost.example.com"):
        _, (arrival,) = await here.ask(name, "/post")
        assert arrival.pod.service == "ghost/ghost"
    reply, _ = await here.ask("ghost.example.com", "/status/502")
    assert reply.status == 200


async def test_temporal_workers_call_by_grpc(here: Installation) -> None:
    certificate = await asyncio.to_thread(ssl.get_server_certificate, ("127.0.0.1", here.https))
    credentials = grpc.ssl_channel_credentials(certificate.encode())
    options = (("grpc.ssl_target_name_override", "ingress.local"), ("grpc.default_authority", "temporal.example.com"))
    async with grpc.aio.secure_channel(f"127.0.0.1:{here.https}", credentials, options=options) as channel:
        call = channel.unary_unary("/temporal.api.workflowservice.v1.WorkflowService/PollWorkflowTaskQueue")
        assert await call(b"", metadata=(("x-seconds", "0"),)).code() == grpc.StatusCode.OK


async def test_argo_cd_opens_its_connections_itself(here: Installation) -> None:
    async with asyncio.timeout(10), connection(here.https, tls="argocd.example.com") as (reader, writer):
        writer.write(request("GET", "/applications", "X-Forwarded-For: 192.0.2.1", name="argocd.example.com"))
        assert (await read_reply(reader)).status == 200
        der = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
    names = x509.load_der_x509_certificate(der).extensions.get_extension_for_class(x509.SubjectAlternativeName)
    assert names.value.get_values_for_type(x509.DNSName) == [POD_NAME]
    arrival = here.arrived[-1]
    assert (arrival.pod.service, arrival.values("X-Forwarded-For")) == ("argo-cd/argocd-server", ["192.0.2.1"])
    reply, _ = await here.ask("argocd.example.com", "/applications", http=True)
    assert (reply.status, reply.value("Location")) == (308, b"https://argocd.example.com/applications")


async def test_elasticsearch_and_the_dashboard_speak_tls_behind_the_edge(here: Installation) -> None:
    login = "Authorization: Basic " + base64.b64encode(b"writer:bar").decode()
    reply, arrived = await here.ask("search.example.com", "/logs/_search")
    assert (reply.status, arrived) == (401, [])
    reply, (arrival,) = await here.ask("search.example.com", "/logs/_search", login)
    assert (reply.status, arrival.values("Authorization")) == (200, [])
    reply, (arrival,) = await here.ask("k8s.example.com", "/dashboard/api/v1/login/status")
    assert (reply.status, arrival.path) == (200, "/api/v1/login/status")
    reply, _ = await here.ask("k8s.example.com", "/")
    assert (reply.status, reply.value("Location")) == (302, b"https://k8s.example.com/dashboard/")


async def test_vault_wants_to_see_a_certificate(here: Installation) -> None:
    reply, arrived = await here.ask("vault.example.com", "/v1/sys/health")
    assert (reply.status, arrived) == (400, [])
