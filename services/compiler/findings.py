"""What compiles said of the Ingresses, kept until it may be told: findings for the watcher, events, accepted versions.

Pure. Told only once the log holds what was compiled, so that nobody hears of a table that is not served. What is
complete at any time is asked of the compiler itself.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Final

from msgspec import Struct

from proto.diagnostics import Diagnostic
from proto.events import EventData, IngressAccepted, IngressRejected
from proto.objects import Ingress, ObjectKey
from proto.reports import Findings, to_json
from services.compiler.core.compiler import Compiler
from services.compiler.core.result import Compiled, Rejected

MAX_SERVED: Final = 4000
MAX_DIAGNOSTICS: Final = 500
MAX_BYTES: Final = 512 * 1024
"""So many names, diagnostics and bytes of diagnostics travel in one message; more go in several."""
MAX_TOLD: Final = 100
"""So many diagnostics of an Ingress travel in its event: one of thousands of paths would be larger than a message."""


class News(Struct, frozen=True):
    """What is to be told now."""

    findings: tuple[Findings, ...] = ()
    events: tuple[EventData, ...] = ()
    accepted: tuple[Ingress, ...] = ()
    forgotten: tuple[tuple[str, str], ...] = ()


class FindingsBook:
    """See the module. ``version_of`` gives the resourceVersion of an object."""

    def __init__(self, compiler: Compiler, version_of: Callable[[ObjectKey], str]) -> None:
        self._compiler = compiler
        self._version_of = version_of
        self._served: dict[str, bool] = {}
        self._found: dict[ObjectKey, None] = {}
        self._accepted: dict[tuple[str, str], Ingress | None] = {}
        self._rejected: dict[ObjectKey, Rejected] = {}
        self._told: dict[ObjectKey, Ingress] = {}
        self._checks: dict[ObjectKey, tuple[int, int]] = {}

    def add(self, compiled: Compiled) -> None:
        """Take in what a compile said."""
        self._served.update((name, True) for name in compiled.served)
        self._served.update((name, False) for name in compiled.gone)
        self._found.update((key, None) for key, _ in compiled.diagnostics)
        for ingress in compiled.accepted:
            self._accepted[ingress.namespace, ingress.name] = ingress
            self._rejected.pop(_key(ingress), None)
        for place in compiled.forgotten:
            self._accepted[place] = None
        self._rejected.update((_key(rejected.ingress), rejected) for rejected in compiled.rejected)
        for ingress in compiled.accepted:
            good, bad = self._checks.get(_key(ingress), (0, 0))
            self._checks[_key(ingress)] = good + 1, bad
        for rejected in compiled.rejected:
            good, bad = self._checks.get(_key(rejected.ingress), (0, 0))
            self._checks[_key(rejected.ingress)] = good, bad + 1

    def take(self, is_stored: Callable[[Ingress], bool]) -> News | None:
        """What is to be told since the last time, or None. ``is_stored``: an Ingress whose very version is stored as
        accepted is no news."""
        if not (self._served or self._found or self._accepted or self._rejected):
            return None
        diagnostics = self._compiler.diagnostics
        for key in self._found.keys() - diagnostics.keys():
            self._told.pop(key, None)  # it went, or nothing is wrong with it any more
        accepted = tuple(ingress for ingress in self._accepted.values() if ingress is not None)
        news = News(
            tuple(
                _in_pieces(
                    [name for name, is_served in self._served.items() if is_served],
                    [name for name, is_served in self._served.items() if not is_served],
                    [found for key in self._found for found in diagnostics.get(key, ())],
                    complete=False,
                )
            ),
            (*self._accepted_events(accepted, is_stored), *self._rejected_events()),
            accepted,
            tuple(place for place, ingress in self._accepted.items() if ingress is None),
        )
        self._served, self._found, self._accepted, self._rejected = {}, {}, {}, {}
        return news

    def checks(self) -> dict[tuple[str, str], tuple[int, int]]:
        """(namespace, name) of each Ingress that there is -> how often it was accepted, how often rejected."""
        self._checks = {key: counts for key, counts in self._checks.items() if self._version_of(key)}
        return {(key.namespace, key.name): counts for key, counts in self._checks.items()}

    def complete(self) -> list[Findings]:
        """Everything: the first piece is marked complete, those after it add to it."""
        return list(_in_pieces(sorted(self._compiler.served), [], self.diagnostics(), complete=True))

    def diagnostics(self, at_most: int = 1_000_000) -> list[Diagnostic]:
        """Every diagnostic, by object."""
        by_object = self._compiler.diagnostics
        found: list[Diagnostic] = []
        for key in sorted(by_object):
            found += by_object[key]
            if len(found) >= at_most:
                break
        return found[:at_most]

    def _accepted_events(
        self, accepted: Iterable[Ingress], is_stored: Callable[[Ingress], bool]
    ) -> Iterator[EventData]:
        for ingress in accepted:
            self._told.pop(_key(ingress), None)
            if not is_stored(ingress):
                key = _key(ingress)
                yield IngressAccepted(
                    namespace=ingress.namespace,
                    name=ingress.name,
                    resource_version=self._version_of(key),
                    hosts=tuple(dict.fromkeys(rule.host.lower() for rule in ingress.rules)),
                    diagnostics=self._compiler.diagnostics.get(key, ())[:MAX_TOLD],
                )

    def _rejected_events(self) -> Iterator[EventData]:
        for key, rejected in self._rejected.items():
            if self._told.get(key) == rejected.ingress:
                continue  # looked at again for another reason
            self._told[key] = rejected.ingress
            yield IngressRejected(
                namespace=key.namespace,
                name=key.name,
                resource_version=self._version_of(key),
                keeps_last_good=rejected.keeps_last_good,
                diagnostics=self._compiler.diagnostics.get(key, ())[:MAX_TOLD],
            )


def _key(ingress: Ingress) -> ObjectKey:
    return ObjectKey("ingress", ingress.namespace, ingress.name)


def _in_pieces(
    served: Sequence[str], gone: Sequence[str], diagnostics: Sequence[Diagnostic], *, complete: bool
) -> Iterator[Findings]:
    while True:
        fitting = _fitting(diagnostics)
        yield Findings(
            complete=complete,
            served=tuple(served[:MAX_SERVED]),
            gone=tuple(gone[:MAX_SERVED]),
            diagnostics=tuple(diagnostics[:fitting]),
        )
        served, gone, diagnostics = served[MAX_SERVED:], gone[MAX_SERVED:], diagnostics[fitting:]
        complete = False
        if not (served or gone or diagnostics):
            return


def _fitting(diagnostics: Sequence[Diagnostic]) -> int:
    """How many of the first ``diagnostics`` one message takes; at least one, if there is one."""
    size = 0
    for number, diagnostic in enumerate(diagnostics[:MAX_DIAGNOSTICS]):
        size += len(to_json(diagnostic))
        if size > MAX_BYTES:
            return max(number, 1)
    return min(len(diagnostics), MAX_DIAGNOSTICS)
