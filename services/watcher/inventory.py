"""The inventory: all that the source said, and what of it shall stand on the bus.

The one owner of that state; pure otherwise. Decides which Secrets and ConfigMaps may leave (those that an Ingress of
ours, the controller's ConfigMap or a flag refers to) and which namespaces count. Must not know the bus.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable

from msgspec import Struct

from proto.objects import ConfigMap, EndpointSlice, Ingress, IngressClass, ObjectKey, Secret, TLSMaterial
from proto.objects import Object as BusObject
from services.contract.classes import ClassRules, is_ours
from services.contract.references import references_of, references_of_configmap
from services.watcher.observed import Change, RawSecret, Value
from services.watcher.secrets import with_last_good

NEEDS_REFERENCE = frozenset({"secret", "configmap"})
"""Kinds of which only those leave that something refers to."""


class Wanted(Struct, frozen=True):
    """What shall stand on the bus for ``key`` from now on; ``value`` None: nothing. The rest as in ``Change``."""

    key: ObjectKey
    value: BusObject | None
    observed_at: float
    resource_version: str = ""
    relisted: bool = False


class _Known(Struct, frozen=True):
    value: Value
    resource_version: str


Seal = Callable[[RawSecret, TLSMaterial | None], Secret]


class Inventory:
    """``pinned``: objects that flags name, which leave wherever they are; ``controller_map``: the controller's own
    ConfigMap.

    ``by_namespace``: only namespaces that ``select`` names count (a namespace selector is given).
    """

    def __init__(
        self,
        seal: Seal,
        *,
        classes: ClassRules,
        pinned: frozenset[ObjectKey],
        controller_map: ObjectKey | None,
        by_namespace: bool,
    ) -> None:
        self._seal = seal
        self._class_rules = classes
        self._classes: dict[str, IngressClass] = {}
        self._pinned = pinned
        self._controller_map = controller_map
        self._selected: frozenset[str] | None = frozenset() if by_namespace else None
        self._known: dict[ObjectKey, _Known] = {}
        self._references: dict[ObjectKey, frozenset[ObjectKey]] = {}
        self._referrers: Counter[ObjectKey] = Counter(pinned)
        self._by_namespace: defaultdict[str, set[ObjectKey]] = defaultdict(set)
        self._sealed: dict[ObjectKey, Secret] = {}

    def apply(self, change: Change) -> list[Wanted]:
        """Take ``change`` in; what it makes different on the bus, in the order in which it should be sent."""
        key, old = change.key, self._known.get(change.key)
        if change.value is None:
            if old is None:
                return []
            del self._known[key]
            self._by_namespace[key.namespace].discard(key)
        else:
            if old is not None and old.value == change.value:
                self._known[key] = _Known(old.value, change.resource_version)
                return []
            self._known[key] = _Known(change.value, change.resource_version)
            self._by_namespace[key.namespace].add(key)
        if not self._counts(key, change.value or (old.value if old is not None else None)):
            return []
        if key.kind == "ingressclass":
            return [*self._class_changed(change), self._want(key, change)]
        gained, lost = self._refer(key, change.value)
        own = self._want(key, change) if self._leaves(key) else None
        if change.value is None:
            self._sealed.pop(key, None)
        return [*self._referred(gained, change), *([own] if own else []), *self._referred(lost, change)]

    def _class_changed(self, change: Change) -> list[Wanted]:
        """Ingresses of this class may have become ours, or ceased to be: so may what they refer to."""
        name, value = change.key.name, change.value
        if isinstance(value, IngressClass):
            self._classes[name] = value
        else:
            self._classes.pop(name, None)
        wanted: list[Wanted] = []
        for key, known in self._known.items():
            ingress = known.value
            if isinstance(ingress, Ingress) and ingress.class_name == name and self._counts(key, ingress):
                gained, lost = self._refer(key, ingress)
                wanted += self._referred(gained, change) + self._referred(lost, change)
        return wanted

    def select(self, names: frozenset[str], observed_at: float) -> list[Wanted]:
        """The namespaces that count are ``names`` now."""
        before, self._selected = self._selected or frozenset(), names
        wanted: list[Wanted] = []
        for namespace in sorted(before ^ names):
            for key in sorted(self._by_namespace.get(namespace, ())):
                known = self._known[key]
                if self._named_by_flag(key, known.value):
                    continue
                value = known.value if namespace in names else None
                change = Change(key, value, observed_at, known.resource_version)
                gained, lost = self._refer(key, value)
                own = [self._want(key, change)] if self._leaves(key) else []
                wanted += [*self._referred(gained, change), *own, *self._referred(lost, change)]
        return list({item.key: item for item in wanted}.values())

    def recover(self, stored: Iterable[Secret]) -> list[Wanted]:
        """Take last good pairs from what the bus holds (after a restart), for Secrets that are bad now."""
        wanted = []
        for secret in stored:
            key = ObjectKey("secret", secret.namespace, secret.name)
            current = self._sealed.get(key)
            if current is not None and (better := with_last_good(current, secret)) is not current:
                self._sealed[key] = better
                wanted.append(Wanted(key, better, 0.0, self._known[key].resource_version))
        return wanted

    def value(self, key: ObjectKey) -> Value | None:
        """What the source says of ``key``."""
        known = self._known.get(key)
        return known.value if known else None

    def problems(self) -> list[Secret]:
        """The Secrets that leave and are bad."""
        return [secret for secret in self._sealed.values() if secret.problem]

    def counts(self) -> Counter[str]:
        """How many objects of each kind the source holds."""
        return Counter(key.kind for key in self._known)

    def _counts(self, key: ObjectKey, value: Value | None) -> bool:
        """Whether ``key`` stands where objects are taken from."""
        if self._selected is None or not key.namespace or key.namespace in self._selected:
            return True
        return self._named_by_flag(key, value)

    def _named_by_flag(self, key: ObjectKey, value: Value | None) -> bool:
        if isinstance(value, EndpointSlice):
            return ObjectKey("service", value.namespace, value.service) in self._pinned
        return key in self._pinned

    def _leaves(self, key: ObjectKey) -> bool:
        return key.kind not in NEEDS_REFERENCE or self._referrers[key] > 0

    def _refer(self, key: ObjectKey, value: Value | None) -> tuple[list[ObjectKey], list[ObjectKey]]:
        """Note what ``key`` refers to now: the keys that are referred to for the first time, and no more."""
        new = self._references_of(key, value)
        old = self._references.pop(key, frozenset())
        if new:
            self._references[key] = new
        gained, lost = [], []
        for target in sorted(new - old):
            self._referrers[target] += 1
            if self._referrers[target] == 1:
                gained.append(target)
        for target in sorted(old - new):
            self._referrers[target] -= 1
            if self._referrers[target] == 0:
                del self._referrers[target]
                lost.append(target)
        return gained, lost

    def _references_of(self, key: ObjectKey, value: Value | None) -> frozenset[ObjectKey]:
        if isinstance(value, Ingress):
            if not is_ours(value, self._classes, self._class_rules):
                return frozenset()
            found = references_of(value)
        elif isinstance(value, ConfigMap) and key == self._controller_map:
            found = references_of_configmap(value.data, key.namespace)
        else:
            return frozenset()
        return frozenset(target for target in found if target.kind in NEEDS_REFERENCE and target != key)

    def _referred(self, keys: list[ObjectKey], cause: Change) -> list[Wanted]:
        wanted = []
        for key in keys:
            known = self._known.get(key)
            if known is not None:
                value = known.value if self._leaves(key) and self._counts(key, known.value) else None
                change = Change(key, value, cause.observed_at, known.resource_version, relisted=cause.relisted)
                wanted.append(self._want(key, change))
                if value is None:
                    self._sealed.pop(key, None)
        return wanted

    def _want(self, key: ObjectKey, change: Change) -> Wanted:
        raw = change.value
        value: BusObject | None = self._sealed_of(key, raw) if isinstance(raw, RawSecret) else raw
        return Wanted(key, value, change.observed_at, change.resource_version, change.relisted)

    def _sealed_of(self, key: ObjectKey, raw: RawSecret) -> Secret:
        previous = self._sealed.get(key)
        self._sealed[key] = sealed = self._seal(raw, previous.tls if previous else None)
        return sealed
