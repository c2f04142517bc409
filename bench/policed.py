"""Policies to measure: for each an Ingress of its own, and what nginx's location has for the same.

Owns both configurations and the requests that use them. nginx is set up as ingress-nginx does it, as far as Debian's
has what that needs: without Lua there are no canaries and no cookies that lead to endpoints.
"""

from __future__ import annotations

import base64
import os
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench import manifests
from bench.peers import BODY, Ports
from bench.processes import LOAD_CORE, PROXY_CORE, Child, answers, find_tool, free_port, wait_until

_PREFIX = "nginx.ingress.kubernetes.io/"
_SECRET = "bench-users"
PAGE = 4000
"""Bytes of the page that is packed."""


@dataclass(frozen=True)
class Policy:
    """``nginx``: what its location has; None: it cannot. ``path``: what is asked for; ``of``: the policy that it is
    compared with; ``packs``: it needs a ConfigMap of its own, with ``use-gzip``."""

    name: str
    annotations: dict[str, str] = field(default_factory=dict)
    nginx: str | None = ""
    headers: tuple[str, ...] = ()
    path: str = "/a/b"
    route: str = "/"
    kind: str = "Prefix"
    of: str = "plain"
    packs: bool = False
    cookie: bool = False

    @property
    def host(self) -> str:
        """Where it is asked for."""
        return f"{self.name.replace(' ', '-')}.example.com"


def policies(auth: int) -> tuple[Policy, ...]:
    """All of them. ``auth``: the port of a server that lets everybody pass."""
    asked = f"http://127.0.0.1:{auth}/"
    basic = {"auth-type": "basic", "auth-secret": _SECRET, "auth-realm": "bench"}
    return (
        Policy("plain"),
        Policy("basic auth", basic, _BASIC, ("Authorization: Basic YmVuY2g6d29yZA==",)),
        Policy(
            "external auth", {"auth-url": asked, "auth-response-headers": "X-User"}, "auth_request /_ask; " + _HANDED_ON
        ),
        Policy("request rate", {"limit-rps": "1000000"}, "limit_req zone=rate burst=5000000 nodelay;"),
        Policy("connections", {"limit-connections": "10000"}, "limit_conn conn 10000;"),
        Policy("allow list", {"whitelist-source-range": "10.0.0.0/8,127.0.0.1"}, _ALLOWED),
        Policy("cors", {"enable-cors": "true"}, _CORS, ("Origin: https://shop.example.com",)),
        Policy(
            "cors of a list",
            {"enable-cors": "true", "cors-allow-origin": "https://shop.example.com"},
            _CORS_OF_LIST,
            ("Origin: https://shop.example.com",),
        ),
        Policy("regex", {"use-regex": "true"}, "", route="/[a-z]+/(b|c)$", kind="ImplementationSpecific"),
        Policy(
            "rewrite",
            {"rewrite-target": "/$2"},
            'rewrite "(?i)/a(/|$)(.*)" /$2 break;',
            route="/a(/|$)(.*)",
            kind="ImplementationSpecific",
        ),
        Policy("upstream vhost", {"upstream-vhost": "inner.example.com"}, "proxy_set_header Host inner.example.com;"),
        Policy("response headers", {"custom-headers": "default/custom"}, "add_header X-Frame-Options DENY always;"),
        Policy("canary", {}, None),
        Policy("affinity", {"affinity": "cookie"}, None, cookie=True),
        Policy("hash", {"upstream-hash-by": "$request_uri"}, None),
        Policy(
            "custom errors",
            {"custom-http-errors": "404", "default-backend": "measured"},
            "proxy_intercept_errors on; error_page 404 = @error;",
            path="/missing",
        ),
        Policy("mirror", {"mirror-target": f"{asked}copy"}, "mirror /_mirror;"),
        Policy("page", path="/page", of="page"),
        Policy("gzip", {}, _GZIP, ("Accept-Encoding: gzip",), path="/page", of="page", packs=True),
    )


_BASIC = 'auth_basic bench; auth_basic_user_file FOLDER/users; proxy_set_header Authorization "";'
_HANDED_ON = "auth_request_set $user $upstream_http_x_user; proxy_set_header X-User $user;"
_ALLOWED = "allow 10.0.0.0/8; allow 127.0.0.1; deny all;"
_TOLD = """add_header Access-Control-Allow-Credentials true always;
add_header Access-Control-Allow-Methods "GET, PUT, POST, DELETE, PATCH, OPTIONS" always;
add_header Access-Control-Allow-Headers "DNT,Keep-Alive,User-Agent,X-Requested-With,If-Modified-Since" always;
add_header Access-Control-Max-Age 1728000 always; """
_CORS = "add_header Access-Control-Allow-Origin * always; " + _TOLD
_CORS_OF_LIST = (
    """set $cors ""; if ($http_origin ~* "^https://shop\\.example\\.com$") { set $cors $http_origin; }
add_header Access-Control-Allow-Origin $cors always; """
    + _TOLD
)
_GZIP = "gzip on; gzip_comp_level 1; gzip_min_length 256; gzip_proxied any; gzip_vary on; gzip_types text/plain;"


def start_endpoint(folder: Path, port: int) -> Child:
    """What both forward to: an nginx on the load generator's core that also has a page to pack, and nothing at
    /missing."""
    page = "packed words of a page, " * (PAGE // 24)
    return _start(
        folder / "endpoint",
        f"""access_log off; keepalive_requests 1000000000; default_type text/plain;
server {{ listen 127.0.0.1:{port} backlog=4096;
location / {{ return 200 "{BODY}"; }} location /page {{ return 200 "{page}"; }}
location /missing {{ return 404; }} }}""",
        port,
        LOAD_CORE,
    )


def start_nginx(folder: Path, backend: int, measured: tuple[Policy, ...]) -> tuple[Child, Ports]:
    """nginx with a server for each policy that it can have."""
    ports = Ports(free_port(), free_port())
    home = folder / "nginx"
    home.mkdir()
    word = subprocess.run(["openssl", "passwd", "-apr1", "word"], check=True, capture_output=True, text=True).stdout
    (home / "users").write_text(f"bench:{word}")
    servers = "".join(_server(policy, ports.http) for policy in measured if policy.nginx is not None)
    text = _COMMON.format(folder=home, backend=backend) + servers.replace("FOLDER", str(home))
    return _start(home, text, ports.http, PROXY_CORE), ports


_COMMON = """
keepalive_requests 1000000000; server_tokens off; server_names_hash_bucket_size 128;
log_format upstreaminfo '$remote_addr - $remote_user [$time_local] "$request" $status $body_bytes_sent '
  '"$http_referer" "$http_user_agent" $request_length $request_time [$host] [] $upstream_addr '
  '$upstream_response_length $upstream_response_time $upstream_status $req_id';
access_log {folder}/access.log upstreaminfo;
map $http_x_request_id $req_id {{ default $http_x_request_id; "" $request_id; }}
map $http_upgrade $connection_upgrade {{ default upgrade; '' ''; }}
limit_req_zone $binary_remote_addr zone=rate:1m rate=1000000r/s; limit_conn_zone $binary_remote_addr zone=conn:1m;
upstream backend {{ server 127.0.0.1:{backend}; keepalive 320; keepalive_requests 1000000000; }}
"""

_LOCATION = """
proxy_http_version 1.1; proxy_set_header Host $http_host; proxy_set_header Upgrade $http_upgrade;
proxy_set_header Connection $connection_upgrade; proxy_set_header X-Request-ID $req_id;
proxy_set_header X-Real-IP $remote_addr; proxy_set_header X-Forwarded-For $remote_addr;
proxy_set_header X-Forwarded-Host $http_host; proxy_set_header X-Forwarded-Port $server_port;
proxy_set_header X-Forwarded-Proto $scheme; proxy_set_header X-Forwarded-Scheme $scheme;
proxy_set_header X-Scheme $scheme; proxy_set_header X-Original-Forwarded-For $http_x_forwarded_for;
proxy_set_header Proxy ""; proxy_buffering off; proxy_redirect off; proxy_pass http://backend;
"""


def _server(policy: Policy, port: int) -> str:
    own = policy.nginx or ""
    told = _LOCATION.replace("proxy_set_header Host $http_host;", "") if "_header Host" in own else _LOCATION
    location = "/" if policy.kind == "Prefix" else f'~* "^{policy.route}"'
    backlog = " backlog=4096" if policy.name == "plain" else ""  # it is said once for all servers of a port
    return f"""server {{ listen 127.0.0.1:{port}{backlog}; server_name {policy.host};
location {location} {{ {own} {told} }}
location = /_ask {{ internal; proxy_pass_request_body off; proxy_set_header Content-Length ""; proxy_http_version 1.1;
  proxy_set_header Connection ""; proxy_set_header X-Original-URL $scheme://$http_host$request_uri;
  proxy_pass http://backend/; }}
location = /_mirror {{ internal; {_LOCATION} }}
location @error {{ internal; rewrite (.*) / break; proxy_intercept_errors off;
  proxy_set_header X-Code 404; {_LOCATION} }}
}}"""


def _start(home: Path, http: str, port: int, core: int) -> Child:
    home.mkdir(exist_ok=True)
    binary = find_tool("nginx")
    if binary is None:
        raise SystemExit("nginx is missing: apt-get install nginx-light")
    file = home / "nginx.conf"
    user = "user root;\n" if os.geteuid() == 0 else ""  # a file of passwords is read by who asks for them
    file.write_text(
        f"{user}worker_processes 1; daemon off; pid {home}/nginx.pid; error_log {home}/error.log;\n"
        f"events {{ worker_connections 4096; }}\nhttp {{\n{http}\n}}\n"
    )
    child = Child([binary, "-c", file], home / "output.log", core=core)
    wait_until(lambda: answers(port), 10, f"nginx in {home}")
    return child


def objects(backend: int, measured: tuple[Policy, ...], *, packs: bool) -> list[manifests.Manifest]:
    """What Limen reads: the policies that need this ConfigMap, with what they lead to."""
    word = subprocess.run(["openssl", "passwd", "-apr1", "word"], check=True, capture_output=True, text=True).stdout
    data = {"global-allowed-response-headers": "X-Frame-Options"} | ({"use-gzip": "true"} if packs else {})
    found = [
        manifests.ingress_class(),
        manifests.configmap(data),
        _of("Secret", _SECRET, type="Opaque", data={"auth": base64.b64encode(f"bench:{word}".encode()).decode()}),
        _of("ConfigMap", "custom", data={"X-Frame-Options": "DENY"}),
    ]
    for name in ("measured", "canary"):
        found += [manifests.service(name), manifests.endpoints(name, ["127.0.0.1"], backend)]
    for policy in measured:
        if policy.packs == packs:
            found.append(_ingress(policy.name, policy, policy.annotations, "measured"))
            if policy.name == "canary":
                half = {"canary": "true", "canary-weight": "50"}
                found.append(_ingress("canary-half", policy, half, "canary"))
    return found


def _ingress(name: str, policy: Policy, annotations: dict[str, str], service: str) -> manifests.Manifest:
    made = manifests.ingress(name.replace(" ", "-"), policy.host, service, path=policy.route)
    made["spec"]["rules"][0]["http"]["paths"][0]["pathType"] = policy.kind
    made["metadata"]["annotations"] |= {_PREFIX + key: value for key, value in annotations.items()}
    return made


def _of(kind: str, name: str, **fields: Any) -> manifests.Manifest:
    return {"apiVersion": "v1", "kind": kind, "metadata": {"name": name, "namespace": "default"}, **fields}
