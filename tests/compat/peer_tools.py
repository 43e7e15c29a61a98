"""Runs the other tools, each through the door it has for programs: JSON, its Python interface, /metrics."""

import json
import re
import socket
import subprocess
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from patience import until

_TIMEOUT_S = 60
_NVITOP = """
import json
from nvitop import Device, MigDevice, NA

def plain(value):
    if value is NA:
        return None
    if hasattr(value, "_asdict"):
        return {name: plain(part) for name, part in value._asdict().items()}
    return value

def told(device):
    snapshot = device.as_snapshot()
    processes = {
        pid: {"memory": plain(process.gpu_memory()), "sm": plain(process.gpu_sm_utilization())}
        for pid, process in device.processes().items()
    }
    values = {name: plain(getattr(snapshot, name)) for name in device.SNAPSHOT_KEYS}
    if isinstance(device, MigDevice):
        values |= {"gi": device.gpu_instance_id(), "ci": device.compute_instance_id()}
    else:
        values["nvlinks"] = plain(device.nvlink_link_count())
    return values | {"index": device.index, "processes": processes}

gpus = [told(device) | {"migs": [told(mig) for mig in device.mig_devices()]} for device in Device.all()]
print(json.dumps(gpus))
"""


def _output(*command: str | Path) -> Any:
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=_TIMEOUT_S)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def gpustat(programs: Path) -> list[dict[str, Any]]:
    """Return what `gpustat --json` says of each GPU."""
    gpus: list[dict[str, Any]] = _output(programs / "gpustat", "--json")["gpus"]
    return gpus


def nvitop(programs: Path) -> list[dict[str, Any]]:
    """Return nvitop's snapshot of each GPU with its processes and MIG instances; None where it says N/A."""
    gpus: list[dict[str, Any]] = _output(programs / "python", "-c", _NVITOP)
    return gpus


Series = dict[tuple[str, str], float]


@contextmanager
def nvitop_exporter(programs: Path, gpus: int, processes: int = 0) -> Iterator[Series]:
    """Run the exporter and yield its first full page: (name, index or index/pid) -> value.

    It puts one value after the other onto its page: full is what has all GPUs and processes, and has stopped growing.
    """
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [programs / "nvitop-exporter", "--bind-address", "127.0.0.1", "--port", str(port), "--interval", "0.5"]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as exporter:
        page: Series = {}

        def full() -> bool:
            before = set(page)
            page.clear()
            page.update(_scrape(port))
            names = [name for name, _ in page]
            there = names.count("gpu_temperature_C"), names.count("process_gpu_memory_MiB")
            return there[0] == gpus and there[1] >= processes and set(page) == before

        try:
            until(full, within_s=_TIMEOUT_S)
            yield page
        finally:
            exporter.terminate()


def _scrape(port: int) -> Series:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
            lines = answer.read().decode().splitlines()
    except OSError:
        return {}
    found: Series = {}
    for line in lines:
        series = re.match(r"(\w+)\{(.*)\} (\S+)$", line)
        if series:
            name, labels, value = series.groups()
            known = dict(re.findall(r'(\w+)="([^"]*)"', labels))
            found[name, "/".join(filter(None, (known.get("index"), known.get("pid"))))] = float(value)
    return found
