"""The compile of a few objects, as tests look at it: what a change touches, what is served, what was found."""

from __future__ import annotations

from proto.codec import decode_resource
from proto.objects import Object, key_of
from proto.resources import ResourceKey, Upstream, VirtualHost
from services.compiler.core.compiler import Compiler
from services.compiler.core.options import CompileOptions
from services.compiler.core.result import Compiled
from tests.support.objects import NGINX, ingress, path, rule

WEB = ingress("web", rule("web.test", path("/", "web:80")))
OTHER = ingress("other", rule("other.test", path("/", "other:80")))


def compiler_with(*objects: Object, options: CompileOptions | None = None) -> Compiler:
    """A compiler that was told of them, and has not compiled yet."""
    compiler = Compiler(options or CompileOptions())
    put(compiler, NGINX, *objects)
    return compiler


def put(compiler: Compiler, *objects: Object) -> None:
    """They come, or change."""
    for value in objects:
        compiler.change(key_of(value), value)


def remove(compiler: Compiler, *objects: Object) -> None:
    """They go."""
    for value in objects:
        compiler.change(key_of(value), None)


def touched(compiled: Compiled) -> list[str]:
    """Which resources it replaces and (``-``) removes."""
    return [str(record.key) for record in compiled.upserts] + [f"- {key}" for key in compiled.removals]


def codes(compiler: Compiler, value: Object) -> list[str]:
    """What was found of an object."""
    return [found.code for found in compiler.diagnostics.get(key_of(value), ())]


def host(compiler: Compiler, name: str) -> VirtualHost:
    """The VirtualHost of that name."""
    key = ResourceKey("virtualhost", name)
    resource = decode_resource(next(record for record in compiler.records() if record.key == key))
    assert isinstance(resource, VirtualHost)
    return resource


def upstream(compiler: Compiler, name: str) -> Upstream:
    """The Upstream of that name."""
    key = ResourceKey("upstream", name)
    resource = decode_resource(next(record for record in compiler.records() if record.key == key))
    assert isinstance(resource, Upstream)
    return resource
