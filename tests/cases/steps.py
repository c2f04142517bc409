"""The changes that cases make after their first requests: what each text means for the objects."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable

from tests.cases.world import World

CLASS = "kubernetes.io/ingress.class"


async def perform(world: World, step: dict[str, object]) -> None:
    """Make the change that ``step`` tells, and put it in force."""
    text = text_of(step)
    if scale := re.fullmatch(r"scale to (\d+)", text):
        await world.scale(world.only_service(), int(scale[1]))
    else:
        await STEPS[text](world)
    world.swap()


def text_of(step: dict[str, object]) -> str:
    """The words of ``step``."""
    return str(step.get("patch") or step.get("do") or "")


def known(text: str) -> bool:
    """Whether ``perform`` can do it."""
    return text in STEPS or re.fullmatch(r"scale to \d+", text) is not None


def _classed(world: World, number: int, annotation: bool, field: bool) -> None:
    manifest = world.case.ingresses[number]
    annotations = manifest["metadata"].setdefault("annotations", {})
    annotations.pop(CLASS, None)
    manifest["spec"].pop("ingressClassName", None)
    if annotation:
        annotations[CLASS] = "nginx"
    if field:
        manifest["spec"]["ingressClassName"] = "nginx"
    world.apply_ingress(number)


async def _note_foo(world: World) -> None:
    names = [manifest["metadata"]["name"] for manifest in world.case.ingresses]
    number = names.index("foo")
    world.case.ingresses[number]["metadata"].setdefault("annotations", {})["example.com/foo"] = "bar"
    world.apply_ingress(number)


async def _drop_class(world: World) -> None:
    for number in range(len(world.case.ingresses)):
        _classed(world, number, False, False)


async def _add_class(world: World) -> None:
    _classed(world, 0, True, False)
    _classed(world, 1, False, True)


async def _swap_class(world: World) -> None:
    for number, manifest in enumerate(world.case.ingresses):
        annotated = CLASS in (manifest["metadata"].get("annotations") or {})
        _classed(world, number, not annotated, annotated)


async def _delete_auth(world: World) -> None:
    next(pod for pod in world.helpers if pod.service == "auth").stop()


async def _add_tls(world: World) -> None:
    spec = world.case.ingresses[0]["spec"]
    host = spec["rules"][0]["host"]
    spec["tls"] = [{"hosts": [host], "secretName": host}]
    await _create_secret(world)
    world.apply_ingress(0)


async def _create_secret(world: World) -> None:
    entry = world.case.ingresses[0]["spec"]["tls"][0]
    world.make_tls_secret(entry["secretName"], entry["hosts"])


async def _delete_secret(world: World) -> None:
    world.remove("secret", world.case.ingresses[0]["spec"]["tls"][0]["secretName"])


async def _remove_tls(world: World) -> None:
    del world.case.ingresses[0]["spec"]["tls"]
    world.apply_ingress(0)


async def _rename_host(world: World) -> None:
    world.case.ingresses[0]["spec"]["rules"][0]["host"] = "foo2.com"
    world.apply_ingress(0)


async def _create_external(world: World) -> None:
    await world.make_external("external-nip", "nip.example")


async def _move_external(world: World) -> None:
    await world.make_external("external-nip", "nip2.example")


async def _delete_external(world: World) -> None:
    world.remove("service", "external-nip")


STEPS: dict[str, Callable[[World], Awaitable[None]]] = {
    "add annotation foo=bar to Ingress foo": _note_foo,
    "delete the annotation; set ingressClassName null": _drop_class,
    "add the annotation; set ingressClassName nginx": _add_class,
    "swap them": _swap_class,
    "delete the auth service": _delete_auth,
    "add a TLS section with a valid secret": _add_tls,
    "create the secret, add spec.tls": _add_tls,
    "create the secret": _create_secret,
    "delete the secret": _delete_secret,
    "remove spec.tls": _remove_tls,
    "rules[0].host=foo2.com": _rename_host,
    "create the ExternalName service": _create_external,
    "point it to another server": _move_external,
    "delete it": _delete_external,
}
