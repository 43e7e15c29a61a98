"""Verbs about jobs: run, why, show, logs, wait, and the ones that change jobs."""

import json
import os
import re
import signal
import subprocess
import sys
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

import documents
import pytest
from stub_daemon import Answer, accept, error

from dcdaemon.cli.ends import exit_code_of
from dcdaemon.cli.show.jobs import deadline, note


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"state": "succeeded", "exit_code": 0}, 0),
        ({"state": "failed", "exit_code": 3}, 3),
        ({"state": "failed", "exit_code": None, "signal": 11}, 139),
        ({"state": "failed", "exit_code": None, "cause": "no such directory"}, 125),
        ({"state": "timed_out", "exit_code": None, "signal": 15}, 124),
        ({"state": "cancelled", "exit_code": None, "started_at": None}, 125),
        ({"state": "cancelled", "exit_code": None, "signal": 15}, 143),
        ({"state": "lost", "exit_code": None}, 1),
    ],
)
def test_exit_codes_of_ends(changes, code):
    assert exit_code_of(documents.ended(1, "x", **changes)) == code


def run_routes(stub, state="succeeded", **end):
    stub.routes |= {
        "POST /v1/jobs": accept,
        "GET /v1/jobs/1/log": Answer(chunks=iter([b"one\n", b"\xfftwo\n"])),
        "GET /v1/wait": {"schema": 1, "done": True, "jobs": [documents.ended(1, "x", state, **end)]},
    }


def test_run_copies_the_output_and_leaves_with_the_jobs_code(daemon, dcd):
    run_routes(daemon, state="failed", exit_code=7)
    command = [sys.executable, "-m", "dcdaemon", "run", "-g", "1", "--", "sh"]
    done = subprocess.run(command, capture_output=True, check=False, env=dict(os.environ))
    assert (done.returncode, done.stdout) == (7, b"one\n\xfftwo\n")
    assert b"Job 1: failed, exit code 7" in done.stderr


@pytest.mark.parametrize("arguments", [["run", "-t", "30", "--", "x"], ["run", "--nope"], ["run"]])
def test_run_exits_with_125_for_wrong_usage(daemon, dcd, arguments):
    said = dcd(*arguments)
    assert said.code == 125
    assert [line.split(":")[0] for line in said.err.splitlines()] == ["error", "hint"]


def test_run_exits_with_125_when_the_job_is_refused_or_no_daemon_is_there(daemon, dcd, tmp_path):
    daemon.routes["POST /v1/jobs"] = error(422, "never_fits", "m", "h")
    assert dcd("run", "--", "x").code == 125
    assert dcd("run", "--url", f"{tmp_path}/none.sock", "--", "x").code == 125


@pytest.mark.parametrize("presses", [1, 2])
def test_the_first_ctrl_c_lets_go_and_the_second_cancels(daemon, presses):
    gone = threading.Event()

    def output():
        yield b"started\n"
        gone.wait(20)

    run_routes(daemon)
    daemon.routes["GET /v1/jobs/1/log"] = Answer(chunks=output())
    daemon.routes["POST /v1/jobs/cancel"] = {"schema": 1, "jobs": [], "refused": []}
    command = [sys.executable, "-m", "dcdaemon", "run", "--", "sleep", "9"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=dict(os.environ)) as process:
        assert process.stdout.readline() == b"started\n"
        process.send_signal(signal.SIGINT)
        while b"goes on without you" not in process.stderr.readline():
            assert process.poll() is None
        if presses == 2:
            process.send_signal(signal.SIGINT)
        assert process.wait(10) == 130
    gone.set()
    cancelled = [asked.body for asked in daemon.asked if asked.path == "/v1/jobs/cancel"]
    assert cancelled == ([{"select": ["1"]}] if presses == 2 else [])


def test_logs_prints_raw_bytes_and_follow_tells_the_end(daemon, dcd):
    daemon.routes["GET /v1/jobs/1/log"] = lambda _: Answer(chunks=iter([b"hello\n"]))
    end = documents.ended(1, "x", "failed", exit_code=2)
    daemon.routes["GET /v1/wait"] = {"schema": 1, "done": True, "jobs": [end]}
    assert dcd("logs", "1").out == "hello\n"
    said = dcd("logs", "-f", "1")
    assert (said.code, said.out, said.err) == (0, "hello\n", "Job 1: failed, exit code 2\n")
    assert daemon.asked[1].query == {"lines": ["50"], "follow": ["1"]}


def test_logs_of_an_earlier_attempt_can_be_read_and_not_followed(daemon, dcd):
    daemon.routes["GET /v1/jobs/1/log"] = lambda _: Answer(chunks=iter([b"before\n"]))
    assert dcd("logs", "1", "--attempt", "1").out == "before\n"
    assert daemon.asked[0].query == {"lines": ["50"], "follow": ["0"], "attempt": ["1"]}
    said = dcd("logs", "-f", "1", "--attempt", "1")
    assert said.code == 2
    assert "leave --attempt out" in said.err


def test_logs_resolves_selectors_and_takes_one_job(daemon, dcd):
    daemon.routes["GET /v1/jobs"] = {**documents.queue(), "jobs": documents.queue()["jobs"][:1]}
    daemon.routes["GET /v1/jobs/41/log"] = Answer(chunks=iter([b"x\n"]))
    assert dcd("logs", "last").out == "x\n"
    daemon.routes["GET /v1/jobs"] = documents.queue()
    said = dcd("logs", "--name", "sweep")
    assert said.code == 2
    assert "4 jobs are selected" in said.err
    daemon.routes["GET /v1/jobs"] = {**documents.queue(), "jobs": []}
    assert dcd("logs", "all").code == 4


@pytest.mark.parametrize(
    ("states", "done", "options", "code"),
    [
        (["succeeded", "succeeded"], True, [], 0),
        (["succeeded", "failed"], True, [], 1),
        (["succeeded", "failed"], True, ["--pass"], 3),
        (["succeeded", "running"], False, ["--timeout", "1s"], 124),
        (["succeeded", "running"], True, ["--any"], 0),
    ],
)
def test_wait_tells_how_it_went_by_its_exit_code(daemon, dcd, states, done, options, code):
    jobs = [
        documents.job(number, "x")
        if state == "running"
        else documents.ended(number, "x", state, exit_code=3 * (state == "failed"))
        for number, state in enumerate(states, start=1)
    ]
    daemon.routes["GET /v1/wait"] = {"schema": 1, "done": done, "jobs": jobs}
    said = dcd("wait", "1", "2", "-q", *options)
    assert (said.code, said.out) == (code, "1\n2\n")
    assert daemon.asked[0].query["sel"] == ["1", "2"]


def test_wait_for_many_jobs_needs_no_more_than_their_ends(daemon, dcd):
    end = {"started_at": "2026-10-01T10:00:00+00:00", "ended_at": "2026-10-01T11:00:00+00:00", "signal": None}
    jobs = [
        {"id": 1, "state": "succeeded", "exit_code": 0, **end, "private": False},
        {"id": 2, "state": "failed", "exit_code": 7, **end, "private": False},
    ]
    daemon.routes["GET /v1/wait"] = {"schema": 1, "done": True, "brief": True, "jobs": jobs}
    said = dcd("wait", "1", "2", "--pass")
    assert said.code == 7
    assert [line.split()[:2] for line in said.out.splitlines()[:3]] == [
        ["ID", "STATE"], ["1", "succeeded"], ["2", "failed"],
    ]  # fmt: skip


def test_wait_settles_last_before_it_waits(daemon, dcd):
    daemon.routes["GET /v1/jobs"] = {**documents.queue(), "jobs": documents.queue()["jobs"][:1]}
    daemon.routes["GET /v1/wait"] = {"schema": 1, "done": True, "jobs": [documents.ended(41, "x", "succeeded")]}
    assert dcd("wait", "last").code == 0
    assert daemon.asked[1].query["sel"] == ["41"]


def test_why_gives_the_sentence_what_would_help_and_when(daemon, dcd):
    daemon.routes["GET /v1/jobs/5/why"] = {
        "schema": 1,
        "job_id": 5,
        "state": "waiting",
        "code": "gpus_busy",
        "facts": {"needed": 3},
        "sentence": "Job 5 needs 3 free GPUs, 0 are free.",
        "unblock": {"end_jobs": [2, 3], "release": False, "restore_gpus": [["node1", 5]]},
        "expected_start_at": documents.ago(-290),
    }
    lines = dcd("why", "5").out.splitlines()
    assert lines[0] == "Job 5 needs 3 free GPUs, 0 are free."
    assert lines[1] == "It starts when jobs 2-3 end or are cancelled and GPU 5 can be used again."
    assert lines[2].startswith("Expected start: ")
    assert lines[2].endswith("(in 4m).")
    assert json.loads(dcd("why", "5", "--json").out)["facts"] == {"needed": 3}


def test_why_of_several_explains_those_that_wait_and_counts_the_rest(daemon, dcd):
    reason = {"schema": 1, "job_id": 8, "state": "waiting", "code": "gpus_busy", "facts": {}, "expected_start_at": None}
    reason |= {"sentence": "Job 8 needs 3 GPUs.", "unblock": {"end_jobs": [], "release": False, "restore_gpus": []}}
    daemon.routes["GET /v1/jobs/7/why"] = error(409, "refused", "job 7 has ended: succeeded", "dcd show 7")
    daemon.routes["GET /v1/jobs/8/why"] = reason
    said = dcd("why", "7", "8", "-o", "table")
    assert (said.code, said.err) == (0, "note: 1 job of these does not wait\n")
    assert said.out.startswith("Job 8 needs 3 GPUs.")
    assert dcd("why", "7").err.startswith("error: job 7 has ended: succeeded\n")


def test_why_tells_the_place_in_line_and_the_interval_of_an_expected_start(daemon, dcd):
    answer = {
        "schema": 1, "job_id": 5, "state": "waiting", "code": "gpus_busy", "sentence": "It waits.",
        "facts": {"ahead": 3, "starts_basis": "predictions"},
        "unblock": {"end_jobs": [2], "first": True, "lift_limits": [["user", "ada"]], "unbook": [7]},
        "expected_start_at": documents.ago(-290), "expected_low_at": documents.ago(-100),
        "expected_high_at": documents.ago(-900),
    }  # fmt: skip
    daemon.routes["GET /v1/jobs/5/why"] = answer
    lines = dcd("why", "5").out.splitlines()
    assert lines[1] == (
        "It starts when job 2 ends or is cancelled, it goes before all others, "
        "the limit of user ada is lifted and booking 7 is called off."
    )
    assert lines[2] == "Place in line: 4."
    assert re.fullmatch(r"Expected start: .+ \(in 4m\), between .+ and .+\.", lines[3])
    daemon.routes["GET /v1/jobs/5/why"] = {**answer, "expected_high_at": None}
    assert re.search(r"\(in 4m\), hardly before .+\.", dcd("why", "5").out)
    daemon.routes["GET /v1/jobs/5/why"] = {**answer, "facts": {"ahead": 0, "starts_basis": "limits"}}
    assert dcd("why", "5").out.splitlines()[2].endswith("at the latest (in 4m).")


def test_show_tells_everything_and_hides_control_characters(daemon, dcd, monkeypatch):
    monkeypatch.setenv("TZ", "UTC")
    job = documents.ended(
        42, "x", "failed", exit_code=3, argv=["sh", "-c", "echo \x1b[31m hi"], reported={"loss": 0.12345}
    )
    daemon.routes["GET /v1/jobs/42"] = {
        **job,
        "timeline": [{"at": documents.ago(100), "what": "submit by user1"}],
        "pids": [],
        "anomalies": [{"id": 6, "rule": "job_crashed", "message": "job 42 ended with exit code 3"}],
    }
    out = dcd("show", "42").out
    assert out.startswith("Job 42 (x): failed, exit code 3\n")
    assert "\x1b" not in out
    for words in ("sh -c 'echo ?[31m hi'", "loss 0.1235", "submit by user1", "anomaly 6: job 42 ended", "0.73 kWh"):
        assert words in out


def test_show_tells_what_a_job_waits_for_and_what_was_foretold(daemon, dcd, monkeypatch):
    monkeypatch.setenv("TZ", "UTC")
    daemon.routes["GET /v1/jobs/42"] = {
        **documents.array_task(3), "after": [7], "after_any": [8, 9], "after_not_ok": [10], "queue": "urgent",
        "account": "vision", "begin_at": "2026-12-01T08:00:00.000+00:00", "gpu_mem_bytes": 10 * 2**30,
        "predicted_s": 7200.0, "predicted_by": "history", "forecast_at": "2026-12-01T09:00:00.000+00:00",
        "forecast_low_at": "2026-12-01T08:30:00.000+00:00", "forecast_high_at": "2026-12-01T10:00:00.000+00:00",
        "preempted": 2, "lost_s": 90.0, "launcher": "torchrun", "ranks": 4, "checkpoint_signal": "USR1",
        "checkpoint_s": 90.0, "hang_after_s": 1800.0, "deadline_at": "2026-12-02T08:00:00.000+00:00",
        "deadline_met": True, "gpu_mem_runs": 4,
    }  # fmt: skip
    out = dcd("show", "42").out
    assert out.startswith("Job 123 (sweep, 120_3 of array 120): waiting")
    for line in (
        "after        7", "after end of 8-9", "after fail of 10", "begin        2026-12-01 08:00:00",
        "array        at most 5 at a time", "queue        urgent", "account      vision",
        "asked        10 GiB of a GPU (learned from 4 runs), 1 CPU",
        "deadline     2026-12-02 08:00:00 (met)", "predicted    2h (by history)",
        "foretold     start 2026-12-01 09:00:00 (between 2026-12-01 08:30:00 and 2026-12-01 10:00:00)",
        "preempted    2 times, 1m30s of work lost", "launcher     torchrun, 4 ranks", "ends if hung after 30m",
        "asked to save by SIGUSR1, 1m30s before the limit",
    ):  # fmt: skip
        assert f"  {line}\n" in out


@pytest.mark.parametrize(
    ("met", "listed", "noted"), [(True, "met", False), (False, "missed", True), (None, "in 3h", False)]
)
def test_a_deadline_is_told_as_met_or_missed(met, listed, noted):
    in_time = (datetime.now(UTC) + timedelta(hours=3, seconds=30)).isoformat()
    job = {**documents.ended(42, "x", "succeeded"), "deadline_at": in_time, "deadline_met": met}
    assert deadline(job) == listed
    assert ("deadline missed" in note(job)) is noted
    assert deadline(documents.ended(42, "x", "succeeded")) == ""


def test_show_leaves_out_what_a_job_does_without(daemon, dcd):
    daemon.routes["GET /v1/jobs/42"] = documents.ended(42, "x", "succeeded")
    out = dcd("show", "42").out
    for word in (
        "after end of",
        "begin",
        "deadline",
        "learned",
        "array",
        "queue",
        "account",
        "predicted",
        "foretold",
        "preempted",
        "launcher",
        "save",
    ):
        assert word not in out


def test_a_job_of_an_array_is_called_so_when_it_changes(daemon, dcd):
    daemon.routes["POST /v1/jobs/hold"] = {"schema": 1, "jobs": [documents.array_task(3)], "refused": []}
    assert dcd("hold", "120_3", "-o", "table").out == "Held job 120_3 (sweep).\n"
    assert daemon.asked[0].body["select"] == ["120_3"]


def test_several_jobs_in_json_are_still_one_document(daemon, dcd):
    daemon.routes["GET /v1/jobs/1"] = daemon.routes["GET /v1/jobs/2"] = documents.ended(1, "x", "succeeded")
    assert len(json.loads(dcd("show", "1", "2", "--json").out)["jobs"]) == 2


@pytest.mark.parametrize(("verb", "word"), [("hold", "Held"), ("release", "Released"), ("requeue", "Requeued")])
def test_verbs_that_change_jobs(daemon, dcd, verb, word):
    daemon.routes[f"POST /v1/jobs/{verb}"] = {"schema": 1, "jobs": [documents.job(4, "x")], "refused": []}
    assert dcd(verb, "3-7", "--name", "sweep").out == "4\n"
    assert daemon.asked[0].body == {"select": ["3-7"], "name": "sweep"}
    assert dcd(verb, "4", "-o", "table").out == f"{word} job 4 (x).\n"


@pytest.mark.parametrize("verb", ["hold", "release", "requeue", "update"])
def test_a_verb_that_found_no_job_says_so(daemon, dcd, verb):
    daemon.routes[f"POST /v1/jobs/{verb}"] = {"schema": 1, "jobs": [], "refused": []}
    more = ["-p", "10"] if verb == "update" else []
    said = dcd(verb, "all", *more, "-o", "table")
    assert (said.code, said.out, said.err) == (0, "", f"there is no job to {verb}\n")
    assert dcd(verb, "all", *more).err == "", "a pipe gets the ids, and there are none"


def test_update_asks_for_what_was_said_and_nothing_else(daemon, dcd):
    changed = documents.job(4, "x", priority=0, limit_s=7200.0)
    daemon.routes["POST /v1/jobs/update"] = {"schema": 1, "jobs": [changed], "refused": []}
    said = dcd("update", "4", "-p", "0", "-t", "2h", "--rename", "y", "-o", "table")
    assert said.out == "Updated job 4 (x): priority 0, limit 2h.\n"
    told = {"select": ["4"], "name": None, "priority": 0, "limit_s": 7200.0, "new_name": "y"}
    assert daemon.asked[0].body == told
    dcd("update", "--name", "sweep", "--first", "--begin", "now", "-Q", "night", "-A", "vision")
    body = daemon.asked[1].body
    assert abs(body.pop("begin_at") - datetime.now(UTC).timestamp()) < 60
    assert body == {"select": [], "name": "sweep", "first": True, "queue": "night", "account": "vision"}


def test_what_was_refused_is_told_and_sets_the_exit_code(daemon, dcd):
    refused = {"id": 5, "code": "forbidden", "message": "job 5 is not yours", "hint": "ask its owner"}
    daemon.routes["POST /v1/jobs/hold"] = {"schema": 1, "jobs": [documents.job(4, "x")], "refused": [refused]}
    said = dcd("hold", "4", "5")
    assert (said.code, said.out, said.err) == (5, "4\n", "error: job 5 is not yours\nhint: ask its owner\n")
    said = dcd("hold", "4", "5", "--json")
    assert (said.code, said.err) == (5, "")
    assert json.loads(said.out)["refused"] == [refused]


@pytest.fixture
def cancels(daemon):
    daemon.routes["POST /v1/jobs/cancel"] = {"schema": 1, "jobs": [documents.job(41, "x")], "refused": []}
    return daemon


def mine(**changes: object) -> dict:
    return {**documents.queue(), "jobs": [documents.job(41, "x", uid=os.getuid(), **changes)]}


def posted(stub):
    return [asked.body for asked in stub.asked if asked.method == "POST"]


def test_cancelling_ones_own_job_asks_nothing(cancels, dcd):
    cancels.routes["GET /v1/jobs"] = mine()
    assert dcd("cancel", "41", "--signal", "SIGINT", "--grace", "30s").code == 0
    assert posted(cancels) == [{"select": ["41"], "name": None, "signal": "INT", "grace_s": 30.0}]


def test_a_cancel_without_a_signal_leaves_it_to_the_job_how_it_is_asked(cancels, dcd):
    cancels.routes["GET /v1/jobs"] = mine()
    assert dcd("cancel", "41").code == 0
    assert posted(cancels) == [{"select": ["41"], "name": None, "grace_s": None}]


@pytest.mark.parametrize("arguments", [["cancel", "all"], ["kill", "41"]])
def test_cancelling_all_or_anothers_job_needs_a_yes(cancels, dcd, monkeypatch, arguments):
    other = {**documents.queue(), "jobs": [documents.job(41, "x", uid=os.getuid() + 1)]}
    cancels.routes["GET /v1/jobs"] = other
    monkeypatch.setattr(sys, "stdin", Path(os.devnull).open())  # noqa: SIM115  closed with the test's monkeypatch
    said = dcd(*arguments)
    sys.stdin.close()
    assert said.code == 5
    assert "hint: add -y to say yes" in said.err
    assert posted(cancels) == []
    assert dcd(*arguments, "-y").code == 0
    assert len(posted(cancels)) == 1
