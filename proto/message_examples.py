"""One example of each binary message, from fixed keys: what ``proto/golden/messages/`` keeps as hexadecimal text.

``python -m proto.message_examples`` writes the files. A test fails when the types or the codec would write other
bytes: then readers of the version before could no longer read, and ``proto.snapshots.SCHEMA`` must grow.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from proto.codec import encode, record_of
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
    KindCount,
    KindState,
    Object,
    ObjectEnvelope,
    ObjectKey,
    Secret,
    Service,
    ServicePort,
    SliceEndpoint,
    Source,
    TLSMaterial,
    WatcherBeacon,
    key_of,
)
from proto.policies import Rewrite, SSLRedirect
from proto.resources import (
    Alias,
    Certificate,
    Credentials,
    Endpoint,
    Forward,
    PathMatch,
    Redirect,
    Resource,
    ResourceKey,
    Respond,
    Route,
    RouteGroup,
    Settings,
    Stream,
    Upstream,
    VirtualHost,
)
from proto.signing import ObjectAuthenticator, Signer
from proto.snapshots import SCHEMA, BaseRef, Cause, Delta, SignedDelta

FOLDER: Final = Path(__file__).parent / "golden" / "messages"

AUTHENTICATOR: Final = ObjectAuthenticator([("0123456789abcdef", bytes(range(32)))])
SIGNER: Final = Signer("fedcba9876543210", bytes(range(32)))

OBJECTS: Final[tuple[Object, ...]] = (
    Ingress(
        namespace="shop",
        name="cart",
        uid="7c0e8a4e-5a51-4d0e-8f0e-0b6f4b1f5c11",
        created=1_700_000_000,
        annotations={"nginx.ingress.kubernetes.io/rewrite-target": "/$2"},
        class_name="nginx",
        default_backend=IngressBackend(service="front", port_name="http"),
        rules=(
            IngressRule(
                host="shop.example.com",
                paths=(
                    IngressPath(
                        path="/cart(/|$)(.*)",
                        path_type="ImplementationSpecific",
                        backend=IngressBackend(service="cart", port_number=80),
                    ),
                    IngressPath(path="/files", path_type="Prefix", backend=IngressBackend(resource="Bucket/files")),
                ),
                has_http=True,
            ),
        ),
        tls=(IngressTLS(hosts=("shop.example.com",), secret="shop-tls"),),  # noqa: S106 - the name of a Secret
    ),
    IngressClass(name="nginx", controller="k8s.io/ingress-nginx", is_default=True),
    Service(
        namespace="shop",
        name="cart",
        cluster_ip="10.0.0.7",
        ports=(ServicePort(port=80, name="http", target_port="8080"),),
    ),
    EndpointSlice(
        namespace="shop",
        name="cart-x7k2p",
        service="cart",
        ports=(EndpointPort(port=8080, name="http"),),
        endpoints=(SliceEndpoint(addresses=("10.244.0.7",), ready=True), SliceEndpoint(("10.244.0.8",), False, True)),
    ),
    Secret(
        namespace="shop",
        name="shop-tls",
        type="kubernetes.io/tls",
        tls=TLSMaterial(
            chain=(b"leaf", b"intermediate"),
            names=("shop.example.com",),
            not_before=1_700_000_000,
            not_after=1_731_536_000,
            fingerprint="00" * 32,
            sealed_key=b"sealed",
            key_algorithm="ecdsa",
        ),
        sealed={"ca.crt": b"sealed too"},
    ),
    ConfigMap(namespace="limen", name="limen-controller", data={"ssl-redirect": "false"}),
    Source(name="kubernetes", kinds=(KindState(kind="ingress", synced=True), KindState(kind="secret", error="403"))),
)

RESOURCES: Final[tuple[tuple[str, Resource], ...]] = (
    (
        "shop.example.com",
        VirtualHost(
            host="shop.example.com",
            mode="regex",
            routes=(
                Route(
                    PathMatch("regex", "^/cart(/|$)(.*)"),
                    Forward("shop/cart:80", "shop/sorry:"),
                    (SSLRedirect(enabled=True), Rewrite("/cart(/|$)(.*)", "/$2")),
                    "shop/cart",
                    "/cart(/|$)(.*)",
                ),
                Route(PathMatch("regex", "^/"), Respond(404), synthetic=True),
            ),
            tls=True,
            certificate="shop/shop-tls",
            app_root="/cart",
        ),
    ),
    (
        "shop.example.com#0123456789ab",
        RouteGroup(routes=(Route(PathMatch("exact", "/old"), Redirect(301, "/new"), (), "shop/cart", "/old"),)),
    ),
    ("www.shop.example.com", Alias("shop.example.com", redirects=True, tls=True, certificate="shop/shop-tls")),
    ("shop/cart:80", Upstream(endpoints=(Endpoint("10.244.0.7", 8080), Endpoint("fd00::7", 8080)))),
    ("shop/outside:", Upstream(endpoints=(Endpoint("api.example.net", 443),), dns=True)),
    (
        "shop/shop-tls",
        Certificate((b"leaf",), ("shop.example.com",), 1_700_000_000, 1_731_536_000, "00" * 32, b"sealed"),
    ),
    ("shop/payments-tls", Credentials((b"leaf",), b"sealed", b"sealed too")),
    ("tcp:9000", Stream("tcp", "shop/queue:amqp/tcp", 9000, reads_proxy=True)),
    ("global", Settings(ssl_redirect=False, default_upstream="shop/front:")),
)


def messages() -> dict[str, bytes]:
    """File name without suffix → the message."""
    found = {f"object-{key_of(value).kind}": _object(number, value) for number, value in enumerate(OBJECTS, 1)}
    found["object-removed"] = _object(9, None)
    beacon = WatcherBeacon("limen", "0a1b2c3d4e5f6071", 9, bytes(range(32)), (KindCount("ingress", 2, 1),))
    found["beacon"] = _sealed("beacon", encode(beacon))
    for name, resource in RESOURCES:
        record = record_of(name, resource)
        found[f"resource-{record.kind}{'-dns' if name == 'shop/outside:' else ''}"] = encode(record)
    found["delta"] = _delta(rebased=False)
    found["delta-rebased"] = _delta(rebased=True)
    return found


def _object(sequence: int, value: Object | None) -> bytes:
    key = key_of(value) if value is not None else ObjectKey("ingress", "shop", "gone")
    envelope = ObjectEnvelope(
        "limen",
        key,
        "0a1b2c3d4e5f6071",
        sequence,
        1_700_000_000.25,
        "4711",
        "0af7651916cd43dd8448eb211c80319c",
        encode(value) if value is not None else b"",
        relisted=value is None,
    )
    return _sealed("object", encode(envelope))


def _sealed(purpose: str, body: bytes) -> bytes:
    return encode((SCHEMA, body, AUTHENTICATOR.mac(purpose, body)))


def _delta(*, rebased: bool) -> bytes:
    key = ObjectKey("ingress", "shop", "cart")
    records = tuple(record_of(name, resource) for name, resource in RESOURCES)
    delta = Delta(
        SCHEMA,
        "limen",
        3,
        42,
        bytes(range(32)),
        BaseRef(3, 42 if rebased else 17, 2, 600_000, bytes(32), bytes(range(32)), 0 if rebased else 1017),
        Cause("change", (key,), "4711", 1_700_000_000.25, "0af7651916cd43dd8448eb211c80319c", changes=1),
        1_700_000_000.5,
        () if rebased else records,
        () if rebased else (ResourceKey("upstream", "shop/gone:80"),),
        rebased,
    )
    body = encode(delta)
    return encode(SignedDelta(SCHEMA, SIGNER.prove("limen", 3, 42, delta.digest, body), body))


def write() -> None:
    """Write every message to ``FOLDER`` as lines of hexadecimal digits."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    for name, message in messages().items():
        text = message.hex()
        lines = [text[start : start + 96] for start in range(0, len(text), 96)]
        (FOLDER / f"{name}.hex").write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    write()
