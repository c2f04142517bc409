"""``limen explain``."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Sequence
from ipaddress import ip_address
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

import click

from services.cli.client import CHANGES, OPTIONS, connected, run_client
from services.cli.lint import READ_OPTIONS, ReadingCommand
from services.cli.option_entry import extra
from services.cli.option_types import ANY_PATH
from services.cli.options import compile_options, with_options
from services.cli.running import find

if TYPE_CHECKING:
    from proto.resources import ResourceRecord
    from services.cli.explanation import Request

LIVE: Final = (
    "An Ingress that names this host and is not taken over is not in the snapshot; `limen status` names it.",
)
"""What is known of a host that nobody declares, without the objects."""
CLOSED: Final = ("This route answers 503 for what is wrong with its Ingress; `limen status` says what that is.",)
"""The same of a route that the compiler closed."""
HEARD_WITHIN: Final = 5.0
"""Seconds for the bus to give the newest snapshot."""


@click.command("explain", cls=ReadingCommand)
@click.argument("method")
@click.argument("url")
@extra("header", "-H", "headers", multiple=True, metavar="'NAME: VALUE'", help="A header of the request.")
@extra("client-ip", default="127.0.0.1", show_default=True, metavar="ADDRESS", help="Who sends it.")
@extra("manifests", multiple=True, type=ANY_PATH, metavar="DIR", help="Take these manifests; repeatable.")
@extra("kube", is_flag=True, help="Take the objects of a cluster. [default: what edges serve right now]")
@extra("kubeconfig", default="", metavar="FILE", help="How to reach it. [default: as kubectl]")
@extra("context", default="", metavar="NAME", help="Context of the kubeconfig.")
@extra("verify-key", type=ANY_PATH, default=None, metavar="FILE", help="Of what edges serve. [default: of `limen up`]")
@extra("json", "as_json", is_flag=True, help="JSON, for programs.")
@with_options((*READ_OPTIONS, *OPTIONS), **CHANGES)
def command(method: str, url: str, headers: tuple[str, ...], client_ip: str, **values: Any) -> None:
    """Say what an edge does with a request, and why: which route wins and which lose, what each phase decides, the
    request as the endpoint would get it, and who that is. Nothing is sent.

    It asks the edges' own code: with --manifests or --kube about what those objects come to, else about the snapshot
    that is served right now.
    """
    if values["manifests"] and values["kube"]:
        raise click.UsageError("--manifests and --kube exclude each other")
    request = _request(method, url, headers, client_ip)
    sys.exit(run_client(lambda: _explain(request, values)))


def _request(method: str, url: str, headers: Sequence[str], client: str) -> Request:
    from services.cli.explanation import Request

    try:
        parts = urlsplit(url if "://" in url else f"http://{url}")
        tls = parts.scheme == "https"
        port = parts.port or (443 if tls else 80)
    except ValueError as error:
        raise click.UsageError(f"{url}: {error}") from None
    if parts.scheme not in ("http", "https") or not parts.netloc:
        raise click.UsageError(f"{url} is no address such as https://example.com/path")
    try:
        ip_address(client)
    except ValueError:
        raise click.UsageError(f"--client-ip {client}: not an address") from None
    said = []
    for header in headers:
        name, colon, value = header.partition(":")
        if not colon or not name.strip():
            raise click.UsageError(f"--header {header!r}: write 'Name: value'")
        said.append((name.strip(), value.strip()))
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return Request(method, parts.netloc.rpartition("@")[2], target, tls, port, client, tuple(said))


async def _explain(request: Request, values: dict[str, Any]) -> int:
    import msgspec

    from proto.codec import DecodeError
    from services.cli.explanation import ANY_HOST, explain
    from services.edge.core.generation import Generation

    records, remarks = await _records(values, request.host)
    try:
        generation = Generation.first(records, 1, 1, b"")
    except DecodeError as error:
        raise click.ClickException(f"what is served cannot be read by this version: {error}") from None
    told = explain(generation, records, request)
    if remarks == LIVE and told.host != ANY_HOST:
        remarks = CLOSED if any(each.won and each.action == "answer 503" for each in told.candidates.routes) else ()
    told = msgspec.structs.replace(told, remarks=remarks)
    if values["as_json"]:
        click.echo(msgspec.json.format(msgspec.json.encode(told), indent=2).decode())
    else:
        from services.cli.explain_text import lines

        for line in lines(told):
            click.echo(line)
    return 1 if told.refused else 0


async def _records(values: dict[str, Any], host: str) -> tuple[list[ResourceRecord], tuple[str, ...]]:
    """The resources to ask about, and what is to be said of Ingresses for ``host`` that are not among them."""
    if not (values["manifests"] or values["kube"]):
        return await _live(values), LIVE
    from services.cli.explain_remarks import remarks_on
    from services.cli.offline import PLACEHOLDER, compile_given, read_cluster, read_files, records_of

    given = await read_cluster(values) if values["kube"] else read_files(values["manifests"])
    compiled = compile_given(given, compile_options(values))
    for note in compiled.notes:
        click.echo(f"note: {note}", err=True)
    if "endpointslice" in compiled.lacking:
        click.echo(f"note: No EndpointSlice was given: {PLACEHOLDER} stands for every endpoint.", err=True)
    return records_of(compiled), remarks_on(host, compiled.ingresses, compiled.compiler.diagnostics)


async def _live(values: dict[str, Any]) -> list[ResourceRecord]:
    """The newest snapshot on the bus, checked as an edge checks it."""
    from services.edge.follow.follower import Follower
    from services.edge.follow.generations import Generations
    from services.runtime.settings import SettingsError, read_verifier

    there = asyncio.Event()
    try:
        verifier = read_verifier(_verify_key(values), values["instance"])
    except SettingsError as error:
        raise click.ClickException(str(error)) from None
    async with connected(values, "explain") as (bus, subjects):
        generations = Generations(lambda _: there.set())
        follower = Follower(bus, subjects, verifier, generations)
        following = asyncio.create_task(follower.run())
        try:
            await asyncio.wait_for(there.wait(), HEARD_WITHIN)
        except TimeoutError:
            why = follower.error or "nothing has been compiled, or this login may not read it"
            raise click.ClickException(f"no snapshot on the bus: {why}") from None
        finally:
            following.cancel()
            await asyncio.gather(following, return_exceptions=True)
    return generations.table.records()


def _verify_key(values: dict[str, Any]) -> Path:
    if values["verify_key"]:
        return Path(values["verify_key"])
    running = find(values["instance"], Path(values["state"]) if values["state"] else None)
    for each in running:
        if each.state:
            return Path(each.state) / "keys" / "verify.key"
    raise click.UsageError("no `limen up` runs here: name --manifests, --kube, or --verify-key with --nats")
