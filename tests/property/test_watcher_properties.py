"""Whatever the order of events, the watcher ends where the last state of its source leads."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from proto.codec import decode, encode
from proto.digest import EMPTY, combine, entry_hash
from proto.objects import Ingress, IngressClass, IngressTLS, ObjectEnvelope, ObjectKey, Secret, Service, key_of
from proto.signing import ObjectAuthenticator
from services.watcher.inventory import Inventory
from services.watcher.observed import Change, RawSecret, Value
from services.watcher.outbox import Held, Outbox, Outgoing
from services.watcher.sources.folder.documents import key_of_value
from services.watcher.sources.folder.files import Folder

KEYS = ObjectAuthenticator([("k", bytes(32))])


# --- files: the result depends on what stands there, not on the way there -------------------------------------------

names = st.sampled_from(["a", "b", "c"])
files = st.sampled_from(["1.yaml", "2.yaml", "3.yaml"])
contents = st.lists(st.tuples(names, st.integers(1, 3)), max_size=3)
edits = st.lists(st.tuples(files, st.none() | contents), max_size=12)


def text(content: list[tuple[str, int]]) -> bytes:
    return "---\n".join(
        f"apiVersion: v1\nkind: Service\nmetadata: {{name: {name}}}\nspec: {{ports: [{{port: {port}}}]}}\n"
        for name, port in content
    ).encode()


def follow(folder: Folder, known: dict[ObjectKey, Value]) -> None:
    changed, _ = folder.changes()
    for key, value in changed:
        assert known.get(key) != value, "told although nothing changed"
        if value is None:
            del known[key]
        else:
            known[key] = value


@given(edits)
@settings(deadline=None)
def test_files_in_any_order(history: list[tuple[str, list[tuple[str, int]] | None]]) -> None:
    folder, known = Folder(), dict[ObjectKey, Value]()
    for file, content in history:
        if content is None:
            folder.drop(file)
        else:
            folder.put(file, text(content))
        follow(folder, known)
    fresh, expected = Folder(), dict[ObjectKey, Value]()
    for file, content in sorted(dict(history).items(), reverse=True):
        if content is not None:
            fresh.put(file, text(content))
    follow(fresh, expected)
    assert known == expected


# --- inventory: what leaves depends on what is there ----------------------------------------------------------------


class Rules:
    ingress_class = "nginx"
    controller_class = "c"
    ingress_class_by_name = False
    watch_ingress_without_class = False


def seal(raw: RawSecret, previous: object) -> Secret:
    return Secret(raw.namespace, raw.name)


def inventory() -> Inventory:
    return Inventory(seal, classes=Rules(), pinned=frozenset(), controller_map=None, by_namespace=True)


values = st.one_of(
    st.builds(
        Ingress,
        namespace=st.sampled_from("mn"),
        name=names,
        class_name=st.sampled_from(["nginx", "other"]),
        tls=st.lists(st.builds(IngressTLS, secret=names), max_size=2).map(tuple),
    ),
    st.builds(RawSecret, namespace=st.sampled_from("mn"), name=names, type=st.just(""), data=st.just({})),
    st.builds(IngressClass, name=st.sampled_from(["nginx", "other"]), controller=st.sampled_from("cd")),
    st.builds(Service, namespace=st.sampled_from("mn"), name=names, type=st.sampled_from(["A", "B"])),
)
steps = st.lists(
    st.one_of(st.tuples(values, st.booleans()), st.sampled_from([frozenset(), frozenset("m"), frozenset("mn")])),
    max_size=25,
)


@given(steps)
@settings(deadline=None)
def test_objects_and_namespaces_in_any_order(history: list[tuple[Value, bool] | frozenset[str]]) -> None:
    inv, bus = inventory(), dict[ObjectKey, object]()
    state, selected = dict[ObjectKey, Value](), frozenset[str]()
    for step in history:
        if isinstance(step, frozenset):
            selected = step
            wanted = inv.select(step, 0.0)
        else:
            value, there = step
            key = key_of_value(value)
            state.pop(key, None)
            if there:
                state[key] = value
            wanted = inv.apply(Change(key, value if there else None, 0.0))
        for item in wanted:
            bus[item.key] = item.value
    fresh, expected = inventory(), dict[ObjectKey, object]()
    for item in fresh.select(selected, 0.0):
        expected[item.key] = item.value
    for key in sorted(state, reverse=True):
        for item in fresh.apply(Change(key, state[key], 0.0)):
            expected[item.key] = item.value
    assert {k: v for k, v in bus.items() if v is not None} == {k: v for k, v in expected.items() if v is not None}


# --- outbox: whatever fails, the stream ends up holding what is wanted ----------------------------------------------

wants = st.tuples(st.just("want"), names, st.sampled_from(["", "A", "B"]))
sends = st.tuples(st.just("send"), st.sampled_from(["stored", "lost", "stored unheard"]), st.integers(1, 3))
reads = st.tuples(st.just("read"), st.just(""), st.just(""))


@given(st.lists(st.one_of(wants, sends, reads), max_size=40))
@settings(deadline=None)
def test_a_bus_that_loses_messages_and_acknowledgements(history: list[tuple[str, str, object]]) -> None:
    box = Outbox("limen", KEYS)
    box.adopt([], 0, 0.0)
    stream: dict[ObjectKey, Held] = {}
    wanted: dict[str, str] = {}
    last = 0

    def store(outgoing: Outgoing) -> int:
        nonlocal last
        last += 1
        stream[outgoing.key] = Held(last, outgoing.data)
        return last

    for what, first, second in history:
        if what == "want":
            wanted[first] = str(second)
            value = Service("n", first, str(second)) if second else None
            box.want(ObjectKey("service", "n", first), value, 0.0)
        elif what == "send":
            for outgoing in box.take(int(str(second)), 0.0):
                if first == "stored":
                    box.stored(outgoing, store(outgoing))
                else:
                    if first == "stored unheard":
                        store(outgoing)
                    box.failed(outgoing)
        else:
            box.adopt(stream.values(), last, 0.0)
    while batch := box.take(10, 0.0):
        for outgoing in batch:
            box.stored(outgoing, store(outgoing))
    assert box.idle
    live = {}
    for held in stream.values():
        _, body, _ = decode(held.data, tuple[int, bytes, bytes])
        envelope = decode(body, ObjectEnvelope)
        if envelope.object:
            live[envelope.key] = decode(envelope.object, Service)
    assert {key.name: value.type for key, value in live.items()} == {k: v for k, v in wanted.items() if v}
    digest = EMPTY
    for value in live.values():
        key = key_of(value)
        digest = combine(digest, added=entry_hash(key.kind, f"{key.namespace}/{key.name}", encode(value)))
    assert box.digest == digest
