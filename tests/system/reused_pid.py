"""A process with a pid of one's choice, as the kernel gives it after all others have been used (clone3(2), set_tid)."""

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterator

import pytest

#: A system call by its number: the same on all machines that Linux runs on since it exists.
PROGRAM = """
import ctypes, os, signal, sys
fields = "flags pidfd child_tid parent_tid exit_signal stack stack_size tls set_tid set_tid_size cgroup".split()
Arguments = type("Arguments", (ctypes.Structure,), {"_fields_": [(name, ctypes.c_uint64) for name in fields]})
wanted = (ctypes.c_int * 1)(int(sys.argv[1]))
arguments = Arguments(exit_signal=signal.SIGCHLD, set_tid=ctypes.addressof(wanted), set_tid_size=1)
libc = ctypes.CDLL(None, use_errno=True)
pid = libc.syscall(435, ctypes.byref(arguments), ctypes.sizeof(arguments))
if pid == 0:
    os.setsid()
    for descriptor in (1, 2):
        os.dup2(os.open(os.devnull, os.O_RDWR), descriptor)
    os.execvp("sleep", ["sleep", "1000"])
print(-ctypes.get_errno() if pid < 0 else pid, flush=True)
"""


@contextlib.contextmanager
def stranger_with(pid: int) -> Iterator[None]:
    """Have a process that leads a session under this pid, which must be free; skip where that is not allowed."""
    made = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(pid)], capture_output=True, text=True, check=True, timeout=20
    )
    if int(made.stdout) != pid:
        pytest.skip(f"this kernel gives nobody a chosen pid: {os.strerror(-int(made.stdout))}")
    try:
        yield
    finally:
        os.kill(pid, signal.SIGKILL)
