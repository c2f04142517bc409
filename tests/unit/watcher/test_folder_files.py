"""Files that come, change, break and go; and two that say the same."""

from __future__ import annotations

from proto.objects import Ingress, ObjectKey, Service
from services.watcher.sources.folder.files import MAX_FILE, Folder


def service(name: str, port: int = 80) -> str:
    return f"apiVersion: v1\nkind: Service\nmetadata: {{name: {name}}}\nspec: {{ports: [{{port: {port}}}]}}\n"


def key(name: str) -> ObjectKey:
    return ObjectKey("service", "default", name)


def ports(folder: Folder) -> dict[str, int | None]:
    """What changed: name → port, None: gone."""
    changed, _ = folder.changes()
    return {
        key.name: value.ports[0].port if isinstance(value, Service) and value.ports else None for key, value in changed
    }


def findings(folder: Folder) -> dict[str, list[str]]:
    _, found = folder.changes()
    return {file: [f"{each.code} {each.field}" for each in diagnostics] for file, diagnostics in found.items()}


def test_only_what_changed_is_told() -> None:
    folder = Folder()
    folder.put("a.yaml", f"{service('x')}---\n{service('y')}".encode())
    assert ports(folder) == {"x": 80, "y": 80}
    folder.put("a.yaml", f"{service('x')}---\n{service('y', 81)}".encode())
    assert ports(folder) == {"y": 81}
    folder.put("a.yaml", service("x").encode())
    assert ports(folder) == {"y": None}
    folder.drop("a.yaml")
    assert ports(folder) == {"x": None}
    assert folder.files == frozenset()


def test_a_broken_file_keeps_its_last_good_objects() -> None:
    folder = Folder()
    folder.put("a.yaml", f"{service('x')}---\n{service('y')}".encode())
    ports(folder)
    folder.put("a.yaml", f"{service('x', 81)}---\nkind: [unclosed\n".encode())
    assert ports(folder) == {"x": 81}  # the whole document counts, y stays as it was
    folder.put("a.yaml", b"\xff\xfe\x00")
    assert findings(folder) == {"a.yaml": ["manifest-invalid a.yaml document 1 line 1"]}
    folder.put("a.yaml", service("x", 82).encode())
    assert ports(folder) == {"x": 82, "y": None}
    assert findings(folder) == {}


def test_a_mistake_in_a_known_object_keeps_that_object_alone() -> None:
    folder = Folder()
    folder.put("a.yaml", f"{service('x')}---\n{service('y')}".encode())
    ports(folder)
    folder.put("a.yaml", service("x").replace("80", "'http'").encode())
    changed, found = folder.changes()
    assert changed == [(key("y"), None)]
    (finding,) = found["a.yaml"]
    assert finding.object == key("x")
    assert finding.field == "a.yaml document 1 line 4"


def test_a_file_that_was_never_good_gives_nothing() -> None:
    folder = Folder()
    folder.put("a.yaml", b"kind: [")
    assert folder.changes()[0] == []


def test_lines_count_within_the_file() -> None:
    folder = Folder()
    folder.put("a.yaml", f"{service('x')}---\n# c\n{service('y').replace('80', 'web')}".encode())
    assert findings(folder) == {"a.yaml": ["manifest-invalid a.yaml document 2 line 10"]}


def test_the_first_file_by_path_wins_and_the_other_is_named() -> None:
    folder = Folder()
    folder.put("b.yaml", service("x", 81).encode())
    assert ports(folder) == {"x": 81}
    folder.put("a.yaml", service("x", 80).encode())
    changed, found = folder.changes()
    assert [value.ports[0].port for _, value in changed if isinstance(value, Service)] == [80]
    (finding,) = found["b.yaml"]
    assert finding.code == "manifest-duplicate"
    assert "a.yaml document 1 line 1" in finding.message
    folder.drop("a.yaml")
    changed, found = folder.changes()
    assert [value.ports[0].port for _, value in changed if isinstance(value, Service)] == [81]
    assert found == {"a.yaml": (), "b.yaml": ()}


def test_a_file_that_moved_is_no_second_one() -> None:
    folder = Folder()
    folder.put("b.yaml", service("x", 81).encode())
    ports(folder)
    folder.put("c.yaml", service("x", 82).encode())
    changed, found = folder.changes(away={"b.yaml"})
    assert [value.ports[0].port for _, value in changed if isinstance(value, Service)] == [82]
    assert found == {"b.yaml": (), "c.yaml": ()}
    folder.drop("b.yaml")
    assert folder.changes() == ([], {"b.yaml": (), "c.yaml": ()})


def test_a_file_that_came_back_counts_again() -> None:
    folder = Folder()
    folder.put("b.yaml", service("x", 81).encode())
    folder.put("c.yaml", service("x", 82).encode())
    folder.changes(away={"b.yaml"})
    folder.put("b.yaml", service("x", 81).encode())
    changed, found = folder.changes()
    assert [value.ports[0].port for _, value in changed if isinstance(value, Service)] == [81]
    assert [each.code for each in found["c.yaml"]] == ["manifest-duplicate"]


def test_within_a_file_the_first_document_wins() -> None:
    folder = Folder()
    folder.put("a.yaml", f"{service('x', 80)}---\n{service('x', 81)}".encode())
    changed, found = folder.changes()
    assert [value.ports[0].port for _, value in changed if isinstance(value, Service)] == [80]
    assert [each.field for each in found["a.yaml"]] == ["a.yaml document 2 line 6"]


def test_a_file_that_cannot_be_read_keeps_its_objects() -> None:
    folder = Folder()
    folder.put("a.yaml", service("x").encode())
    ports(folder)
    folder.fail("a.yaml", "Permission denied")
    changed, found = folder.changes()
    assert changed == []
    assert "Permission denied" in found["a.yaml"][0].message


def test_a_file_beyond_all_measure_is_not_parsed() -> None:
    folder = Folder()
    folder.put("a.yaml", bytes(MAX_FILE + 1))
    assert findings(folder) == {"a.yaml": ["manifest-invalid a.yaml document 1 line 1"]}


def ingress_class(name: str, *, default: bool) -> str:
    return (
        f"apiVersion: networking.k8s.io/v1\nkind: IngressClass\nmetadata:\n  name: {name}\n"
        f'  annotations: {{ingressclass.kubernetes.io/is-default-class: "{str(default).lower()}"}}\n'
        "spec: {controller: k8s.io/ingress-nginx}\n"
    )


def ingress(name: str, more: str = "") -> str:
    rules = "rules: [{host: a.example.com}]"
    head = f"apiVersion: networking.k8s.io/v1\nkind: Ingress\nmetadata: {{name: {name}"
    return f"{head}}}\nspec: {{{more}{rules}}}\n"


def classes_of(folder: Folder) -> dict[str, str | None]:
    """Changed Ingresses and their class."""
    changed, _ = folder.changes()
    return {key.name: value.class_name for key, value in changed if isinstance(value, Ingress)}


def test_the_default_class_is_that_of_ingresses_without_one() -> None:
    """An API server gives it to them; a folder has to do that itself."""
    folder = Folder()
    folder.put("a.yaml", f"{ingress('bare')}---\n{ingress('own', 'ingressClassName: other, ')}".encode())
    assert classes_of(folder) == {"bare": None, "own": "other"}
    folder.put("class.yaml", ingress_class("nginx", default=True).encode())
    assert classes_of(folder) == {"bare": "nginx"}
    folder.put("second.yaml", ingress_class("second", default=True).encode())
    assert classes_of(folder) == {"bare": None}, "two defaults make none"
    folder.put("second.yaml", ingress_class("second", default=False).encode())
    assert classes_of(folder) == {"bare": "nginx"}
    folder.put("a.yaml", ingress("bare", "ingressClassName: own, ").encode())
    assert classes_of(folder) == {"bare": "own"}
