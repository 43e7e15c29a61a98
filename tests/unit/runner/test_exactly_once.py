import json
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

import dcdaemon.runner
from dcdaemon.core.errors import Refused, StartFailed
from dcdaemon.runner.launch import Launcher
from dcdaemon.runner.records import Ended, Running, Unclaimed, Vanished

SHIM = Path(dcdaemon.runner.__file__).with_name("shim.py")


def shim(directory, launch):
    return subprocess.Popen([sys.executable, "-I", "-S", str(SHIM), str(directory), str(launch)])


def prepare(node, *argv):
    spec = node.spec(*argv)
    attempt = node.launcher.attempt(spec.job_id, spec.attempt)
    attempt.prepare(spec)
    return spec, attempt


def test_of_two_shims_of_one_launch_exactly_one_runs_the_job(node):
    for _ in range(25):
        spec, attempt = prepare(node, "sh", "-c", "echo ran")
        rivals = [shim(attempt.path, 1) for _ in range(2)]

        assert [rival.wait(10) for rival in rivals] == [0, 0]
        assert node.log(spec) == "ran\n"
        assert isinstance(attempt.outcome(), Ended)


def test_launching_twice_is_refused_while_it_runs_and_when_it_has_ended(node):
    spec = node.start("sh", "-c", "echo ran; sleep 0.2")
    with pytest.raises(Refused, match="started already"):
        node.launcher.launch(spec)
    node.end_of(spec)
    with pytest.raises(Refused, match="started already"):
        node.launcher.launch(spec)

    assert node.log(spec) == "ran\n"


def test_many_threads_that_launch_one_attempt_run_it_once(node):
    spec = node.spec("sh", "-c", "echo ran")
    refused = []

    def launch():
        try:
            node.launcher.launch(spec)
        except Refused as error:
            refused.append(error)

    threads = [threading.Thread(target=launch) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert node.end_of(spec).exit_code == 0
    assert len(refused) == 7
    assert node.log(spec) == "ran\n"


def test_a_voided_launch_never_runs_and_the_next_one_does(node):
    spec, attempt = prepare(node, "sh", "-c", "echo ran")
    assert node.launcher.adopt(spec.job_id, 1) == Unclaimed()
    assert shim(attempt.path, 1).wait(10) == 0

    assert node.outcome(spec) == Unclaimed()
    assert node.log(spec) == ""
    node.launcher.launch(spec)
    assert node.end_of(spec).launch == 2
    assert node.log(spec) == "ran\n"


def test_a_launch_that_stands_ready_since_this_boot_is_proven_not_to_have_run(node):
    spec, attempt = prepare(node, "sh", "-c", "echo ran")
    assert node.launcher.adopt(spec.job_id, 1).ready
    file = attempt.path / "spec.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"boot_id": "another"}))
    assert not node.outcome(spec).ready, "the power may have gone before the traces of its run were on disk"
    file.unlink()
    assert not node.outcome(spec).ready


def test_a_stop_that_comes_before_the_start_keeps_the_job_from_starting(node):
    spec, attempt = prepare(node, "sh", "-c", "echo ran")
    attempt.request_stop("TERM", 1.0, "cancelled")
    shim(attempt.path, 1).wait(10)

    outcome = attempt.outcome()
    assert isinstance(outcome, Ended)
    assert (
        outcome.record.cause,
        outcome.record.started_at,
        outcome.record.exit_code,
        outcome.record.signal,
    ) == (
        "cancelled",
        None,
        None,
        None,
    )
    assert node.log(spec) == ""


def test_a_stop_right_behind_the_launch_is_never_lost(node):
    for _ in range(20):
        spec = node.start("sleep", "60")
        assert node.stop(spec)
        assert node.end_of(spec).cause == "cancelled"


def test_the_death_of_the_fork_server_harms_no_job_and_the_next_launch_works(node, wait_until):
    before = node.start("sh", "-c", "echo ready; sleep 0.5; exit 4")
    wait_until(lambda: node.log(before))
    os.kill(node.launcher.fork_server_pid, signal.SIGKILL)
    after = node.start("sh", "-c", "exit 5")

    ends = {node.end_of(after).exit_code, node.end_of(before).exit_code}
    assert ends == {4, 5}


def test_a_request_that_dies_with_the_fork_server_is_voided_and_repeated(node, wait_until, caplog):
    pid = node.launcher.fork_server_pid
    os.kill(pid, signal.SIGSTOP)
    spec = node.spec("sh", "-c", "echo ran")
    thread = threading.Thread(target=node.launcher.launch, args=(spec,))
    thread.start()
    wait_until((node.directory(spec) / "spec.json").exists)
    os.kill(pid, signal.SIGKILL)
    thread.join(10)

    assert node.end_of(spec).launch in (1, 2)  # 1 when it died before the request was sent
    assert node.log(spec) == "ran\n"


def test_a_new_daemon_adopts_what_runs_what_ended_and_what_never_began(node, tmp_path, wait_until):
    script = "echo ready; while [ ! -e end ]; do sleep 0.02; done; exit 6"
    running = node.start("sh", "-c", script, cwd=str(tmp_path))
    ended = node.start("sh", "-c", "exit 7")
    assert node.end_of(ended).exit_code == 7
    wait_until(lambda: node.log(running))
    node.launcher.close()  # as by SIGKILL: it tells its shims nothing

    heard = threading.Event()
    successor = Launcher(node.state_dir, lambda *_: heard.set())
    successor.start()
    try:
        assert isinstance(successor.adopt(running.job_id, 1), Running)
        assert successor.adopt(ended.job_id, 1).record.exit_code == 7
        assert successor.adopt(99, 1) == Unclaimed()
        assert not heard.is_set()
        (tmp_path / "end").touch()
        assert heard.wait(10)
        assert successor.outcome(running.job_id, 1).record.exit_code == 6
    finally:
        successor.close()
        node.launcher = Launcher(node.state_dir, lambda *_: None)


def test_jobs_outlive_the_sigkill_of_the_daemon_process(node, tmp_path, wait_until):
    program = (
        "import os, sys, time\n"
        "from pathlib import Path\n"
        "from dcdaemon.runner.launch import Launcher\n"
        "from dcdaemon.runner.records import LaunchSpec\n"
        "launcher = Launcher(Path(sys.argv[1]), print)\n"
        "launcher.start()\n"
        "argv = ('sh', '-c', 'echo ready; while [ ! -e end ]; do sleep 0.02; done; exit 8')\n"
        "launcher.launch(LaunchSpec(1, 1, argv, sys.argv[2], dict(os.environ), os.geteuid(), os.getegid()))\n"
        "time.sleep(60)\n"
    )
    daemon = subprocess.Popen([sys.executable, "-c", program, str(node.state_dir), str(tmp_path)])
    log = node.state_dir / "jobs/1/1/output.log"
    wait_until(lambda: log.exists() and log.read_text())
    daemon.kill()
    daemon.wait()

    spec = node.spec("unused")
    assert isinstance(node.launcher.adopt(1, 1), Running)
    (tmp_path / "end").touch()
    assert node.end_of(spec).exit_code == 8


def rewrite_claim(attempt, change):
    claim = attempt.path / "claim.1"
    parts = str(claim.readlink()).split(".")
    claim.unlink()
    claim.symlink_to(".".join(change(*parts)))


def test_a_stranger_with_the_shims_pid_is_not_adopted(node, wait_until):
    spec = node.start("true")
    node.end_of(spec)
    attempt = node.launcher.attempt(spec.job_id, 1)
    (attempt.path / "exit.json").unlink()
    rewrite_claim(attempt, lambda _, ticks, boot: (str(os.getpid()), ticks, boot))

    outcome = node.launcher.adopt(spec.job_id, 1)
    assert outcome == Vanished(attempt.run_record(), rebooted=False)
    assert not node.stop(spec)


def test_a_process_of_another_boot_is_not_adopted(node):
    spec = node.start("true")
    node.end_of(spec)
    attempt = node.launcher.attempt(spec.job_id, 1)
    (attempt.path / "exit.json").unlink()
    rewrite_claim(attempt, lambda pid, ticks, _: (pid, ticks, "another-boot"))

    assert node.launcher.adopt(spec.job_id, 1) == Vanished(attempt.run_record(), rebooted=True)


def test_a_shim_that_died_before_it_recorded_the_job_leaves_the_attempt_free(node):
    spec = node.start("true")
    node.end_of(spec)
    attempt = node.launcher.attempt(spec.job_id, 1)
    for name in ("exit.json", "state.json", "output.log"):
        (attempt.path / name).unlink()
    (attempt.path / "spec.json").touch()  # it goes once the job is recorded

    assert node.launcher.adopt(spec.job_id, 1) == Unclaimed()
    node.launcher.launch(spec)
    assert node.end_of(spec).exit_code == 0


@pytest.mark.parametrize(
    "blob",
    [b"", b"garbage", b"[]", b"{}", b'{"version": 0}', b'{"version": 1, "job_id": "x"}', b" " * 70_000],
)
def test_a_broken_exit_record_is_no_exit_record(node, caplog, blob):
    spec = node.start("true")
    node.end_of(spec)
    (node.directory(spec) / "exit.json").write_bytes(blob)

    assert isinstance(node.outcome(spec), Vanished)
    assert "record unreadable" in caplog.text


def test_a_record_behind_a_link_is_no_record(node, tmp_path, caplog):
    spec = node.start("true")
    node.end_of(spec)
    exit_record = node.directory(spec) / "exit.json"
    exit_record.rename(tmp_path / "elsewhere.json")
    exit_record.symlink_to(tmp_path / "elsewhere.json")

    assert isinstance(node.outcome(spec), Vanished)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can make files of others")
def test_a_record_of_another_user_is_no_record(node, caplog):
    spec = node.start("true")
    node.end_of(spec)
    os.chown(node.directory(spec) / "exit.json", 65534, 65534)

    assert isinstance(node.outcome(spec), Vanished)


def test_an_error_inside_the_shim_is_on_record(node):
    _, attempt = prepare(node, "true")
    document = json.loads((attempt.path / "spec.json").read_text())
    del document["limit_s"]
    (attempt.path / "spec.json").write_text(json.dumps(document))
    shim(attempt.path, 1).wait(10)

    record = attempt.outcome().record
    assert (record.cause, record.error) == ("shim_error", "KeyError: 'limit_s'")


def test_a_state_directory_that_cannot_be_written_is_a_clear_refusal(tmp_path):
    (tmp_path / "jobs").write_text("a file in the way")
    launcher = Launcher(tmp_path, lambda *_: None)
    launcher.start()
    try:
        from_nowhere = dcdaemon.runner.records.LaunchSpec(1, 1, ("true",), "/", {}, os.geteuid(), os.getegid())
        with pytest.raises(StartFailed, match=r"cannot start job 1: cannot write to .*: Not a directory") as caught:
            launcher.launch(from_nowhere)
        assert caught.value.hint
    finally:
        launcher.close()


def test_the_fork_server_ends_with_the_daemon_and_loads_no_package_of_ours(node, wait_until):
    pid = node.launcher.fork_server_pid
    mapped = Path(f"/proc/{pid}/maps").read_text()
    node.launcher.close()

    assert "site-packages" not in mapped
    assert not Path(f"/proc/{pid}").exists()
    node.launcher = Launcher(node.state_dir, lambda *_: None)
