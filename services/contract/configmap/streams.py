"""Keys of TCP and UDP services, all honoured."""

from __future__ import annotations

from typing import Final

from proto.resources import Settings
from services.contract.configmap.entry import Key

STREAMS: Final = (
    Key(
        name="disable-stream-access-log",
        type="bool",
        default="false",
        state="honoured",
        doc="Connections of TCP and UDP services are not logged.",
    ),
    Key(
        name="log-format-stream",
        type="string",
        default=Settings().log_format_stream,
        state="honoured",
        doc="The form of their lines, with variables.",
    ),
    Key(
        name="proxy-stream-next-upstream",
        type="bool",
        default="true",
        state="honoured",
        doc="Where an endpoint takes no connection, another is tried.",
    ),
    Key(
        name="proxy-stream-next-upstream-timeout",
        type="duration",
        default="600s",
        state="honoured",
        doc="How long others are tried; 0: however long it takes.",
    ),
    Key(
        name="proxy-stream-next-upstream-tries",
        type="int",
        default="3",
        state="honoured",
        doc="How many are tried in all; 0: any number.",
    ),
    Key(
        name="proxy-stream-responses",
        type="int",
        default="1",
        state="honoured",
        doc="How many datagrams a UDP service answers to each of a client's; a session ends with the last.",
    ),
    Key(
        name="proxy-stream-timeout",
        type="duration",
        default="600s",
        state="honoured",
        doc="How long a connection may be without a byte, in either direction.",
    ),
    Key(
        name="stream-access-log-path",
        type="string",
        state="honoured",
        doc="The file that they are logged to, before `access-log-path`.",
    ),
)
