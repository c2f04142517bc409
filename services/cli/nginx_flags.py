"""ingress-nginx's flags beside those that are options here: a few are options of another name, the rest has no effect.

All are accepted, so that a command line can be taken over as it is, and what has no effect is said aloud, each with the
reason. A flag that nobody knows is still an error; so is one that must not be passed over.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Final

import click

from services.runtime.version import software

WITHOUT_EFFECT: Final = {
    "add_dir_header": "logs go to standard error",
    "annotations-prefix": "that is the prefix",
    "apiserver-host": "a kubeconfig says it (--kubeconfig)",
    "bind-addresses": "--http and --https say it",
    "bucket-factor": "histograms have classic buckets only",
    "certificate-authority": "a kubeconfig says it (--kubeconfig)",
    "default-server-port": "there is no inner server",
    "disable-full-test": "there is no configuration file to test",
    "disable-leader-election": "one watcher is active at a time in any case",
    "disable-sync-events": "there are none; Events say what was rejected, and --update-status=false writes none",
    "dynamic-configuration-retries": "nothing is retried against an inner server",
    "enable-annotation-validation": "annotations are always validated",
    "enable-dynamic-configuration": "everything is dynamic",
    "enable-ssl-chain-completion": "chains are served as the Secret has them; nothing is fetched",
    "force-namespace-isolation": "that is so unless the ConfigMap says allow-cross-namespace-resources",
    "health-check-timeout": "health is known, nobody is asked for it",
    "internal-logger-address": "there is no inner logger",
    "logtostderr": "logs go to standard error",
    "alsologtostderr": "logs go to standard error",
    "stderrthreshold": "logs go to standard error",
    "log_dir": "logs go to standard error",
    "log-dir": "logs go to standard error",
    "log_backtrace_at": "logs go to standard error",
    "log_file": "logs go to standard error",
    "log_file_max_size": "logs go to standard error",
    "one_output": "logs go to standard error",
    "skip_headers": "logs go to standard error",
    "skip_log_headers": "logs go to standard error",
    "max-buckets": "histograms have classic buckets only",
    "maxmind-edition-ids": "there is no GeoIP here",
    "maxmind-license-key": "there is no GeoIP here",
    "maxmind-mirror": "there is no GeoIP here",
    "maxmind-retries-count": "there is no GeoIP here",
    "maxmind-retries-timeout": "there is no GeoIP here",
    "monitor-max-batch-size": "there is no inner monitor",
    "post-shutdown-grace-period": "an edge ends with its last connection, and nothing after it needs time",
    "profiler-address": "there is no profiler",
    "profiler-port": "there is no profiler",
    "profiling": "there is no profiler",
    "report-node-internal-ip-address": "addresses of nodes are not written to the status; --publish-service or "
    "--publish-status-address say which are",
    "root-ca-file": "a kubeconfig says it (--kubeconfig)",
    "sort-backends": "endpoints are in a steady order",
    "ssl-passthrough-proxy-port": "there is no inner server",
    "status-port": "there is no inner server",
    "status-update-interval": "status is written when it changes, and looked at again by itself",
    "stream-port": "there is no inner server",
    "sync-period": "changes are taken as they come",
    "sync-rate-limit": "changes are taken as they come",
    "update-status-on-shutdown": "addresses stay, so that no DNS record goes while a controller is replaced",
    "v": "logs have one level; --log-format says their form",
    "vmodule": "logs have one level",
}
_SWITCHES: Final = frozenset(
    {
        "add_dir_header",
        "alsologtostderr",
        "disable-full-test",
        "disable-leader-election",
        "disable-sync-events",
        "enable-annotation-validation",
        "enable-dynamic-configuration",
        "enable-ssl-chain-completion",
        "force-namespace-isolation",
        "logtostderr",
        "one_output",
        "profiling",
        "report-node-internal-ip-address",
        "skip_headers",
        "skip_log_headers",
        "sort-backends",
        "update-status-on-shutdown",
    }
)
"""Those that take no value as a word of its own."""


CALLED_OTHERWISE: Final = {"http-port": "http", "https-port": "https", "healthz-port": "admin", "healthz-host": "admin"}
"""Flags that are a part of an option here."""
PREFIX: Final = "nginx.ingress.kubernetes.io"


def separate(
    words: Sequence[str], others: Mapping[str, str] = WITHOUT_EFFECT, switches: Collection[str] = _SWITCHES
) -> tuple[list[str], list[str]]:
    """(the words that are left, a notice for each flag in ``others``). Both ``--name=value`` and ``--name value``.

    Raises UsageError for a flag that must not be passed over.
    """
    left: list[str] = []
    notices: list[str] = []
    for name, value, own in _flags(words, others.keys(), switches):
        if not name:
            left.append(own)
        elif name == "annotations-prefix" and value != PREFIX:
            raise click.UsageError(
                f"--annotations-prefix {value}: annotations are read under {PREFIX} alone; passed over, those under "
                "another prefix could leave open what they guard. Write them under that one"
            )
        else:
            notices.append(f"--{name} has no effect: {others[name]}")
    return left, notices


def translated(words: Sequence[str], options: Collection[str]) -> tuple[list[str], list[str]]:
    """``words`` with flags of ``CALLED_OTHERWISE`` as the option that they are here, and notices about those that are
    not: the command has no such option (``options``: those it has), or it is given by itself."""
    left: list[str] = []
    notices: list[str] = []
    said: dict[str, dict[str, str]] = {}
    for name, value, own in _flags(words, CALLED_OTHERWISE.keys(), ()):
        if not name:
            left.append(own)
        else:
            said.setdefault(CALLED_OTHERWISE[name], {})[name] = value
    given = {word.removeprefix("--").partition("=")[0] for word in left if word.startswith("--")}
    for option, values in said.items():
        if option in options and option not in given:
            port = next((values[name] for name in values if name.endswith("-port")), "10254")
            host = values.get("healthz-host", "")
            left.append(f"--{option}={f'[{host}]' if ':' in host else host}:{port}")
        else:
            why = f"--{option} says so already" if option in given else "this command has no such part"
            notices += [f"--{name} has no effect: {why}" for name in values]
    return left, notices


def _flags(words: Sequence[str], wanted: Collection[str], switches: Collection[str]) -> Iterator[tuple[str, str, str]]:
    """(name, value, the word) of each flag in ``wanted``, and of every other word with an empty name."""
    rest = list(words)
    while rest:
        word = rest.pop(0)
        name, equals, value = word.lstrip("-").partition("=")  # Go takes one dash for two
        if not word.startswith("-") or name not in wanted:
            yield "", "", word
            continue
        if not equals and name not in switches and rest and not rest[0].startswith("-"):
            value = rest.pop(0)
        yield name, value, word


class NginxCommand(click.Command):
    """A command that takes these flags and says what became of them."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if "--version" in args and self.name != "version":
            click.echo(software())
            ctx.exit()
        options = {name.removeprefix("--") for option in self.params for name in option.opts}
        left, notices = separate(args)
        left, others = translated(left, options)
        for notice in (*notices, *others):
            click.echo(f"notice: {notice}", err=True)
        return super().parse_args(ctx, left)
