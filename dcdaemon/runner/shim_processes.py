"""Part of the shim: other processes, found in /proc and signalled without mistaking one for another."""

# as in the shim:
# ruff: noqa: PTH123, PTH208

import os
import signal


def start_ticks(pid: int) -> int | None:
    """Return when a process began, in clock ticks since boot (proc(5)), or None when there is none."""
    stat = _stat(pid)
    return stat[1] if stat else None


def signal_group(pgid: int, number: int) -> bool:
    """Signal a process group; False when there is none (yet)."""
    try:
        os.killpg(pgid, number)
    except OSError:
        return False
    return True


def signal_descendants(number: int) -> None:
    """Signal every process below this one."""
    for pid, ticks in descendants():
        _signal_process(pid, ticks, number)


def descendants() -> list[tuple[int, int]]:
    """Return (pid, start ticks) of every process below this one."""
    children: dict[int, list[tuple[int, int]]] = {}
    for name in os.listdir("/proc"):
        stat = _stat(int(name)) if name.isdigit() else None
        if stat:
            children.setdefault(stat[0], []).append((int(name), stat[1]))
    found = children.pop(os.getpid(), [])
    for pid, _ in found:  # grows while it is walked: breadth first
        found += children.pop(pid, [])
    return found


def _signal_process(pid: int, ticks: int, number: int) -> None:
    """Signal exactly the process that was seen: the pidfd holds it, the start time proves it is that one."""
    try:
        fd = os.pidfd_open(pid)
    except OSError:
        return
    try:
        if start_ticks(pid) == ticks:
            signal.pidfd_send_signal(fd, number)
    except OSError:
        return  # gone, or a set-uid program that is not ours to signal
    finally:
        os.close(fd)


def _stat(pid: int) -> tuple[int, int] | None:
    """Return (parent pid, start ticks): fields 4 and 22 of proc(5), behind the name, which holds anything."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            fields = file.read().rpartition(b")")[2].split()
    except OSError:
        return None
    return (int(fields[1]), int(fields[19])) if len(fields) > 19 else None
