"""Arrays, dependencies and begin times on a real daemon, with real processes, through the command line."""

import time

from system.daemon_process import command_line, until

RECORD = "n=$(ls {path}/now | wc -l); touch {path}/now/$DCD_ARRAY_INDEX; echo $n >> {path}/before; sleep 0.2; \
rm {path}/now/$DCD_ARRAY_INDEX"


def test_an_array_runs_two_at_a_time_and_every_job_knows_its_index(site):
    (site.path / "now").mkdir(mode=0o777)
    done = command_line(
        site, "submit", "-q", "-n", "sweep", "--array", "0-14:2%2", "--log", f"{site.path}/log-%A-%a", "--",
        "sh", "-c", RECORD.format(path=site.path) + "; echo $DCD_ARRAY_ID $DCD_ARRAY_INDEX",
    )  # fmt: skip
    ids = [int(line) for line in done.stdout.split()]
    assert len(ids) == 8, done.stderr
    last = site.submit(after=["name:sweep"])
    jobs = site.await_all()
    assert {jobs[job_id]["state"] for job_id in (*ids, last)} == {"succeeded"}
    assert jobs[last]["started_at"] >= max(jobs[job_id]["ended_at"] for job_id in ids)
    others = [int(line) for line in (site.path / "before").read_text().split()]
    assert max(others) <= 1, "more than two ran at a time"
    for index in range(0, 15, 2):
        assert (site.path / f"log-{ids[0]}-{index}").read_text() == f"{ids[0]} {index}\n"


def test_a_chain_of_ends_and_failures_runs_as_it_is_written(site):
    """Submitted last first, in one request: the order comes from what waits for what."""
    report, cleanup, rescue, train, prep = site.submit_many(
        [
            site.wish(name="report", after=["name:train"]),
            site.wish(name="cleanup", after_any=["name:train", "name:rescue"]),
            site.wish(name="rescue", after_not_ok=["name:train"]),
            site.wish(name="train", after=["name:prep"], code=3),
            site.wish(name="prep"),
        ]
    )
    site.await_state(cleanup)
    jobs = site.jobs()
    states = {job_id: jobs[job_id]["state"] for job_id in (prep, train, rescue, cleanup, report)}
    assert states == {
        prep: "succeeded", train: "failed", rescue: "succeeded", cleanup: "succeeded", report: "waiting",
    }  # fmt: skip
    order = sorted((prep, train, rescue, cleanup), key=lambda job_id: jobs[job_id]["started_at"])
    assert order == [prep, train, rescue, cleanup]
    assert jobs[report]["reason"]["code"] == "dependency_failed"
    assert f"job {train}, which did not succeed" in command_line(site, "why", str(report)).stdout


def test_a_job_begins_at_its_time_though_nothing_else_happens(site):
    asked_at = time.time()
    done = command_line(site, "submit", "-q", "--begin", "+2s", "--", "true")
    job_id = int(done.stdout)
    job = site.await_state(job_id, "waiting")
    assert (job["reason"]["code"], command_line(site, "why", str(job_id)).returncode) == ("begin_time", 0)
    ended = site.await_state(job_id)
    assert ended["state"] == "succeeded"
    assert ended["begin_at"] <= ended["started_at"]
    assert time.time() - asked_at >= 2.0


def test_begin_times_and_dependencies_outlive_a_killed_daemon(site):
    first = site.submit(sleep_s=0.5)
    after, later = site.submit(after_any=[str(first)]), site.submit(begin_at=time.time() + 1.0)
    site.restart()
    jobs = site.await_all()
    assert {jobs[job_id]["state"] for job_id in (first, after, later)} == {"succeeded"}
    assert jobs[after]["started_at"] >= jobs[first]["ended_at"]
    assert jobs[later]["started_at"] >= jobs[later]["begin_at"]


def test_a_whole_array_is_held_released_and_cancelled_by_its_name(site):
    site.submit_many([site.wish(array="0-9", held=True, sleep_s=30.0)])
    assert "1_[0-9]" in command_line(site, "ps").stdout
    assert command_line(site, "release", "1_[0-2]").returncode == 0
    until(lambda: site.job(1)["state"] == "running", "the start of the first")
    assert command_line(site, "cancel", "1_*").returncode == 0
    assert {job["state"] for job in site.await_all().values()} == {"cancelled"}


def test_what_is_refused_at_the_door_is_one_line_and_a_hint(site):
    for arguments, message in (
        (("--array", "0-999999"), "error: an array of 1000000 jobs: at most 10000 are taken in one request"),
        (("--begin", "25:00"), "error: --begin '25:00' is no time"),
    ):
        done = command_line(site, "submit", *arguments, "--", "true")
        assert (done.returncode, done.stdout, done.stderr.splitlines()[0]) == (2, "", message)
        assert done.stderr.splitlines()[1].startswith("hint: ")
    assert site.jobs() == {}
