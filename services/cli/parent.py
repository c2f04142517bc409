"""A process that must not outlive the supervisor that started it.

The supervisor names itself in ``LIMEN_PARENT``; the child asks the kernel, first thing, for SIGKILL at its parent's
death. So no child is left even when the supervisor is killed. (Set by the child itself: code between fork and exec in
a process that has threads is not safe.)
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from typing import Final

VARIABLE: Final = "LIMEN_PARENT"
_PR_SET_PDEATHSIG = 1


def die_with_parent() -> None:
    """If a supervisor started this process, end with it. Returns at once otherwise, and where there is no prctl."""
    parent = os.environ.pop(VARIABLE, "")
    if not parent.isdigit() or sys.platform != "linux":
        return
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != int(parent):  # it died before the kernel was asked
        sys.exit(1)


LAUNCHER: Final = (
    "import ctypes,os,sys;"
    f"ctypes.CDLL(None).prctl({_PR_SET_PDEATHSIG},{int(signal.SIGKILL)},0,0,0);"
    f"os.getppid()==int(os.environ.pop('{VARIABLE}')) or sys.exit(1);"
    "os.execv(sys.argv[1],sys.argv[1:])"
)
"""The same for a program that is not ours: ``python -I -c LAUNCHER PROGRAM ARGUMENT …`` becomes that program."""
