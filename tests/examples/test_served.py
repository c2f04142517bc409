"""The requests that examples/README.md shows, made literally while ``limen demo`` runs."""

from __future__ import annotations

import re
import shlex
import sys
from collections.abc import Iterator

import pytest

from tests.examples.test_folders import EXAMPLES, FOLDERS
from tests.support.namespace import Namespace, namespace
from tests.support.processes import Process
from tests.support.waiting import eventually_sync

LINES = dict(re.findall(r"^\| `([\w-]+)` \|.*\| `(curl [^`]+)`", (EXAMPLES / "README.md").read_text(), re.MULTILINE))
ANSWERS = {
    "hosts-and-paths": ["coffee at ", "GET /coffee "],
    "virtual-hosts": ["tea at ", "Host: green.tea.localhost"],
    "default-backend": ["fallback at "],
    "tls": ["coffee at ", "X-Forwarded-Proto: https"],
    "rewrite-target": ["coffee at ", "GET / "],
    "capture-groups": ["coffee at ", "GET /new?x=1 "],
    "app-root": ["302 Found", "Location: http://app.localhost:8080/console"],
    "ssl-redirect": ["308 Permanent Redirect", "Location: https://redirect-on.localhost"],
    "ingress-classes": ["coffee at "],
    "configmap": ["Strict-Transport-Security: max-age=3600\n"],
    "v1beta1": ["tea at "],
}
"""What the answer to each holds."""


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Namespace]:
    """``limen demo`` in a network of its own, where the usual ports are free."""
    folder = tmp_path_factory.mktemp("demo")
    with namespace(folder, {}) as space:
        command = space.inside("env", f"HOME={folder}", sys.executable, "-m", "services.cli.main", "demo")
        child = Process(command, folder / "demo.log")
        try:
            eventually_sync(lambda: "Ctrl-C ends" in child.output(), 60, what="the demo runs", every=0.1)
            yield space
        finally:
            child.end()


def test_every_example_has_a_line_to_try() -> None:
    assert set(LINES) == set(ANSWERS) == set(FOLDERS) - {"websocket"}


@pytest.mark.netns
@pytest.mark.parametrize("name", ANSWERS)
def test_a_line_answers_as_the_table_says(demo: Namespace, name: str) -> None:
    words = shlex.split(LINES[name])
    done = demo.run(*words, "--silent", "--show-error", "--max-time", "5")
    assert done.returncode == 0, done.stderr
    answer = done.stdout.lower()  # curl speaks HTTP/2 where it may, and names of headers are in lower case there
    for part in ANSWERS[name]:
        assert part.lower() in answer
