"""Which objects leave the watcher."""

from __future__ import annotations

import msgspec

from proto.objects import (
    ConfigMap,
    EndpointSlice,
    Ingress,
    IngressClass,
    IngressTLS,
    Object,
    ObjectKey,
    Secret,
    Service,
    TLSMaterial,
)
from services.watcher.inventory import Inventory, Wanted
from services.watcher.observed import Change, RawSecret, Value


class Rules(msgspec.Struct):
    ingress_class: str = "nginx"
    controller_class: str = "k8s.io/ingress-nginx"
    ingress_class_by_name: bool = False
    watch_ingress_without_class: bool = False


PAIR = TLSMaterial((b"der",), ("a",), 0, 1, "f", b"sealed")
CLASS = IngressClass("nginx", "k8s.io/ingress-nginx")


def seal(raw: RawSecret, previous: TLSMaterial | None) -> Secret:
    good = raw.data.get("tls.key") == b"good"
    return Secret(raw.namespace, raw.name, tls=PAIR if good else previous, problem="" if good else "bad")


def inventory(
    pinned: tuple[ObjectKey, ...] = (), controller_map: ObjectKey | None = None, by_namespace: bool = False
) -> Inventory:
    return Inventory(
        seal, classes=Rules(), pinned=frozenset(pinned), controller_map=controller_map, by_namespace=by_namespace
    )


def key(kind: str, name: str, namespace: str = "n") -> ObjectKey:
    return ObjectKey(kind, "" if kind == "ingressclass" else namespace, name)  # type: ignore[arg-type]


def put(inv: Inventory, kind: str, name: str, value: Value | None, namespace: str = "n") -> list[ObjectKey]:
    """Apply a change; the keys that became wanted, with a ``-`` removal shown as an ObjectKey of value None."""
    return shown(inv.apply(Change(key(kind, name, namespace), value, 1.0)))


def shown(wanted: list[Wanted]) -> list[str]:  # type: ignore[type-arg]
    return [("-" if item.value is None else "+") + str(item.key) for item in wanted]


def ingress(*secrets: str, namespace: str = "n", class_name: str | None = "nginx") -> Ingress:
    tls = tuple(IngressTLS((), secret) for secret in secrets)
    return Ingress(namespace, "web", class_name=class_name, tls=tls)


def secret(name: str, content: bytes = b"good", namespace: str = "n") -> RawSecret:
    return RawSecret(namespace, name, "kubernetes.io/tls", {"tls.key": content})


def test_a_secret_leaves_only_while_something_refers_to_it() -> None:
    inv = inventory()
    put(inv, "ingressclass", "nginx", CLASS)
    assert put(inv, "secret", "t", secret("t")) == []
    assert put(inv, "ingress", "web", ingress("t")) == ["+secret n/t", "+ingress n/web"]
    assert put(inv, "secret", "other", secret("other")) == []
    assert put(inv, "ingress", "web", ingress("other")) == ["+secret n/other", "+ingress n/web", "-secret n/t"]
    assert put(inv, "ingress", "web", None) == ["-ingress n/web", "-secret n/other"]


def test_a_secret_that_comes_after_its_ingress() -> None:
    inv = inventory()
    put(inv, "ingressclass", "nginx", CLASS)
    assert put(inv, "ingress", "web", ingress("t")) == ["+ingress n/web"]
    assert put(inv, "secret", "t", secret("t")) == ["+secret n/t"]
    assert put(inv, "secret", "t", None) == ["-secret n/t"]


def test_a_secret_of_another_controllers_ingress_stays() -> None:
    inv = inventory()
    put(inv, "secret", "t", secret("t"))
    assert put(inv, "ingress", "web", ingress("t", class_name="other")) == ["+ingress n/web"]
    assert put(inv, "ingressclass", "other", IngressClass("other", "example.com/other")) == ["+ingressclass other"]


def test_a_class_that_comes_or_goes_changes_what_leaves() -> None:
    inv = inventory()
    put(inv, "secret", "t", secret("t"))
    put(inv, "ingress", "web", ingress("t"))
    assert put(inv, "ingressclass", "nginx", CLASS) == ["+secret n/t", "+ingressclass nginx"]
    assert put(inv, "ingressclass", "nginx", None) == ["-secret n/t", "-ingressclass nginx"]


def test_what_did_not_change_is_no_news() -> None:
    inv = inventory()
    assert put(inv, "service", "s", Service("n", "s")) == ["+service n/s"]
    assert put(inv, "service", "s", Service("n", "s")) == []
    assert put(inv, "service", "gone", None) == []


def test_only_the_controllers_configmap_and_what_it_names_leave() -> None:
    own = key("configmap", "controller")
    inv = inventory(pinned=(own,), controller_map=own)
    assert put(inv, "configmap", "other", ConfigMap("n", "other", {"a": "b"})) == []
    assert put(inv, "configmap", "headers", ConfigMap("n", "headers", {"X-A": "b"})) == []
    assert put(inv, "configmap", "controller", ConfigMap("n", "controller", {"proxy-set-headers": "n/headers"})) == [
        "+configmap n/headers",
        "+configmap n/controller",
    ]


def test_namespaces_that_are_not_selected_do_not_count() -> None:
    default = key("service", "default", "infra")
    inv = inventory(pinned=(default,), by_namespace=True)
    put(inv, "ingressclass", "nginx", CLASS)
    assert put(inv, "ingress", "web", ingress("t")) == []
    assert put(inv, "secret", "t", secret("t")) == []
    assert put(inv, "service", "default", Service("infra", "default"), "infra") == ["+service infra/default"]
    slice_ = EndpointSlice("infra", "default-1", "default")
    assert put(inv, "endpointslice", "default-1", slice_, "infra") == ["+endpointslice infra/default-1"]
    assert shown(inv.select(frozenset({"n"}), 2.0)) == ["+secret n/t", "+ingress n/web"]
    assert shown(inv.select(frozenset(), 3.0)) == ["-ingress n/web", "-secret n/t"]
    assert put(inv, "ingress", "web", None) == []


def test_a_secret_that_turns_bad_keeps_its_pair() -> None:
    inv = inventory()
    put(inv, "ingressclass", "nginx", CLASS)
    put(inv, "ingress", "web", ingress("t"))
    values: list[Object | None] = []
    for content in (b"good", b"bad"):
        (wanted,) = inv.apply(Change(key("secret", "t"), secret("t", content), 1.0))
        values.append(wanted.value)
    assert values == [Secret("n", "t", tls=PAIR), Secret("n", "t", tls=PAIR, problem="bad")]
    assert [found.problem for found in inv.problems()] == ["bad"]


def test_after_a_restart_the_last_good_pair_comes_from_the_bus() -> None:
    inv = inventory()
    put(inv, "ingressclass", "nginx", CLASS)
    put(inv, "ingress", "web", ingress("t"))
    put(inv, "secret", "t", secret("t", b"bad"))
    stored = Secret("n", "t", tls=PAIR)
    (wanted,) = inv.recover([stored, Secret("n", "unknown", tls=PAIR)])
    assert wanted.value == Secret("n", "t", tls=PAIR, problem="bad")
    assert inv.recover([stored]) == []
