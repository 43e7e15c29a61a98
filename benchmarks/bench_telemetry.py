"""What watching a node costs, beside what is used for it today, in one run.

The daemon watches 8 GPUs (the fake driver of the tests) at 1 s and the host at 5 s, with everything on: /metrics and
/metrics/dcgm scraped every 15 s, a real snmpd asked by SNMP where one is installed. Beside it, at the same time:
prometheus-node-exporter scraped every 5 s, and nvitop-exporter reading the same fake driver at 1 s.
"""

import contextlib
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

from benchmarks.node import GPUS, running_node
from benchmarks.processes import cpu_s, memory_mb, role, tree

SETTLE_S = 20
#: CI measures for a shorter time, to see that it can be measured.
MEASURE_S = int(os.environ.get("DCD_BENCH_S", "120"))
_PEERS = Path(".venv/peers/bin")
Row = tuple[str, float, float, float]


def main() -> None:
    """Print a line per process: ours, their total, and the peers."""
    sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
    from fake_nvml.fake_driver import FakeDriver, build  # noqa: PLC0415

    with tempfile.TemporaryDirectory(prefix="dcd-fake-nvml-") as name, contextlib.ExitStack() as stack:
        folder = Path(name)
        driver = FakeDriver(build(folder), folder / "state", GPUS)
        for gpu in range(GPUS):
            driver.gpu(gpu, compute=f"{os.getpid()}:{2**30}")
        fake = {"LD_LIBRARY_PATH": name, "FAKE_NVML_STATE": str(folder / "state")}
        metrics = free_port()
        settings = {
            "DCD_METRICS__LISTEN": f"127.0.0.1:{metrics}",
            "DCD_METRICS__DCGM": "true",
            **stack.enter_context(snmpd(folder)),
        }
        node = stack.enter_context(running_node(driver={**fake, **settings}))
        for page in ("/metrics", "/metrics/dcgm"):
            stack.enter_context(scraped(f"http://127.0.0.1:{metrics}{page}", 15))
        peers = stack.enter_context(running_peers(fake))
        report(node.process.pid, peers)


def report(daemon: int, peers: dict[str, int]) -> None:
    """Measure every process over the same two minutes."""
    print(f"settling {SETTLE_S} s, then measuring {MEASURE_S} s", file=sys.stderr, flush=True)
    time.sleep(SETTLE_S)
    ours = tree(daemon)
    before = {pid: cpu_s(pid) for pid in (*ours, *peers.values())}
    begin_s = time.monotonic()
    time.sleep(MEASURE_S)
    elapsed_s = time.monotonic() - begin_s

    def row(name: str, pid: int) -> Row:
        return (name, *memory_mb(pid), 100 * (cpu_s(pid) - before[pid]) / elapsed_s)

    rows = [row(f"dcdaemon: {role(pid)}", pid) for pid in ours if Path(f"/proc/{pid}").exists()]
    total = tuple(sum(one[place] for one in rows) for place in (1, 2, 3))
    print(f"{'process':<44} {'resident MB':>11} {'own MB':>8} {'% of a core':>11}")
    for name, resident_mb, own_mb, core_pct in (
        *rows,
        (f"dcdaemon in total, {GPUS} GPUs at 1 s", *total),
        *(row(name, pid) for name, pid in peers.items()),
    ):
        print(f"{name:<44} {resident_mb:>11.1f} {own_mb:>8.1f} {core_pct:>11.2f}")


@contextlib.contextmanager
def running_peers(fake: dict[str, str]) -> Iterator[dict[str, int]]:
    """Start the programs people use today; one that is not installed is left out, and said so."""
    commands = {}
    if program := shutil.which("prometheus-node-exporter"):
        port = free_port()
        name = "prometheus-node-exporter, scraped every 5 s"
        commands[name] = ([program, f"--web.listen-address=127.0.0.1:{port}"], port, 5)
    if (_PEERS / "nvitop-exporter").exists():
        port = free_port()
        command = [
            str(_PEERS / "nvitop-exporter"),
            "--bind-address",
            "127.0.0.1",
            "--port",
            str(port),
            "--interval",
            "1",
        ]
        commands["nvitop-exporter at 1 s, same fake driver"] = (command, port, 15)
    for missing in {"prometheus-node-exporter", "nvitop-exporter"} - {
        name.split(maxsplit=1)[0].strip(",") for name in commands
    }:
        print(f"not installed, left out: {missing}", file=sys.stderr)
    with contextlib.ExitStack() as stack:
        pids = {}
        for name, (command, port, every_s) in commands.items():
            quiet = subprocess.DEVNULL
            process = stack.enter_context(
                subprocess.Popen(command, env={**os.environ, **fake}, stdout=quiet, stderr=quiet)
            )
            stack.callback(process.kill)
            stack.enter_context(scraped(f"http://127.0.0.1:{port}/metrics", every_s))
            pids[name] = process.pid
        yield pids


@contextlib.contextmanager
def scraped(url: str, every_s: float) -> Iterator[None]:
    """Fetch a page again and again while the block runs, as Prometheus does."""
    over = threading.Event()

    def scrape() -> None:
        while not over.wait(every_s):
            with contextlib.suppress(OSError), urllib.request.urlopen(url, timeout=5) as answer:  # noqa: S310  loopback
                answer.read()

    thread = threading.Thread(target=scrape, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


@contextlib.contextmanager
def snmpd(folder: Path) -> Iterator[dict[str, str]]:
    """Start a real SNMP agent for the daemon to ask, and return the settings that name it."""
    program = snmpd_program()
    if program is None:
        yield {}
        return
    port = free_port(socket.SOCK_DGRAM)
    (folder / "snmpd.conf").write_text("rocommunity public 127.0.0.1\n")
    (folder / "community").write_text("public\n")
    (folder / "community").chmod(0o600)
    command = [program, "-f", "-Lo", "-C", "-c", str(folder / "snmpd.conf"), "-p", str(folder / "snmpd.pid")]
    quiet = subprocess.DEVNULL
    environment = {**os.environ, "SNMP_PERSISTENT_DIR": str(folder)}
    with subprocess.Popen([*command, f"udp:127.0.0.1:{port}"], stdout=quiet, stderr=quiet, env=environment) as agent:
        try:
            yield {
                "DCD_SNMP__DEVICES": f"here=127.0.0.1:{port}",
                "DCD_SNMP__COMMUNITY_FILE": str(folder / "community"),
            }
        finally:
            agent.kill()


def snmpd_program() -> str | None:
    """Return where the real SNMP agent is; None, said so, where it is not installed."""
    program = shutil.which("snmpd") or ("/usr/sbin/snmpd" if Path("/usr/sbin/snmpd").exists() else None)
    if program is None:
        print("not installed, left out: snmpd", file=sys.stderr)
    return program


def free_port(kind: int = socket.SOCK_STREAM) -> int:
    """Return a loopback port nobody uses now."""
    with socket.socket(socket.AF_INET, kind) as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


if __name__ == "__main__":
    main()
