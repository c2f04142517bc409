"""The controller's ConfigMap, read with the registry: Settings for the edges, rules for the compiler, and findings.

A value that cannot be read is named, and its default holds. Source of names, types and defaults: contract section
1.15; of how booleans, numbers and times are read: ingress-nginx and nginx.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any, Final

from msgspec import Struct

from proto.diagnostics import Diagnostic
from proto.objects import ObjectKey
from proto.resources import Settings
from services.contract.annotations.entry import Risk
from services.contract.annotations.read import RISKS, AnnotationPolicy
from services.contract.annotations.values import MalformedError, parse_bool, parse_ciphers, parse_conditions, parse_size
from services.contract.configmap import listening, tracing
from services.contract.configmap.access import parse_blocks, parse_forwarders, parse_ranges, parse_refusal
from services.contract.configmap.bodies import parse_buffers, parse_switch
from services.contract.configmap.compression import parse_disabled, parse_types
from services.contract.configmap.entry import Key
from services.contract.configmap.external import BEGINNING, PARSERS, GlobalAuth, taken_global_auth
from services.contract.configmap.firewall import DOC, FIREWALL, INSTEAD, keeps_out
from services.contract.configmap.logging import (
    absent_stream_variables,
    absent_variables,
    parse_log_format,
    parse_log_path,
    parse_port,
    parse_skipped,
)
from services.contract.configmap.registry import KEYS
from services.contract.configmap.routing import parse_statuses
from services.contract.configmap.tls import parse_cache_size, parse_curve, parse_secret_name, parse_versions
from services.contract.diagnostics import HIDDEN, RAW, finding
from services.contract.header_values import header_names, parse_redirect_part, parse_replacement, parse_version

_NUMBER: Final = re.compile(r"[0-9]{1,10}")
_DURATION: Final = re.compile(r"(?:[0-9]{1,10}+(?![0-9])(?:ms|[smhdwMy])?\s*+)++")
"""Possessive, so that a long value that is none is refused in linear time."""
_DURATION_PART: Final = re.compile(r"([0-9]+)(ms|s|m|h|d|w|M|y)?")
_UNITS: Final = {
    "ms": 0.001,
    "": 1.0,
    "s": 1.0,
    "m": 60.0,
    "h": 3600.0,
    "d": 86400.0,
    "w": 604800.0,
    "M": 2592000.0,
    "y": 31536000.0,
}
_HEADER: Final = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,100}")


class Controller(Struct, frozen=True):
    """What the ConfigMap says to the compiler.

    ``annotations``: which ones are allowed. ``strict_path_types``: report paths that ingress-nginx's admission
    refuses. ``guarded``: names of keys that guard every route and cannot be read, or not be followed;
    ``guarded_by_auth``: the key that guards all but ``no_auth_locations`` and Ingresses that say
    ``enable-global-auth: "false"``, ``global_auth``: who is asked there instead, if the keys can be read.
    ``endpoint_tls_by_path``: what an Ingress says of TLS to endpoints holds for its own paths alone.
    ``allowed_response_headers``: those that ``custom-headers`` may give.
    ``add_headers``, ``proxy_set_headers``: the ConfigMaps that hold these, empty: none.
    ``ssl_passthrough``: TLS connections may be handed on unopened (a flag says so). ``deep_inspection``: what looks
    like configuration is refused (likewise). ``collector``: it is known where spans go.
    ``service_upstream``: Upstreams are their Services' own addresses, where the Ingress says nothing of it.
    """

    annotations: AnnotationPolicy = AnnotationPolicy()
    strict_path_types: bool = True
    guarded: tuple[str, ...] = ()
    guarded_by_auth: str = ""
    global_auth: GlobalAuth | None = None
    no_auth_locations: tuple[str, ...] = ("/.well-known/acme-challenge",)
    endpoint_tls_by_path: bool = False
    service_upstream: bool = False
    allowed_response_headers: tuple[str, ...] = ()
    add_headers: str = ""
    proxy_set_headers: str = ""
    ssl_passthrough: bool = False
    deep_inspection: bool = True
    collector: bool = False


class Reading(Struct, frozen=True):
    """Everything that a ConfigMap says. ``settings`` lacks what the flags say."""

    settings: Settings
    controller: Controller
    diagnostics: tuple[Diagnostic, ...]


def read_configmap(key: ObjectKey, data: dict[str, str], *, without_firewall: bool = False) -> Reading:
    """Read ``data`` of the ConfigMap ``key``. Never raises for a bad value. ``without_firewall``: what ModSecurity kept
    out may pass."""
    reader = _Reader(key)
    for name in sorted(data):
        reader.read(name, data[name])
    if keeps_out(data) and not without_firewall:
        reader.close("modsecurity-snippet")
    values = reader.values
    policy = AnnotationPolicy(
        risk_level=values.pop("annotations-risk-level", AnnotationPolicy().risk_level),
        blocked_words=values.pop("annotation-value-word-blocklist", ()),
        cross_namespace=values.pop("allow-cross-namespace-resources", False),
        snippets=values.pop("allow-snippet-annotations", False),
        without_firewall=without_firewall,
    )
    auth = next((name for name in reader.guarded if name.startswith(BEGINNING)), "")
    asked = taken_global_auth(values)
    controller = Controller(
        annotations=policy,
        strict_path_types=values.pop("strict-validate-path-type", True),
        guarded=tuple(name for name in reader.guarded if not name.startswith(BEGINNING)),
        guarded_by_auth=auth,
        global_auth=asked,
        no_auth_locations=values.pop("no-auth-locations", Controller().no_auth_locations),
        endpoint_tls_by_path=values.pop("proxy-ssl-location-only", False),
        service_upstream=values.pop("service-upstream", False),
        allowed_response_headers=values.pop("global-allowed-response-headers", ()),
        collector=bool(values.get("otlp-collector-host")),
        add_headers=values.pop("add-headers", ""),
        proxy_set_headers=values.pop("proxy-set-headers", ""),
    )
    settings = Settings(**{name.replace("-", "_"): value for name, value in values.items()})
    if not settings.ssl_session_cache and "TLSv1.2" in settings.ssl_protocols:
        reader.keep_sessions(data["ssl-session-cache"])
    if settings.enable_opentelemetry and not settings.otlp_collector_host:
        reader.miss_collector(data["enable-opentelemetry"])
    return Reading(settings, controller, tuple(reader.findings))


class _Reader:
    """One pass over the keys of one ConfigMap."""

    def __init__(self, key: ObjectKey) -> None:
        self._key = key
        self.values: dict[str, Any] = {}
        self.guarded: list[str] = []
        self.findings: list[Diagnostic] = []

    def read(self, name: str, text: str) -> None:
        key = KEYS.get(name)
        if key is None:
            self._say(
                name,
                text,
                "configmap-unknown",
                f"{name} is not known to ingress-nginx. It has no effect.",
                "Check the spelling, or remove it.",
            )
            return
        if key.state == "honoured":
            try:
                self.values[name] = value = parse_key(key, text)
                if name == "log-format-upstream":
                    self._look_at_variables(name, absent_variables(value), value)
                elif name == "log-format-stream":
                    self._look_at_variables(name, absent_stream_variables(value), value)
                self._tell_passed_over(key, text)
            except MalformedError as error:
                holds = f"The default, {key.default}, holds" if key.default else "It is taken for unset"
                if key.guards:
                    holds = "All routes answer 503"
                self._say(
                    name,
                    text,
                    "configmap-denied" if key.guards else "configmap-invalid",
                    f"The value of {name} {error}. {holds}.",
                    f"Write a valid value. {key.doc}",
                )
                if key.guards:
                    self.guarded.append(name)
        elif not _says_nothing(key, text):
            self._not_honoured(key, text)

    def _tell_passed_over(self, key: Key, text: str) -> None:
        for left_out in () if key.passed_over is None else key.passed_over(text):
            told = f"The value of {key.name} {left_out}. It is passed over."
            self._say(key.name, text, "configmap-invalid", told, f"Correct it. {key.doc}")

    def close(self, name: str) -> None:
        """Every route is closed for the sake of a key that says who is kept out and cannot be followed."""
        self.guarded.append(name)
        message = f"ModSecurity keeps requests out (SecRuleEngine On). {DOC} Until then all routes answer 503."
        self._say(name, RAW, "configmap-denied", message, INSTEAD)

    def miss_collector(self, text: str) -> None:
        """Requests are traced, and nobody is told."""
        self._say(
            "enable-opentelemetry",
            text,
            "collector-missing",
            "enable-opentelemetry is on, and otlp-collector-host does not say where spans go. They are made and told "
            "to endpoints, and sent nowhere.",
            "Name the collector in otlp-collector-host.",
        )

    def keep_sessions(self, text: str) -> None:
        """Sessions are not to be kept, and a few of TLS 1.2 are."""
        self._say(
            "ssl-session-cache",
            text,
            "configmap-sessions-kept",
            "ssl-session-cache is off. Up to 256 sessions of TLS 1.2 are kept by each worker all the same, for "
            "Python's ssl cannot do without; they end with ssl-session-timeout.",
            "Say ssl-protocols: TLSv1.3, if none may be kept.",
        )

    def _look_at_variables(self, name: str, absent: Iterable[str], form: str) -> None:
        for sentence in absent:
            self._say(
                name,
                form,
                "configmap-variable-absent",
                f"{sentence}. Its place in log lines stays empty.",
                "Remove it.",
            )

    def _not_honoured(self, key: Key, text: str) -> None:
        name, told = key.name, f"{key.name} has no effect. {key.doc}"
        if key.state == "refused":
            self._say(name, text, "configmap-refused", told, INSTEAD if key in FIREWALL else "Remove it.")
        else:
            self._say(name, text, "configmap-without-effect", told, "Remove it.")

    def _say(self, name: str, text: str, code: str, message: str, remedy: str) -> None:
        key = KEYS.get(name)
        value = RAW if key is not None and key.type == "snippet" else text
        if key is not None and key.type == "secret":
            value = HIDDEN
        self.findings.append(finding(self._key, code, f"data[{name}]", value, message, remedy))


def _says_nothing(key: Key, text: str) -> bool:
    """Whether the value is what holds anyway."""
    text = text.strip()
    if key.type == "bool":
        try:
            return parse_bool(text or "false") == parse_bool(key.default or "false")
        except MalformedError:
            return False
    return text in ("", key.default)


def parse_key(key: Key, text: str) -> Any:
    """The value of an honoured key as ``Settings`` or ``Controller`` holds it. Raises MalformedError."""
    special = _SPECIAL.get(key.name)
    if special is not None:
        return special(text)
    match key.type:
        case "bool":
            return parse_bool(text) if text else False
        case "int":
            number = _number(text)
            if key.choices and str(number) not in key.choices:
                raise MalformedError(f"is none of {', '.join(key.choices)}")
            return float(number) if key.name in _SECONDS else number
        case "duration":
            return _duration(text)
        case "size":
            return parse_size(text.strip())
        case "list":
            return _list(text)
        case _:
            return text.strip()


def _number(text: str) -> int:
    if text == "":
        return 0
    if _NUMBER.fullmatch(text) is None:
        raise MalformedError("is not a whole number, or is negative")
    return int(text)


def _duration(text: str) -> float:
    """A time as nginx writes it: ``90``, ``90s``, ``1h30m``."""
    if _DURATION.fullmatch(text.strip()) is None:
        raise MalformedError("is not a time such as 30s or 1h")
    return sum(int(number) * _UNITS[unit] for number, unit in _DURATION_PART.findall(text))


def _own_time(text: str) -> float | None:
    """A time, or none of its own."""
    return _duration(text) if text.strip() else None


def _list(text: str) -> tuple[str, ...]:
    return tuple(item.strip() for item in text.split(",") if item.strip())


def _header(text: str) -> str:
    if _HEADER.fullmatch(text) is None:
        raise MalformedError("is not the name of a header")
    return text


def _risk(text: str) -> Risk:
    """A risk by its name; as in ingress-nginx anything unknown is the lowest, the most cautious reading."""
    word = text.strip().lower()
    return next((risk for risk in RISKS if risk == word), "low")


_SPECIAL: Final = {
    **PARSERS,
    **listening.PARSERS,
    **tracing.PARSERS,
    "block-cidrs": parse_ranges,
    "block-referers": parse_blocks,
    "block-user-agents": parse_blocks,
    "denylist-source-range": parse_ranges,
    "limit-conn-status-code": parse_refusal,
    "limit-req-status-code": parse_refusal,
    "whitelist-source-range": parse_ranges,
    "access-log-path": lambda text: parse_log_path(text) or Settings().access_log_path,
    "http-access-log-path": parse_log_path,
    "log-format-stream": lambda text: parse_log_format(text, Settings().log_format_stream),
    "log-format-upstream": parse_log_format,
    "stream-access-log-path": parse_log_path,
    "skip-access-log-urls": parse_skipped,
    "syslog-port": parse_port,
    "large-client-header-buffers": parse_buffers,
    "proxy-buffering": parse_switch,
    "proxy-request-buffering": parse_switch,
    "proxy-real-ip-cidr": parse_forwarders,
    "forwarded-for-header": _header,
    "forwarded-host-header": _header,
    "proxy-next-upstream": parse_conditions,
    "worker-shutdown-timeout": _own_time,
    "annotations-risk-level": _risk,
    "custom-http-errors": parse_statuses,
    "global-allowed-response-headers": header_names,
    "brotli-types": parse_types,
    "gzip-disable": parse_disabled,
    "gzip-types": parse_types,
    "hide-headers": header_names,
    "proxy-cookie-domain": parse_replacement,
    "proxy-cookie-path": parse_replacement,
    "proxy-http-version": parse_version,
    "proxy-redirect-from": parse_redirect_part,
    "proxy-redirect-to": parse_redirect_part,
    "ssl-ciphers": lambda text: parse_ciphers(text.strip()),
    "ssl-dh-param": parse_secret_name,
    "ssl-ecdh-curve": parse_curve,
    "ssl-protocols": parse_versions,
    "ssl-session-cache-size": parse_cache_size,
}
_SECONDS: Final = frozenset(
    {
        "client-body-timeout",
        "client-header-timeout",
        "keep-alive",
        "proxy-connect-timeout",
        "proxy-next-upstream-timeout",
        "proxy-read-timeout",
        "proxy-send-timeout",
        "upstream-keepalive-timeout",
    }
)
"""Keys whose whole number is a time, which Settings holds as a float."""
