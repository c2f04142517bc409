"""A small HTTP server that says who it is and what reached it, and echoes WebSocket messages: something to route to.

Run alone: ``python -m services.cli.sample_backend --name coffee --listen 127.0.0.11:9001``.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import click
from aiohttp import WSMsgType, web

from services.cli.option_types import AddressType
from services.runtime.settings import HostPort, SettingsError

MAX_BODY = 64 * 1024


def application(name: str) -> web.Application:
    """The server called ``name``."""

    async def answer(request: web.Request) -> web.StreamResponse:
        if request.headers.get("Upgrade", "").lower() == "websocket":
            return await _echo(name, request)
        body = await request.content.read(MAX_BODY)
        lines = [f"{name} at {_address(request)}", f"{request.method} {request.raw_path} HTTP/1.1"]
        lines += [f"{field}: {value}" for field, value in request.headers.items()]
        text = "\n".join(lines) + "\n"
        if body:
            text += "\n" + body.decode(errors="replace") + "\n"
        return web.Response(text=text, headers={"X-Served-By": name})

    app = web.Application(client_max_size=MAX_BODY)
    app.router.add_route("*", "/{path:.*}", answer)
    return app


async def _echo(name: str, request: web.Request) -> web.WebSocketResponse:
    socket = web.WebSocketResponse()
    await socket.prepare(request)
    await socket.send_str(f"{name} echoes what you send\n")
    async for message in socket:
        if message.type == WSMsgType.TEXT:
            await socket.send_str(message.data)
        elif message.type == WSMsgType.BINARY:
            await socket.send_bytes(message.data)
    return socket


def _address(request: web.Request) -> str:
    found = request.transport.get_extra_info("sockname") if request.transport else None
    return str(HostPort(found[0], found[1])) if found else "?"


@asynccontextmanager
async def serving(name: str, addresses: Sequence[HostPort]) -> AsyncIterator[None]:
    """Serve on ``addresses`` for the block. Raises SettingsError for one that cannot be opened."""
    runner = web.AppRunner(application(name), access_log=None, handle_signals=False, shutdown_timeout=0.5)
    await runner.setup()
    try:
        for address in addresses:
            try:
                await web.TCPSite(runner, address.host or None, address.port).start()
            except OSError as error:
                reason = os.strerror(error.errno) if error.errno and error.errno > 0 else str(error)
                hint = " (does another demo run? the examples' endpoints are at that address)"
                raise SettingsError(f"sample server {name} on {address}: {reason}{hint}") from None
        yield
    finally:
        await runner.cleanup()


@click.command()
@click.option("--name", required=True, help="What it calls itself.")
@click.option("--listen", type=AddressType(), multiple=True, required=True, help="Where; repeatable.")
def main(name: str, listen: tuple[HostPort, ...]) -> None:
    """Run one sample server until it is told to stop."""
    from services.runtime.lifecycle import Lifecycle, run

    async def serve(life: Lifecycle) -> None:
        async with serving(name, listen):
            click.echo(f"{name} on {' '.join(map(str, listen))}", err=True)
            await life.stopping.wait()
            await asyncio.sleep(0)

    raise SystemExit(run(serve))


if __name__ == "__main__":
    main()
