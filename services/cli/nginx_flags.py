"""ingress-nginx's flags that have no effect here: accepted, so that a command line can be taken over as it is, and
said aloud, each with the reason. A flag that nobody knows is still an error."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import click

WITHOUT_EFFECT: Final = {
    "annotations-prefix": "annotations are read under nginx.ingress.kubernetes.io",
    "apiserver-host": "use --kubeconfig",
    "bucket-factor": "histograms have classic buckets only",
    "certificate-authority": "use --kubeconfig",
    "deep-inspect": "values are parsed, never pasted into a configuration",
    "default-server-port": "there is no inner server",
    "disable-full-test": "there is no configuration file to test",
    "disable-leader-election": "one watcher is active at a time in any case",
    "disable-sync-events": "events are written for what was rejected only",
    "dynamic-configuration-retries": "nothing is retried against an inner server",
    "election-ttl": "the Lease has a fixed length",
    "enable-annotation-validation": "annotations are always validated",
    "enable-ssl-chain-completion": "certificates are served as they are",
    "enable-ssl-passthrough": "not offered yet",
    "enable-topology-aware-routing": "not offered yet",
    "health-check-path": "health is at /healthz and /readyz of --admin",
    "health-check-timeout": "see --admin",
    "healthz-host": "use --admin",
    "healthz-port": "use --admin",
    "http-port": "use --http",
    "https-port": "use --https",
    "internal-logger-address": "there is no inner logger",
    "logtostderr": "logs go to standard error",
    "alsologtostderr": "logs go to standard error",
    "stderrthreshold": "logs go to standard error",
    "log_dir": "logs go to standard error",
    "log-dir": "logs go to standard error",
    "skip_headers": "logs go to standard error",
    "max-buckets": "histograms have classic buckets only",
    "maxmind-edition-ids": "GeoIP is not offered",
    "maxmind-license-key": "GeoIP is not offered",
    "maxmind-mirror": "GeoIP is not offered",
    "maxmind-retries-count": "GeoIP is not offered",
    "maxmind-retries-timeout": "GeoIP is not offered",
    "monitor-max-batch-size": "there is no inner monitor",
    "post-shutdown-grace-period": "a stopped edge ends",
    "profiler-address": "there is no profiler",
    "profiler-port": "there is no profiler",
    "profiling": "there is no profiler",
    "report-node-internal-ip-address": "use --publish-service or --publish-status-address",
    "root-ca-file": "use --kubeconfig",
    "ssl-passthrough-proxy-port": "not offered yet",
    "status-port": "there is no inner server",
    "status-update-interval": "status is written when it changes",
    "stream-port": "there is no inner server",
    "sync-period": "changes are taken as they come",
    "sync-rate-limit": "changes are taken as they come",
    "tcp-services-configmap": "not offered yet",
    "udp-services-configmap": "not offered yet",
    "update-status-on-shutdown": "status is left as it is on shutdown",
    "v": "use --log-format for the form of logs",
    "vmodule": "logs have one level",
}
_SWITCHES: Final = frozenset(
    {
        "alsologtostderr",
        "deep-inspect",
        "disable-full-test",
        "disable-leader-election",
        "disable-sync-events",
        "enable-annotation-validation",
        "enable-ssl-chain-completion",
        "enable-ssl-passthrough",
        "enable-topology-aware-routing",
        "logtostderr",
        "profiling",
        "report-node-internal-ip-address",
        "skip_headers",
        "update-status-on-shutdown",
    }
)
"""Those that take no value as a word of its own."""


def separate(words: Sequence[str]) -> tuple[list[str], list[str]]:
    """(the words that are left, a notice for each flag without effect). Both ``--name=value`` and ``--name value``."""
    left: list[str] = []
    notices: list[str] = []
    rest = list(words)
    while rest:
        word = rest.pop(0)
        name, equals, _ = word.lstrip("-").partition("=")
        if not word.startswith("-") or name not in WITHOUT_EFFECT:
            left.append(word)
            continue
        if not equals and name not in _SWITCHES and rest and not rest[0].startswith("-"):
            rest.pop(0)
        notices.append(f"--{name} has no effect: {WITHOUT_EFFECT[name]}")
    return left, notices


class NginxCommand(click.Command):
    """A command that takes these flags and says what became of them."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        left, notices = separate(args)
        for notice in notices:
            click.echo(f"notice: {notice}", err=True)
        return super().parse_args(ctx, left)
