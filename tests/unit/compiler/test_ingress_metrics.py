"""What is told of single Ingresses under ingress-nginx's names."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, generate_latest

from proto.objects import Ingress, Object, key_of
from services.compiler.core.compiler import Compiler
from services.compiler.core.options import CompileOptions
from services.compiler.core.result import Orphan
from services.compiler.findings import FindingsBook
from services.compiler.ingress_metrics import IngressCollector
from tests.support.objects import NGINX, endpoints, ingress, path, rule, service


def compiler_of(*objects: Object) -> Compiler:
    compiler = Compiler(CompileOptions())
    for value in (NGINX, *objects):
        compiler.change(key_of(value), value)
    return compiler


def at(name: str, backend: str) -> Ingress:
    return ingress(name, rule(f"{name}.test", path("/", backend)))


def test_orphans_are_those_without_service_or_endpoints() -> None:
    objects = [service("a"), endpoints("a", "10.0.0.1"), service("b"), at("fine", "a:80"), at("empty", "b:80")]
    compiler = compiler_of(*objects, at("none", "c:80"))
    compiler.compile()
    namespace = at("fine", "a:80").namespace
    assert compiler.orphans() == {Orphan(namespace, "empty", "no-endpoint"), Orphan(namespace, "none", "no-service")}
    value = endpoints("b", "10.0.0.2")
    compiler.change(key_of(value), value)
    compiler.compile()
    assert compiler.orphans() == {Orphan(namespace, "none", "no-service")}


def test_checks_are_counted_for_ingresses_that_there_are() -> None:
    good, bad = at("good", "a:80"), at("bad", "a:80")
    bad = ingress("bad", rule("bad_host!", path("/", "a:80")))
    compiler = compiler_of(service("a"), endpoints("a", "10.0.0.1"), good, bad)
    gone: set[str] = set()
    book = FindingsBook(compiler, lambda key: "" if key.name in gone else "1")
    book.add(compiler.compile())
    assert book.checks() == {(good.namespace, "bad"): (0, 1), (good.namespace, "good"): (1, 0)}
    registry = CollectorRegistry()
    registry.register(IngressCollector({"controller_pod": "p"}, compiler.orphans, book.checks))
    text = generate_latest(registry).decode()
    labels = f'{{controller_pod="p",ingress="bad",namespace="{good.namespace}"}}'
    assert f"nginx_ingress_controller_check_errors{labels} 1.0" in text
    assert "nginx_ingress_controller_check_success{" in text
    gone.add("bad")
    assert set(book.checks()) == {(good.namespace, "good")}
