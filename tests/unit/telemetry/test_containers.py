"""Containers by the lines of /proc/PID/cgroup as the runtimes write them, by the environment, and by the runtime."""

import json
import os
import socketserver
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest

from dcdaemon.core.container import Container
from dcdaemon.telemetry.container_runtime import Runtimes, Told
from dcdaemon.telemetry.containers import Containers, container_of

ID = "4f797c539e6c745de61a93ca3ff892358ecbcaccd8414d5db545c38428142970"
OTHER = "9ec39b91f3d70e1beff50a308f77067065ea6be0d91a3378375056cd4422cf3d"
OWN_USER = "user.slice/user-1001.slice/user@1001.service"
POD = "kubepods-besteffort-pod0000_1.slice"


@pytest.mark.parametrize(
    ("line", "runtime", "owner"),
    [
        # docker: cgroupfs and systemd, v1 and v2, with a parent of its own, and without root
        (f"9:memory:/docker/{ID}", "docker", 0),
        (f"0::/docker/{ID}", "docker", 0),
        (f"4:memory:/system.slice/docker-{ID}.scope", "docker", 0),
        (f"0::/system.slice/docker-{ID}.scope", "docker", 0),
        (f"0::/system.slice/docker-{ID}.scope/init.scope", "docker", 0),
        (f"0::/dcdaemon.slice/dcdaemon-jobs.slice/docker-{ID}.scope", "docker", 0),
        (f"0::/{OWN_USER}/user.slice/docker-{ID}.scope", "docker", 1001),
        (f"0::/../../system.slice/docker-{ID}.scope", "docker", 0),
        # podman
        (f"0::/machine.slice/libpod-{ID}.scope/container", "podman", 0),
        (f"12:pids:/machine.slice/libpod-{ID}.scope", "podman", 0),
        (f"0::/{OWN_USER}/user.slice/libpod-{ID}.scope/container", "podman", 1001),
        (f"0::/{OWN_USER}/app.slice/box.service/libpod-payload-{ID}", "podman", 1001),
        (f"8:cpu:/libpod_parent/libpod-{ID}", "podman", 0),
        # containerd, by nerdctl and below Kubernetes, and CRI-O
        (f"0::/system.slice/nerdctl-{ID}.scope", "nerdctl", 0),
        (f"0::/default/{ID}", "containerd", 0),
        (f"0::/kubepods.slice/kubepods-besteffort.slice/{POD}/cri-containerd-{ID}.scope", "containerd", 0),
        (f"5:devices:/kubepods/burstable/pod7/{ID}", "kubernetes", 0),
        (f"0::/system.slice/containerd.service/{POD}:cri-containerd:{ID}", None, 0),
        (f"0::/kubepods.slice/{POD}/crio-{ID}.scope", "cri-o", 0),
        # a runtime that nobody here has heard of
        (f"0::/somewhere/{ID}", "container", 0),
    ],
)
def test_every_spelling_of_a_container_is_read(line, runtime, owner):
    expected = None if runtime is None else Container(runtime, ID, owner)
    assert container_of(f"13:misc:/\n{line}\n") == expected


@pytest.mark.parametrize(
    "line",
    [
        "0::/",
        "0::/user.slice/user-1001.slice/session-3.scope",
        "0::/dcdaemon.slice/dcdaemon-jobs.slice/dcd-job-42.service",
        f"0::/machine.slice/libpod-conmon-{ID}.scope",  # the monitor beside a container, not the container
        f"0::/docker/{ID[:-1]}",
        f"0::/docker/{ID}0",
        f"0::/docker/{ID.upper()}",
        "0::/system.slice/docker.service",
        "",
        "nonsense",
    ],
)
def test_what_is_no_container_is_none(line):
    assert container_of(line) is None


def test_the_innermost_container_counts():
    found = container_of(f"0::/docker/{OTHER}/docker/{ID}")
    assert found is not None
    assert found.id == ID


def test_what_a_person_is_told():
    container = Container("docker", ID, image="pytorch:24.05")
    assert (container.label, container.stop_command) == (
        "docker 4f797c539e6c (pytorch:24.05)",
        "docker stop 4f797c539e6c",
    )
    assert Container("kubernetes", ID).stop_command is None


# ------------------------------------------------------------ processes


@pytest.fixture
def process(tmp_path: Path) -> Callable[..., int]:
    """Make a process below a /proc of the test's own."""

    def make(pid: int, cgroup: str, *environ: str, ticks: int = 7) -> int:
        entry = tmp_path / str(pid)
        entry.mkdir(exist_ok=True)
        (entry / "stat").write_text(f"{pid} (a b) S 1 " + " ".join(["0"] * 17) + f" {ticks} 0 0")
        (entry / "cgroup").write_text(cgroup + "\n")
        (entry / "environ").write_bytes("\0".join(environ).encode() + b"\0")
        return pid

    (tmp_path / "self").mkdir()
    (tmp_path / "self" / "cgroup").write_text("0::/system.slice/dcdaemon.service\n")
    return make


def test_a_process_tells_its_container_and_the_job_it_names(process, tmp_path):
    process(5, f"0::/docker/{ID}", "PATH=/bin", "DCD_JOB_ID=42")
    process(6, "0::/user.slice", "DCD_JOB_ID=42")
    containers = Containers(tmp_path, Runtimes({}))
    assert containers.of([5, 6, 7]) == {5: Container("docker", ID, names_job=42)}


@pytest.mark.parametrize(
    "word", ["DCD_JOB_ID=", "DCD_JOB_ID=-1", "DCD_JOB_ID=4x", "DCD_JOB_ID=²", "DCD_JOB_ID=" + "9" * 40]
)
def test_a_mark_that_is_no_number_is_none(process, tmp_path, word):
    process(5, f"0::/docker/{ID}", word)
    assert Containers(tmp_path, Runtimes({})).of([5])[5].names_job is None


def test_a_pid_that_was_given_out_again_is_another_process(process, tmp_path):
    containers = Containers(tmp_path, Runtimes({}))
    process(5, f"0::/docker/{ID}")
    assert containers.of([5])[5].id == ID
    process(5, f"0::/docker/{OTHER}", ticks=8)
    assert containers.of([5])[5].id == OTHER
    process(5, "0::/user.slice", ticks=9)
    assert containers.of([5]) == {}


def test_a_daemon_in_a_container_takes_nobody_beside_it_for_contained(process, tmp_path):
    (tmp_path / "self" / "cgroup").write_text(f"0::/docker/{ID}\n")
    process(5, f"0::/docker/{ID}")
    process(6, f"0::/docker/{OTHER}")
    assert set(Containers(tmp_path, Runtimes({})).of([5, 6])) == {6}


# ------------------------------------------------------------ the runtime


class Answers(BaseHTTPRequestHandler):
    """A runtime's socket that says what the test put there."""

    protocol_version = "HTTP/1.1"
    status, body, asked = 200, b"{}", []

    def do_GET(self) -> None:
        self.asked.append(self.path)
        self.send_response(self.status)
        self.send_header("Content-Length", str(len(self.body)))
        self.end_headers()
        self.wfile.write(self.body)

    def address_string(self) -> str:
        return "unix"

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def runtime(tmp_path: Path) -> Iterator[type[Answers]]:
    class Fresh(Answers):
        asked: list[str] = []  # noqa: RUF012

    with socketserver.ThreadingUnixStreamServer(str(tmp_path / "docker.sock"), Fresh) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield Fresh
        server.shutdown()


def ask(tmp_path: Path, container: Container | None = None) -> Told:
    runtimes = Runtimes({"docker": tmp_path / "docker.sock"}, os.getuid())
    return runtimes.inspect(container or Container("docker", ID, os.getuid()))


def test_the_runtime_tells_the_image_and_the_mark(runtime, tmp_path):
    runtime.body = json.dumps({"Config": {"Image": "pytorch:24.05", "Env": ["A=b", "DCD_JOB_ID=42"]}}).encode()
    assert ask(tmp_path) == Told("pytorch:24.05", 42)
    assert runtime.asked == [f"/containers/{ID}/json"]


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (404, b"{}"),
        (200, b"[]"),
        (200, b"{"),
        (200, b""),
        (200, b'{"Config": {"Image": 7, "Env": [1, null]}}'),
        (500, b"x"),
    ],
)
def test_nonsense_of_a_runtime_is_unknown(runtime, tmp_path, status, body):
    runtime.status, runtime.body = status, body
    assert ask(tmp_path) == Told()


def test_a_runtime_that_is_not_there_is_left_alone_for_a_while(tmp_path, runtime):
    runtimes = Runtimes({"docker": tmp_path / "none.sock"}, os.getuid())
    container = Container("docker", ID, os.getuid())
    assert runtimes.inspect(container) == Told()
    (tmp_path / "docker.sock").rename(tmp_path / "none.sock")
    assert runtimes.inspect(container) == Told()
    assert runtime.asked == []


def test_a_socket_of_somebody_else_is_not_asked(runtime, tmp_path):
    somebody = os.getuid() + 1
    runtimes = Runtimes({"docker": tmp_path / "docker.sock"}, somebody)
    assert runtimes.inspect(Container("docker", ID, somebody)) == Told()
    # Nor is root's runtime asked about a container that a user runs for himself.
    assert ask(tmp_path, Container("docker", ID, somebody)) == Told()
    assert runtime.asked == []
