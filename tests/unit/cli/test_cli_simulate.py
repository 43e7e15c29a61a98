"""`dcd simulate`: its table, its documents, its errors, and that it does nothing by halves."""

import csv
import io
import json
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import documents
import pytest
from stub_daemon import Answer
from terminal import in_terminal

from dcdaemon.simulator.choices import CHOICES

TRACE = """\
job_id,submit_s,duration_s,gpus,group,limit_s
a,0,100,1,x,120
b,0,60,2,x,60
c,10,50,4,x,60
d,20,70,1,x,90
e,30,200,1,x,
f,65,30,2,x,60
g,70,10,5,x,
h,70,10,0,x,
"""


@pytest.fixture
def trace(tmp_path: Path) -> str:
    path = tmp_path / "trace.csv"
    path.write_text(TRACE)
    return str(path)


MACHINE = ("--nodes", "2", "--gpus-per-node", "2")


def test_people_get_a_table_with_a_column_a_policy_each_next_to_its_ratio_to_the_first(daemon, dcd, trace):
    said = dcd("simulate", trace, *MACHINE)
    lines = said.out.splitlines()
    assert said.code == 0
    assert lines[0] == (
        "trace: 6 jobs on 2 nodes x 2 GPUs, offered load 2.88, left out: 1 wider than 4 GPUs, 1 without a GPU, "
        "predictions: exact"
    )
    assert lines[1].split() == ["FIFO", "EASY", "DEFAULT"]
    assert "mean wait            1m11s    35s  0.49x      52s  0.74x" in lines
    assert "utilisation          53.6%  53.6%           60.5%" in lines
    assert "mean wait, 16+ GPUs      -      -               -" in lines
    assert len(lines) == 16
    assert said.err.startswith("18 jobs played, ")
    assert daemon.asked == [], "a trace needs no daemon"


def test_two_traces_give_two_tables(dcd, trace, tmp_path):
    other = tmp_path / "other.csv"
    other.write_text(TRACE.replace("\na,0,100", "\na,0,101"))
    said = dcd("simulate", trace, str(other), *MACHINE, "--compare", "easy, fifo")
    tables = said.out.split("\n\n")
    assert [table.splitlines()[0].split(":")[0] for table in tables] == ["trace", "other"]
    assert [table.splitlines()[1].split() for table in tables] == [["EASY", "FIFO"]] * 2


def test_machines_get_a_flat_run_a_line(dcd, trace):
    told = json.loads(dcd("simulate", trace, *MACHINE, "--json", "--sigma", "1", "--seed", "7").out)
    assert (told["schema"], told["sigma"], told["seed"]) == (1, 1.0, 7)
    assert [run["policy"] for run in told["runs"]] == ["fifo", "easy", "default"]
    rows = list(csv.DictReader(io.StringIO(dcd("simulate", trace, *MACHINE, "-o", "csv").out)))
    assert [float(row["wait_mean_s"]) for row in rows] == pytest.approx([425 / 6, 35, 315 / 6], abs=1e-6)
    assert rows[0].keys() == told["runs"][0].keys()
    columns = dcd("simulate", trace, *MACHINE, "-o", "csv", "--columns", "policy,wait_longest_s").out
    assert columns == "policy,wait_longest_s\nfifo,130.0\neasy,120.0\ndefault,250.0\n"
    assert len(dcd("simulate", trace, *MACHINE, "-o", "jsonl").out.splitlines()) == 3
    assert dcd("simulate", trace, *MACHINE, "--policy", "easy", "-q").out == "easy\n"


def test_the_same_question_gets_the_same_answer(dcd, trace):
    asked = ("simulate", trace, *MACHINE, "--json", "--sigma", "1")
    assert dcd(*asked).out == dcd(*asked).out


def test_a_load_comes_on_top(dcd, trace, tmp_path):
    load = tmp_path / "more.csv"
    load.write_text("submit_s,duration_s,gpus\n5,10,1\n")
    [run] = json.loads(dcd("simulate", trace, "--load", str(load), *MACHINE, "--policy", "fifo", "--json").out)["runs"]
    assert (run["trace"], run["jobs"]) == ("trace + more", 7)


def test_the_picture_is_drawn_beside_the_table(dcd, trace, tmp_path):
    said = dcd("simulate", trace, *MACHINE, "--picture", str(tmp_path / "p.svg"))
    assert "mean wait" in said.out
    assert (tmp_path / "p.svg").read_text().startswith("<svg ")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ([], "nothing says how large the machine is"),
        (["--nodes", "2", "--gpus", "4"], "--nodes and --gpus both say how large the machine is"),
        (["--nodes", "0"], "invalid value for '--nodes': 0 is not in the range 1<=x<=10000"),
        (["--gpus", "12"], "12 GPUs do not make whole nodes of 8"),
        ([*MACHINE, "--policy", "fito"], "there is no policy 'fito'; did you mean 'fifo'?"),
        ([*MACHINE, "--compare", "fifo,defualt"], "there is no policy 'defualt'; did you mean 'default'?"),
        ([*MACHINE, "--compare", ""], "there is no policy ''"),
        ([*MACHINE, "--policy", "fifo", "--compare", "easy"], "--policy plays one policy, --compare several"),
        ([*MACHINE, "--sigma", "-1"], "invalid value for '--sigma': -1.0 is not in the range 0<=x<=5"),
        ([*MACHINE, "--sigma", "nan"], "--sigma is not a number"),
        ([*MACHINE, "--since", "1d"], "--since goes with --from-history"),
        ([*MACHINE, "--load", "/none.csv"], "the trace /none.csv cannot be read: no such file or directory"),
        ([*MACHINE, "--picture", "/none/p.svg"], "the folder /none is not there, or nothing can be written in it"),
        ([*MACHINE, "--picture", "p.gif"], "a picture ends in .svg or .png, not 'p.gif'"),
    ],
)
def test_what_is_asked_wrongly_is_one_error_with_a_hint_and_nothing_is_printed(dcd, trace, options, message):
    said = dcd("simulate", trace, *options)
    assert (said.code, said.out) == (2, "")
    error, hint = said.err.splitlines()
    assert error == f"error: {message}"
    assert hint.startswith("hint: ")
    told = json.loads(dcd("simulate", trace, *options, "--json").out)
    assert (told["error"]["code"], told["error"]["message"]) == ("bad_input", message)


def test_nothing_to_play_and_nothing_that_fits_are_told(dcd, trace, tmp_path):
    assert "error: there is nothing to play\n" in dcd("simulate", *MACHINE).err
    wide = tmp_path / "wide.csv"
    wide.write_text("submit_s,duration_s,gpus\n0,1,64\n")
    said = dcd("simulate", trace, str(wide), *MACHINE, "--picture", str(tmp_path / "p.svg"))
    assert (said.code, said.out) == (2, "")
    assert said.err.startswith("error: every job of wide needs more than 4 GPUs\n")
    assert not (tmp_path / "p.svg").exists()


def test_a_trace_that_is_wrong_at_its_end_plays_nothing(dcd, trace, tmp_path):
    broken = tmp_path / "broken.csv"
    broken.write_text(TRACE + "i,60,1,1,x,\n")
    said = dcd("simulate", trace, str(broken), *MACHINE, "--picture", str(tmp_path / "p.svg"))
    assert (said.code, said.out) == (2, "")
    assert said.err == (
        "error: broken.csv, line 10: submit_s 60 comes after 70\nhint: sort the trace by its submit times\n"
    )
    assert not (tmp_path / "p.svg").exists()


# ---------------------------------------------------------------- the node's own history


def past(*runs: tuple[float, float | None, int]) -> dict:
    """A history of jobs that came so many seconds into a day; the API gives the newest first."""
    morning = datetime(2026, 3, 1, tzinfo=UTC)
    jobs = [
        documents.ended(
            number, "j", "succeeded", run_s=run_s, gpus_asked=gpus, limit_s=None,
            submitted_at=(morning + timedelta(seconds=at)).isoformat(),
        )
        for number, (at, run_s, gpus) in enumerate(runs)
    ]  # fmt: skip
    return {"schema": 1, "jobs": jobs[::-1], "totals": {"jobs": len(jobs), "gpu_s": 0.0, "energy_j": 0.0}}


def test_the_history_is_played_on_this_nodes_gpus_or_on_others(daemon, dcd):
    daemon.routes["GET /v1/history"] = past((0, 100, 4), (10, 100, 4), (20, 5, 0), (30, None, 4), (40, 10, 9))
    here = len(documents.gpus()["gpus"])
    said = dcd("simulate", "--from-history", "--policy", "fifo", "--json")
    [run] = json.loads(said.out)["runs"]
    assert (run["trace"], run["gpus"], run["jobs"]) == ("history", here, 2)
    assert (run["left_out_too_wide"], run["left_out_without_gpus"], run["left_out_never_ran"]) == (1, 1, 1)
    said = dcd("simulate", "--from-history", "--gpus", "64", "--since", "2w", "--policy", "fifo", "--json")
    [run] = json.loads(said.out)["runs"]
    assert (run["nodes"], run["gpus"], run["jobs"], run["wait_longest_s"]) == (8, 64, 3, 0)
    asked = [one.query for one in daemon.asked if one.path == "/v1/history"]
    assert asked == [{"since_s": [f"{days * 86400.0}"], "limit": ["100000"]} for days in (90, 14)]


def test_each_mig_instance_is_played_as_a_gpu(daemon, dcd):
    daemon.routes["GET /v1/history"] = past((0, 100, 1))
    told = documents.gpus()
    told["gpus"][0] |= {"cut": True, "migs": [{"instance": f"{place}/0"} for place in range(7)]}
    daemon.routes["GET /v1/gpus"] = told
    said = dcd("simulate", "--from-history", "--policy", "fifo", "--json")
    assert json.loads(said.out)["runs"][0]["gpus"] == len(told["gpus"]) - 1 + 7


def test_an_empty_history_says_what_to_do(daemon, dcd):
    daemon.routes["GET /v1/history"] = past()
    said = dcd("simulate", "--from-history")
    assert said.code == 2
    assert said.err.startswith("error: the history of this node holds no job that ran on a GPU\nhint: take a longer")
    daemon.routes["GET /v1/gpus"] = {"schema": 1, "gpus": []}
    assert "error: this node has no GPU\n" in dcd("simulate", "--from-history").err


def test_a_history_that_breaks_off_is_an_error(daemon, dcd):
    body = json.dumps(past((0, 100, 4), (10, 100, 4))).encode()
    daemon.routes["GET /v1/history"] = Answer(raw=body[:-200])
    said = dcd("simulate", "--from-history")
    assert (said.code, said.out) == (2, "")
    assert "error: the history was cut short\n" in said.err


def test_without_a_daemon_only_the_history_fails(dcd, trace, monkeypatch, tmp_path):
    monkeypatch.setenv("DCD_URL", f"unix://{tmp_path}/nobody.sock")
    assert dcd("simulate", trace, *MACHINE).code == 0
    assert dcd("simulate", "--from-history").code == 3


# ---------------------------------------------------------------- in a terminal


def test_a_terminal_sees_how_far_it_is_and_then_the_table(tmp_path):
    path = tmp_path / "long.csv"
    path.write_text("submit_s,duration_s,gpus\n" + "".join(f"{second},2,1\n" for second in range(3000)))
    env = {**os.environ, "TERM": "xterm", "NO_COLOR": "1"}
    code, text = in_terminal(["simulate", str(path), "--gpus", "4", "--policy", "fifo"], env, 100)
    assert code == 0
    assert "playing 3,000 jobs" in text
    assert text.rstrip().splitlines()[-1].startswith("3,000 jobs played, ")
    assert "long: 3,000 jobs on 1 node x 4 GPUs" in text


def test_help_opens_with_two_examples(dcd):
    lines = dcd("simulate", "-h").out.splitlines()
    assert lines[:3] == [
        "Examples:",
        "  dcd simulate trace.csv --nodes 4 --compare fifo,easy,default",
        "  dcd simulate --from-history --gpus 64 --picture what-if.svg",
    ]


def test_run_times_are_learned_from_whose_the_jobs_are(daemon, dcd, trace):
    whole = json.loads(dcd("simulate", trace, *MACHINE, "--predict", "history", "--json").out)
    assert whole["predict"] == "history"
    for run in whole["runs"]:
        assert run["prediction_typical_ratio"] > 1
        assert 0 <= run["prediction_within_2x_ratio"] <= 1
    heading = dcd("simulate", trace, *MACHINE, "--predict", "history", "--policy", "fifo").out.splitlines()[0]
    assert ", run times predicted typically within x" in heading
    plain = json.loads(dcd("simulate", trace, *MACHINE, "--json").out)
    assert (plain["predict"], plain["runs"][0]["prediction_typical_ratio"]) == ("noise", None)
    assert daemon.asked == []


def test_an_error_of_estimates_and_estimates_that_are_learned_exclude_each_other(dcd, trace):
    said = dcd("simulate", trace, *MACHINE, "--predict", "history", "--sigma", "1")
    assert (said.code, said.out) == (2, "")
    assert "--sigma is the error of estimates, and --predict history makes them" in said.err


def test_the_patience_of_a_configuration_can_be_played(dcd, trace):
    assert CHOICES["default"].with_patience(3.0).policy.patience == 3.0
    assert CHOICES["fifo"].with_patience(3.0) is CHOICES["fifo"]
    assert dcd("simulate", trace, *MACHINE, "--patience", "3", "--policy", "default").code == 0
    assert dcd("simulate", trace, *MACHINE, "--patience", "nan").code == 2
