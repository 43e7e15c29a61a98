import os
import signal
import time
from pathlib import Path

from dcdaemon.runner.processes import Identity
from dcdaemon.runner.records import Leftover, Running, Vanished

IGNORES_TERM = "trap '' TERM; echo ready; while :; do sleep 0.05; done"
DAEMONISES = """
import os, time
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        open('daemon.pid', 'w').write(str(os.getpid()))
        deadline = time.monotonic() + 10
        while not os.path.exists('end') and time.monotonic() < deadline:
            time.sleep(0.01)
        print('daemon done', flush=True)
    os._exit(0)
os.wait()
os._exit(5)
"""


def test_a_daemonised_grandchild_keeps_the_job_alive(node, tmp_path, wait_until):
    spec = node.python(DAEMONISES, cwd=str(tmp_path))
    pid = int(wait_until((tmp_path / "daemon.pid").exists) and wait_until((tmp_path / "daemon.pid").read_text))
    main_pid = node.outcome(spec).record.pid
    wait_until(lambda: not Path(f"/proc/{main_pid}").exists(), "the end of the main process")

    assert isinstance(node.outcome(spec), Running)
    assert node.launcher.pids(spec.job_id, 1) == (pid,)
    (tmp_path / "end").touch()
    assert node.end_of(spec).exit_code == 5
    assert node.log(spec) == "daemon done\n"


def test_a_stop_reaches_a_daemonised_grandchild_too(node, tmp_path, wait_until):
    spec = node.python(DAEMONISES, cwd=str(tmp_path))
    wait_until((tmp_path / "daemon.pid").exists)
    main_pid = node.outcome(spec).record.pid
    wait_until(lambda: not Path(f"/proc/{main_pid}").exists())
    node.stop(spec)

    record = node.end_of(spec)
    assert (record.cause, record.exit_code) == ("cancelled", 5)


def test_a_stop_lets_the_job_end_by_itself(node, wait_until):
    spec = node.start("sh", "-c", "trap 'echo bye; exit 9' TERM; echo ready; while :; do sleep 0.05; done")
    wait_until(lambda: node.log(spec))
    assert node.stop(spec)

    record = node.end_of(spec)
    assert (record.cause, record.exit_code, record.signal) == ("cancelled", 9, None)
    assert node.log(spec).splitlines()[-1] == "bye"


def test_a_job_that_ignores_the_stop_is_killed_with_all_its_children_after_the_grace(node, wait_until):
    spec = node.start("sh", "-c", f"({IGNORES_TERM}) & {IGNORES_TERM}")
    wait_until(lambda: node.log(spec).count("ready") == 2)
    begun = time.monotonic()
    node.stop(spec, grace_s=0.3)

    record = node.end_of(spec)
    assert (record.cause, record.signal) == ("cancelled", signal.SIGKILL)
    assert 0.3 <= time.monotonic() - begun < 5


def test_a_second_stop_may_shorten_the_grace_and_never_lengthens_it(node, wait_until):
    spec = node.start("sh", "-c", IGNORES_TERM)
    wait_until(lambda: node.log(spec))
    node.stop(spec, grace_s=3600)
    node.stop(spec, grace_s=0.05)
    node.stop(spec, grace_s=3600)

    assert node.end_of(spec).signal == signal.SIGKILL


def test_of_several_stops_the_last_word_counts(node, wait_until):
    spec = node.start("sh", "-c", IGNORES_TERM)
    wait_until(lambda: node.log(spec))
    node.launcher.stop(spec.job_id, spec.attempt, "TERM", 3600, "requeued")
    node.stop(spec, grace_s=0.05)

    assert node.end_of(spec).cause == "cancelled"


def test_the_stop_sends_the_signal_that_was_asked_for(node, wait_until):
    spec = node.start("sh", "-c", "trap 'exit 3' USR1; echo ready; while :; do sleep 0.05; done")
    wait_until(lambda: node.log(spec))
    node.stop(spec, name="USR1")

    assert node.end_of(spec).exit_code == 3


def test_a_bare_sigterm_to_the_shim_is_an_ordinary_stop(node, wait_until):
    spec = node.start("sh", "-c", "echo ready; exec sleep 60")
    wait_until(lambda: node.log(spec))
    os.kill(node.outcome(spec).record.shim_pid, signal.SIGTERM)

    record = node.end_of(spec)
    assert (record.cause, record.signal) == ("stopped", signal.SIGTERM)


def test_the_time_limit_ends_every_process_of_the_job(node):
    spec = node.start("sh", "-c", f"setsid sleep 60 & {IGNORES_TERM}", limit_s=0.3, grace_s=0.2)

    record = node.end_of(spec)
    assert (record.cause, record.signal) == ("timed_out", signal.SIGKILL)
    assert record.run_s is not None
    assert 0.5 <= record.run_s < 5


def test_a_job_within_its_limit_is_left_alone(node):
    assert node.run("sleep", "0.05", limit_s=60).cause == "exited"


def test_daemons_that_breed_daemons_are_killed_to_the_last(node, wait_until):
    program = (
        "import os, time, signal\n"
        "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "deadline = time.monotonic() + 10\n"
        "while time.monotonic() < deadline:\n"
        "    if os.fork(): os._exit(0)\n"
        "    os.setsid()\n"
        "    print('born', flush=True)\n"
        "    time.sleep(0.02)\n"
    )
    spec = node.python(program)
    wait_until(lambda: node.log(spec).count("born") > 3)
    node.stop(spec, grace_s=0.05)

    assert node.end_of(spec).cause == "cancelled"
    assert node.launcher.pids(spec.job_id, 1) == ()


def test_the_jobs_output_goes_on_when_the_shim_is_killed(node, tmp_path, wait_until):
    spec = node.start("sh", "-c", "echo begun; while [ ! -e end ]; do sleep 0.02; done; seq 200000", cwd=str(tmp_path))
    wait_until(lambda: node.log(spec))
    run = node.outcome(spec).record
    os.kill(run.shim_pid, signal.SIGKILL)

    outcome = node.next_end()
    assert isinstance(outcome, Leftover)
    assert run.pid in outcome.pids
    (tmp_path / "end").touch()
    while isinstance(outcome, Leftover):  # one word from the launcher for each leftover that ends
        outcome = node.next_end()
    assert outcome == Vanished(run, rebooted=False)
    assert node.log(spec) == "begun\n" + "".join(f"{number}\n" for number in range(1, 200001))


def test_leftovers_are_found_in_other_sessions_and_killed(node, tmp_path, wait_until):
    spec = node.python(DAEMONISES, cwd=str(tmp_path))
    pid = int(wait_until((tmp_path / "daemon.pid").exists) and wait_until((tmp_path / "daemon.pid").read_text))
    run = node.outcome(spec).record
    wait_until(lambda: not Path(f"/proc/{run.pid}").exists())
    os.kill(run.shim_pid, signal.SIGKILL)

    assert node.next_end() == Leftover(run, (pid,))
    assert node.launcher.leftover_pids(spec.job_id, 1) == (pid,)
    assert node.launcher.kill_leftovers(spec.job_id, 1) == 1
    assert node.next_end() == Vanished(run, rebooted=False)


def test_leftovers_of_a_living_shim_are_none(node, wait_until):
    spec = node.start("sleep", "60")
    wait_until(lambda: node.outcome(spec).record)

    assert node.launcher.leftover_pids(spec.job_id, 1) == ()
    assert node.launcher.kill_leftovers(spec.job_id, 1) == 0
    assert Identity(node.outcome(spec).record.pid, node.outcome(spec).record.pid_start_ticks).alive()


def test_a_stop_without_a_shim_says_so(node):
    spec = node.start("true")
    node.end_of(spec)

    assert not node.stop(spec)
    assert not node.launcher.stop(4711, 1, "TERM", 1.0, "cancelled")
