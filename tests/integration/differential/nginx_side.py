"""nginx's side: its configuration, from what is written by hand in the groups and what is the same for all.

Owns what ingress-nginx's template writes into every server and location.
"""

from __future__ import annotations

import re
from pathlib import Path

from tests.integration.differential.groups import Group

_USUAL = {
    "$best_http_host": "$http_host",
    "$pass_access_scheme": "$scheme",
    "$pass_port": "$told_port",
    "$the_real_ip": "$remote_addr",
    "$full_chain": "$remote_addr",
    "$original_host": "$http_x_forwarded_host",
}
"""What ingress-nginx's Lua sets for a request, with the settings as they are by default."""

_HTTP = """
server_tokens off; client_max_body_size 1m; underscores_in_headers off;
client_header_buffer_size 1k; large_client_header_buffers 4 8k; keepalive_timeout 75s;
map $http_upgrade $connection_upgrade { default upgrade; '' ''; }
map $http_x_request_id $req_id { default $http_x_request_id; "" $request_id; }
map $scheme $told_port { default 80; https 443; }
map $scheme $hsts { default ""; https "max-age=31536000; includeSubDomains"; }
map $request_uri $without_slash { default $request_uri; "~^(?<stem>.*)/$" $stem; }
map $http_host $http_host_name { default ""; "~^(?<bare>[^:]*)" $bare; }
"""

_PROXYING = """
proxy_http_version 1.1; proxy_redirect off; proxy_buffering off; proxy_buffer_size 4k; proxy_request_buffering on;
proxy_next_upstream error timeout; proxy_next_upstream_tries 3; port_in_redirect off;
"""
_TOLD = """
proxy_set_header Host $best_http_host; proxy_set_header Upgrade $http_upgrade;
proxy_set_header Connection $connection_upgrade; proxy_set_header X-Request-ID $req_id;
proxy_set_header X-Real-IP $the_real_ip; proxy_set_header X-Forwarded-For $full_chain;
proxy_set_header X-Forwarded-Host $best_http_host; proxy_set_header X-Forwarded-Port $pass_port;
proxy_set_header X-Forwarded-Proto $pass_access_scheme; proxy_set_header X-Forwarded-Scheme $pass_access_scheme;
proxy_set_header X-Scheme $pass_access_scheme; proxy_set_header X-Original-Forwarded-For $http_x_forwarded_for;
proxy_set_header X-Original-Forwarded-Host $original_host; proxy_set_header Proxy "";
"""
"""What ingress-nginx writes into every location; it stands in the server block, from which locations inherit the second
part as long as they set no header of their own; ``TOLD`` and ``TOLD WITHOUT Host`` in a location stand for that part.
``PASS a`` stands for going to Service a."""

_TRIES = 3 * "server 127.0.0.1:{0} max_fails=0; "
"""As ingress-nginx's Lua has it: three tries, be there one endpoint alone."""

_QUESTION = """
proxy_http_version 1.1; proxy_set_header Connection "";
proxy_pass_request_body off; proxy_set_header Content-Length ""; proxy_set_header X-Forwarded-Proto "";
proxy_set_header X-Request-ID $req_id; proxy_set_header Host 127.0.0.1;
proxy_set_header X-Original-URL $scheme://$http_host$request_uri; proxy_set_header X-Original-Method $request_method;
proxy_set_header X-Sent-From nginx-ingress-controller; proxy_set_header X-Real-IP $the_real_ip;
proxy_set_header X-Forwarded-For $full_chain; proxy_set_header X-Auth-Request-Redirect $request_uri;
"""
"""What the location has that asks who may pass, but that ingress-nginx asks with HTTP/1.0 unless it is told to keep
connections (``QUESTION``)."""

_ERRORS = """
proxy_set_header X-Format $http_accept; proxy_set_header X-Original-URI $request_uri;
proxy_set_header X-Namespace shop; proxy_set_header X-Ingress-Name $host-0;
proxy_set_header X-Service-Name a; proxy_set_header X-Service-Port 80;
"""
"""What an error backend is told besides the code (``ERRORS``)."""


def configuration(shown: Group, ports: dict[str, int], tls_port: int, folder: Path) -> str:
    """The inside of nginx's http block."""
    usual = {name: value for name, value in _USUAL.items() if f" {name} {{" not in shown.http}
    text = _HTTP + "".join(f'map "" {name} {{ default "{value}"; }}\n' for name, value in usual.items())
    text += "".join(f"upstream {name} {{ {_TRIES.format(port)} keepalive 32; }}\n" for name, port in ports.items())
    text += f"ssl_certificate {folder}/pair.pem; ssl_certificate_key {folder}/pair.pem;\n{shown.http}\n"
    text += (
        "server { listen PORT default_server; listen TLS_PORT ssl http2 default_server; server_name _; return 404; }\n"
    )
    for host in shown.hosts:
        names = host.names or host.host
        text += f"server {{ listen PORT; listen TLS_PORT ssl http2; server_name {names};\n"
        text += f"{_PROXYING}{_TOLD}\n{host.nginx}\n}}\n"
        text += host.extra + "\n"
    text = text.replace("ERRORS;", _ERRORS)
    text = re.sub(r"PASS (\w+);", r"proxy_pass http://\1;", text)
    text = re.sub(r"(TOLD|QUESTION)(?: WITHOUT ([\w-]+))?;", lambda found: _repeated(found[1], found[2]), text)
    return text.replace("TLS_PORT", str(tls_port)).replace("FOLDER", str(folder))


def _repeated(word: str, without: str | None) -> str:
    directives = {"TOLD": _TOLD, "QUESTION": _QUESTION}[word]
    return re.sub(rf"proxy_set_header {without} [^;]+;", "", directives) if without else directives
