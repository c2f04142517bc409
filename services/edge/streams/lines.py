"""Lines of the log of streams: a format compiled once, an account in, a line out.

Owns what each variable is and how nginx prints it. Pure but for the clock. Values are addresses, numbers and names that
the compiler checked: nothing in them needs escaping.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from itertools import pairwise
from time import monotonic, time
from typing import Final

from proto.resources import Settings
from services.contract.variables.template import TemplateError, parse_template
from services.edge.access.clock import common_log_time, iso_time
from services.edge.streams.account import Account
from services.runtime.version import software

Value = Callable[[Account], str]

ABSENT: Final = "-"
DEFAULT: Final = Settings().log_format_stream


def line_maker(form: str) -> Callable[[Account], bytes]:
    """What makes the lines of ``form``; variables that streams do not have are ``-``."""
    try:
        template = parse_template(form)
    except TemplateError:  # the compiler refuses it; should it come all the same, there are lines nevertheless
        template = parse_template(DEFAULT)
    fill = template.fill(lambda name: VALUES.get(name, _absent))
    return lambda account: (fill(account) + "\n").encode()


def _absent(_account: Account) -> str:
    return ABSENT


def _wall(account: Account) -> float:
    """When it ended, by the clock on the wall."""
    return account.ended + time() - monotonic()


def _seconds(begin: float, end: float) -> str:
    return f"{max(0.0, end - begin):.3f}" if begin and end else ABSENT


def _of_tries(figures: list[int], last: int) -> str:
    """Bytes of each endpoint that was tried; ``figures``: how many there were before each."""
    return ", ".join(str(after - before) for before, after in pairwise([*figures, last])) or ABSENT


def _of_last_try(account: Account, reached: float) -> str:
    """Seconds of the endpoint that was tried last; those before it took no connection."""
    if not account.tries:
        return ABSENT
    return f"{ABSENT}, " * (len(account.tries) - 1) + _seconds(account.tries[-1].began, reached)


def _session_times(account: Account) -> str:
    turns = pairwise([*(one.began for one in account.tries), account.ended])
    return ", ".join(_seconds(began, ended) for began, ended in turns) or ABSENT


def _of_header(name: str) -> Value:
    return lambda account: ABSENT if account.header is None else str(getattr(account.header, name))


def _fixed(text: str) -> Value:
    return lambda _account: text


def upstream_name(account: Account) -> str:
    """As ingress-nginx calls it: ``tcp-namespace-service-port``."""
    service, _, port = account.stream.upstream.rpartition(":")
    return f"{account.stream.protocol}-{service.replace('/', '-', 1)}-{port.partition('/')[0]}"


VALUES: Final[dict[str, Value]] = {
    "bytes_received": lambda account: str(account.received),
    "bytes_sent": lambda account: str(account.sent),
    "hostname": _fixed(socket.gethostname()),
    "msec": lambda account: f"{_wall(account):.3f}",
    "nginx_version": _fixed(software()),
    "pid": lambda _account: str(os.getpid()),
    "protocol": lambda account: "UDP" if account.stream.protocol == "udp" else "TCP",
    "proxy_protocol_addr": _of_header("address"),
    "proxy_protocol_port": _of_header("port"),
    "proxy_protocol_server_addr": _of_header("server"),
    "proxy_protocol_server_port": _of_header("server_port"),
    "proxy_upstream_name": upstream_name,
    "realip_remote_addr": lambda account: account.peer[0],
    "realip_remote_port": lambda account: str(account.peer[1]),
    "remote_addr": lambda account: account.client[0],
    "remote_port": lambda account: str(account.client[1]),
    "server_addr": lambda account: account.server[0],
    "server_port": lambda account: str(account.server[1]),
    "session_time": lambda account: _seconds(account.began, account.ended),
    "status": lambda account: str(account.status),
    "time_iso8601": lambda account: iso_time(int(_wall(account))).decode(),
    "time_local": lambda account: common_log_time(int(_wall(account))).decode(),
    "upstream_addr": lambda account: ", ".join(account.tried) or ABSENT,
    "upstream_bytes_received": lambda account: _of_tries([one.taken for one in account.tries], account.taken),
    "upstream_bytes_sent": lambda account: _of_tries([one.given for one in account.tries], account.given),
    "upstream_connect_time": lambda account: _of_last_try(account, account.connected),
    "upstream_first_byte_time": lambda account: _of_last_try(account, account.first_byte),
    "upstream_session_time": _session_times,
}
