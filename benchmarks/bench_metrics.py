"""What a scrape costs: making the page, and the whole HTTP request; beside it others that do as much.

Every value of every GPU is known, and so are those of a node with as many InfiniBand ports as GPUs. prometheus_client
is run from the environment of the peers (.venv/peers), node_exporter as Debian packs it; what is missing is left out.
"""

import contextlib
import http.client
import json
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from benchmarks.processes import cpu_s
from dcdaemon.api.metrics.pages import make_pages
from dcdaemon.api.metrics.server import MetricsServer
from dcdaemon.api.server import tcp_socket
from dcdaemon.core.event import Event, EventKind
from dcdaemon.core.samples import (
    DiskSample,
    DriveSample,
    FilesystemSample,
    GpuSample,
    HostSample,
    IbSample,
    NetSample,
    SensorSample,
)
from dcdaemon.telemetry.node_names.reader import NodeNames

ROUNDS = 100
NODE_EXPORTER = "prometheus-node-exporter"
PEERS = Path(__file__).parents[1] / ".venv" / "peers" / "bin" / "python"


def main() -> None:
    """Print a line for each page and number of GPUs."""
    sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
    print(f"{'page':<34} {'samples':>7} {'KB':>6} {'made, CPU ms':>12} {'scrape, CPU ms':>14} {'scrape, ms':>10}")
    for gpus in (8, 64):
        with serving(gpus) as (pages, address):
            for path, make in pages.items():
                if path == "/metrics/node" and gpus > 8:
                    continue  # it has nothing to do with GPUs
                body = make()
                made = median_ms(make, time.process_time)
                scrapes = [scrape(address, path) for _ in range(ROUNDS)]
                cpu, wall = (statistics.median(parts) for parts in zip(*scrapes, strict=True))
                name = f"{path}, {gpus} GPUs"
                print(f"{name:<34} {samples(body):>7} {len(body) / 1e3:>6.0f} {made:>12.2f} {cpu:>14.2f} {wall:>10.2f}")
            prometheus_client(samples(pages["/metrics"]()), gpus)
    node_exporter()


@contextlib.contextmanager
def serving(gpus: int) -> Iterator[tuple[dict[str, Callable[[], bytes]], tuple[str, int]]]:
    """Serve a node of which everything is known."""
    from scene import Scene  # noqa: PLC0415  found once the tests are on the path

    scene = Scene(gpus=gpus)
    desk, now_s = scene.desk, scene.clock.monotonic()
    desk.board.newest.take(readings(gpus, now_s), now_s)
    for gpu in range(gpus):
        desk.board.events.tell(Event(scene.clock.now(), EventKind.XID, f"GPU {gpu}", "", {"xid": 79}, gpu=gpu))
        scene.run()
    pages = make_pages(desk, lambda: (), dcgm=True, node=NodeNames())
    listener = tcp_socket("127.0.0.1:0")
    server = MetricsServer(pages, listener, print)
    server.start()
    yield pages, listener.getsockname()[:2]
    server.stop()


def readings(gpus: int, now_s: float) -> Iterator[object]:
    """Yield the samples of a large node."""
    from readings import full  # noqa: PLC0415  as above

    yield full(HostSample)
    for gpu in range(gpus):
        yield full(GpuSample, monotonic_s=now_s, gpu=gpu)
        yield full(IbSample, device=f"mlx5_{gpu}", port=1)
    for number in range(8):
        yield full(DiskSample, device=f"nvme{number}n1")
        yield full(DriveSample, device=f"nvme{number}")
        yield full(FilesystemSample, mount=f"/mnt/{number}")
        yield full(NetSample, interface=f"eth{number}")
        yield full(SensorSample, chip="coretemp", sensor=str(number))


def median_ms(work: Callable[[], object], clock: Callable[[], float]) -> float:
    """Return the median time of a piece of work."""
    times = []
    for _ in range(ROUNDS):
        begin_s = clock()
        work()
        times.append(clock() - begin_s)
    return statistics.median(times) * 1000


def scrape(address: tuple[str, int], path: str) -> tuple[float, float]:
    """Ask once over a connection of its own; return the server's CPU time and the time until all was read, in ms."""
    cpu_s, own_s, begin_s = time.process_time(), time.thread_time(), time.perf_counter()
    with contextlib.closing(http.client.HTTPConnection(*address)) as connection:
        connection.request("GET", path)
        connection.getresponse().read()
    wall_s = time.perf_counter() - begin_s
    return (time.process_time() - cpu_s - (time.thread_time() - own_s)) * 1000, wall_s * 1000


def samples(body: bytes) -> int:
    """Count the lines that are values."""
    return sum(not line.startswith(b"#") for line in body.splitlines())


def prometheus_client(count: int, gpus: int) -> None:
    """Let prometheus_client set and render as many gauges, of families with a series for each GPU."""
    program = Path(__file__).with_name("peer_prometheus_client.py")
    try:
        done = subprocess.run(
            [PEERS, program, str(count), str(gpus), str(ROUNDS)], check=True, capture_output=True, text=True
        )
    except (OSError, subprocess.CalledProcessError):
        print("prometheus_client is not there to compare with")
        return
    told = json.loads(done.stdout)
    name = f"prometheus_client {told['version']}, {gpus} GPUs"
    print(f"{name:<34} {told['samples']:>7} {told['bytes'] / 1e3:>6.0f} {told['made_ms']:>12.2f}")


def node_exporter() -> None:
    """Scrape node_exporter with all that it reads by default."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        address = probe.getsockname()[:2]
    command = [NODE_EXPORTER, f"--web.listen-address={address[0]}:{address[1]}", "--log.level=error"]
    try:
        process = subprocess.Popen(command, stderr=subprocess.DEVNULL, env={"GOMAXPROCS": "1"})
    except OSError:
        print("node_exporter is not there to compare with")
        return
    with process:
        try:
            body = first_answer(address)
            begin_s = cpu_s(process.pid)
            walls = [scrape(address, "/metrics")[1] for _ in range(ROUNDS)]
            cpu_ms = (cpu_s(process.pid) - begin_s) * 1000 / ROUNDS
        finally:
            process.terminate()
    wall_ms = statistics.median(walls)
    print(f"{'node_exporter':<34} {samples(body):>7} {len(body) / 1e3:>6.0f} {'':>12} {cpu_ms:>14.2f} {wall_ms:>10.2f}")


def first_answer(address: tuple[str, int]) -> bytes:
    """Return the first page of a server that has just been started."""
    deadline = time.monotonic() + 10
    while True:
        try:
            with contextlib.closing(http.client.HTTPConnection(*address)) as connection:
                connection.request("GET", "/metrics")
                return connection.getresponse().read()
        except ConnectionRefusedError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)


if __name__ == "__main__":
    main()
