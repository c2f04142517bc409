"""PCRE2 itself, the library that Debian's nginx runs: the judge of what a pattern means."""

from __future__ import annotations

import ctypes
import functools
from typing import Any, Final

CASELESS: Final = 0x00000008
_UNSET: Final = ctypes.c_size_t(-1).value
_NO_MATCH: Final = -1


class Refused(Exception):
    """PCRE does not take the pattern, or gave up searching (``code`` is its own)."""

    def __init__(self, code: int) -> None:
        super().__init__(f"PCRE2 says {code}")
        self.code = code


@functools.cache
def library() -> Any:
    """libpcre2-8; raises OSError where it is not."""
    found = ctypes.CDLL("libpcre2-8.so.0")
    found.pcre2_compile_8.restype = ctypes.c_void_p
    found.pcre2_match_data_create_from_pattern_8.restype = ctypes.c_void_p
    found.pcre2_get_ovector_pointer_8.restype = ctypes.POINTER(ctypes.c_size_t)
    return found


class Pcre:
    """A compiled pattern of bytes, as nginx compiles it: without UTF. Raises Refused."""

    def __init__(self, pattern: bytes, *, ignore_case: bool = True) -> None:
        code, at = ctypes.c_int(), ctypes.c_size_t()
        options = CASELESS if ignore_case else 0
        size = ctypes.c_size_t(len(pattern))
        compiled = library().pcre2_compile_8(pattern, size, options, ctypes.byref(code), ctypes.byref(at), None)
        if not compiled:
            raise Refused(code.value)
        self._code = ctypes.c_void_p(compiled)
        self._data = ctypes.c_void_p(library().pcre2_match_data_create_from_pattern_8(self._code, None))
        self.groups = int(library().pcre2_get_ovector_count_8(self._data)) - 1

    def search(self, subject: bytes) -> tuple[bytes, ...] | None:
        """The match and its captures, empty where a group took no part; None. Raises Refused."""
        size, start = ctypes.c_size_t(len(subject)), ctypes.c_size_t(0)
        count = library().pcre2_match_8(self._code, subject, size, start, 0, self._data, None)
        if count == _NO_MATCH:
            return None
        if count < 0:
            raise Refused(count)
        ends = library().pcre2_get_ovector_pointer_8(self._data)
        spans = [(ends[2 * number], ends[2 * number + 1]) for number in range(self.groups + 1)]
        return tuple(b"" if begin == _UNSET else subject[begin:end] for begin, end in spans)

    def close(self) -> None:
        """Give its memory back."""
        library().pcre2_match_data_free_8(self._data)
        library().pcre2_code_free_8(self._code)
