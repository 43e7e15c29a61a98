"""`-o slurm`: the columns, widths and cuts of squeue, sinfo and sacct, and what scripts do with them."""

import os
import subprocess
from pathlib import Path

import documents
import pytest

from dcdaemon.cli.show.slurm import sacct, sinfo, squeue
from dcdaemon.cli.show.slurm_words import ENDINGS, LIMITS, REASONS, STATES, elapsed, reason
from dcdaemon.core.job import SLURM_CODES, JobState
from dcdaemon.core.reasons import ReasonCode

GOLDEN = Path(__file__).parents[2] / "golden"
#: Every code and every reason that Slurm itself has for what is told here (slurm.schedmd.com: squeue, resource_limits).
REASONS_OF_SLURM = {
    "None", "Resources", "Priority", "Dependency", "DependencyNeverSatisfied", "BeginTime", "JobHeldUser",
    "JobArrayTaskLimit", "QOSMaxGRESPerUser", "QOSGrpGRES", "AssocGrpGRES", "ReqNodeNotAvail", "Reservation",
    "BadConstraints", "PartitionDown", "QOSMaxJobsPerUserLimit", "NonZeroExitCode", "TimeLimit", "OutOfMemory",
}  # fmt: skip


ALL = {"schema": 1, "queues": [{"name": "main", "default": True, "gpus": list(range(8)), "max_limit_s": None}]}


def golden(name: str, text: str) -> None:
    path = GOLDEN / f"{name}.txt"
    if os.environ.get("DCD_UPDATE_GOLDEN") == "1":
        path.write_text(text + "\n")
    assert text + "\n" == path.read_text()


def waiting(job_id: int, code: str, **changes: object) -> dict:
    facts = {"reason": {"code": code, "short": "..."}, **changes}
    return {**documents.waiting(job_id, "eval", "user1", 1, 60.0, "..."), **facts}


def queue() -> dict:
    return {
        **documents.queue(),
        "jobs": [
            documents.job(41, "llama-lora", queue="main", run_s=4320.0),
            documents.job(42, "vit-sweep", "a-long-user-name", queue="long", run_s=93_784.0, state="stopping"),
            documents.job(120, "sweep", queue="main", array_id=120, array_index=0, run_s=59.9),
            waiting(121, "gpus_busy", queue="main", array_id=120, array_index=1, priority=60),
            waiting(123, "priority", queue="main"),
            waiting(124, "dependency", queue="main", held=True),
            documents.job(125, "begins", queue="", state="starting", run_s=0.0),
        ],
    }


def test_squeue():
    golden("slurm-squeue", squeue(queue()))


def test_sacct():
    jobs = [
        documents.ended(40, "digits-cnn", "succeeded", queue="main", account="vision"),
        documents.ended(39, "a-crasher-of-old", "failed", exit_code=3, queue="main", cpus=16),
        documents.ended(38, "too-long", "timed_out", exit_code=None, signal=15, account="vision-and-speech"),
        documents.ended(131, "sweep", "cancelled", array_id=130, array_index=1, started_at=None, exit_code=None),
        documents.ended(37, "eats", "out_of_memory", exit_code=None, signal=9),
        documents.ended(36, "gone", "lost", exit_code=None),
    ]
    golden("slurm-sacct", sacct({**documents.history(), "jobs": jobs}))


def test_sinfo():
    golden("slurm-sinfo", sinfo(documents.gpus(), ALL))
    queues = [
        *ALL["queues"],
        {"name": "interactive", "default": False, "gpus": [0], "max_limit_s": 3600.0},
        {"name": "long", "default": False, "gpus": [1], "max_limit_s": 172_800.0},
    ]
    golden("slurm-sinfo-queues", sinfo(documents.gpus(), {"queues": queues}))


@pytest.mark.parametrize(
    ("states", "word"),
    [
        (["free", "free"], "idle"), (["busy", "free"], "mix"), (["busy", "busy"], "alloc"), (["foreign"], "alloc"),
        (["busy", "drained"], "alloc"), (["drained", "drained"], "drain"), (["unhealthy"], "down"),
        (["drained", "unhealthy"], "drain"), (["free", "unhealthy"], "idle"), ([], "idle"),
    ],
)  # fmt: skip
def test_a_node_is_in_the_state_that_its_gpus_make(states, word):
    gpus = [documents.gpu(index, state=state) for index, state in enumerate(states)]
    assert sinfo({**documents.gpus(), "gpus": gpus}, ALL).splitlines()[1].split()[4] == word


def test_a_node_drains_while_jobs_still_run_on_drained_gpus():
    gpus = [
        documents.gpu(0, state="busy", drained_reason="ECC"),
        documents.gpu(1, state="drained", drained_reason="ECC"),
    ]
    assert sinfo({**documents.gpus(), "gpus": gpus}, ALL).splitlines()[1].split()[4] == "drng"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (None, "0:00"), (0, "0:00"), (59.9, "0:59"), (60, "1:00"), (3599, "59:59"), (3600, "1:00:00"),
        (36_000, "10:00:00"), (86_399, "23:59:59"), (86_400, "1-00:00:00"), (93_784, "1-02:03:04"),
        (31_536_000, "365-00:00:00"), (31_536_001, "INVALID"), (-1, "INVALID"),
    ],
)  # fmt: skip
def test_times_are_printed_as_squeue_does(seconds, text):
    assert elapsed(seconds) == text


def test_every_state_has_slurms_code_and_every_reason_a_word_of_slurm():
    assert set(STATES) == set(JobState)
    assert set(REASONS) == set(ReasonCode)
    assert {*REASONS.values(), *LIMITS.values(), *ENDINGS.values()} <= REASONS_OF_SLURM
    assert all(STATES[state][0] == code for code, state in SLURM_CODES.items())


@pytest.mark.parametrize(
    ("code", "limit", "word"),
    [
        ("quota", None, "AssocGrpGRES"), ("quota", ["quota", "user/ada"], "QOSMaxGRESPerUser"),
        ("quota", ["quota", "account/vision"], "AssocGrpGRES"), ("quota", ["user", "ada"], "QOSMaxGRESPerUser"),
        ("queue_limit", ["queue", "main"], "QOSGrpGRES"),
        ("queue_limit", ["queue-user", "main/ada"], "QOSMaxGRESPerUser"),
        ("queue_limit", ["queue-jobs", "main/ada"], "QOSMaxJobsPerUserLimit"),
        ("array_limit", ["array", "120"], "JobArrayTaskLimit"), ("a_new_one", None, "None"),
    ],
)  # fmt: skip
def test_a_limit_is_called_as_slurm_calls_it(code, limit, word):
    assert reason({"reason": {"code": code, "short": "...", "limit": limit}}) == word


def test_what_has_ended_says_why_where_squeue_does():
    jobs = [
        documents.ended(number, "x", state)
        for number, state in enumerate(("failed", "timed_out", "succeeded"), start=1)
    ]
    places = [line.split()[-1] for line in squeue({**documents.queue(), "jobs": jobs}).splitlines()[1:]]
    assert places == ["(NonZeroExitCode)", "(TimeLimit)", "node1"]


def test_a_name_cannot_break_the_line():
    jobs = [documents.job(1, "a\nb\x1b[0m")]
    assert len(squeue({**documents.queue(), "jobs": jobs}).splitlines()) == 2


# ------------------------------------------------------------ the verbs


def test_the_verbs_print_these_shapes_and_nothing_else(daemon, dcd):
    daemon.routes["GET /v1/jobs"] = queue()
    daemon.routes["GET /v1/queues"] = ALL
    for words, shape in ((["ps"], squeue(queue())), (["gpus"], sinfo(documents.gpus(), ALL))):
        said = dcd(*words, "-o", "slurm")
        assert (said.code, said.out, said.err) == (0, shape + "\n", "")
    assert dcd("history", "-o", "slurm").out.startswith("JobID           JobName  Partition    Account")


def test_an_empty_queue_still_has_its_heading(daemon, dcd):
    daemon.routes["GET /v1/jobs"] = {**documents.queue(), "jobs": []}
    assert dcd("ps", "-o", "slurm").out.split() == [
        "JOBID", "PARTITION", "NAME", "USER", "ST", "TIME", "NODES", "NODELIST(REASON)",
    ]  # fmt: skip


def test_the_columns_are_slurms(daemon, dcd):
    said = dcd("ps", "-o", "slurm", "--columns", "id")
    assert (said.code, said.err.splitlines()[0]) == (2, "error: the columns of -o slurm are those of Slurm")


def test_other_verbs_have_no_such_shape(daemon, dcd):
    assert dcd("status", "-o", "slurm").code == 2


@pytest.mark.parametrize(
    ("program", "answer"),
    [
        (["awk", 'NR > 1 && $5 == "PD" {n++} END {print n}'], ["3"]),
        (["awk", "NR > 1 {print $1}"], ["42", "120_1", "123", "124", "125", "41", "120_0"]),
        (["grep", "-c", " R "], ["2"]),
        (["sed", "-n", r"s/.*(\(.*\))$/\1/p;1d"], ["REASON", "Resources", "Priority", "JobHeldUser"]),
        (["cut", "-c", "1-18"], ["JOBID", "42", "120_1", "123", "124", "125", "41", "120_0"]),
    ],
)
def test_scripts_find_what_they_look_for(program, answer):
    done = subprocess.run(program, input=squeue(queue()) + "\n", capture_output=True, text=True, check=True)
    assert done.stdout.split() == answer
