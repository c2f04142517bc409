"""Manifest text: what is read, and how each mistake is named."""

from __future__ import annotations

import pytest

from proto.objects import ConfigMap, Ingress, ObjectKey, Service
from services.watcher.sources.folder.documents import Document, pieces_of, read_json, read_yaml

SERVICE = "apiVersion: v1\nkind: Service\nmetadata: {name: s}\n"


def test_documents_are_split_where_yaml_says() -> None:
    text = f"# head\n---\n{SERVICE}--- # next\n\n...\n---\n{SERVICE}data: |\n  --- not here\n---\n"
    pieces = pieces_of(text)
    assert [piece.first_line for piece in pieces] == [2, 9]
    assert "--- not here" in pieces[1].text


@pytest.mark.parametrize("text", ["", "\n\n", "# only a comment\n", "---\n---\n# x\n---", "%YAML 1.1\n---\n...\n"])
def test_nothing_is_nothing(text: str) -> None:
    assert [read_yaml(piece.text) for piece in pieces_of(text)] in ([], [Document()])


def test_a_list_gives_its_items_and_a_typed_list_their_kind() -> None:
    found = read_yaml(
        "apiVersion: v1\nkind: List\nitems:\n"
        "- apiVersion: v1\n  kind: ServiceList\n  items:\n  - metadata: {name: a}\n  - metadata: {name: b}\n"
        "- apiVersion: v1\n  kind: ConfigMap\n  metadata: {name: c, namespace: n}\n  data: {k: v}\n"
    )
    assert [each.value for each in found.found] == [
        Service("default", "a"),
        Service("default", "b"),
        ConfigMap("n", "c", {"k": "v"}),
    ]


def test_kinds_that_mean_nothing_here_are_a_note() -> None:
    (mistake,) = read_yaml("apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: d}\n").mistakes
    assert mistake.note
    assert "Deployment" in mistake.reason


def test_scalars_are_those_of_kubectl() -> None:
    (found,) = read_yaml(
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: c}\n"
        "data: {time: 2024-01-01, sixty: 12:30:45, equals: =, empty: , quoted: '08'}\n"
    ).found
    assert isinstance(found.value, ConfigMap)
    assert found.value.data == {
        "time": "2024-01-01",
        "sixty": "12:30:45",
        "equals": "=",
        "empty": "",
        "quoted": "08",
    }


def test_keys_are_text_as_kubectl_makes_them() -> None:
    (found,) = read_yaml(
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: tcp-services}\n"
        "data: {9000: 'shop/queue:amqp', 0x50: a, true: b, 1.5: c, 2.0: d, 'x': e}\n"
    ).found
    assert isinstance(found.value, ConfigMap)
    assert found.value.data == {"9000": "shop/queue:amqp", "80": "a", "true": "b", "1.5": "c", "2": "d", "x": "e"}


INGRESS = "apiVersion: networking.k8s.io/v1\nkind: Ingress\nmetadata:\n  name: web\n"


@pytest.mark.parametrize(
    ("text", "line", "reason", "key"),
    [
        ("just text\n", 1, "not a Kubernetes object but text", None),
        ("- 1\n", 1, "not a Kubernetes object but a list", None),
        ("metadata: {name: x}\n", 1, "no kind", None),
        ("# c\n\napiVersion: v1\nkind: Service\nmetadata: {}\n", 5, "Service without metadata.name", None),
        ("apiVersion: v1\nkind: Service\nmetadata:\n  name: on\n", 4, "metadata.name is a truth value", None),
        ("apiVersion: v2\nkind: Service\nmetadata: {name: s}\n", 1, "apiVersion 'v2' is not known (known: v1)", None),
        ("a: [1\nb: 2\n", 2, "not YAML", None),
        ("a: \x01\n", 1, "not YAML", None),
        (
            INGRESS + "  annotations:\n    a: 'x'\n    nginx.ingress.kubernetes.io/use-regex: true\n",
            7,
            "metadata.annotations[nginx.ingress.kubernetes.io/use-regex]: "
            "expected `text | null`, got `bool`: put the value in quotes",
            ObjectKey("ingress", "default", "web"),
        ),
        (
            INGRESS + "  annotations:\n    a: null\n    b: 4\n    c: x\n    d: true\n",
            7,
            "metadata.annotations[b]: expected `text | null`, got `int`: put the value in quotes, and those of d",
            ObjectKey("ingress", "default", "web"),
        ),
        (
            "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: c}\ndata:\n  ~: x\n",
            4,
            "data: a key that is no text",
            None,
        ),
        (
            "apiVersion: v1\nkind: Service\nmetadata: {name: s}\nspec: {ports: [{port: '80'}]}\n",
            4,
            "spec.ports[0].port: expected `int | null`, got `text`: write the number without quotes",
            ObjectKey("service", "default", "s"),
        ),
        ("{{- if .Values.on }}\nkind: Ingress\n{{- end }}\n", 1, "a template, which `helm template` makes", None),
        ('kind: Ingress\nmetadata:\n  name: {{ include "x" . }}\n', 3, "a template, which `helm template`", None),
        (
            INGRESS + "spec:\n  rules:\n  - host: a\n  - host: b\n    http: {paths: [{path: 5}]}\n",
            9,
            "spec.rules[1].http.paths[0].path",
            ObjectKey("ingress", "default", "web"),
        ),
        (
            INGRESS + "spec:\n  rules:\n  - http:\n      paths:\n      - backend:\n          serviceName: s\n",
            10,
            "serviceName is called service.name",
            ObjectKey("ingress", "default", "web"),
        ),
        (
            INGRESS + "spec:\n  backend: {serviceName: s, servicePort: 80}\n",
            6,
            "spec.backend is called spec.defaultBackend in v1",
            ObjectKey("ingress", "default", "web"),
        ),
        (
            "apiVersion: v1\nkind: Secret\nmetadata: {name: s}\ndata: {tls.key: '%%%'}\n",
            1,
            "data[tls.key]: not base64",
            ObjectKey("secret", "default", "s"),
        ),
        (
            "apiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\nmetadata: {name: s-1}\nendpoints: []\n",
            1,
            "without the label kubernetes.io/service-name",
            None,
        ),
        ("a: " + "*x " * 3 + "\n", 1, "not YAML", None),
        ("apiVersion: [v1]\nkind: Service\nmetadata: {name: s}\n", 1, "apiVersion ['v1'] is not known", None),
        (
            "apiVersion: v1\nkind: Service\nmetadata: {name: s}\nspec: {ports: [{port: 99999999999999999999}]}\n",
            1,
            "a number in it is too large",
            ObjectKey("service", "default", "s"),
        ),
        (
            "apiVersion: extensions/v1beta1\nkind: Ingress\nmetadata: {name: web}\n"
            f"spec: {{backend: {{serviceName: s, servicePort: '{'1' * 5000}'}}}}\n",
            1,
            "Exceeds the limit",
            ObjectKey("ingress", "default", "web"),
        ),
    ],
)
def test_mistakes_are_named(text: str, line: int, reason: str, key: ObjectKey | None) -> None:
    document = read_yaml(text)
    assert document.found == ()
    (mistake,) = document.mistakes
    assert reason in mistake.reason
    assert mistake.line == line
    assert not mistake.note
    if key is not None:
        assert mistake.key == key


def test_nested_aliases_are_refused_before_they_grow() -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 30)]
    (mistake,) = read_yaml("\n".join(lines)).mistakes
    assert "aliases" in mistake.reason


def test_a_bad_item_of_a_list_spoils_no_other() -> None:
    document = read_yaml(
        "apiVersion: v1\nkind: List\nitems:\n"
        "- {apiVersion: v1, kind: Service, metadata: {name: a}}\n"
        "- {apiVersion: v1, kind: Service, metadata: {name: 7}}\n"
        "- {apiVersion: v1, kind: Service, metadata: {name: c}}\n"
    )
    assert [each.key.name for each in document.found] == ["a", "c"]
    assert [mistake.line for mistake in document.mistakes] == [5]


def test_json_is_read_too() -> None:
    found = read_json(b'{"apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "metadata": {"name": "w"}}').found
    assert [each.value for each in found] == [Ingress("default", "w")]


@pytest.mark.parametrize(
    ("data", "line", "reason"),
    [
        (b'{"kind": "Service",\n\n "metadata" }', 3, "malformed"),
        (b'{"a": "\xff"}', 1, ""),
        (b'{"kind": "Service", "apiVersion": "v1",\n "metadata": {"name": 5}}', 2, "metadata.name is a number"),
    ],
)
def test_mistakes_in_json_are_named(data: bytes, line: int, reason: str) -> None:
    (mistake,) = read_json(data).mistakes
    assert reason in mistake.reason
    assert mistake.line == line
