"""How an Upstream's endpoints take turns is what the oldest Ingress says that names it, whatever came first."""

from __future__ import annotations

from proto.objects import Ingress, Object
from proto.policies import Balancing, Canary
from services.compiler.core.compiler import Compiler
from services.compiler.core.options import CompileOptions
from tests.support.compilers import compiler_with, host, put, remove, upstream
from tests.support.objects import NGINX, endpoints, ingress, path, rule, service

STANDING: tuple[Object, ...] = (NGINX, service("web"), endpoints("web", "10.0.0.1"), service("next"))


def named(name: str, created: int, **annotations: str) -> Ingress:
    return ingress(name, rule(f"{name}.test", path("/", "web:80")), created=created, **annotations)


def said(compiler: Compiler) -> Balancing | None:
    compiler.compile()
    return upstream(compiler, "shop/web:80").balancing


def test_the_oldest_speaks_for_all() -> None:
    old = named("old", 100, load_balance="ewma")
    new = named("new", 200, upstream_hash_by="$host")
    compiler = compiler_with(*STANDING, new)
    assert said(compiler) == Balancing(hash_by="$host")
    put(compiler, old)
    assert said(compiler) == Balancing("ewma")
    put(compiler, named("old", 100))
    assert said(compiler) is None
    remove(compiler, old)
    assert said(compiler) == Balancing(hash_by="$host")
    remove(compiler, new)
    put(compiler, named("other", 300))
    assert said(compiler) is None


def test_a_hash_goes_before_the_rest_and_a_group_is_one_at_least() -> None:
    compiler = compiler_with(*STANDING, named("a", 1, load_balance="ewma", upstream_hash_by="$uri"))
    assert said(compiler) == Balancing(hash_by="$uri")
    put(compiler, named("a", 1, upstream_hash_by="$uri", upstream_hash_by_subset="true"))
    assert said(compiler) == Balancing(hash_by="$uri", group=3)
    put(
        compiler,
        named("a", 1, upstream_hash_by="$uri", upstream_hash_by_subset="true", upstream_hash_by_subset_size="-1"),
    )
    assert said(compiler) == Balancing(hash_by="$uri", group=1)
    put(
        compiler,
        named("a", 1, upstream_hash_by="$uri", upstream_hash_by_subset="true", upstream_hash_by_subset_size="0"),
    )
    assert said(compiler) == Balancing(hash_by="$uri", group=3)


def canaries(compiler: Compiler) -> list[str]:
    """The canaries of ``main.test``, as of now."""
    compiler.compile()
    found = host(compiler, "main.test")
    return [policy.upstream for route in found.routes for policy in route.policies if isinstance(policy, Canary)]


def test_a_canary_comes_and_goes_with_either_ingress() -> None:
    main = ingress("main", rule("main.test", path("/", "web:80")), created=100)
    canary = ingress("canary", rule("main.test", path("/", "next:80")), created=50, canary="true", canary_weight="5")
    compiler = compiler_with(*STANDING, canary)
    compiler.compile()
    assert [found.code for found in compiler.diagnostics[next(iter(compiler.diagnostics))]] == ["canary-without-effect"]
    put(compiler, main)
    assert canaries(compiler) == ["shop/next:80"]
    assert compiler.diagnostics == {}
    remove(compiler, canary)
    assert canaries(compiler) == []
    put(compiler, canary)
    assert canaries(compiler) == ["shop/next:80"]
    remove(compiler, main)
    compiler.compile()
    assert compiler.route_count() == 0
    full = compiler_with(*STANDING, canary, options=CompileOptions())
    full.compile()
    assert full.digest == compiler.digest
