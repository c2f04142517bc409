"""Incremental equals full, byte for byte, whatever the order of events."""

from __future__ import annotations

import random

from hypothesis import given, settings
from hypothesis import strategies as st

from proto.objects import (
    ConfigMap,
    EndpointPort,
    EndpointSlice,
    Ingress,
    IngressBackend,
    IngressClass,
    IngressPath,
    IngressRule,
    IngressTLS,
    Object,
    ObjectKey,
    Service,
    ServicePort,
    SliceEndpoint,
    key_of,
)
from proto.resources import ResourceKey
from services.compiler.core.compiler import Compiler
from services.compiler.core.options import CompileOptions
from services.compiler.core.result import Compiled
from tests.support.objects import PREFIX, configmap, secret

OPTIONS = CompileOptions(
    configmap="ingress-nginx/controller",
    default_backend_service="a/web",
    default_ssl_certificate="a/cert-0",
    tcp_services_configmap="ingress-nginx/tcp",
    udp_services_configmap="ingress-nginx/udp",
    enable_ssl_passthrough=True,
    enable_topology_aware_routing=True,
)

NAMESPACES = st.sampled_from(["a", "b"])
HOSTS = st.sampled_from(["", "x.test", "y.x.test", "z.x.test", "*.x.test", "*.y.x.test", "Bad Host"])
PATHS = st.sampled_from(["", "/", "/foo", "/foo/", "/Foo", "/foo/bar", "/f(o+)", "/un(closed", "/a.b", "nope", "/é"])
PATH_TYPES = st.sampled_from(["", "Exact", "Prefix", "Prefix", "ImplementationSpecific", "Wrong"])
BACKENDS = st.one_of(
    st.none(),
    st.just(IngressBackend(resource="Bucket/static")),
    st.builds(IngressBackend, st.sampled_from(["web", "api", "none"]), port_number=st.sampled_from([0, 80, 81])),
    st.builds(IngressBackend, st.sampled_from(["web", "api"]), port_name=st.sampled_from(["http", "other"])),
)
GOOD_BACKENDS = st.builds(IngressBackend, st.sampled_from(["web", "api"]), port_number=st.sampled_from([80, 81]))
ANNOTATIONS = st.dictionaries(
    st.sampled_from(
        [
            "rewrite-target",
            "use-regex",
            "app-root",
            "ssl-redirect",
            "force-ssl-redirect",
            "default-backend",
            "canary",
            "load-balance",
            "upstream-hash-by",
            "affinity",
            "auth-type",
            "auth-tls-secret",
            "backend-protocol",
            "proxy-ssl-secret",
            "server-snippet",
            "configuration-snippet",
            "enable-cors",
            "made-up",
        ]
    ).map(lambda name: PREFIX + name),
    st.sampled_from(
        [
            "true",
            "false",
            "/",
            "/foo",
            "/$1",
            "/$nope",
            "web",
            "yes",
            "",
            "GRPCS",
            "a/cert-0",
            "ewma",
            "$host",
            "cookie",
            'more_set_headers "X-A: 1";',
            "add_header X-B 2;",
        ]
    ),
    max_size=2,
)
TLS_TO_ENDPOINTS = {PREFIX + "backend-protocol": "HTTPS", PREFIX + "proxy-ssl-secret": "a/cert-0"}
NAMES = st.sampled_from(["one", "two", "three"])


def paths(backends: st.SearchStrategy[IngressBackend | None]) -> st.SearchStrategy[IngressPath]:
    return st.builds(IngressPath, PATHS, PATH_TYPES, backends)


GOOD_RULES = st.builds(
    IngressRule,
    st.sampled_from(["", "x.test", "y.x.test", "*.x.test"]),
    st.lists(
        st.builds(IngressPath, st.sampled_from(["/", "/foo", "/foo/"]), st.just("Prefix"), GOOD_BACKENDS),
        min_size=1,
        max_size=3,
    ).map(tuple),
    st.just(True),
)
RULES = st.one_of(
    GOOD_RULES,
    st.builds(IngressRule, HOSTS),
    st.builds(IngressRule, HOSTS, st.lists(paths(BACKENDS), max_size=2).map(tuple), st.just(True)),
)
TLS = st.builds(
    IngressTLS,
    st.lists(st.sampled_from(["x.test", "Y.x.test", "*.x.test"]), max_size=2).map(tuple),
    st.sampled_from(["", "cert-0", "cert-1", "missing"]),
)
GOOD_INGRESSES = st.builds(
    Ingress,
    NAMESPACES,
    NAMES,
    uid=st.just("u1"),
    created=st.sampled_from([1, 1, 2]),
    annotations=st.sampled_from(
        [
            {},
            {},
            {PREFIX + "use-regex": "true"},
            {PREFIX + "rewrite-target": "/foo"},
            TLS_TO_ENDPOINTS,
            {PREFIX + "server-alias": "x.test,www.x.test,a.x.test,*.other.test"},
            {PREFIX + "server-alias": "a.x.test,~^other", PREFIX + "from-to-www-redirect": "true"},
            {PREFIX + "service-upstream": "true"},
            {PREFIX + "service-upstream": "false"},
            {PREFIX + "ssl-passthrough": "true"},
            {PREFIX + "custom-http-errors": "404", PREFIX + "default-backend": "api"},
        ]
    ),
    class_name=st.sampled_from(["nginx", "nginx", "nginx", "late"]),
    rules=st.lists(GOOD_RULES, min_size=1, max_size=2).map(tuple),
    tls=st.lists(TLS, max_size=1).map(tuple),
)
WILD_INGRESSES = st.builds(
    Ingress,
    NAMESPACES,
    NAMES,
    uid=st.sampled_from(["u1", "u1", "u2"]),
    created=st.sampled_from([1, 1, 2]),
    annotations=ANNOTATIONS,
    class_name=st.sampled_from(["nginx", "nginx", "nginx", "late", None]),
    default_backend=st.one_of(st.none(), st.none(), GOOD_BACKENDS, BACKENDS),
    rules=st.lists(RULES, max_size=3).map(tuple),
    tls=st.lists(TLS, max_size=2).map(tuple),
)
INGRESSES = st.one_of(GOOD_INGRESSES, WILD_INGRESSES)
SERVICES = st.one_of(
    st.builds(
        Service,
        NAMESPACES,
        st.sampled_from(["web", "api"]),
        cluster_ip=st.sampled_from(["10.96.0.1", "None"]),
        ports=st.lists(
            st.sampled_from(
                [
                    ServicePort(80, "http", "8080"),
                    ServicePort(81, "other", "metrics"),
                    ServicePort(53, "dns", protocol="UDP"),
                ]
            ),
            max_size=2,
        ).map(tuple),
        by_zone=st.booleans(),
    ),
    st.builds(
        Service,
        NAMESPACES,
        st.sampled_from(["web", "api"]),
        type=st.just("ExternalName"),
        external_name=st.sampled_from(["example.org", "localhost", "10.0.0.1"]),
    ),
)
SLICES = st.builds(
    EndpointSlice,
    NAMESPACES,
    st.sampled_from(["slice-1", "slice-2"]),
    st.sampled_from(["web", "api"]),
    ports=st.just((EndpointPort(8080, "http"), EndpointPort(9090, "other"), EndpointPort(53, "dns", "UDP"))),
    endpoints=st.lists(
        st.builds(
            SliceEndpoint,
            st.sampled_from([("10.0.0.1",), ("10.0.0.2",)]),
            st.sampled_from([True, False, None]),
            zones=st.sampled_from([(), ("z1",), ("z1", "z2"), ("z3",)]),
        ),
        max_size=3,
    ).map(tuple),
)
SECRETS = st.builds(
    lambda namespace, name, names: secret(name, *names, namespace=namespace),
    NAMESPACES,
    st.sampled_from(["cert-0", "cert-1"]),
    st.sampled_from([(), ("x.test",), ("*.x.test",), ("other.test",)]),
)
CLASSES = st.builds(
    IngressClass, st.sampled_from(["nginx", "late"]), st.sampled_from(["k8s.io/ingress-nginx", "example.com/other"])
)
SNIPPETS_ON = {"allow_snippet_annotations": "true", "annotations_risk_level": "Critical"}
CONFIGMAPS = st.builds(
    lambda data: configmap("controller", **data),
    st.just(SNIPPETS_ON)
    | st.dictionaries(
        st.sampled_from(
            ["ssl_redirect", "annotations_risk_level", "whitelist_source_range", "global_auth_url", "service_upstream"]
        ),
        st.sampled_from(["false", "true", "Low", "10.0.0.0/8", "http://auth"]),
        max_size=2,
    ),
)
STREAMS = st.builds(
    lambda name, data: ConfigMap("ingress-nginx", name, data),
    st.sampled_from(["tcp", "udp"]),
    st.dictionaries(
        st.sampled_from(["53", "9000", "+9000", "80", "x"]),
        st.sampled_from(["a/web:80", "a/web:http:PROXY", "b/api:81::PROXY", "a/web:dns", "a/none:1", "nonsense"]),
        max_size=3,
    ),
)
OBJECTS: st.SearchStrategy[Object] = st.one_of(
    INGRESSES, INGRESSES, INGRESSES, SERVICES, SLICES, SECRETS, CLASSES, CONFIGMAPS, STREAMS
)

Step = tuple[str, Object]
STEPS = st.lists(
    st.tuples(st.sampled_from(["put", "put", "put", "remove", "compile"]), OBJECTS), min_size=25, max_size=60
)
START: list[Step] = [
    ("put", IngressClass("nginx", "k8s.io/ingress-nginx")),
    ("put", Service("a", "web", ports=(ServicePort(80, "http", "8080"),))),
]


class Follower:
    """Keeps what a reader of the compiler's output would know: its table, findings and accepted versions."""

    def __init__(self) -> None:
        self.table: dict[ResourceKey, bytes] = {}
        self.findings: dict[ObjectKey, object] = {}
        self.accepted: dict[tuple[str, str], Ingress] = {}
        self.served: set[str] = set()

    def follow(self, compiled: Compiled) -> None:
        for record in compiled.upserts:
            assert self.table.get(record.key) != record.body, "an upsert that changes nothing"
            self.table[record.key] = record.body
        for key in compiled.removals:
            del self.table[key]
        for object_, found in compiled.diagnostics:
            if found:
                self.findings[object_] = found
            else:
                del self.findings[object_]
        for place in compiled.forgotten:
            self.accepted.pop(place)
        for version in compiled.accepted:
            self.accepted[version.namespace, version.name] = version
        self.served |= set(compiled.served)
        self.served -= set(compiled.gone)


@settings(max_examples=150, deadline=None)
@given(steps=STEPS, seed=st.integers())
def test_incremental_equals_full(steps: list[Step], seed: int) -> None:
    compiler = Compiler(OPTIONS)
    follower = Follower()
    objects: dict[ObjectKey, Object] = {}
    for step, value in [*START, *steps, ("compile", START[0][1])]:
        key = key_of(value)
        if step == "put":
            objects[key] = value
            compiler.change(key, value)
        elif step == "remove":
            objects.pop(key, None)
            compiler.change(key, None)
        else:
            follower.follow(compiler.compile())

    shuffled = list(objects.items())
    random.Random(seed).shuffle(shuffled)
    full = Compiler(OPTIONS)
    for version in follower.accepted.values():
        full.set_accepted(version)
    for key, value in shuffled:
        full.change(key, value)
    compiled = full.compile()

    assert dict(full.table) == dict(compiler.table) == follower.table
    assert full.digest == compiler.digest
    assert dict(full.diagnostics) == dict(compiler.diagnostics) == follower.findings
    assert set(full.served) == set(compiler.served) == follower.served
    assert full.route_count() == compiler.route_count()
    assert compiled.counts == compiler.compile().counts
    assert compiled.accepted == ()
    assert compiled.forgotten == ()


@settings(max_examples=100, deadline=None)
@given(steps=STEPS)
def test_removing_everything_leaves_an_empty_table(steps: list[Step]) -> None:
    compiler = Compiler(CompileOptions())
    keys = set()
    for _, value in [*START, *steps]:
        keys.add(key_of(value))
        compiler.change(key_of(value), value)
        compiler.compile()
    for key in keys:
        compiler.change(key, None)
    compiler.compile()
    assert {key.kind for key in compiler.table} <= {"settings"}
    assert not compiler.diagnostics
    assert not compiler.served


@settings(max_examples=100, deadline=None)
@given(steps=STEPS, data=st.data())
def test_a_preview_foretells_what_a_removal_leaves(steps: list[Step], data: st.DataObject) -> None:
    compiler = Compiler(CompileOptions())
    ingresses = {}
    for _, value in [*START, *steps]:
        compiler.change(key_of(value), value)
        if isinstance(value, Ingress):
            ingresses[key_of(value)] = value
    compiler.compile()
    now = compiler.route_count()
    gone = [key for key in ingresses if data.draw(st.booleans())]
    before, after = compiler.preview_removals(gone)
    assert before == now
    for key in gone:
        compiler.change(key, None)
    compiler.compile()
    # A path that a removed Ingress held may fall to another one, so a preview is at worst too cautious.
    assert 0 <= after <= compiler.route_count()
