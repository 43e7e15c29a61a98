"""Deadlines and learned shares on a real daemon, with real processes, through the command line."""

import re

from system.daemon_process import command_line, until

GIB = 1024**3


def test_the_first_to_be_due_starts_first_though_it_came_last(new_site):
    site = new_site(DCD_SCHEDULER__ORDER="deadline")
    site.start()
    blocker = site.submit(f"until test -e {site.path}/end; do sleep 0.05; done", gpus=8)
    site.await_state(blocker, "running")
    never, later, sooner = (
        int(command_line(site, "submit", "-q", "-g", "8", *words, "--", "true").stdout)
        for words in ((), ("--deadline", "+9h"), ("--deadline", "+5h", "-t", "1h"))
    )
    why = command_line(site, "why", str(later)).stdout
    assert re.search(rf"Job {sooner}, which is due in (5h|4h59m\S*), goes first\.", why)
    assert re.search(r"It is due in (9h|8h59m\S*)\.", why)
    site.restart()
    (site.path / "end").touch()
    jobs = site.await_all()
    order = sorted((never, later, sooner), key=lambda job_id: jobs[job_id]["started_at"])
    assert order == [sooner, later, never]
    assert [jobs[job_id]["deadline_met"] for job_id in (sooner, later, never)] == [True, True, None]
    assert re.search(r"deadline     .* \(met\)", command_line(site, "show", str(sooner)).stdout)


def test_a_deadline_that_cannot_be_met_is_refused_with_one_clear_error(site):
    done = command_line(site, "submit", "--deadline", "+1h", "-t", "2h", "--", "true")
    assert done.returncode != 0
    assert done.stderr.startswith("error: by its time limit the job may run for 2h, and is due")
    assert command_line(site, "submit", "--deadline", "2020-01-01", "--", "true").returncode != 0
    assert site.jobs() == {}


def test_a_share_is_learned_from_what_earlier_runs_held(site):
    refused = command_line(site, "submit", "--gpu-mem", "auto", "--", "sleep", "1")
    assert "run it once or twice with -g 1" in refused.stderr
    for _ in range(2):
        ran = int(command_line(site, "submit", "-q", "-g", "1", "--", "sleep", "1").stdout)
        until(lambda job_id=ran: site.job(job_id)["mem_peak_bytes"], "its peak is measured")
        site.await_state(ran)
    peaks = [peak for (peak,) in site.query("SELECT mem_peak_bytes FROM usage ORDER BY job_id")]
    told = command_line(site, "submit", "-q", "--gpu-mem", "auto", "--", "sleep", "2")
    job = site.job(int(told.stdout))
    assert job["gpu_mem_bytes"] == -(-max(peaks) * 6 // (5 * GIB)) * GIB
    assert job["gpu_mem_runs"] == 2
    assert "of a GPU (learned from 2 runs)" in command_line(site, "show", told.stdout.strip()).stdout
    site.await_all()
