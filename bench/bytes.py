"""What travels: the bytes of one endpoint change, one Ingress change, and a full base, as they stand on the bus.

Deltas are counted as stored, with proof and signature; the base is the packed snapshot before it is cut into chunks.
"""

from __future__ import annotations

import sys

from bench.figures import Results, arguments, percentile
from bench.world import World
from proto.codec import encode, pack_base
from proto.objects import Object, key_of
from proto.signing import Signer
from proto.snapshots import SCHEMA, BaseRef, Cause, Delta, SignedDelta
from services.compiler.core.compiler import Compiler
from services.compiler.core.options import CompileOptions

_INSTANCE = "limen"


def main() -> int:
    """Measure and print."""
    parser = arguments(__doc__)
    parser.add_argument("--ingresses", type=int, default=10_000)
    parser.add_argument("--endpoints", type=int, default=50_000)
    options = parser.parse_args()
    world = World(options.ingresses, options.endpoints)
    results = Results("bytes")
    compiler = Compiler(CompileOptions())
    for value in world.objects():
        compiler.change(key_of(value), value)
    compiler.compile()
    records = compiler.records()
    packed = pack_base(records)
    unpacked = sum(len(record.body) for record in records)
    results.add(
        "full base", len(packed) / 1e6, "MB", 1.5, note=f"{len(records):,} resources, {unpacked / 1e6:.2f} MB unpacked"
    )
    times = 20 if options.quick else 200
    numbers = [number * 37 % world.ingresses for number in range(times)]
    slices = [_delta_size(compiler, world.slice(number, without=0)) for number in numbers]
    results.add("delta of one endpoint change, largest", max(slices), "bytes", 1024, note=_spread(slices))
    ingresses = [_delta_size(compiler, world.changed_ingress(number, "/more")) for number in numbers]
    results.add("delta of one Ingress change, largest", max(ingresses), "bytes", 16 * 1024, note=_spread(ingresses))
    results.add("delta of one path of a host with 2 000 paths", _large_host(compiler, world), "bytes", 16 * 1024)
    return results.print(as_json=options.json)


def _spread(sizes: list[int]) -> str:
    return f"median {percentile(sizes, 0.5):,.0f}"


def _large_host(compiler: Compiler, world: World) -> int:
    for number in range(500):
        ingress = world.large_ingress(number, 4)
        compiler.change(key_of(ingress), ingress)
    compiler.compile()
    return _delta_size(compiler, world.large_ingress(250, 5))


def _delta_size(compiler: Compiler, value: Object) -> int:
    """Compile one change and count the delta as it is stored."""
    compiler.change(key_of(value), value)
    compiled = compiler.compile()
    if not compiled.upserts:
        raise SystemExit(f"the change of {key_of(value)} changed nothing")
    cause = Cause("change", (key_of(value),), "123456789", 1_700_000_000.123, "0" * 32, 1)
    base = BaseRef(1_700_000_000, 4711, 3, 1_234_567, bytes(32), bytes(32), 4711)
    delta = Delta(
        SCHEMA,
        _INSTANCE,
        base.epoch,
        4712,
        compiler.digest,
        base,
        cause,
        1.7e9 + 0.1,
        compiled.upserts,
        compiled.removals,
    )
    body = encode(delta)
    proof = Signer("0" * 16, bytes(range(32))).prove(_INSTANCE, base.epoch, 4712, compiler.digest, body)
    return len(encode(SignedDelta(SCHEMA, proof, body)))


if __name__ == "__main__":
    sys.exit(main())
