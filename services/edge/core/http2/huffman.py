"""The Huffman code of HPACK (RFC 7541 section 5.2 and appendix B).

Decoding walks the code's tree a byte at a time. What a byte does in a node is worked out when it first happens there:
of 65 536 such steps traffic needs a few thousand.
"""

from __future__ import annotations

from typing import Final

from services.edge.core.http2.errors import COMPRESSION_ERROR, ConnectionFaultError
from services.edge.core.http2.memo import Memo
from services.edge.core.http2.tables import CODE_LENGTHS, END_OF_STRING


def _codes() -> tuple[str, ...]:
    """The code of each symbol as text of 0 and 1."""
    codes = [""] * len(CODE_LENGTHS)
    code, length = 0, 0
    for symbol in sorted(range(len(CODE_LENGTHS)), key=lambda symbol: (CODE_LENGTHS[symbol], symbol)):
        code <<= CODE_LENGTHS[symbol] - length
        length = CODE_LENGTHS[symbol]
        codes[symbol] = format(code, f"0{length}b")
        code += 1
    return tuple(codes)


_CODES: Final = _codes()


def _tree() -> list[list[int]]:
    """Node → [where 0 leads, where 1 leads]: a node, or -1 - symbol. Node 0 is the root."""
    nodes = [[0, 0]]
    for symbol, code in enumerate(_CODES):
        node = 0
        for bit in code[:-1]:
            if not nodes[node][int(bit)]:
                nodes[node][int(bit)] = len(nodes)
                nodes.append([0, 0])
            node = nodes[node][int(bit)]
        nodes[node][int(code[-1])] = -1 - symbol
    return nodes


_NODES: Final = _tree()


def _step(key: int) -> tuple[int, bytes]:
    """What byte ``key & 255`` does in node ``key >> 8``: (the next node << 8, the bytes that it completes)."""
    node, byte = key >> 8, key & 255
    symbols = bytearray()
    for shift in range(7, -1, -1):
        node = _NODES[node][byte >> shift & 1]
        if node < 0:
            if -1 - node == END_OF_STRING:
                raise ConnectionFaultError(COMPRESSION_ERROR, "huffman-end")
            symbols.append(-1 - node)
            node = 0
    return node << 8, bytes(symbols)


_steps: Final = Memo(_step, 256 * len(_NODES))


def _padding() -> frozenset[int]:
    """The nodes << 8 in which a string may end: after at most seven bits, all of them 1 (RFC 7541 section 5.2)."""
    nodes = [0]
    for _ in range(7):
        nodes.append(_NODES[nodes[-1]][1])
    return frozenset(node << 8 for node in nodes)


_ENDS: Final = _padding()


def decode(data: bytes) -> bytes:
    """The string that ``data`` stands for. Raises ConnectionFaultError."""
    node = 0
    pieces = []
    steps = _steps
    for byte in data:
        node, symbols = steps[node | byte]
        pieces.append(symbols)
    if node not in _ENDS:
        raise ConnectionFaultError(COMPRESSION_ERROR, "huffman-padding")
    return b"".join(pieces)


def encode(text: bytes) -> bytes:
    """``text`` in the code, padded with ones."""
    bits = "".join([_CODES[byte] for byte in text])
    if not bits:
        return b""
    size = (len(bits) + 7) // 8
    return int(bits.ljust(8 * size, "1"), 2).to_bytes(size, "big")
