"""A stranger gets the very pid that a record names: it is not watched, not counted and not killed for the job."""

import os
import signal

import pytest
from system.daemon_process import until
from system.reused_pid import stranger_with
from system.test_adoption import end_the_world, shim_of, until_there

from dcdaemon.runner.processes import Identity, identify


def main_of(site, job_id):
    record = until(site.attempt(job_id).run_record, "the job's record")
    return Identity(record.pid, record.pid_start_ticks)


@pytest.mark.parametrize("whose", ["shim", "main process"])
def test_a_stranger_with_the_pid_of_something_dead_is_not_taken_for_it(site, whose):
    job_id = site.submit(sleep_s=60)
    site.await_state(job_id, "running")
    until(site.runs, "the job's mark")
    pid = shim_of(site.attempt(job_id)).pid if whose == "shim" else main_of(site, job_id).pid
    end_the_world(site, job_id)
    until(lambda: identify(pid) is None and not os.path.exists(f"/proc/{pid}"), "the pid being free")  # noqa: PTH110
    with stranger_with(pid):
        site.start()
        assert site.await_state(job_id)["state"] == "lost"
        site.judge_resources()
        assert identify(pid) is not None


def test_a_stranger_with_the_pid_of_the_main_process_is_spared_when_what_the_job_left_is_ended(site):
    gate = site.path / "gate"
    job_id = site.submit(f"setsid sh -c '{until_there(gate)}' & exec sleep 1000")
    site.await_state(job_id, "running")
    until(site.runs, "the job's mark")
    main, shim = main_of(site, job_id), shim_of(site.attempt(job_id))
    until(lambda: len(site.attempt(job_id).processes()) >= 2, "the job's second session")
    shim.send(signal.SIGKILL)
    main.send(signal.SIGKILL)
    until(lambda: not os.path.exists(f"/proc/{main.pid}"), "the pid being free")  # noqa: PTH110
    with stranger_with(main.pid):
        left = until(lambda: site.job(job_id)["pids"], "what the job left")
        assert main.pid not in left
        assert site.client.get("/v1/gpus")["gpus"][0]["state"] == "busy"
        site.client.post("/v1/jobs/cancel", {"select": [str(job_id)]})
        assert site.await_state(job_id)["state"] in ("lost", "cancelled")
        assert not site.living()
        assert identify(main.pid) is not None
    site.judge_resources()
