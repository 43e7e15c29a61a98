"""Records what the collector and nvidia-smi say of the first GPU, side by side, while a training job comes and goes."""  # noqa: INP001  part of a script

import json
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

import psutil

from contributing import nvidia_smi
from dcdaemon.core.event import Event
from dcdaemon.telemetry.gpu_source import NvmlSource

_EVERY_S, _PAGE_EVERY_S, _IDLE_S = 0.2, 2.0, 15.0
_LOAD = Path(__file__).with_name("gpu_load.py")
_PMON = ("pmon", "-i", "0", "-s", "um", "-d", "1")
_DMON = ("dmon", "-i", "0", "-s", "pucvmet", "-d", "1")
#: What nvidia-smi tells on pages of its own, asked before, during and after the job.
_PAGES = {
    "pci counters": ("pci", "-i", "0", "-gCnt"), "pci errors": ("pci", "-i", "0", "-gErrCnt"),
    "nvlink": ("nvlink", "-i", "0", "-s"), "nvlink errors": ("nvlink", "-i", "0", "-e"),
    "nvlink bytes": ("nvlink", "-i", "0", "-gt", "d"), "topology": ("topo", "-m"),
    "queries": ("--help-query-gpu",), "dmon": ("dmon", "-h"),
}  # fmt: skip


class Recording:
    """Everything that was said, each with its time in epoch seconds."""

    def __init__(self) -> None:
        self.said: dict[str, list[Any]] = {
            name: [] for name in ("samples", "pages", "others", "dmon", "pmon", "phases", "stderr", "child", "events")
        }
        self.more: dict[str, Any] = {"nvidia_smi": nvidia_smi.there()}

    def add(self, kind: str, value: object) -> None:
        """Keep what was said just now."""
        self.said[kind].append([time.time(), value])

    def write(self, target: Path) -> None:
        """Write it all to a file."""
        target.write_text(json.dumps(self.said | self.more, default=str))


def record(target: Path, scale: float = 1.0) -> None:
    """Record a whole run, of some three minutes where scale is 1."""
    recording = Recording()

    def tell(event: Event) -> None:
        recording.add("events", f"{event.kind}: {event.message}")

    source = NvmlSource(tell=tell)
    source.start()
    source.wait_known(20)
    stop = threading.Event()
    threads = [threading.Thread(target=work, args=(recording, stop)) for work in (_ask_pages, _follow_monitors)]
    threads.append(threading.Thread(target=_listen, args=(source, recording, stop)))
    try:
        for thread in threads:
            thread.start()
        _go_through(recording, scale)
    finally:
        stop.set()
        for thread in threads:
            thread.join()
        recording.more["gpus"] = [asdict(gpu) for gpu in source.read().gpus]
        recording.more["driver_version"] = source.read().driver_version
        source.close()
        recording.write(target)


def _go_through(recording: Recording, scale: float) -> None:
    with _phase(recording, "before"):
        time.sleep(_IDLE_S * scale)
        _ask_others(recording)
    begun = time.time()
    job = subprocess.Popen(
        [sys.executable, _LOAD, str(scale)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    recording.more["job"] = [job.pid, begun]
    errors = threading.Thread(target=_read, args=(job.stderr, recording, "stderr"))
    errors.start()
    assert job.stdout is not None  # noqa: S101  it is a pipe
    for line in job.stdout:
        recording.add("phases", json.loads(line))
        if '"train"' in line:
            _ask_others(recording)
    recording.more["job_exit"] = job.wait()
    errors.join()
    with _phase(recording, "after"):
        time.sleep(_IDLE_S * scale)
        _ask_others(recording)


@contextmanager
def _phase(recording: Recording, name: str) -> Iterator[None]:
    begin = time.time()
    yield
    recording.add("phases", {"phase": name, "begin": begin, "end": time.time()})


def _listen(source: NvmlSource, recording: Recording, stop: threading.Event) -> None:
    """Keep each sample of the first GPU, and what the telemetry child has cost until then."""
    last_s = 0.0
    while not stop.wait(_EVERY_S):
        for sample in source.read().samples:
            if sample.gpu == 0 and sample.monotonic_s > last_s:
                last_s = sample.monotonic_s
                recording.add("samples", asdict(sample))
                with suppress(psutil.Error):
                    child = psutil.Process(source.child_pid)
                    times = child.cpu_times()
                    cost = [child.pid, times.user, times.system, child.memory_info().rss]
                    recording.add("child", cost)


def _ask_pages(recording: Recording, stop: threading.Event) -> None:
    if not nvidia_smi.there():
        return
    while not stop.wait(_PAGE_EVERY_S):
        begin = time.time()
        recording.add("pages", {"begin": begin, "page": nvidia_smi.ask("-q", "-x", "-i", "0")})


def _ask_others(recording: Recording) -> None:
    if nvidia_smi.there():
        for name, arguments in _PAGES.items():
            recording.add("others", {"begin": time.time(), "name": name, "page": nvidia_smi.ask(*arguments)})


def _follow_monitors(recording: Recording, stop: threading.Event) -> None:
    if not nvidia_smi.there():
        return
    gpm = ("--gpm-metrics", ",".join(map(str, nvidia_smi.GPM)))
    known = "gpm" in nvidia_smi.ask("dmon", "-h").lower()
    dmon = (*_DMON, *(gpm if known else ()))
    with _monitor(dmon, recording, "dmon"), _monitor(_PMON, recording, "pmon"):
        stop.wait()


@contextmanager
def _monitor(arguments: Sequence[str], recording: Recording, kind: str) -> Iterator[None]:
    """Keep the lines of a command of nvidia-smi that runs on."""
    command = ["stdbuf", "-oL", "nvidia-smi", *arguments]
    running = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    reader = threading.Thread(target=_read, args=(running.stdout, recording, kind))
    reader.start()
    yield
    running.terminate()
    running.wait()
    reader.join()


def _read(lines: Any, recording: Recording, kind: str) -> None:
    for line in lines:
        recording.add(kind, line.rstrip("\n"))
