"""The examples as files: complete in themselves, explained, and in step with each other."""

from __future__ import annotations

import base64
import re
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from tests.support.processes import REPOSITORY

EXAMPLES = REPOSITORY / "examples"
FOLDERS = sorted(path.name for path in EXAMPLES.iterdir() if path.is_dir())
WITH_SERVICES = [name for name in FOLDERS if name != "configmap"]


def documents(path: Path) -> Iterator[dict[str, Any]]:
    """The objects of a manifest file."""
    yield from (document for document in yaml.safe_load_all(path.read_text()) if document)


def manifests(name: str, kind: str = "") -> list[dict[str, Any]]:
    """The objects of an example, or those of one kind."""
    return [found for found in documents(EXAMPLES / name / "manifests.yaml") if kind in ("", found["kind"])]


def hosts(ingress: dict[str, Any]) -> list[str]:
    return [rule["host"] for rule in ingress["spec"].get("rules", ()) if "host" in rule]


@pytest.mark.parametrize("name", FOLDERS)
def test_says_in_its_first_line_what_it_shows_and_stands_in_the_table(name: str) -> None:
    first = (EXAMPLES / name / "manifests.yaml").read_text().splitlines()[0]
    assert re.match(r"# .{20,}", first)
    assert f"| `{name}` |" in (EXAMPLES / "README.md").read_text()


@pytest.mark.parametrize("name", FOLDERS)
def test_lives_in_a_namespace_of_its_own_that_comes_first(name: str) -> None:
    first, *others = manifests(name)
    assert first["kind"] == "Namespace"
    spaces = {found["metadata"].get("namespace") for found in others if found["kind"] != "IngressClass"}
    assert spaces == {first["metadata"]["name"]}


@pytest.mark.parametrize("name", WITH_SERVICES)
def test_has_every_service_and_secret_that_its_ingresses_name(name: str) -> None:
    services = {found["metadata"]["name"] for found in manifests(name, "Service")}
    secrets = {found["metadata"]["name"] for found in manifests(name, "Secret")}
    text = yaml.safe_dump(manifests(name, "Ingress"))
    assert set(re.findall(r"serviceName: (\S+)|service:\s+name: (\S+)", text)) <= {
        *((service, "") for service in services),
        *(("", service) for service in services),
    }
    assert set(re.findall(r"secretName: (\S+)", text)) == secrets


@pytest.mark.parametrize("name", WITH_SERVICES)
def test_endpoints_are_the_sample_servers_of_the_table(name: str) -> None:
    rows = re.findall(r"^\| `(\w+)`[^|]* \| (127[^|]+) \|$", (EXAMPLES / "README.md").read_text(), re.MULTILINE)
    table = {service: set(addresses.split(", ")) for service, addresses in rows}
    services = {found["metadata"]["name"] for found in manifests(name, "Service")}
    slices = list(documents(EXAMPLES / name / "endpoints.yaml"))
    assert {found["metadata"]["labels"]["kubernetes.io/service-name"] for found in slices} == services
    for found in slices:
        service = found["metadata"]["labels"]["kubernetes.io/service-name"]
        addresses = {address for endpoint in found["endpoints"] for address in endpoint["addresses"]}
        assert {f"{address}:{found['ports'][0]['port']}" for address in addresses} == table[service]


def test_no_two_examples_claim_one_host() -> None:
    claimed = Counter(host for name in FOLDERS for ingress in manifests(name, "Ingress") for host in hosts(ingress))
    assert [host for host, times in claimed.items() if times > 1] == []
    assert all(host.endswith(".localhost") for host in claimed)
    catch_alls = [name for name in FOLDERS for found in manifests(name, "Ingress") if "rules" not in found["spec"]]
    assert catch_alls == ["default-backend"]


def test_old_forms_stand_apart_and_cover_the_first_examples() -> None:
    versions = {name: {found["apiVersion"] for found in manifests(name, "Ingress")} for name in WITH_SERVICES}
    assert versions.pop("v1beta1") == {"networking.k8s.io/v1beta1", "extensions/v1beta1"}
    assert set().union(*versions.values()) == {"networking.k8s.io/v1"}


@pytest.mark.parametrize("name", [name for name in WITH_SERVICES if manifests(name, "Secret")])
def test_secrets_hold_marked_test_certificates_for_their_hosts(name: str) -> None:
    used = {
        (entry["secretName"], host)
        for ingress in manifests(name, "Ingress")
        for entry in ingress["spec"].get("tls", ())
        for host in entry["hosts"]
    }
    for secret in manifests(name, "Secret"):
        data = {key: base64.b64decode(value) for key, value in secret["data"].items()}
        certificate = x509.load_pem_x509_certificate(data["tls.crt"])
        key = load_pem_private_key(data["tls.key"], None)
        assert isinstance(key, ec.EllipticCurvePrivateKey)
        assert key.public_key() == certificate.public_key()
        assert "never use" in certificate.subject.rfc4514_string()
        assert certificate.not_valid_after_utc > datetime(2050, 1, 1, tzinfo=UTC)
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        mine = {host for found, host in used if found == secret["metadata"]["name"]}
        assert set(names.get_values_for_type(x509.DNSName)) == mine
