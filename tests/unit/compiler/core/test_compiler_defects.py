"""The compile as a whole: what survives a defect of the compiler, and objects that are meant to bring one about."""

from __future__ import annotations

import time

import pytest

from proto.handshakes import ClientCertificates, Handshake
from proto.resources import ResourceKey
from services.compiler.core import claims, hostset, routes, upstreamset
from services.compiler.core.compiler import InconsistentTableError
from tests.support.compilers import OTHER, WEB, codes, compiler_with, host, put, remove, touched, upstream
from tests.support.objects import endpoints, ingress, path, rule, service


class TestDefects:
    """An object that makes the compiler fail is set aside; everything else goes on."""

    def test_poison_while_reading(self, monkeypatch: pytest.MonkeyPatch) -> None:
        compiler = compiler_with(WEB, OTHER)
        compiler.compile()
        monkeypatch.setattr(claims._Reader, "inspect", _fail_on("poison"))
        poison = ingress("web", rule("poison.test", path("/", "web:80")))
        put(compiler, poison, ingress("other", rule("new.test", path("/", "other:80"))))
        compiled = compiler.compile()
        assert touched(compiled) == ["virtualhost new.test", "- virtualhost other.test"]
        assert codes(compiler, poison)[0] == "internal-error"
        assert compiled.rejected[0].keeps_last_good

    def test_poison_in_a_shared_host(self, monkeypatch: pytest.MonkeyPatch) -> None:
        good = ingress("good", rule("shared.test", path("/good", "web:80")))
        before = ingress("sick", rule("shared.test", path("/before", "web:80")))
        compiler = compiler_with(good, before)
        compiler.compile()
        real = hostset.compile_host

        def fails(name, entries, *rest):  # type: ignore[no-untyped-def]
            if any(path_.path == "/poison" for entry in entries for path_ in entry.hosts[name].paths):
                raise RuntimeError("poison")
            return real(name, entries, *rest)

        monkeypatch.setattr(hostset, "compile_host", fails)
        poison = ingress("sick", rule("shared.test", path("/poison", "web:80")))
        put(compiler, poison)
        compiled = compiler.compile()
        assert compiled.accepted == ()
        assert touched(compiled) == []
        assert "internal-error" in codes(compiler, poison)
        put(compiler, ingress("third", rule("shared.test", path("/third", "web:80"))))
        compiler.compile()
        assert {route.path for route in host(compiler, "shared.test").routes} == {"/", "/good", "/before", "/third"}
        monkeypatch.setattr(hostset, "compile_host", real)
        put(compiler, ingress("sick", rule("shared.test", path("/cured", "web:80"))))
        assert compiler.compile().accepted[0].rules[0].paths[0].path == "/cured"
        assert "internal-error" not in codes(compiler, poison)

    def test_endpoints_of_what_cannot_be_compiled_are_followed(self, monkeypatch: pytest.MonkeyPatch) -> None:
        compiler = compiler_with(WEB, OTHER, service("web"), endpoints("web", "10.0.0.1"))
        compiler.compile()

        def fails(name, *rest):  # type: ignore[no-untyped-def]
            if name == "web.test":
                raise RuntimeError("poison")
            return real(name, *rest)

        real = hostset.compile_host
        monkeypatch.setattr(hostset, "compile_host", fails)
        put(compiler, ingress("web", rule("web.test", path("/", "web:80"), path("/more", "web:80"))))
        compiler.compile()
        assert compiler.broken == {"shop/web"}
        put(compiler, endpoints("web", "10.0.0.2"))
        assert touched(compiler.compile()) == ["upstream shop/web:80"]
        assert [endpoint.address for endpoint in upstream(compiler, "shop/web:80").endpoints] == ["10.0.0.2"]

    def test_a_host_of_which_nothing_is_left_is_closed(self, monkeypatch: pytest.MonkeyPatch) -> None:
        sick = ingress("sick", rule("sick.shared.test", path("/", "web:80")))
        wildcard = ingress("wildcard", rule("*.shared.test", path("/", "web:80")))
        real = hostset.compile_host

        def fails(name, *rest):  # type: ignore[no-untyped-def]
            if name == "sick.shared.test":
                raise RuntimeError("poison")
            return real(name, *rest)

        monkeypatch.setattr(hostset, "compile_host", fails)
        compiler = compiler_with(sick, wildcard)
        compiler.compile()
        assert host(compiler, "sick.shared.test").denied
        assert not host(compiler, "*.shared.test").denied

    def test_a_service_that_fails(self, monkeypatch: pytest.MonkeyPatch) -> None:
        compiler = compiler_with(WEB, OTHER, service("web"), service("other"), endpoints("other", "10.0.0.1"))
        real = upstreamset.compile_upstream

        def fails(port, found, *rest, **options):  # type: ignore[no-untyped-def]
            if found is not None and found.name == "web":
                raise RuntimeError("poison")
            return real(port, found, *rest, **options)

        monkeypatch.setattr(upstreamset, "compile_upstream", fails)
        compiler.compile()
        assert codes(compiler, WEB) == ["service-internal-error"]
        assert len(upstream(compiler, "shop/other:80").endpoints) == 1

    def test_a_dangling_reference_is_not_published(self, monkeypatch: pytest.MonkeyPatch) -> None:
        compiler = compiler_with(WEB, service("web"))
        monkeypatch.setattr(upstreamset.UpstreamSet, "compile", lambda self: None)
        with pytest.raises(InconsistentTableError, match=r"virtualhost web\.test refers to upstream shop/web:80"):
            compiler.compile()
        put(compiler, OTHER)
        remove(compiler, OTHER)
        with pytest.raises(InconsistentTableError):
            compiler.compile()
        monkeypatch.undo()
        compiler.compile()
        assert ResourceKey("upstream", "shop/web:80") in compiler.table


def _fail_on(word: str):  # type: ignore[no-untyped-def]
    real = claims._Reader.inspect

    def inspect(self: claims._Reader) -> None:
        if any(word in rule_.host for rule_ in self._ingress.rules):
            raise RuntimeError(word)
        real(self)

    return inspect


class TestHostileIngresses:
    @pytest.mark.parametrize("text", ["/alias" + " " * 400_000, "/" + "alias" * 80_000, "/" + "root " * 80_000])
    def test_a_long_path_is_inspected_in_linear_time(self, text: str) -> None:
        began = time.process_time()
        compiler = compiler_with(ingress("long", rule("long.test", path(text, "web:80", "ImplementationSpecific"))))
        compiler.compile()
        assert time.process_time() - began < 2
        assert host(compiler, "long.test").routes[0].path == text
        put(compiler, ingress("worse", rule("worse.test", path(text + ";", "web:80", "ImplementationSpecific"))))
        compiler.compile()
        assert ResourceKey("virtualhost", "worse.test") not in compiler.table

    def test_paths_too_long_for_patterns_are_not_remembered(self) -> None:
        before = routes._pattern_problem.cache_info().currsize
        long = ingress(
            "long", rule("long.test", path("/" + "a" * 10_000, "web:80"), path("/b", "web:80")), use_regex="1"
        )
        compiler = compiler_with(long)
        compiler.compile()
        assert "path-pattern-invalid" in codes(compiler, long)
        assert routes._pattern_problem.cache_info().currsize <= before + 2

    def test_client_certificates_close_the_catch_all_too(self) -> None:
        compiler = compiler_with(ingress("all", default="web:80", auth_tls_secret="shop/ca"), service("web"))
        compiler.compile()
        assert host(compiler, "").handshake == Handshake(client=ClientCertificates(authority=""))
