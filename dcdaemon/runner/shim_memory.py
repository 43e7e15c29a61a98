"""Part of the shim: the control group of the job's unit, and whether the kernel killed some of it for its memory."""

# as in the shim:
# ruff: noqa: PTH116, PTH119, PTH123

import os

CGROUPS = "/sys/fs/cgroup"
MIB, GIB = 1024**2, 1024**3


def own_cgroup(job_id: int, proc: str = "/proc/self/cgroup", root: str = CGROUPS) -> dict | None:  # type: ignore[type-arg]
    """Return path and inode of this process's control group where it is the job's own unit, else None."""
    try:
        with open(proc, encoding="utf-8", errors="surrogateescape") as file:
            lines = [line for line in file.read().splitlines() if line.startswith("0::")]
        path = lines[0][3:] if lines else "/"
        if os.path.basename(path) != f"dcd-job-{job_id}.service":
            return None
        return {"path": path, "inode": os.stat(root + path).st_ino}
    except OSError:
        return None


def memory_of(cgroup: dict | None, limit_bytes: int, root: str = CGROUPS) -> dict | None:  # type: ignore[type-arg]
    """Return the processes killed for memory, the limit and the peak, unknown ones as None; None without a unit."""
    if cgroup is None:
        return None
    directory = root + cgroup["path"]
    return {
        "oom_kills": oom_kills(_read(directory + "/memory.events")),
        "limit_bytes": limit_bytes or None,
        "peak_bytes": _number(_read(directory + "/memory.peak")),  # since Linux 5.19
    }


def oom_kills(events: str) -> int | None:
    """Return how many processes the kernel killed, by the text of memory.events; None when that does not tell."""
    for line in events.splitlines():
        name, _, value = line.partition(" ")
        if name == "oom_kill":
            return _number(value)
    return None


def out_of_memory(memory: dict | None, code: int | None, number: int | None) -> str | None:  # type: ignore[type-arg]
    """Return why a job that failed did so for lack of memory; None when it did not, or did well all the same."""
    kills = memory["oom_kills"] if memory else None
    if not memory or not kills or (code == 0 and number is None):
        return None
    limit, peak = memory["limit_bytes"], memory["peak_bytes"]
    where = "when the node had none left" if limit is None else f"at its limit of {_size(limit)}"
    most = "" if peak is None else f"; the most it held was {_size(peak)}"
    return f"out of memory: the kernel killed {kills} of its processes {where}{most}"


def _size(count: int) -> str:
    return f"{count / MIB:.0f} MiB" if count < GIB else f"{count / GIB:.2f} GiB"


def _read(path: str) -> str:
    try:
        with open(path, encoding="ascii", errors="replace") as file:
            return file.read()
    except OSError:
        return ""


def _number(text: str) -> int | None:
    return int(text) if text.strip().isdecimal() else None
