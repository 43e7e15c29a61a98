"""CPU, memory, load, pressure and the like; pure functions over the text of a file each."""

import os
import re
from collections.abc import Iterator

from dcdaemon.core.exposed import Exposed
from dcdaemon.telemetry.numbers import whole

_TICKS_PER_S = os.sysconf("SC_CLK_TCK")
_MODES = ("user", "nice", "system", "idle", "iowait", "irq", "softirq", "steal")
_GUESTS = {8: "user", 9: "nice"}
#: One number of a line of /proc/stat each.
_OF_STAT = {
    "btime": ("node_boot_time_seconds", "gauge", "When the node was started."),
    "ctxt": ("node_context_switches_total", "counter", "Context switches."),
    "processes": ("node_forks_total", "counter", "Processes made."),
    "intr": ("node_intr_total", "counter", "Interrupts."),
    "procs_running": ("node_procs_running", "gauge", "Tasks that run or could."),
    "procs_blocked": ("node_procs_blocked", "gauge", "Tasks that wait for I/O."),
}
#: What is told of each resource: tasks wait (some of them), or all of them are stalled (full).
_PRESSURE = {"cpu": ("some",), "memory": ("some", "full"), "io": ("some", "full"), "irq": ("full",)}
_WORDS = {"some": "waiting", "full": "stalled"}
_TOTAL = re.compile(r"^(some|full) .*total=(\d+)$", re.MULTILINE)
_UNAME = ("sysname", "release", "version", "machine", "nodename", "domainname")

Rows = list[tuple[tuple[str, ...], float]]


def stat(text: str) -> Iterator[Exposed]:
    """Return the times of each CPU, and the single numbers of /proc/stat (proc_stat(5))."""
    modes: Rows = []
    guests: Rows = []
    for line in text.splitlines():
        name, *fields = line.split() or [""]
        numbers = [whole(field) for field in fields[:10]]
        if name.startswith("cpu") and name != "cpu":
            told = list(enumerate(numbers))
            modes += [((name[3:], _MODES[n]), ticks / _TICKS_PER_S) for n, ticks in told[:8] if ticks is not None]
            guests += [((name[3:], _GUESTS[n]), ticks / _TICKS_PER_S) for n, ticks in told[8:] if ticks is not None]
        elif name in _OF_STAT and numbers and numbers[0] is not None:
            yield Exposed(*_OF_STAT[name], (), [((), numbers[0])])
    labels = ("cpu", "mode")
    yield Exposed("node_cpu_seconds_total", "counter", "Time the CPUs spent in each mode.", labels, modes)
    yield Exposed("node_cpu_guest_seconds_total", "counter", "Time the CPUs ran guests.", labels, guests)


def meminfo(text: str) -> Iterator[Exposed]:
    """Return every line of /proc/meminfo; what it tells in kB in bytes."""
    for line in text.splitlines():
        key, _, told = line.partition(":")
        number, *unit = told.split() or [""]
        value = whole(number, 1024 if unit == ["kB"] else 1)
        if value is not None:
            name = key.replace("(", "_").replace(")", "") + ("_bytes" if unit else "")
            yield Exposed(f"node_memory_{name}", "gauge", f"{key} of /proc/meminfo.", (), [((), value)])


def loadavg(text: str) -> Iterator[Exposed]:
    """Return the three means of /proc/loadavg."""
    for minutes, word in zip((1, 5, 15), text.split(), strict=False):
        try:
            load = float(word)
        except ValueError:
            continue
        yield Exposed(f"node_load{minutes}", "gauge", f"Running and waiting tasks, {minutes} min.", (), [((), load)])


def pressure(resource: str, text: str) -> Iterator[Exposed]:
    """Return how long tasks waited for a resource (/proc/pressure)."""
    for who, total_us in _TOTAL.findall(text):
        if who in _PRESSURE[resource]:
            name = f"node_pressure_{resource}_{_WORDS[who]}_seconds_total"
            yield Exposed(name, "counter", f"Time tasks waited for {resource}.", (), [((), int(total_us) / 1e6)])


def file_nr(text: str) -> Iterator[Exposed]:
    """Return how many files are open and may be (/proc/sys/fs/file-nr)."""
    fields = text.split()
    for place, word in ((0, "allocated"), (2, "maximum")):
        number = whole(fields[place]) if len(fields) > place else None
        if number is not None:
            yield Exposed(f"node_filefd_{word}", "gauge", f"File descriptors: {word}.", (), [((), number)])


def uname(told: os.uname_result, domain: str) -> Exposed:
    """Return what the system calls itself."""
    values = (told.sysname, told.release, told.version, told.machine, told.nodename, domain.strip() or "(none)")
    return Exposed("node_uname_info", "gauge", "What uname tells; always 1.", _UNAME, [(values, 1)])
