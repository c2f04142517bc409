"""The proxies that Limen is measured beside, each in its best form, and nginx as ingress-nginx sets it up.

Owns their configuration. All forward ``example.com`` to one backend over kept connections, set the same kind of
X-Forwarded headers, run one worker, and write no access log (but the ingress-nginx form does, as it does there). TLS
sessions are not resumed, but by the ingress-nginx form.
"""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Container
from dataclasses import dataclass
from pathlib import Path

from bench.processes import LOAD_CORE, PROXY_CORE, Child, answers, find_tool, free_port, wait_until

HOST = "example.com"
BODY = "hello from the backend, a small body of some bytes\\n"

HOW_TO_GET = "apt-get install {0}"


@dataclass(frozen=True)
class Ports:
    """Where a target listens."""

    http: int
    https: int


@dataclass(frozen=True)
class Setting:
    """What a peer's configuration needs: a folder of its own, ports, the backend, certificate and key (PEM)."""

    folder: Path
    ports: Ports
    backend: int
    certificate: Path
    key: Path


def make_certificate(folder: Path, host: str = HOST) -> tuple[Path, Path]:
    """A self-signed P-256 certificate and its key."""
    certificate, key = folder / "cert.pem", folder / "key.pem"
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    command += ["-days", "30", "-keyout", str(key), "-out", str(certificate), "-subj", f"/CN={host}"]
    subprocess.run([*command, "-addext", f"subjectAltName=DNS:{host},IP:127.0.0.1"], check=True, capture_output=True)
    return certificate, key


def start_backend(folder: Path, port: int) -> Child:
    """What every target forwards to: an nginx that answers out of its configuration, on the load generator's core.

    Below /varied/ each answer has its own ETag, id and length.
    """
    config = f"""worker_processes 1; daemon off; pid {folder}/backend.pid; error_log {folder}/backend.err;
events {{ worker_connections 4096; }}
http {{ access_log off; keepalive_requests 1000000000; server {{ listen 127.0.0.1:{port} backlog=4096;
location / {{ default_type text/plain; return 200 "{BODY}"; }}
location /varied/ {{ default_type text/plain; add_header ETag '"$request_id"'; add_header X-Id $request_id;
  return 200 "hello from the backend, $connection_requests of $connection for $request_uri\\n"; }} }} }}"""
    binary = find_tool("nginx")
    if binary is None:
        raise SystemExit(f"the backend needs nginx: {HOW_TO_GET.format('nginx')}")
    child = Child([binary, "-c", _write(folder, "backend.conf", config)], folder / "backend.log", core=LOAD_CORE)
    wait_until(lambda: answers(port), 10, "the backend")
    return child


def start_peers(
    folder: Path, backend: int, names: Container[str] | None = None
) -> tuple[dict[str, tuple[Child, Ports]], list[str]]:
    """Start every peer that is installed (of ``names``, if given); gives them by name, and a line for each that is
    missing."""
    started: dict[str, tuple[Child, Ports]] = {}
    missing: list[str] = []
    certificate, key = make_certificate(folder)
    for name, (program, command) in PEERS.items():
        if names is not None and name not in names:
            continue
        binary = find_tool(program)
        if binary is None:
            missing.append(f"{name}: {HOW_TO_GET.format(program)}")
            continue
        home = folder / name.replace(" ", "-")
        home.mkdir()
        setting = Setting(home, Ports(free_port(), free_port()), backend, certificate, key)
        child = Child(
            [binary, *command(setting)],
            home / "output.log",
            core=PROXY_CORE,
            env={"GOMAXPROCS": "1", "HOME": str(home)},
        )
        started[name] = (child, setting.ports)
    for name, (_, ports) in started.items():
        wait_until(lambda port=ports.http: answers(port), 20, name)  # type: ignore[misc]
    return started, missing


def _write(folder: Path, name: str, text: str) -> Path:
    file = folder / name
    file.write_text(text)
    return file


def _nginx(setting: Setting) -> list[str | Path]:
    """nginx as somebody who wants speed sets it up."""
    s = setting
    config = f"""worker_processes 1; daemon off; pid {s.folder}/nginx.pid; error_log {s.folder}/error.log;
events {{ worker_connections 4096; }}
http {{
  access_log off; keepalive_requests 1000000000; client_max_body_size 0;
  upstream backend {{ server 127.0.0.1:{s.backend}; keepalive 256; keepalive_requests 1000000000; }}
  server {{
    listen 127.0.0.1:{s.ports.http} backlog=4096; listen 127.0.0.1:{s.ports.https} ssl http2 backlog=4096;
    server_name {HOST};
    ssl_protocols TLSv1.2 TLSv1.3; ssl_certificate {s.certificate}; ssl_certificate_key {s.key};
    ssl_session_cache off; ssl_session_tickets off;
    location / {{
      proxy_http_version 1.1; proxy_set_header Connection ""; proxy_set_header Host $host;
      proxy_set_header X-Real-IP $remote_addr; proxy_set_header X-Forwarded-For $remote_addr;
      proxy_set_header X-Forwarded-Host $host; proxy_set_header X-Forwarded-Proto $scheme;
      proxy_set_header X-Request-ID $request_id; proxy_pass http://backend;
    }}
  }}
}}"""
    return ["-c", _write(s.folder, "nginx.conf", config)]


def _nginx_as_ingress(setting: Setting) -> list[str | Path]:
    """nginx with the directives that ingress-nginx generates (without its Lua, which would make it slower)."""
    s = setting
    config = f"""worker_processes 1; daemon off; pid {s.folder}/nginx.pid; error_log {s.folder}/error.log;
events {{ worker_connections 32768; multi_accept on; }}
http {{
  keepalive_timeout 75s; keepalive_requests 1000000000; client_header_buffer_size 1k; large_client_header_buffers 4 8k;
  sendfile on; tcp_nopush on; tcp_nodelay on; reset_timedout_connection on; server_tokens off;
  log_format upstreaminfo '$remote_addr - $remote_user [$time_local] "$request" $status $body_bytes_sent '
    '"$http_referer" "$http_user_agent" $request_length $request_time [$proxy_upstream_name] '
    '[$proxy_alternative_upstream_name] $upstream_addr $upstream_response_length $upstream_response_time '
    '$upstream_status $req_id';
  access_log {s.folder}/access.log upstreaminfo;
  map $http_x_request_id $req_id {{ default $http_x_request_id; "" $request_id; }}
  map $http_upgrade $connection_upgrade {{ default upgrade; '' ''; }}
  upstream backend {{ server 127.0.0.1:{s.backend}; keepalive 320; keepalive_requests 1000000000; }}
  server {{
    listen 127.0.0.1:{s.ports.http} backlog=4096; listen 127.0.0.1:{s.ports.https} ssl http2 backlog=4096;
    server_name {HOST};
    ssl_protocols TLSv1.2 TLSv1.3; ssl_certificate {s.certificate}; ssl_certificate_key {s.key};
    ssl_session_cache shared:SSL:10m; ssl_session_timeout 10m; ssl_session_tickets off;
    location / {{
      set $proxy_upstream_name "default-b-80"; set $proxy_alternative_upstream_name "";
      set $pass_access_scheme $scheme; set $best_http_host $http_host; set $pass_port $server_port;
      client_max_body_size 0; proxy_http_version 1.1;
      proxy_set_header Host $best_http_host; proxy_set_header Upgrade $http_upgrade;
      proxy_set_header Connection $connection_upgrade; proxy_set_header X-Request-ID $req_id;
      proxy_set_header X-Real-IP $remote_addr; proxy_set_header X-Forwarded-For $remote_addr;
      proxy_set_header X-Forwarded-Host $best_http_host; proxy_set_header X-Forwarded-Port $pass_port;
      proxy_set_header X-Forwarded-Proto $pass_access_scheme; proxy_set_header X-Forwarded-Scheme $pass_access_scheme;
      proxy_set_header X-Scheme $pass_access_scheme; proxy_set_header X-Original-Forwarded-For $http_x_forwarded_for;
      proxy_set_header Proxy ""; proxy_connect_timeout 5s; proxy_send_timeout 60s; proxy_read_timeout 60s;
      proxy_buffering off; proxy_buffer_size 4k; proxy_buffers 4 4k; proxy_request_buffering on;
      proxy_next_upstream error timeout; proxy_next_upstream_tries 3; proxy_redirect off; proxy_pass http://backend;
    }}
  }}
}}"""
    return ["-c", _write(s.folder, "nginx.conf", config)]


def _haproxy(setting: Setting) -> list[str | Path]:
    s = setting
    bundle = _write(s.folder, "bundle.pem", s.certificate.read_text() + s.key.read_text())
    config = f"""global
  nbthread 1
  maxconn 4096
  tune.ssl.cachesize 0
  ssl-default-bind-options no-tls-tickets
defaults
  mode http
  timeout connect 5s
  timeout client 60s
  timeout server 60s
  option forwardfor
frontend front
  bind 127.0.0.1:{s.ports.http}
  bind 127.0.0.1:{s.ports.https} ssl crt {bundle} alpn h2,http/1.1
  unique-id-format %[uuid()]
  http-request set-header X-Request-ID %[unique-id]
  http-request set-header X-Real-IP %[src]
  http-request set-header X-Forwarded-Host %[req.hdr(host)]
  http-request set-header X-Forwarded-Proto http
  default_backend back
backend back
  http-reuse always
  server one 127.0.0.1:{s.backend}
"""
    return ["-f", _write(s.folder, "haproxy.cfg", config)]


def _caddy(setting: Setting) -> list[str | Path]:
    s = setting
    config = f"""{{
  admin off
  auto_https off
  default_sni {HOST}
}}
:{s.ports.http} {{
  bind 127.0.0.1
  reverse_proxy 127.0.0.1:{s.backend}
}}
https://127.0.0.1:{s.ports.https}, https://{HOST}:{s.ports.https} {{
  bind 127.0.0.1
  tls {s.certificate} {s.key}
  reverse_proxy 127.0.0.1:{s.backend}
}}
"""
    return ["run", "--adapter", "caddyfile", "--config", _write(s.folder, "Caddyfile", config)]


PEERS: dict[str, tuple[str, Callable[[Setting], list[str | Path]]]] = {
    "nginx": ("nginx", _nginx),
    "nginx as ingress-nginx": ("nginx", _nginx_as_ingress),
    "haproxy": ("haproxy", _haproxy),
    "caddy": ("caddy", _caddy),
}
"""Name to program and the function that writes its configuration and gives its arguments."""
