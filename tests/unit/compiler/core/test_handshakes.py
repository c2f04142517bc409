"""TLS with the clients of a host: which Ingress decides, what a Secret that cannot be used does."""

from __future__ import annotations

from proto.codec import decode_resource
from proto.handshakes import ClientCertificates, Handshake
from proto.objects import Ingress, Object, Secret
from proto.resources import Credentials, ResourceKey, ResourceRecord
from services.compiler.core.compiler import Compiler
from tests.support import compilers
from tests.support.compilers import put
from tests.support.objects import endpoints, ingress, path, rule, service

CA = Secret("shop", "ca", sealed={"ca.crt": b"sealed authority", "ca.crl": b"sealed list"})


def compiler_with(*objects: Object) -> Compiler:
    return compilers.compiler_with(service("web"), endpoints("web", "10.0.0.1"), *objects)


def handshake(compiler: Compiler, host: str = "a.example") -> Handshake | None:
    return compilers.host(compiler, host).handshake


def codes(compiler: Compiler) -> list[str]:
    return [finding.code for findings in compiler.diagnostics.values() for finding in findings]


def asking(name: str = "web", created: int = 100, **annotations: str) -> Ingress:
    return ingress(name, rule("a.example", path("/" + name, "web:80")), created=created, **annotations)


def test_everything_that_is_said_of_client_certificates() -> None:
    compiler = compiler_with(
        asking(
            auth_tls_secret="shop/ca",
            auth_tls_verify_client="optional",
            auth_tls_verify_depth="3",
            auth_tls_error_page="https://help.example/certificates?x=1",
            auth_tls_pass_certificate_to_upstream="true",
            auth_tls_match_cn="CN=(alice|bob)",
        ),
        CA,
    )
    compiler.compile()
    assert handshake(compiler) == Handshake(
        client=ClientCertificates(
            "optional", "shop/ca", 3, "https://help.example/certificates?x=1", True, "CN=(alice|bob)"
        )
    )
    body = compiler.table[ResourceKey("credentials", "shop/ca")]
    assert decode_resource(ResourceRecord("credentials", "shop/ca", body)) == Credentials(
        sealed_authority=b"sealed authority", sealed_revoked=b"sealed list"
    )
    assert "client-authority-unusable" not in codes(compiler)


def test_the_first_ingress_of_a_host_that_says_something_decides() -> None:
    compiler = compiler_with(
        asking("younger", 300, auth_tls_secret="shop/ca", auth_tls_verify_client="off", ssl_ciphers="AES128-SHA"),
        asking("elder", 200, auth_tls_secret="shop/ca", ssl_prefer_server_ciphers="false"),
        asking("eldest", 100),
        CA,
    )
    compiler.compile()
    assert handshake(compiler) == Handshake("AES128-SHA", False, ClientCertificates("on", "shop/ca"))


def test_nobody_passes_while_the_authority_cannot_be_had() -> None:
    compiler = compiler_with(asking(auth_tls_secret="shop/ca"))
    compiler.compile()
    assert handshake(compiler) == Handshake(client=ClientCertificates())
    assert codes(compiler) == ["client-authority-unusable"]
    put(compiler, CA)
    compiler.compile()
    assert handshake(compiler) == Handshake(client=ClientCertificates(authority="shop/ca"))
    assert codes(compiler) == []
    put(compiler, Secret("shop", "ca", sealed={"unreadable": b""}))
    compiler.compile()
    assert handshake(compiler) == Handshake(client=ClientCertificates())
    assert ResourceKey("credentials", "shop/ca") not in compiler.table


def test_a_changed_authority_is_a_change_of_the_credentials_alone() -> None:
    compiler = compiler_with(asking(auth_tls_secret="shop/ca"), CA)
    compiler.compile()
    put(compiler, Secret("shop", "ca", sealed={"ca.crt": b"another"}))
    assert [record.key for record in compiler.compile().upserts] == [ResourceKey("credentials", "shop/ca")]


def test_a_host_without_a_word_has_no_handshake_of_its_own() -> None:
    compiler = compiler_with(asking())
    compiler.compile()
    assert handshake(compiler) is None
