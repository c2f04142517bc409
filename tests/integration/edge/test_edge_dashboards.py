"""The metrics of an edge as it is run: what the well-known dashboards and alerts of ingress-nginx ask for is there."""

from __future__ import annotations

import re
import signal
from collections.abc import Iterator
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families

from proto.resources import Settings
from tests.support import edge as records
from tests.support.edges import EdgeProcesses, ask, edge_processes, endpoint
from tests.support.nats import NatsServer
from tests.support.snapshots import Publisher, host, resource, upstream
from tests.support.waiting import eventually

CONTROLLER = 'controller_pod=~".*",controller_class=~".*",controller_namespace=~".*"'
INGRESS = f'{CONTROLLER},ingress!="",exported_namespace=~".*"'
REQUEST_SECONDS = "nginx_ingress_controller_request_duration_seconds"
RESPONSE_SECONDS = "nginx_ingress_controller_response_duration_seconds"

EXPRESSIONS = (
    # the dashboard "NGINX Ingress controller" (9614)
    f'irate(nginx_ingress_controller_requests{{{CONTROLLER},namespace=~".*"}}[2m])',
    f'avg_over_time(nginx_ingress_controller_nginx_process_connections{{{CONTROLLER},state="active"}}[2m])',
    f'rate(nginx_ingress_controller_requests{{{CONTROLLER},status!~"[4-5].*"}}[2m])',
    f"irate(nginx_ingress_controller_success{{{CONTROLLER}}}[1m]) * 60",
    f"nginx_ingress_controller_config_last_reload_successful{{{CONTROLLER}}} == 0",
    "changes(nginx_ingress_controller_config_last_reload_successful_timestamp_seconds[30s]) by (controller_class)",
    f"sum(irate(nginx_ingress_controller_requests{{{INGRESS}}}[2m])) by (ingress)",
    f"sum(irate(nginx_ingress_controller_request_size_sum{{{INGRESS}}}[2m])) by (ingress)",
    f"sum(irate(nginx_ingress_controller_response_size_sum{{{INGRESS}}}[2m])) by (ingress)",
    f"nginx_ingress_controller_nginx_process_resident_memory_bytes{{{CONTROLLER}}}",
    f"rate(nginx_ingress_controller_nginx_process_cpu_seconds_total{{{CONTROLLER}}}[2m])",
    f"sum(rate({REQUEST_SECONDS}_bucket{{{INGRESS}}}[2m])) by (le, ingress)",
    'avg(nginx_ingress_controller_ssl_expire_time_seconds{namespace=~".*"}) by (host) - time()',
    "label_values(nginx_ingress_controller_config_hash) by (controller_namespace, controller_class, controller_pod)",
    # the dashboard "Request Handling Performance" (20510)
    f'sum by (le) (rate({REQUEST_SECONDS}_bucket{{ingress =~ "test"}}[5m]))',
    f'sum by (le, method, host, path) (rate({RESPONSE_SECONDS}_bucket{{ingress =~ "test"}}[5m]))',
    f'sum by (method, host, path) (rate({REQUEST_SECONDS}_count{{ingress =~ "test",}}[5m]))',
    f'sum by (method, host, path) (rate({RESPONSE_SECONDS}_sum{{ingress =~ "test"}}[5m]))',
    f'sum(rate({REQUEST_SECONDS}_count{{status =~ "[4-5].*"}}[5m])) by (method, host, path, status)',
    "sum by (method, host, path) (rate(nginx_ingress_controller_response_size_count[5m]))",
    "sum(rate(nginx_ingress_controller_response_size_bucket[5m])) by (le)",
    # alerts of the chart, and what else people watch
    'avg(nginx_ingress_controller_ssl_expire_time_seconds{host!="_"}) by (host) - time() < 604800',
    'sum(nginx_ingress_controller_requests{status=~"5.+"}) / sum(nginx_ingress_controller_requests) > 5',
    'nginx_ingress_controller_nginx_process_connections{state=~"reading|writing|waiting"}',
    'rate(nginx_ingress_controller_nginx_process_connections_total{state=~"accepted|handled"}[2m])',
    "rate(nginx_ingress_controller_nginx_process_requests_total[2m])",
    "nginx_ingress_controller_nginx_process_num_procs",
    "nginx_ingress_controller_nginx_process_virtual_memory_bytes",
    "nginx_ingress_controller_nginx_process_oldest_start_time_seconds",
    "rate(nginx_ingress_controller_nginx_process_read_bytes_total[2m])",
    "rate(nginx_ingress_controller_nginx_process_write_bytes_total[2m])",
    "nginx_ingress_controller_errors",
    "nginx_ingress_controller_build_info by (release, build, repository)",
    "nginx_ingress_controller_bytes_sent_bucket by (le, canary, service)",
    "nginx_ingress_controller_header_duration_seconds_count by (ingress)",
    "nginx_ingress_controller_connect_duration_seconds_count by (ingress)",
    "nginx_ingress_controller_ssl_certificate_info by (identifier, issuer_organization, issuer_common_name, "
    "serial_number, public_key_algorithm, secret_name, class, host)",
)
FROM_PROMETHEUS = frozenset({"instance", "job", "pod"})
_METRIC = re.compile(r"(nginx_ingress_controller_\w+)(?:\{([^}]*)\})?")
_MATCHER = re.compile(r'(\w+)\s*(=~|!~|!=|=)\s*"([^"]*)"')
_BY = re.compile(r"by \(([^)]*)\)")


def fits(labels: dict[str, str], name: str, operator: str, value: str) -> bool:
    """Whether a series passes a matcher; ``namespace`` of an Ingress is renamed when it is scraped."""
    if name in FROM_PROMETHEUS or (name == "namespace" and value == ".*"):
        return True
    own = labels.get("namespace" if name == "exported_namespace" else name, "")
    if operator in ("=", "!="):
        return (own == value) == (operator == "=")
    return (re.fullmatch(value, own) is not None) == (operator == "=~")


def wanted(expression: str) -> Iterator[tuple[str, list[tuple[str, str, str]], set[str]]]:
    """(metric, matchers, labels to group by) for each metric of an expression."""
    grouped = {label.strip() for found in _BY.findall(expression) for label in found.split(",")}
    for name, inside in _METRIC.findall(expression):
        yield name, _MATCHER.findall(inside), grouped


async def text_of(edge: EdgeProcesses) -> str:
    return (await ask(edge.admin, path="/metrics")).body.decode()


async def test_dashboards_find_their_series(tmp_path: Path, nats: NatsServer, publisher: Publisher) -> None:
    certificate, _ = records.certificate("default/tls", "a.example.com")
    log = tmp_path / "access.log"
    async with endpoint("pod") as pod:
        await publisher.start(
            host("a.example.com"),
            upstream("default/echo:80", pod.port),
            certificate,
            resource("global", Settings(access_log_path=str(log))),
        )
        async with edge_processes(tmp_path / "edge", nats.url, "e1", 2) as edge:
            await edge.start_ready()
            await edge.serves(1, 1)
            for _ in range(9):
                await edge.ask("a.example.com")
            await pod_gone(publisher)
            await edge.serves(1, 2)
            await edge.ask("a.example.com")
            text = await text_of(edge)
            await eventually(lambda: log.exists() and len(log.read_text().splitlines()) == 10)
            assert await edge.metric("limen_edge_access_log_lines_total", outcome="written") == 10
            log.rename(tmp_path / "access.log.1")
            assert edge.process is not None
            edge.process.send(signal.SIGUSR1)
            await edge.ask("a.example.com")
            await eventually(lambda: log.exists() and len(log.read_text().splitlines()) == 1)
            assert await edge.metric("limen_events_published_total") >= 2, "of the workers, not of the admin process"
    series = [sample for family in text_string_to_metric_families(text) for sample in family.samples]
    missing = []
    for expression in EXPRESSIONS:
        for name, matchers, grouped in wanted(expression):
            found = [sample.labels for sample in series if sample.name in (name, f"{name}_total")]  # its parser's way
            found = [labels for labels in found if all(fits(labels, *matcher) for matcher in matchers)]
            if not any(grouped <= labels.keys() for labels in found):
                missing.append((expression, name))
    assert missing == []
    check(text)


async def pod_gone(publisher: Publisher) -> None:
    await publisher.step(upstream("default/echo:80"))


def check(text: str) -> None:
    """What ``promtool check metrics`` looks at, and Prometheus' parser does not: each family once, with help and type
    before its series, no series twice, buckets that rise to +Inf and agree with the count."""
    described: list[str] = []
    for line in text.splitlines():
        if line.startswith("# HELP "):
            name, _, words = line.removeprefix("# HELP ").partition(" ")
            assert words, line
            described.append(name)
    assert len(described) == len(set(described))
    seen = set()
    for family in text_string_to_metric_families(text):
        assert family.type != "unknown", family.name
        buckets: dict[tuple[tuple[str, str], ...], float] = {}
        for sample in family.samples:
            key = (sample.name, tuple(sorted(sample.labels.items())))
            assert key not in seen, key
            seen.add(key)
            rest = tuple(sorted((name, value) for name, value in sample.labels.items() if name != "le"))
            if sample.name.endswith("_bucket"):
                assert buckets.get(rest, 0.0) <= sample.value, key
                buckets[rest] = sample.value
            elif sample.name.endswith("_count") and family.type == "histogram":
                assert buckets[rest] == sample.value, key


async def test_flags_of_metrics(tmp_path: Path, nats: NatsServer, publisher: Publisher) -> None:
    flags = ("--report-status-classes", "--metrics-per-undefined-host", "--time-buckets=0.1,2")
    excluded = "--exclude-socket-metrics=nginx_ingress_controller_bytes_sent,connect_duration_seconds"
    async with endpoint("pod") as pod:
        await publisher.start(host("a.example.com"), upstream("default/echo:80", pod.port))
        async with (
            edge_processes(tmp_path / "one", nats.url, "one", 1, *flags, excluded) as one,
            edge_processes(tmp_path / "two", nats.url, "two", 1, "--metrics-per-host=false") as two,
            edge_processes(tmp_path / "off", nats.url, "off", 1, "--enable-metrics=false") as off,
        ):
            requests = "nginx_ingress_controller_requests"
            for edge in (one, two, off):
                await edge.start_ready()
                await edge.ask("a.example.com")
                await edge.ask("Stranger.example.com:80")
            assert await one.metric(requests, status="2xx", host="a.example.com") == 1
            assert await one.metric(requests, status="4xx", host="stranger.example.com") == 1
            text = await text_of(one)
            assert 'le="0.1"' in text
            assert (
                'le="0.25"' not in text.replace("limen_edge", "")[text.find("nginx_ingress_controller_request_dur") :]
            )
            assert "controller_bytes_sent" not in text
            assert "connect_duration" not in text
            assert await two.metric(requests, status="200") == 1
            assert await two.metric(requests, status="404") == 1
            text = await text_of(two)
            assert 'host="a.example.com"' not in text
            assert requests not in await text_of(off)
            assert await off.metric("nginx_ingress_controller_nginx_process_requests_total") == 2
