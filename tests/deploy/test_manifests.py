"""deploy/kubernetes, rendered: who has rights and tokens, how pods run, and that names fit together."""

from __future__ import annotations

from typing import Any

import pytest

from services.contract.stream_services import parse_external_port, parse_stream_service
from tests.support.kustomize import rendered

NAMESPACE = "ingress-nginx"
DEPLOYMENTS = ("ingress-nginx-controller", "limen-watcher", "limen-compiler", "limen-nats")


def objects(kind: str, folder: str = "base") -> dict[str, dict[str, Any]]:
    """The rendered objects of a kind by name."""
    return {found["metadata"]["name"]: found for found in rendered(folder) if found["kind"] == kind}


def pods() -> dict[str, dict[str, Any]]:
    """Name of the workload → the spec of its pods."""
    workloads = objects("Deployment") | objects("StatefulSet")
    assert set(workloads) == set(DEPLOYMENTS)
    return {name: found["spec"]["template"]["spec"] for name, found in workloads.items()}


def test_only_the_watcher_has_rights() -> None:
    subjects = [
        (subject["kind"], subject["name"], subject["namespace"])
        for kind in ("ClusterRoleBinding", "RoleBinding")
        for binding in objects(kind).values()
        for subject in binding["subjects"]
    ]
    assert set(subjects) == {("ServiceAccount", "limen-watcher", NAMESPACE)}


def test_the_watchers_rights_are_the_least() -> None:
    (role,) = objects("ClusterRole").values()
    rights = {(resource, verb) for rule in role["rules"] for resource in rule["resources"] for verb in rule["verbs"]}
    assert not any("*" in pair for pair in rights)
    writes = {pair for pair in rights if pair[1] not in ("get", "list", "watch")}
    assert {resource for resource, _ in writes} == {"ingresses/status", "events"}
    assert "delete" not in {verb for _, verb in rights}
    (local,) = objects("Role").values()
    leases = [(rule["verbs"], rule.get("resourceNames")) for rule in local["rules"]]
    assert all(rule["resources"] == ["leases"] for rule in local["rules"])
    assert (["create"], None) in leases
    assert all(names == ["limen-watcher"] for verbs, names in leases if verbs != ["create"])


@pytest.mark.parametrize("name", [name for name in DEPLOYMENTS if name != "limen-watcher"])
def test_nobody_else_gets_a_token(name: str) -> None:
    spec = pods()[name]
    assert spec["automountServiceAccountToken"] is False
    assert objects("ServiceAccount")[spec["serviceAccountName"]]["automountServiceAccountToken"] is False


@pytest.mark.parametrize("name", DEPLOYMENTS)
def test_pods_are_locked_down(name: str) -> None:
    spec = pods()[name]
    assert spec["securityContext"]["runAsNonRoot"] is True
    assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert not spec.get("hostNetwork")
    for container in spec["containers"]:
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }


@pytest.mark.parametrize("name", DEPLOYMENTS)
def test_containers_have_probes_and_requests(name: str) -> None:
    for container in pods()[name]["containers"]:
        ports = {port["name"] for port in container["ports"]}
        assert container["livenessProbe"]["httpGet"]["path"].startswith("/healthz")
        assert {container[probe]["httpGet"]["port"] for probe in ("livenessProbe", "readinessProbe")} <= ports
        assert set(container["resources"]["requests"]) == {"cpu", "memory"}


@pytest.mark.parametrize("name", DEPLOYMENTS)
def test_mounts_name_volumes_that_exist(name: str) -> None:
    spec = pods()[name]
    volumes = {volume["name"] for volume in spec["volumes"]}
    claims = {
        claim["metadata"]["name"]
        for claim in objects("StatefulSet").get(name, {"spec": {}})["spec"].get("volumeClaimTemplates", ())
    }
    for container in spec["containers"]:
        assert {mount["name"] for mount in container["volumeMounts"]} == volumes | claims


@pytest.mark.parametrize(
    ("name", "keys", "login"),
    [
        ("ingress-nginx-controller", {"sealing.key", "verify.key"}, "edge.nk"),
        ("limen-watcher", {"sealing.key", "objects.key"}, "watcher.nk"),
        ("limen-compiler", {"signing.key", "objects.key"}, "compiler.nk"),
    ],
)
def test_a_pod_gets_only_the_keys_of_its_role(name: str, keys: set[str], login: str) -> None:
    spec = pods()[name]
    found = {
        volume["secret"]["secretName"]: {item["key"] for item in volume["secret"]["items"]}
        for volume in spec["volumes"]
        if "secret" in volume
    }
    assert found == {"limen-keys": keys, "limen-nats": {login}}
    arguments = " ".join(spec["containers"][0]["args"])
    assert all(f"/etc/limen/keys/{key}" in arguments for key in keys)
    environment = {entry["name"]: entry.get("value") for entry in spec["containers"][0]["env"]}
    assert environment["LIMEN_NATS_NKEY"] == f"/etc/limen/nats/{login}"
    assert environment["LIMEN_NATS_INBOX"] == f"_INBOX_{login.removesuffix('.nk')}"


def test_the_server_of_the_bus_holds_public_keys_only() -> None:
    (container,) = pods()["limen-nats"]["containers"]
    references = [entry["valueFrom"]["secretKeyRef"] for entry in container["env"]]
    assert {reference["name"] for reference in references} == {"limen-nats"}
    assert all(reference["key"].endswith(".pub") for reference in references)


def test_edges_have_time_to_drain_and_are_never_all_away() -> None:
    edge = objects("Deployment")["ingress-nginx-controller"]
    assert edge["spec"]["template"]["spec"]["terminationGracePeriodSeconds"] == 300
    assert edge["spec"]["strategy"]["rollingUpdate"] == {"maxUnavailable": 0, "maxSurge": 1}
    (budget,) = objects("PodDisruptionBudget").values()
    labels = edge["spec"]["template"]["metadata"]["labels"]
    assert budget["spec"]["selector"]["matchLabels"].items() <= labels.items()


def test_services_reach_the_named_ports_of_their_pods() -> None:
    workloads = objects("Deployment") | objects("StatefulSet")
    for name, service in objects("Service").items():
        template = workloads[name]["spec"]["template"]
        assert service["spec"]["selector"].items() <= template["metadata"]["labels"].items()
        ports = {port["name"] for container in template["spec"]["containers"] for port in container["ports"]}
        assert {port["targetPort"] for port in service["spec"]["ports"]} <= ports


def test_names_are_those_that_users_of_ingress_nginx_know() -> None:
    assert objects("Service")["ingress-nginx-controller"]["spec"]["type"] == "LoadBalancer"
    assert objects("IngressClass")["nginx"]["spec"]["controller"] == "k8s.io/ingress-nginx"
    assert "ingress-nginx-controller" in objects("ConfigMap")
    namespaces = {found["metadata"].get("namespace") for found in rendered("base")} - {None}
    assert namespaces == {NAMESPACE}


def test_only_limens_own_pods_reach_the_bus() -> None:
    (policy,) = objects("NetworkPolicy").values()
    assert policy["spec"]["podSelector"]["matchLabels"].items() <= _labels("limen-nats").items()
    (rule,) = [found["from"][0]["podSelector"]["matchLabels"] for found in policy["spec"]["ingress"]]
    for name in DEPLOYMENTS:
        assert rule.items() <= _labels(name).items()


def _labels(name: str) -> dict[str, str]:
    workloads = objects("Deployment") | objects("StatefulSet")
    labels: dict[str, str] = workloads[name]["spec"]["template"]["metadata"]["labels"]
    return labels


def test_tls_on_the_bus_reaches_everyone_and_the_key_only_the_server() -> None:
    folder = "overlays/nats-tls"
    for name, found in (objects("Deployment", folder) | objects("StatefulSet", folder)).items():
        spec = found["spec"]["template"]["spec"]
        (volume,) = [each for each in spec["volumes"] if each.get("secret", {}).get("secretName") == "limen-nats-tls"]
        keys = {item["key"] for item in volume["secret"]["items"]}
        assert keys == ({"tls.crt", "tls.key"} if name == "limen-nats" else {"ca.crt"})
        assert volume["name"] in {mount["name"] for mount in spec["containers"][0]["volumeMounts"]}


def test_the_webhook_leads_to_the_compilers_and_lets_pass_what_they_cannot_judge() -> None:
    folder = "overlays/admission-webhook"
    (configuration,) = objects("ValidatingWebhookConfiguration", folder).values()
    (webhook,) = configuration["webhooks"]
    assert (webhook["failurePolicy"], webhook["sideEffects"]) == ("Ignore", "None")
    where = webhook["clientConfig"]["service"]
    service = objects("Service", folder)[where["name"]]
    assert (where["namespace"], service["metadata"]["namespace"]) == (NAMESPACE, NAMESPACE)
    template = objects("Deployment", folder)["limen-compiler"]["spec"]["template"]
    assert service["spec"]["selector"].items() <= template["metadata"]["labels"].items()
    (container,) = template["spec"]["containers"]
    ports = {port["name"]: port["containerPort"] for port in container["ports"]}
    (port,) = service["spec"]["ports"]
    assert f"--validating-webhook=:{ports[port['targetPort']]}" in container["args"]
    (mount,) = [mount for mount in container["volumeMounts"] if mount["name"] == "webhook"]
    for flag, file in (("certificate", "tls.crt"), ("key", "tls.key")):
        assert f"--validating-webhook-{flag}={mount['mountPath']}/{file}" in container["args"]


def test_ports_of_services_are_those_of_the_configmaps_that_all_follow() -> None:
    folder = "overlays/tcp-udp-services"
    ports = {(port["protocol"], port["port"]) for port in service_ports(folder)}
    for protocol in ("tcp", "udp"):
        name = f"{protocol}-services"
        configmap = objects("ConfigMap", folder)[name]
        assert configmap["metadata"]["namespace"] == NAMESPACE
        for key, value in configmap["data"].items():
            assert (protocol.upper(), parse_external_port(key)) in ports
            parse_stream_service(int(key), value)
        for role in ("watcher", "compiler"):
            (container,) = objects("Deployment", folder)[f"limen-{role}"]["spec"]["template"]["spec"]["containers"]
            assert f"--{name}-configmap=$(POD_NAMESPACE)/{name}" in container["args"]


def service_ports(folder: str) -> list[dict[str, Any]]:
    """The ports of the edges' Service."""
    found: list[dict[str, Any]] = objects("Service", folder)["ingress-nginx-controller"]["spec"]["ports"]
    return found


def test_beside_another_controller_nothing_of_it_is_touched() -> None:
    folder = "overlays/beside-ingress-nginx"
    assert objects("IngressClass", folder) == {}
    namespaces = {found["metadata"].get("namespace") for found in rendered(folder)} - {None}
    subjects = {
        subject["namespace"]
        for kind in ("ClusterRoleBinding", "RoleBinding")
        for binding in objects(kind, folder).values()
        for subject in binding["subjects"]
    }
    assert namespaces == subjects == set(objects("Namespace", folder)) == {"limen"}
    (container,) = objects("Deployment", folder)["limen-watcher"]["spec"]["template"]["spec"]["containers"]
    assert "--update-status=false" in container["args"]


def test_the_overlay_differs_only_in_the_service() -> None:
    def without_service(folder: str) -> list[dict[str, Any]]:
        return [found for found in rendered(folder) if found["metadata"]["name"] != "ingress-nginx-controller"]

    assert without_service("overlays/nodeport") == without_service("base")
    service = objects("Service", "overlays/nodeport")["ingress-nginx-controller"]
    assert service["spec"]["type"] == "NodePort"
    assert {port["name"]: port["nodePort"] for port in service["spec"]["ports"]} == {"http": 31000, "https": 32000}
