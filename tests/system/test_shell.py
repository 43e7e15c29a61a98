"""`dcd shell`: a real terminal in front, a real daemon behind, and everything that may go wrong between them."""

import contextlib
import os
import signal
import socket
import stat
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from system.daemon_process import Site, command_line, until
from system.terminal_user import TerminalUser, dcd

from dcdaemon.cli.main import run
from dcdaemon.cli.verbs import shell
from dcdaemon.client import terminal as client_side
from dcdaemon.client.terminal_door import TerminalDoor
from dcdaemon.runner import terminal as job_side

NOBODY = 65534
#: One that every user may run, unlike the one of a checkout.
PYTHON = "/usr/bin/python3"
needs_root = pytest.mark.skipif(
    os.geteuid() != 0 or not Path(PYTHON).exists(), reason="only root can be two users, with a python for both"
)
At = Callable[..., TerminalUser]


@pytest.fixture(scope="module")
def shared(nursery, template) -> Iterator[Site]:
    """One daemon for the whole module: every test gives its GPUs back."""
    with contextlib.closing(Site(nursery, template)) as site:
        site.start()
        yield site


@pytest.fixture(autouse=True)
def gpus_come_back(shared: Site) -> Iterator[None]:
    yield
    until(lambda: all(gpu["state"] == "free" for gpu in shared.client.get("/v1/gpus")["gpus"]), "free GPUs")


@pytest.fixture
def at_terminal(shared: Site) -> Iterator[At]:
    """Sit down at a terminal and type `dcd shell` with these arguments."""
    with contextlib.ExitStack() as stack:

        def sit(*arguments: str, call: Callable[[], int] | None = None, **env: str) -> TerminalUser:
            usual = {"SHELL": "/bin/bash", "TERM": "dumb", "DCD_URL": f"unix://{shared.socket}"}
            user = TerminalUser(dcd("shell", *arguments), {**shared.env, **usual, **env}, call)
            stack.callback(user.close)
            return user

        yield sit


@pytest.fixture
def full(shared: Site) -> Iterator[Callable[[], None]]:
    """Let another job hold all GPUs until this is called."""
    job = shared.submit(sleep_s=600, gpus=8)

    def free() -> None:
        shared.client.post("/v1/jobs/cancel", {"select": [str(job)], "signal": "KILL"})

    yield free
    if not shared.job(job)["ended_at"]:
        free()


def last(site: Site) -> int:
    return max(site.jobs())


def test_a_shell_has_a_terminal_its_gpus_and_the_exit_code_of_dcd(shared, at_terminal):
    user = at_terminal("-g", "2", MARK="from outside")
    user.expect("on GPUs 0-1: it ends with this terminal")
    user.type("echo $((6*7)) $DCD_GPUS $MARK $PWD; tty; stty size\n")
    assert "42 0,1 from outside /" in user.expect("24 80")
    job = shared.job(last(shared))
    assert (job["state"], job["name"], job["gpus"]) == ("running", "shell", [0, 1])
    user.type("exit 3\n")
    assert user.exit_code() == 3
    # What the last command said is no judgement on the job.
    ended = shared.await_state(job["id"])
    assert (ended["state"], ended["exit_code"]) == ("succeeded", 0)


def test_a_command_decides_the_end_of_its_job(shared, at_terminal):
    user = at_terminal("-g", "1", "-n", "look", "--", "sh", "-c", "test -t 0 && test -t 2 && exit 7")
    assert user.exit_code() == 7
    job = shared.await_state(last(shared))
    assert (job["state"], job["exit_code"], job["name"]) == ("failed", 7, "look")


def test_what_was_typed_and_shown_is_not_kept(shared, at_terminal):
    user = at_terminal("--", "sh", "-c", "echo shown-and-gone")
    user.expect("shown-and-gone")
    assert user.exit_code() == 0
    log = b"".join(path.read_bytes() for path in shared.state_dir.glob(f"jobs/{last(shared)}/*/output.log"))
    assert b"runs sh on a terminal" in log
    assert b"shown-and-gone" not in log


def test_a_resized_window_is_a_resized_terminal(at_terminal):
    script = "trap 'stty size; exit' WINCH; echo ready; while :; do sleep 0.02; done"
    user = at_terminal("--", "sh", "-c", script)
    user.expect("ready")
    user.resize(50, 132)
    user.expect("50 132")
    assert user.exit_code() == 0


def test_ctrl_c_and_ctrl_z_are_for_the_program_in_the_shell(shared, at_terminal):
    user = at_terminal()
    user.in_shell()
    user.type("sleep 1000\n")
    until(lambda: sleeps(shared, last(shared)), "a sleep")
    user.type("\x1a")
    user.expect("Stopped")
    user.type("fg\n")
    user.expect("\r\nsleep 1000")
    user.type("\x03")
    user.expect("^C")
    user.type("echo code $?\n")
    user.expect("code 130")
    user.type("\x04")
    user.exit_code()


def test_the_terminal_is_left_as_it_was(at_terminal):
    user = at_terminal("--", "cat")
    before = user.modes()
    user.expect("it ends with this terminal")
    until(lambda: user.modes() != before, "raw mode")
    user.type("\x04")
    assert user.exit_code() == 0
    assert user.modes() == before


def test_a_flood_of_output_is_stopped_by_ctrl_c(at_terminal):
    user = at_terminal()
    user.in_shell()
    user.type("yes flooding\n")
    user.expect("flooding\r\nflooding\r\n" * 50)
    user.type("\x03")
    user.type("echo calm $((20+3))\n")
    user.expect("calm 23")
    user.type("exit\n")
    assert user.exit_code() == 0


def test_pasting_much_into_a_program_that_echoes_it_does_not_lock_up(at_terminal):
    user = at_terminal("--", "sh", "-c", "stty raw -echo; echo ready; head -c 300000 | wc -c")
    user.expect("ready")
    line = "0123456789" * 10
    for _ in range(30):
        user.type(line * 100)
    user.expect("300000")
    assert user.exit_code() == 0


def waits(user: TerminalUser) -> None:
    user.expect("waits: ")
    user.expect("Ctrl-C cancels it.")


def test_it_waits_in_the_queue_says_why_and_starts_by_itself(shared, full, at_terminal):
    user = at_terminal("-g", "1")
    waits(user)
    full()
    user.expect("on GPU 0: it ends with this terminal")
    user.type("exit\n")
    assert user.exit_code() == 0


def test_ctrl_c_while_it_waits_cancels_it(shared, full, at_terminal):
    user = at_terminal("-g", "1")
    waits(user)
    user.type("\x03")
    user.expect("Cancelled job ")
    assert user.exit_code() == 130
    assert shared.await_state(last(shared))["state"] == "cancelled"


def test_a_terminal_closed_while_it_waits_cancels_it(shared, full, at_terminal):
    user = at_terminal("-g", "1")
    waits(user)
    user.tear_away()
    assert user.exit_code() == 128 + signal.SIGHUP
    assert shared.await_state(last(shared))["state"] == "cancelled"


def test_a_waiting_shell_whose_user_was_killed_takes_no_gpu(shared, full, at_terminal):
    user = at_terminal("-g", "1")
    waits(user)
    door = door_of(shared)
    user.kill(signal.SIGKILL)
    full()
    job = shared.await_state(last(shared))
    assert (job["state"], job["exit_code"], door.parent.exists()) == ("failed", 125, False)


@pytest.mark.parametrize("loss", ["killed", "closed", "hung up"])
def test_a_lost_terminal_frees_the_gpus_and_leaves_nothing(shared, at_terminal, loss):
    user = at_terminal("-g", "8")
    user.in_shell()
    # One in the background, which may ignore all but KILL, one that is a daemon, one in the foreground.
    stubborn = "trap '' HUP TERM; " if loss == "killed" else ""
    user.type(f"({stubborn}exec sleep 1001) & setsid sleep 1002 & sleep 1003\n")
    job = last(shared)
    until(lambda: len(sleeps(shared, job)) == 3, "three sleeps")
    pids = shared.job(job)["pids"]
    if loss == "closed":
        user.tear_away()
    else:
        user.kill(signal.SIGKILL if loss == "killed" else signal.SIGHUP)
    ended = shared.await_state(job)
    assert (ended["state"], ended["signal"]) == ("failed", signal.SIGHUP)
    assert not any(Path(f"/proc/{pid}").exists() for pid in pids)


def sleeps(site: Site, job: int) -> list[int]:
    def name(pid: int) -> str:
        with contextlib.suppress(OSError):
            return Path(f"/proc/{pid}/comm").read_text()
        return ""

    return [pid for pid in site.job(job)["pids"] or [] if name(pid) == "sleep\n"]


def test_what_a_shell_leaves_in_the_background_ends_with_it(shared, at_terminal):
    user = at_terminal("-g", "1")
    user.in_shell()
    user.type("nohup sleep 1000 >/dev/null 2>&1 & disown -a; echo left\n")
    user.expect("\r\nleft")
    user.type("exit\n")
    assert user.exit_code() == 0
    assert shared.await_state(last(shared))["state"] == "succeeded"


def test_a_cancelled_shell_ends_and_says_so(shared, at_terminal):
    user = at_terminal("-g", "1")
    user.in_shell()
    shared.client.post("/v1/jobs/cancel", {"select": ["last"]})
    user.expect("this job was asked to end")
    user.expect(f"Job {last(shared)}: cancelled")
    assert user.exit_code() != 0


def test_a_program_in_a_cancelled_shell_may_save_before_it_ends(shared, at_terminal):
    user = at_terminal("-g", "1")
    user.in_shell()
    user.type("sh -c 'trap \"sleep 0.3; echo saved; exit\" TERM; echo ready; while :; do sleep 0.05; done'\n")
    user.expect("\r\nready")
    shared.client.post("/v1/jobs/cancel", {"select": ["last"]})
    user.expect("\r\nsaved")
    user.expect("cancelled")
    user.exit_code()


def test_a_signal_for_the_job_reaches_the_program_in_the_foreground_and_not_the_shell(shared, at_terminal):
    user = at_terminal("-g", "1", "--grace", "20s")
    user.in_shell()
    user.type("sh -c 'trap \"echo checkpoint; exit 4\" USR1; echo ready; while :; do sleep 0.05; done'\n")
    user.expect("\r\nready")
    shared.client.post("/v1/jobs/cancel", {"select": ["last"], "signal": "USR1"})
    user.expect("\r\ncheckpoint")
    user.type("echo code $?; exit\n")
    user.expect("code 4")
    assert user.exit_code() == 0


def test_the_time_limit_ends_a_shell_like_any_job(shared, at_terminal):
    user = at_terminal("-g", "1", "-t", "1s", "--grace", "1s")
    user.expect("timed_out")
    assert user.exit_code() == 124


def test_a_shell_goes_on_while_the_daemon_is_restarted(new_site):
    site = new_site()
    site.start()
    env = {**site.env, "SHELL": "/bin/sh", "TERM": "dumb", "DCD_URL": f"unix://{site.socket}"}
    user = TerminalUser(dcd("shell", "-g", "1"), env)
    with contextlib.closing(user):
        user.expect("it ends with this terminal")
        site.end()
        user.type("echo still $((40+2))\n")
        user.expect("still 42")
        site.start()
        user.type("exit 4\n")
        assert user.exit_code() == 4
        assert site.await_state(1)["state"] == "succeeded"


def test_the_interpreter_that_serves_the_shell_is_not_led_astray_by_the_environment(at_terminal, tmp_path):
    (tmp_path / "socket.py").write_text("raise SystemExit(66)\n")
    user = at_terminal("--", "sh", "-c", "echo $PYTHONPATH here", PYTHONPATH=f"{Path.cwd()}", PYTHONSTARTUP="/nowhere")
    user.expect("here")
    assert user.exit_code() == 0


# ------------------------------------------------------------ what is refused


def test_a_terminal_needs_a_terminal_and_the_unix_socket(shared):
    said = command_line(shared, "shell", "-g", "1")
    assert said.returncode == 125
    assert said.stderr == (
        "error: this is no terminal (stdin or stdout is a file or a pipe)\n"
        "hint: dcd run follows a job's output without one; over ssh, ssh -t makes one\n"
    )
    said = command_line(shared, "shell", "-g", "1", "--url", "http://127.0.0.1:9")
    assert (said.returncode, said.stderr) == (
        125,
        "error: a terminal needs the daemon's unix socket, and http://127.0.0.1:9 is reached over TCP\n"  # noqa: ISC004
        "hint: log in to the node and ask there: ssh -t NODE dcd shell -g 1\n",
    )


def test_too_many_gpus_are_refused_before_anything_waits(at_terminal):
    user = at_terminal("-g", "9")
    user.expect("this node has 8")
    assert user.exit_code() == 125


def test_a_requeue_makes_no_sense(at_terminal):
    user = at_terminal("--requeue")
    user.expect("--requeue and a terminal exclude each other")
    assert user.exit_code() == 125


def test_a_shell_that_is_requeued_ends_at_once_for_want_of_a_terminal(shared, at_terminal):
    user = at_terminal("--", "true")
    assert user.exit_code() == 0
    job = last(shared)
    shared.await_state(job)
    shared.client.post("/v1/jobs/requeue", {"select": [str(job)]})
    assert until(lambda: (doc := shared.job(job))["attempt"] == 2 and doc["ended_at"] and doc)["exit_code"] == 125
    assert "the terminal that asked for this shell is gone" in command_line(shared, "logs", str(job)).stdout


# ------------------------------------------------------------ two users


def be_nobody() -> None:
    os.setgroups([])
    os.setresgid(NOBODY, NOBODY, NOBODY)
    os.setresuid(NOBODY, NOBODY, NOBODY)


@pytest.fixture
def open_place() -> Iterator[Path]:
    """A directory that everybody may enter."""
    with tempfile.TemporaryDirectory(dir="/tmp") as name:
        Path(name).chmod(0o755)
        yield Path(name)


@pytest.fixture
def program_for_all(open_place) -> Path:
    """The job's program where everybody can read it, whoever owns this checkout."""
    for name in ("terminal.py", "terminal_start.py", "shim_processes.py"):
        copy = open_place / name
        copy.write_bytes(Path(job_side.__file__).with_name(name).read_bytes())
        copy.chmod(0o644)
    return open_place / "terminal.py"


@needs_root
def test_the_shell_is_the_users_own_and_so_is_its_door(shared, full, at_terminal, program_for_all):
    def as_nobody() -> int:
        be_nobody()
        sys.executable, shell._PROGRAM = PYTHON, program_for_all
        return run(["shell", "-g", "1"])

    user = at_terminal(call=as_nobody)
    waits(user)
    path = door_of(shared)
    assert (path.parent.stat().st_uid, stat.S_IMODE(path.parent.stat().st_mode)) == (NOBODY, 0o700)
    full()
    user.in_shell()
    assert not path.parent.exists()
    user.type("id -u; touch /root/x\n")
    user.expect("65534")
    user.expect("Permission denied")
    user.type("exit\n")
    user.exit_code()


def door_of(site: Site) -> Path:
    return next(Path(word) for word in site.job(last(site))["argv"] if word.endswith("/terminal"))


@needs_root
def test_another_user_gets_no_terminal(program_for_all):
    with TerminalDoor() as door:
        door.path.parent.chmod(0o755)  # even where he could reach it
        door.path.chmod(0o777)
        program = [PYTHON, "-I", "-S", str(program_for_all), str(door.path), "true"]
        stranger = subprocess.Popen(program, user=NOBODY, group=NOBODY, extra_groups=[], cwd="/")
        assert door.wait(10) is None
        assert stranger.wait(10) == 125


@needs_root
def test_a_shell_does_not_serve_a_terminal_of_another_user(open_place, capfd):
    path = open_place / "door"
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    os.chown(open_place, NOBODY, NOBODY)
    child = os.fork()
    if child == 0:
        try:
            be_nobody()
            listener.bind(str(path))
            listener.listen()
            link, _ = listener.accept()
            link.recv(1)
        finally:
            os._exit(0)
    until(path.exists)
    assert job_side.main([str(path), "true"]) == 125
    assert "belongs to uid 65534" in capfd.readouterr().out
    os.waitpid(child, 0)
    listener.close()


def test_both_sides_speak_of_the_same_things():
    for name in ("DATA", "SIZE", "EXIT", "NOTE", "PACKET_MAX_BYTES"):
        assert getattr(client_side, name) == getattr(job_side, name)
    assert client_side.WINSIZE.format == job_side.WINSIZE.format


def test_the_door_finds_a_private_place_for_itself(tmp_path, monkeypatch):
    tmp_path.chmod(0o700)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    with TerminalDoor() as door:
        assert door.path.parent.parent == tmp_path
    assert list(tmp_path.iterdir()) == []
    tmp_path.chmod(0o777)  # another user could put his own door there
    with TerminalDoor() as door:
        assert door.path.parent.parent != tmp_path


def test_a_missing_program_is_named(at_terminal):
    user = at_terminal("--", "no-such-program")
    user.expect("cannot run no-such-program: No such file or directory")
    assert user.exit_code() == 127
