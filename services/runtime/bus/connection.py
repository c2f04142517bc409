"""One connection to NATS, kept up for ever: the only module that imports the client library.

Owns connecting (jittered back-off, discovered servers, lame duck), subscriptions that outlive connections, publishing
and the private inbox on which answers arrive. Must not know: streams, what messages mean.

The client library's own reconnecting is not used. It gives up for good on an error such as a refused login, and it
cancels running callbacks when a connection ends; here each connection is a new client, and each subscription has a
queue and a task of its own that see nothing of that.
"""

from __future__ import annotations

import asyncio
import logging
import random
import ssl
from collections.abc import Awaitable, Callable
from pathlib import Path
from secrets import token_hex

from services.runtime.bus.lean import imported_without
from services.runtime.bus.servers import checked, with_login_of, without_credentials
from services.runtime.bus.subscription import Callback, MessageCallback, Subscription
from services.runtime.bus.values import BusError, BusOptions, Message, NotConnected, TooLarge

with imported_without("aiohttp"):  # only its WebSocket transport needs it: half of a process' start, 15 MB of memory
    from nats.aio.client import Client
    from nats.aio.msg import Msg
    from nats.errors import ConnectionClosedError, MaxPayloadError, OutboundBufferLimitError
    from nats.errors import Error as ClientError

_log = logging.getLogger(__name__)

FIRST_DELAY = 0.05
LONGEST_DELAY = 2.0
"""Back-off between attempts, in seconds: doubled each time, and each delay is a random half to the whole of it."""
PING_INTERVAL = 5
"""Seconds between pings; a peer that left two unanswered is gone."""
CONNECT_TIMEOUT = 3
CANCEL_AGAIN = 0.1
LAME_DUCK_SPREAD = 1.0
"""A server about to stop is left within this many seconds, at random, so that its clients do not move as one."""


class Connection:
    """See the module. All methods belong to one event loop."""

    def __init__(self, options: BusOptions) -> None:
        if not options.servers:
            raise BusError("no NATS server is named")
        self._options = options
        self._servers = [checked(server) for server in options.servers]
        self._discovered: list[str] = []
        self._client: Client | None = None
        self._connected = asyncio.Event()
        self._subscriptions: list[Subscription] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self._on_connected: list[Callback] = []
        self._on_loss: list[Callback] = []
        self._announce = asyncio.Event()
        self._inbox = f"{options.inbox}.{token_hex(8)}"
        self._answers: dict[str, Callable[[Message | None], None]] = {}
        self._next_answer = 0
        self.refused = ""
        """The last thing that the server said it does not permit; explains an answer that never came."""

    # --- life -------------------------------------------------------------------------------------------------

    def check(self) -> None:
        """Raise BusError, naming the option, for a file that is not there or does not hold what it should."""
        options = self._options
        files = {
            "creds": options.creds,
            "nkey": options.nkey,
            "ca": options.ca,
            "cert": options.cert,
            "key": options.key,
        }
        for flag, file in files.items():
            if file and not Path(file).is_file():
                raise BusError(f"--nats-{flag}: no such file: {file}")
        self._ssl_context()

    def start(self) -> None:
        """Begin to connect, in the background, for ever. Raises BusError as ``check`` does."""
        self.check()
        self._spawn(self._keep_connected())
        self._spawn(self._tell_connected())

    async def close(self) -> None:
        """Send what is pending, end the connection and every task."""
        client, self._client = self._client, None
        self._connected.clear()
        others = self._tasks - {asyncio.current_task()}
        for task in others:
            task.cancel()
        if client is not None:
            await _end(client)
        while others:
            # Again and again: a task that is cancelled at the moment in which what it waited for failed (an attempt to
            # connect, say) is told of the failure alone, and goes on.
            ended, others = await asyncio.wait(others, timeout=CANCEL_AGAIN)
            await asyncio.gather(*ended, return_exceptions=True)
            for task in others:
                task.cancel()
        self._drop_answers()

    @property
    def connected(self) -> bool:
        return self._client is not None

    @property
    def url(self) -> str:
        """The server of the present connection, without credentials; empty if there is none."""
        uri = self._client.connected_url if self._client else None
        return f"{uri.scheme}://{uri.hostname}:{uri.port}" if uri else ""

    @property
    def max_payload(self) -> int:
        """The largest message that the server takes, in bytes."""
        return self._client.max_payload if self._client else 1024 * 1024

    async def wait_connected(self) -> None:
        await self._connected.wait()

    def on_connected(self, callback: Callback) -> None:
        """Run ``callback`` after the first connect and after each later one, subscriptions being in place."""
        self._on_connected.append(callback)
        if self.connected:
            self._announce.set()

    def on_loss(self, callback: Callback) -> None:
        """Run ``callback`` when messages were dropped."""
        self._on_loss.append(callback)

    def _spawn(self, coroutine: Awaitable[None]) -> None:
        task = asyncio.ensure_future(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _keep_connected(self) -> None:
        delay = FIRST_DELAY
        while True:
            for server in self._candidates():
                closed = asyncio.Event()
                try:
                    client = await self._connect(server, closed)
                except Exception as error:  # whatever it is, it must not end the trying
                    self._note_failure(server, error)
                    continue
                self._failure = ""
                await self._stay(client, closed)
                delay = FIRST_DELAY
                break  # what is known of servers may have changed
            await asyncio.sleep(delay * random.uniform(0.5, 1.0))  # noqa: S311 - spreads load, guards nothing
            delay = min(delay * 2, LONGEST_DELAY)

    _failure = ""

    def _note_failure(self, server: str, error: Exception) -> None:
        text = f"cannot connect to {without_credentials(server)}: {error or type(error).__name__}"
        if text != self._failure:  # once per kind of failure, not once per attempt
            self._failure = text
            _log.warning("%s; trying on", text)

    def _candidates(self) -> list[str]:
        known = [*self._servers, *(server for server in self._discovered if server not in self._servers)]
        return random.sample(known, len(known))

    async def _connect(self, server: str, closed: asyncio.Event) -> Client:
        """A connected client with all subscriptions in place, confirmed by the server."""
        client = Client()

        async def on_closed() -> None:
            closed.set()

        async def on_error(error: Exception) -> None:
            self._on_client_error(error)

        async def on_lame_duck() -> None:
            self._spawn(self._leave(client))

        try:
            # not wait_for, whose task loses an error that comes just as this is cancelled
            async with asyncio.timeout(CONNECT_TIMEOUT * 3):
                await client.connect(
                    servers=[server],
                    name=self._options.name,
                    allow_reconnect=False,
                    max_reconnect_attempts=1,
                    reconnect_time_wait=0,
                    connect_timeout=CONNECT_TIMEOUT,
                    ping_interval=PING_INTERVAL,
                    max_outstanding_pings=2,
                    closed_cb=on_closed,
                    error_cb=on_error,
                    lame_duck_mode_cb=on_lame_duck,
                    tls=self._ssl_context(),
                    user_credentials=self._options.creds or None,
                    nkeys_seed=self._options.nkey or None,
                    inbox_prefix=self._options.inbox,
                    pending_size=16 * 1024 * 1024,
                    flush_timeout=10,
                )
            await self._place_subscriptions(client)
        except BaseException:  # cancelled, or whatever the library raised: nothing of the client is to stay open
            await _end(client)
            raise
        return client

    async def _place_subscriptions(self, client: Client) -> None:
        await client.subscribe(f"{self._inbox}.*", cb=self._deliver_answer)
        placed = 0
        while True:  # more may be asked for meanwhile
            for subscription in self._subscriptions[placed:]:
                await client.subscribe(subscription.subject, cb=_into(subscription))
                placed += 1
            await client.flush(timeout=CONNECT_TIMEOUT)
            if placed == len(self._subscriptions):
                return

    async def _stay(self, client: Client, closed: asyncio.Event) -> None:
        """Use ``client`` until it is gone."""
        self._client = client
        self._connected.set()
        self._announce.set()
        _log.info("connected to %s", self.url)
        try:
            while not closed.is_set() and not client.is_closed:
                try:  # the event says so at once; asking now and then covers a client that hangs while closing
                    await asyncio.wait_for(closed.wait(), 1)
                except TimeoutError:
                    continue
        finally:
            # asked at the end: servers that join later are announced over the connection
            self._discovered = [with_login_of(self._servers[0], found.netloc) for found in client.discovered_servers]
            if self._client is client:
                self._client = None
                self._connected.clear()
                self._drop_answers()
        _log.warning("connection to NATS is lost; connecting again")

    async def _leave(self, client: Client) -> None:
        _log.info("server enters lame duck mode; moving to another")
        await asyncio.sleep(random.uniform(0, LAME_DUCK_SPREAD))  # noqa: S311
        await _end(client)

    async def _tell_connected(self) -> None:
        while True:
            await self._announce.wait()
            self._announce.clear()
            for callback in list(self._on_connected):
                await _run_guarded(callback, "after connecting")

    async def _tell_loss(self) -> None:
        for callback in self._on_loss:
            await _run_guarded(callback, "after lost messages")

    def _on_client_error(self, error: Exception) -> None:
        text = str(error) or type(error).__name__
        if "ermissions" in text and "iolation" in text:
            self.refused = text
            _log.warning("NATS refuses: %s", text)
        else:
            _log.debug("NATS client: %s", text)

    def _ssl_context(self) -> ssl.SSLContext | None:
        options = self._options
        if not (options.ca or options.cert or any(server.startswith("tls:") for server in self._servers)):
            return None
        try:
            context = ssl.create_default_context(cafile=options.ca or None)
            if options.cert:
                context.load_cert_chain(options.cert, options.key or None)
        except (ssl.SSLError, OSError) as error:
            raise BusError(f"TLS files for NATS ({options.ca} {options.cert} {options.key}): {error}") from None
        return context

    # --- messages ---------------------------------------------------------------------------------------------

    async def subscribe(self, subject: str, callback: MessageCallback) -> None:
        """Run ``callback`` for each message on ``subject``, in order, over all connections to come."""
        subscription = Subscription(subject, callback, self._tell_loss)
        self._subscriptions.append(subscription)
        self._spawn(subscription.run())
        client = self._client
        if client is not None:
            try:
                await client.subscribe(subject, cb=_into(subscription))
            except ConnectionClosedError:
                return  # the next connection takes it along

    async def publish(self, subject: str, data: bytes, headers: dict[str, str] | None = None, reply: str = "") -> None:
        """Send a message. Raises NotConnected at once without a connection, TooLarge, BusError."""
        client = self._client
        if client is None:
            raise NotConnected(f"not connected to NATS: {subject} is not sent")
        try:
            await client.publish(subject, data, reply=reply, headers=headers)
        except MaxPayloadError:
            raise TooLarge(f"{subject}: {len(data)} bytes, the server takes {client.max_payload}") from None
        except (ConnectionClosedError, OutboundBufferLimitError, OSError) as error:
            raise NotConnected(f"connection to NATS lost: {subject} is not sent ({error})") from None
        except ClientError as error:
            raise BusError(f"{subject}: {error}") from None

    # --- answers ----------------------------------------------------------------------------------------------

    def expect(self, deliver: Callable[[Message | None], None]) -> str:
        """A subject for answers: ``deliver`` is called with each, or with None once when the connection is lost."""
        self._next_answer += 1
        reply = f"{self._inbox}.{self._next_answer}"
        self._answers[reply] = deliver
        return reply

    def forget(self, reply: str) -> None:
        """No more answers are wanted there."""
        self._answers.pop(reply, None)

    async def _deliver_answer(self, message: Msg) -> None:
        deliver = self._answers.get(message.subject)
        if deliver is not None:
            deliver(Message(message.subject, message.data, message.reply, message.headers or {}))

    def _drop_answers(self) -> None:
        waiting, self._answers = self._answers, {}
        for deliver in waiting.values():
            deliver(None)


def _into(subscription: Subscription) -> Callable[[Msg], Awaitable[None]]:
    async def put(message: Msg) -> None:
        subscription.put(Message(message.subject, message.data, message.reply, message.headers or {}))

    return put


async def _run_guarded(callback: Callback, when: str) -> None:
    try:
        await callback()
    except NotConnected as error:
        _log.info("%s: %s", when, error)
    except Exception:
        _log.exception("failed %s", when)


async def _end(client: Client) -> None:
    """Close ``client`` whatever state it is in, without waiting for a peer that says nothing."""
    try:
        await asyncio.wait_for(client.close(), 2)
    except (TimeoutError, OSError, ClientError, AttributeError, AssertionError):
        # the library asserts on a client that never got as far as a transport; there is nothing to close then
        return
