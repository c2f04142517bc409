"""The compile as a whole: what a change touches, what is accepted, what a removal costs."""

from __future__ import annotations

import msgspec

from proto.codec import decode_resource
from proto.digest import EMPTY, combine, entry_hash
from proto.objects import IngressClass, IngressTLS, Object, ObjectKey, ServicePort, key_of
from proto.resources import Forward, Settings
from services.compiler.core.compiler import Compiler
from services.compiler.core.options import CompileOptions
from services.compiler.core.result import Compiled
from services.contract.annotations.entry import PREFIX
from tests.support.compilers import OTHER, WEB, codes, compiler_with, host, put, remove, touched, upstream
from tests.support.objects import NGINX, configmap, endpoints, ingress, path, rule, secret, service


class TestWhatAChangeTouches:
    def test_an_endpoint_touches_only_its_upstream(self) -> None:
        compiler = compiler_with(WEB, OTHER, service("web"), endpoints("web", "10.0.0.1"))
        compiler.compile()
        put(compiler, endpoints("web", "10.0.0.2"))
        assert touched(compiler.compile()) == ["upstream shop/web:80"]

    def test_an_ingress_touches_only_its_hosts(self) -> None:
        compiler = compiler_with(WEB, OTHER, service("web"), service("other"))
        compiler.compile()
        put(compiler, ingress("web", rule("web.test", path("/new", "web:80"))))
        assert touched(compiler.compile()) == ["virtualhost web.test"]

    def test_a_name_that_is_wanted_for_two_reasons_goes_once(self) -> None:
        """``www.`` of a host as an alias and as what is redirected there."""
        annotations = {PREFIX + "server-alias": "www.web.test", PREFIX + "from-to-www-redirect": "true"}
        both = msgspec.structs.replace(WEB, annotations=annotations)
        compiler = compiler_with(both)
        compiler.compile()
        remove(compiler, both)
        compiler.compile()
        assert not [record for record in compiler.records() if record.kind != "settings"]

    def test_what_nobody_refers_to_is_no_change(self) -> None:
        compiler = compiler_with(WEB, service("web"))
        compiler.compile()
        assert not compiler.change(*_pair(service("unused")))
        assert not compiler.change(*_pair(endpoints("unused", "10.0.0.1")))
        assert not compiler.change(*_pair(secret("unused", "x.test")))
        assert not compiler.change(*_pair(configmap("unused")))
        assert not compiler.change(*_pair(service("web")))
        assert not compiler.change(ObjectKey("ingress", "shop", "never"), None)
        assert touched(compiler.compile()) == []

    def test_the_same_again_is_no_change(self) -> None:
        compiler = compiler_with(WEB, service("web"))
        first = compiler.compile()
        digest = compiler.digest
        assert touched(first) == ["settings global", "upstream shop/web:80", "virtualhost web.test"]
        remove(compiler, WEB)
        put(compiler, WEB)
        assert compiler.compile() == Compiled(counts=first.counts)
        assert compiler.digest == digest

    def test_the_digest_is_that_of_the_table(self) -> None:
        compiler = compiler_with(WEB, OTHER, service("web"), endpoints("web", "10.0.0.1"))
        compiler.compile()
        remove(compiler, OTHER)
        compiler.compile()
        added = sum(entry_hash(key.kind, key.name, body) for key, body in compiler.table.items())
        assert compiler.digest == combine(EMPTY, added=added)

    def test_an_upstream_goes_with_its_last_route(self) -> None:
        second = ingress("second", rule("second.test", path("/", "web:80")))
        compiler = compiler_with(WEB, second, service("web"))
        compiler.compile()
        remove(compiler, WEB)
        assert touched(compiler.compile()) == ["- virtualhost web.test"]
        remove(compiler, second)
        assert touched(compiler.compile()) == ["- upstream shop/web:80", "- virtualhost second.test"]

    def test_a_slice_that_moves_to_another_service_touches_both(self) -> None:
        compiler = compiler_with(WEB, OTHER, service("web"), service("other"), endpoints("web", "10.0.0.1", name="s"))
        compiler.compile()
        put(compiler, endpoints("other", "10.0.0.1", name="s"))
        assert touched(compiler.compile()) == ["upstream shop/other:80", "upstream shop/web:80"]
        assert not upstream(compiler, "shop/web:80").endpoints

    def test_a_wildcard_that_gains_tls_touches_its_children(self) -> None:
        child = ingress("child", rule("a.web.test", path("/", "web:80")))
        parent = ingress("parent", rule("*.web.test", path("/", "web:80")))
        compiler = compiler_with(child, parent, service("web"), secret("cert", "*.web.test"))
        compiler.compile()
        put(compiler, msgspec.structs.replace(parent, tls=(IngressTLS(("*.web.test",), "cert"),)))
        assert touched(compiler.compile()) == [
            "certificate shop/cert",
            "virtualhost *.web.test",
            "virtualhost a.web.test",
        ]
        assert host(compiler, "a.web.test").certificate == "shop/cert"

    def test_a_configmap_touches_settings_alone_unless_it_guards(self) -> None:
        options = CompileOptions(configmap="ingress-nginx/controller")
        compiler = compiler_with(WEB, service("web"), options=options)
        compiler.compile()
        put(compiler, configmap("controller", keep_alive="10"))
        assert touched(compiler.compile()) == ["settings global"]
        put(compiler, configmap("controller", keep_alive="10", whitelist_source_range="all"))
        assert touched(compiler.compile()) == ["virtualhost web.test", "- upstream shop/web:80"]
        put(compiler, configmap("controller", keep_alive="10"))
        assert touched(compiler.compile()) == ["upstream shop/web:80", "virtualhost web.test"]


def _pair(value: Object) -> tuple[ObjectKey, Object]:
    return key_of(value), value


class TestClassesAndFlags:
    def test_a_class_that_comes_after_its_ingress(self) -> None:
        compiler = Compiler(CompileOptions())
        put(compiler, WEB, service("web"))
        assert compiler.compile().served == ()
        assert codes(compiler, WEB) == ["class-not-found"]
        assert compiler.change(*_pair(NGINX))
        assert compiler.compile().served == ("shop/web",)
        assert codes(compiler, WEB) == []
        assert compiler.change(*_pair(IngressClass("nginx", "example.com/other")))
        assert compiler.compile().gone == ("shop/web",)

    def test_watch_namespace(self) -> None:
        elsewhere = ingress("web", rule("b.test", path("/", "web:80")), namespace="elsewhere")
        compiler = compiler_with(WEB, elsewhere, options=CompileOptions(watch_namespace="shop"))
        assert compiler.compile().served == ("shop/web",)

    def test_disable_catch_all(self) -> None:
        catch_all = ingress("any", default="web:80")
        compiler = compiler_with(catch_all, options=CompileOptions(disable_catch_all=True))
        compiler.compile()
        assert not compiler.served
        assert codes(compiler, catch_all) == ["catch-all-disabled"]

    def test_the_default_certificate(self) -> None:
        flag = CompileOptions(default_ssl_certificate="shop/default")
        compiler = compiler_with(options=flag)
        compiler.compile()
        key = ObjectKey("secret", "shop", "default")
        assert [found.code for found in compiler.diagnostics[key]] == ["default-certificate-unusable"]
        put(compiler, secret("default", "x.test"))
        assert touched(compiler.compile()) == ["certificate shop/default", "settings global"]
        assert not compiler.diagnostics
        remove(compiler, secret("default", "x.test"))
        assert touched(compiler.compile()) == ["settings global", "- certificate shop/default"]

    def test_the_default_backend_is_named_only_while_it_has_endpoints(self) -> None:
        compiler = compiler_with(service("fallback"), options=CompileOptions(default_backend_service="shop/fallback"))
        compiler.compile()
        assert _settings(compiler).default_upstream == ""
        put(compiler, endpoints("fallback", "10.0.0.1"))
        assert touched(compiler.compile()) == ["settings global", "upstream shop/fallback:"]
        assert _settings(compiler).default_upstream == "shop/fallback:"
        put(compiler, endpoints("fallback", "10.0.0.2"))
        assert touched(compiler.compile()) == ["upstream shop/fallback:"]
        put(compiler, endpoints("fallback"))
        assert touched(compiler.compile()) == ["settings global", "- upstream shop/fallback:"]

    def test_the_default_backend_by_its_first_port(self) -> None:
        ports = (ServicePort(9000, "metrics", "9000"), ServicePort(80, "http", "8080"))
        options = CompileOptions(default_backend_service="shop/fallback")
        compiler = compiler_with(service("fallback", *ports), endpoints("fallback", "10.0.0.1"), options=options)
        compiler.compile()
        assert [endpoint.port for endpoint in upstream(compiler, "shop/fallback:").endpoints] == [9000]


def _settings(compiler: Compiler) -> Settings:
    resource = decode_resource(next(record for record in compiler.records() if record.kind == "settings"))
    assert isinstance(resource, Settings)
    return resource


BAD = ingress("web", rule("web.test", path("/bad", "web:80", "Fuzzy")))


class TestAccepted:
    def test_a_good_version_is_accepted_once(self) -> None:
        compiler = compiler_with(WEB)
        assert compiler.compile().accepted == (WEB,)
        put(compiler, service("web"))
        assert compiler.compile().accepted == ()

    def test_a_bad_version_leaves_the_good_one_in_force(self) -> None:
        compiler = compiler_with(WEB)
        compiler.compile()
        put(compiler, BAD)
        compiled = compiler.compile()
        assert touched(compiled) == []
        assert (compiled.accepted, compiled.forgotten, compiled.gone) == ((), (), ())
        assert [(entry.ingress, entry.keeps_last_good) for entry in compiled.rejected] == [(BAD, True)]
        assert "path-type-unknown" in codes(compiler, WEB)

    def test_a_bad_new_ingress_is_not_there(self) -> None:
        compiler = compiler_with(BAD, OTHER)
        compiled = compiler.compile()
        assert compiled.served == ("shop/other",)
        assert [(entry.ingress, entry.keeps_last_good) for entry in compiled.rejected] == [(BAD, False)]

    def test_after_a_restart_the_accepted_version_is_in_force(self) -> None:
        compiler = Compiler(CompileOptions())
        compiler.set_accepted(WEB)
        put(compiler, NGINX, BAD)
        compiled = compiler.compile()
        assert compiled.served == ("shop/web",)
        assert host(compiler, "web.test").routes[0].match.value == "/"

    def test_a_deleted_ingress_is_forgotten(self) -> None:
        compiler = compiler_with(WEB)
        compiler.compile()
        remove(compiler, WEB)
        assert compiler.compile().forgotten == (("shop", "web"),)
        put(compiler, BAD)
        assert compiler.compile().served == ()

    def test_another_object_of_the_same_name_inherits_nothing(self) -> None:
        compiler = compiler_with(WEB)
        compiler.compile()
        put(compiler, msgspec.structs.replace(BAD, uid="another"))
        compiled = compiler.compile()
        assert compiled.forgotten == (("shop", "web"),)
        assert compiled.gone == ("shop/web",)

    def test_accepted_versions_of_what_is_gone_are_forgotten(self) -> None:
        compiler = Compiler(CompileOptions())
        compiler.set_accepted(WEB)
        assert compiler.compile().forgotten == (("shop", "web"),)

    def test_an_ingress_that_is_no_longer_ours_is_forgotten(self) -> None:
        compiler = compiler_with(WEB)
        compiler.compile()
        put(compiler, msgspec.structs.replace(WEB, class_name="other"))
        compiled = compiler.compile()
        assert compiled.forgotten == (("shop", "web"),)
        assert touched(compiled) == ["- upstream shop/web:80", "- virtualhost web.test"]

    def test_good_again(self) -> None:
        compiler = compiler_with(WEB)
        compiler.compile()
        put(compiler, BAD)
        compiler.compile()
        put(compiler, WEB)
        compiled = compiler.compile()
        assert (compiled.accepted, touched(compiled), codes(compiler, WEB)) == ((), [], ["service-not-found"])


class TestFindings:
    def test_a_service_that_comes_takes_its_finding_away(self) -> None:
        compiler = compiler_with(WEB)
        compiler.compile()
        assert codes(compiler, WEB) == ["service-not-found"]
        put(compiler, service("web", ServicePort(81)))
        compiled = compiler.compile()
        assert codes(compiler, WEB) == ["service-port-not-found"]
        assert [key for key, _ in compiled.diagnostics] == [key_of(WEB)]
        put(compiler, service("web"))
        assert compiler.compile().diagnostics == ((key_of(WEB), ()),)

    def test_findings_go_with_their_object(self) -> None:
        compiler = compiler_with(WEB)
        compiler.compile()
        remove(compiler, WEB)
        assert compiler.compile().diagnostics == ((key_of(WEB), ()),)
        assert not compiler.diagnostics

    def test_a_conflict_ends_when_the_winner_goes(self) -> None:
        loser = ingress("loser", rule("web.test", path("/", "web:80")), created=200)
        compiler = compiler_with(WEB, loser, service("web"))
        compiler.compile()
        assert codes(compiler, loser) == ["path-conflict"]
        remove(compiler, WEB)
        compiler.compile()
        assert codes(compiler, loser) == []
        assert host(compiler, "web.test").routes[0].ingress == "shop/loser"

    def test_the_configmap_is_missing(self) -> None:
        options = CompileOptions(configmap="ingress-nginx/controller")
        compiler = compiler_with(options=options)
        compiled = compiler.compile()
        assert [found.code for _, found_all in compiled.diagnostics for found in found_all] == ["configmap-not-found"]
        put(compiler, configmap("controller"))
        assert compiler.compile().diagnostics == ((ObjectKey("configmap", "ingress-nginx", "controller"), ()),)


class TestPreview:
    def test_routes_of_removed_ingresses(self) -> None:
        compiler = compiler_with(WEB, OTHER, service("web"), service("other"))
        compiler.compile()
        assert compiler.route_count() == 2
        assert compiler.preview_removals([key_of(WEB)]) == (2, 1)
        assert compiler.preview_removals([key_of(WEB), key_of(OTHER)]) == (2, 0)
        assert compiler.preview_removals([]) == (2, 2)

    def test_a_class_takes_its_ingresses_along(self) -> None:
        compiler = compiler_with(WEB, OTHER)
        compiler.compile()
        assert compiler.preview_removals([key_of(NGINX)]) == (2, 0)

    def test_routes_that_lose_their_last_endpoint(self) -> None:
        compiler = compiler_with(WEB, OTHER, service("web"), endpoints("web", "10.0.0.1"), service("other"))
        compiler.compile()
        assert compiler.preview_removals([key_of(service("web"))]) == (2, 1)
        assert compiler.preview_removals([key_of(endpoints("web"))]) == (2, 1)
        assert compiler.preview_removals([key_of(service("other"))]) == (2, 2)
        assert compiler.preview_removals([key_of(service("web")), key_of(WEB)]) == (2, 1)
        put(compiler, endpoints("web", "10.0.0.2", name="second"))
        compiler.compile()
        assert compiler.preview_removals([key_of(endpoints("web"))]) == (2, 2)

    def test_it_changes_nothing(self) -> None:
        compiler = compiler_with(WEB, OTHER, service("web"), endpoints("web", "10.0.0.1"))
        compiler.compile()
        table = dict(compiler.table)
        compiler.preview_removals([key_of(NGINX), key_of(service("web"))])
        assert touched(compiler.compile()) == []
        assert dict(compiler.table) == table


class TestLargeHosts:
    def test_one_path_of_many_is_a_small_change(self) -> None:
        many = [path(f"/path-{number:05}", "web:80") for number in range(3000)]
        compiler = compiler_with(ingress("big", rule("big.test", *many)), service("web"))
        compiler.compile()
        before = host(compiler, "big.test")
        assert before.routes == ()
        assert len(before.groups) > 30
        put(compiler, ingress("one", rule("big.test", path("/path-01234x", "web:80")), created=200))
        compiled = compiler.compile()
        assert sum(len(record.body) + len(record.name) for record in compiled.upserts) < 16 * 1024
        assert compiled.counts["routes"] == 3001

    def test_groups_hold_every_route_in_order(self) -> None:
        many = [path(f"/path-{number:05}", "web:80") for number in range(500)]
        compiler = compiler_with(ingress("big", rule("big.test", *many)), service("web"))
        compiler.compile()
        groups = {record.name: decode_resource(record) for record in compiler.records() if record.kind == "routegroup"}
        routes = [route for name in host(compiler, "big.test").groups for route in groups[name].routes]  # type: ignore[union-attr]
        assert [route.path for route in routes] == [*sorted((entry.path for entry in many), reverse=True), "/"]
        assert all(isinstance(route.action, Forward) for route in routes[:-1])

    def test_a_host_that_shrinks_leaves_no_group_behind(self) -> None:
        many = [path(f"/path-{number:05}", "web:80") for number in range(500)]
        compiler = compiler_with(ingress("big", rule("big.test", *many)), service("web"))
        compiler.compile()
        put(compiler, ingress("big", rule("big.test", *many[:5])))
        compiler.compile()
        assert not [key for key in compiler.table if key.kind == "routegroup"]
        assert len(host(compiler, "big.test").routes) == 6
