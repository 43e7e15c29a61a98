"""Two jobs on one GPU of a real daemon, each with its part of the memory, and a whole job beside them."""

import pytest
from system.daemon_process import command_line

HOLDOFF_S = 4.0
TEN = 10 * 1024**3


@pytest.fixture
def site(new_site):
    site = new_site(DCD_SCHEDULER__SHARE_HOLDOFF=f"{HOLDOFF_S:g}s")
    site.start()
    return site


def test_two_shares_meet_on_one_gpu_after_the_hold_off_and_whole_jobs_are_elsewhere(site):
    stay = f"until test -e {site.path}/end; do sleep 0.05; done"
    tell = f"echo $CUDA_VISIBLE_DEVICES $DCD_GPU_MEM_BYTES >> {site.path}/told; {stay}"
    (site.path / "told").touch()
    (site.path / "told").chmod(0o666)
    share = {"gpus": 1, "gpu_mem_bytes": TEN}
    whole = site.submit(stay, gpus=7)
    site.await_state(whole, "running")
    first, second, alone = site.submit_many([site.wish(tell, **share), site.wish(tell, **share), site.wish()])
    site.await_state(first, "running")
    why = site.client.get(f"/v1/jobs/{second}/why")
    assert "on GPU 7, where the newest job may still be loading" in why["sentence"]
    joined = site.await_state(second, "running")
    assert [site.job(job_id)["gpus"] for job_id in (whole, first)] == [[0, 1, 2, 3, 4, 5, 6], [7]]
    assert joined["gpus"] == [7]
    starts = dict(site.query("SELECT id, started_at FROM job"))
    assert starts[second] - starts[first] >= HOLDOFF_S
    site.restart()
    [shared] = [gpu for gpu in site.client.get("/v1/gpus")["gpus"] if gpu["index"] == 7]
    assert [(job["id"], job["gpu_mem_bytes"]) for job in shared["jobs"]] == [(first, TEN), (second, TEN)]
    assert site.job(alone)["state"] == "waiting", "whole GPUs are not shared"
    assert site.query("SELECT gpu, job_id FROM gpu_share ORDER BY job_id") == [(7, first), (7, second)]
    (site.path / "end").touch()
    jobs = site.await_all()
    assert {jobs[job_id]["state"] for job_id in (whole, first, second, alone)} == {"succeeded"}
    assert (site.path / "told").read_text() == f"7 {TEN}\n" * 2
    assert site.query("SELECT * FROM gpu_share") == []
    site.judge_resources()


def test_a_share_is_asked_for_on_the_command_line_and_shown_there(site):
    done = command_line(site, "submit", "-q", "--gpu-mem", "10G", "--", "sleep", "60")
    job = site.await_state(int(done.stdout), "running")
    assert (job["gpu_mem_bytes"], len(job["gpus"])) == (TEN, 1)
    assert f"job {job['id']} sleep" in command_line(site, "gpus").stdout
    command_line(site, "cancel", str(job["id"]))
    site.await_all()


def test_a_share_that_no_gpu_could_hold_is_refused_with_one_clear_error(site):
    done = command_line(site, "submit", "--gpu-mem", "200G", "--", "true")
    assert done.returncode != 0
    assert "asks for 200 GiB of a GPU, of the largest one 79 GiB can be shared" in done.stderr
    assert site.jobs() == {}
