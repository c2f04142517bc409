"""``python -m tests.golden.update [CASE ...]``: write the answers of the golden cases anew. Then read the diff."""

from __future__ import annotations

import sys

from tests.golden.case import all_cases, compile_case, render


def main(names: list[str]) -> int:
    """Write ``expected.yaml`` of the named cases, or of all; returns 1 for a name that is no case."""
    cases = {case.name: case for case in all_cases()}
    unknown = [name for name in names if name not in cases]
    if unknown:
        print(f"no such case: {', '.join(unknown)}; there are {', '.join(cases)}")
        return 1
    for name in names or cases:
        case = cases[name]
        text = render(compile_case(case))
        if not case.expected.exists() or case.expected.read_text() != text:
            case.expected.write_text(text)
            print(f"wrote {case.expected}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
