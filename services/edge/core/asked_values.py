"""The values of nginx's variables for one request at hand: what users write into annotations, filled in.

Owns which value each name has while the request is being decided on; names themselves are
``services.contract.variables.registry``'s. One that has none yet (those of responses), or never, is empty. Pure.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from services.contract.paths import as_bytes_text
from services.contract.variables.template import parse_template
from services.edge.core.asked import Asked
from services.edge.core.header_reads import Read, escaped, trace_id, trace_parent, user
from services.edge.core.link import Link
from services.edge.core.plan import without_port
from services.edge.core.request_head import NO_HOST
from services.edge.core.shown_certificates import OF_LINK

Value = Callable[[Asked], str]

_PROTOCOLS: Final = {0: "HTTP/1.0", 1: "HTTP/1.1", 2: "HTTP/2.0"}


def filled(text: str) -> Callable[[Asked], bytes]:
    """``text`` with variables, as what makes bytes of a request. Raises TemplateError; asks for values only as they
    are needed."""
    fill = parse_template(as_bytes_text(text)).fill(value_of)
    return lambda asked: fill(asked).encode("latin-1", "replace")


def value_of(name: str) -> Value:
    """What reads the value of a variable (its name without ``$``, in lower case)."""
    found = _VALUES.get(name)
    if found is not None:
        return found
    for family, make in _FAMILIES.items():
        if name.startswith(family):
            return make(name.removeprefix(family))
    return _empty


def _empty(_asked: Asked) -> str:
    return ""


def _text(value: bytes | None) -> str:
    return "" if value is None else value.decode("latin-1")


def _header(name: str) -> Value:
    dashed = name.replace("_", "-")
    return lambda asked: _text(asked.header(dashed))


def _cookie(name: str) -> Value:
    return lambda asked: _text(asked.cookie(name))


def _argument(name: str) -> Value:
    return lambda asked: _text(asked.argument(name))


def _read(read: Read) -> Value:
    return lambda asked: _text(asked.read(read))


def _user(asked: Asked) -> str:
    return _text(asked.user or asked.read(user))


def _request(asked: Asked) -> str:
    return f"{_text(asked.method)} {_text(asked.target)} {_PROTOCOLS[asked.minor]}"


def _forwarded_for(asked: Asked) -> str:
    said = asked.header("x-forwarded-for")
    return f"{_text(said)}, {asked.address}" if said else asked.address


def _trace_context(asked: Asked) -> str:
    """What goes on: of the request's span, else as it came."""
    return _text(asked.read(trace_parent)) if asked.trace is None else asked.trace.context.decode()


_trace_id: Final = _read(trace_id)


def _subdomain(host: str, name: str) -> str:
    return name.partition(".")[0] if host.startswith("*.") and name.endswith(host[1:]) else ""


def _tls(read: Callable[[object], str | None]) -> Value:
    def value(asked: Asked) -> str:
        secured = asked.link.secured
        return (read(secured) or "") if secured is not None else ""

    return value


def _of_link(read: Callable[[Link], str]) -> Value:
    return lambda asked: read(asked.link)


def _cipher(secured: object) -> str | None:
    tell: Callable[[], tuple[str, str, int] | None] | None = getattr(secured, "cipher", None)
    cipher = None if tell is None else tell()
    return None if cipher is None else cipher[0]


def _version(secured: object) -> str | None:
    tell: Callable[[], str | None] | None = getattr(secured, "version", None)
    return None if tell is None else tell()


def _resumed(secured: object) -> str | None:
    reused: bool | None = getattr(secured, "session_reused", None)
    return None if reused is None else "r" if reused else "."


_FAMILIES: Final[dict[str, Callable[[str], Value]]] = {"http_": _header, "cookie_": _cookie, "arg_": _argument}

_VALUES: Final[dict[str, Value]] = {
    "args": lambda asked: _text(asked.query),
    "best_http_host": lambda asked: _text(asked.authority),
    "content_length": lambda asked: str(asked.headers.length) if asked.headers.length > 0 else "",
    "content_type": _header("content-type"),
    "escaped_request_uri": lambda asked: escaped(asked.target),
    "document_uri": lambda asked: asked.path,
    "host": lambda asked: asked.headers.host or _text(without_port(asked.headers.authority)).lower(),
    "hostname": lambda asked: asked.machine.hostname,
    "http_host": lambda asked: "" if asked.headers.authority == NO_HOST else _text(asked.headers.authority),
    "https": lambda asked: "on" if asked.tls else "",
    "ingress_name": lambda asked: asked.labels.ingress,
    "is_args": lambda asked: "?" if asked.query else "",
    "location_path": lambda asked: asked.labels.path,
    "namespace": lambda asked: asked.labels.namespace,
    "nginx_version": lambda asked: asked.machine.version,
    "opentelemetry_context_traceparent": _trace_context,
    "opentelemetry_span_id": lambda asked: "" if asked.trace is None else asked.trace.span_id.hex(),
    "opentelemetry_trace_id": lambda asked: _trace_id(asked) if asked.trace is None else asked.trace.trace_id.hex(),
    "pass_access_scheme": lambda asked: asked.scheme,
    "pass_port": lambda asked: str(asked.port),
    "pass_server_port": lambda asked: str(asked.facts.port),
    "pid": lambda asked: str(asked.machine.pid),
    "proxy_add_x_forwarded_for": _forwarded_for,
    "proxy_host": lambda asked: _text(asked.labels.upstream),
    "proxy_upstream_name": lambda asked: _text(asked.labels.upstream),
    "query_string": lambda asked: _text(asked.query),
    "realip_remote_addr": lambda asked: asked.link.peer,
    "realip_remote_port": lambda asked: str(asked.link.peer_port),
    "remote_addr": lambda asked: asked.address,
    "remote_port": lambda asked: str(asked.link.peer_port),
    "remote_user": _user,
    "req_id": lambda asked: _text(asked.request_id),
    "request": _request,
    "request_id": lambda asked: _text(asked.request_id),
    "request_method": lambda asked: _text(asked.method),
    "request_uri": lambda asked: _text(asked.target),
    "scheme": lambda asked: "https" if asked.tls else "http",
    "server_addr": lambda asked: asked.link.server,
    "server_name": lambda asked: asked.host.host or "_",
    "server_port": lambda asked: str(asked.facts.port),
    "server_protocol": lambda asked: _PROTOCOLS[asked.minor],
    "service_name": lambda asked: asked.labels.service,
    "service_port": lambda asked: asked.labels.port,
    "ssl_cipher": _tls(_cipher),
    "ssl_protocol": _tls(_version),
    "ssl_server_name": lambda asked: asked.link.server_name,
    "ssl_session_reused": _tls(_resumed),
    **{name: _of_link(read) for name, read in OF_LINK.items()},
    "subdomain": lambda asked: _subdomain(asked.host.host, asked.headers.host),
    "uri": lambda asked: asked.path,
}
