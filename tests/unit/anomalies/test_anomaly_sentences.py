"""What each rule finds, and its sentence word for word."""

from dataclasses import replace

import pytest

from dcdaemon.anomalies.picture import Allocation, EndedJob, NodePicture, UtilWindow
from dcdaemon.anomalies.watch import Watch
from dcdaemon.core.anomaly import Severity
from dcdaemon.core.container import Container
from dcdaemon.core.gpu import GpuInfo, GpuProcess
from dcdaemon.core.job import Job, JobSpec, JobState
from dcdaemon.core.samples import FilesystemSample, GpuSample

GPU = GpuInfo(index=3, uuid="GPU-a", name="NVIDIA H200", mem_total_bytes=None, pci_bus_id="0000:1b:00.0")
FRESH = GpuSample(at=5000.0, monotonic_s=500.0, gpu=3)
HOLDER = Allocation(job_id=41, user="ada", name="vit", since=1400.0)
WELL = NodePicture(at=5000.0, monotonic_s=500.0, node="node1", gpus=(GPU,), samples={3: FRESH})
IDLE_WINDOW = UtilWindow(job_id=41, span_s=600.0, known_s=590.0, mean_ratio=0.004, max_ratio=0.03)
GIB = 1024**3


def findings(picture: NodePicture, open_=frozenset()):
    step = Watch(open_).step(picture)
    return [*step.raised, *step.momentary]


def the_finding(picture: NodePicture):
    (finding,) = findings(picture)
    return finding


def test_nothing_is_odd_on_a_well_node():
    assert findings(WELL) == []


def test_driver_missing():
    finding = the_finding(
        NodePicture(at=5000.0, monotonic_s=500.0, node="node1", driver_error="libnvidia-ml.so.1 was not found")
    )
    assert (finding.rule, finding.subject, finding.severity) == (
        "driver_missing",
        "driver",
        Severity.CRITICAL,
    )
    assert finding.message == ("no NVIDIA driver on node1: libnvidia-ml.so.1 was not found; only the host is watched")


def test_a_node_that_expects_no_driver_misses_none():
    bare = NodePicture(at=0.0, monotonic_s=0.0, node="node1", expected_driver=False, driver_error="no driver")
    assert findings(bare) == []


def test_gpu_lost_names_the_job_and_mutes_the_stale_sample():
    lost = replace(WELL, lost=frozenset({3}), samples={}, allocations={3: HOLDER})
    finding = the_finding(lost)
    assert (finding.rule, finding.severity) == ("gpu_lost", Severity.CRITICAL)
    assert (finding.gpu, finding.job_id) == (3, 41)
    assert finding.message == (
        "gpu 3 (NVIDIA H200) is lost: the driver no longer reaches it; job 41 (vit) of ada holds it"
    )
    assert finding.evidence["pci_bus_id"] == "0000:1b:00.0"


def test_sample_stale():
    finding = the_finding(replace(WELL, monotonic_s=545.0, driver_error="a driver call hangs since 45s"))
    assert (finding.rule, finding.subject, finding.gpu) == ("sample_stale", "gpu 3", 3)
    assert finding.message == "gpu 3 was last sampled 45s ago: a driver call hangs since 45s"
    assert finding.evidence["sample_age_s"] == 45.0


def test_a_gpu_never_sampled_is_stale():
    assert the_finding(replace(WELL, samples={})).message == "gpu 3 has never been sampled"


def test_a_gpu_whose_sample_was_withdrawn_is_stale_once_that_sample_is_too_old():
    withdrawn = replace(WELL, samples={}, sample_ages_s={3: 45.0})
    assert the_finding(withdrawn).message == "gpu 3 was last sampled 45s ago"
    assert findings(replace(withdrawn, sample_ages_s={3: 5.0})) == []


def test_a_wall_clock_set_forward_makes_no_sample_stale():
    assert findings(replace(WELL, at=WELL.at + 3600, monotonic_s=530.0)) == []


def test_idle_gpu():
    idle = replace(WELL, allocations={3: HOLDER}, util_windows={3: IDLE_WINDOW})
    finding = the_finding(idle)
    assert (finding.rule, finding.subject, finding.gpu, finding.job_id) == (
        "idle_gpu",
        "gpu 3, job 41",
        3,
        41,
    )
    assert finding.message == (
        "gpu 3 has been idle for 10m while job 41 (vit) of ada holds it, 1h so far: mean 0.4 %, highest 3.0 %"
    )
    assert finding.evidence == {
        "window_s": 600.0, "known_s": 590.0, "mean_ratio": 0.004, "max_ratio": 0.03,
        "below_ratio": 0.05, "held_since": 1400.0, "user": "ada",
    }  # fmt: skip


@pytest.mark.parametrize(
    "window",
    [
        pytest.param(replace(IDLE_WINDOW, span_s=599.0), id="held for less than the window"),
        pytest.param(replace(IDLE_WINDOW, max_ratio=0.05), id="busy once"),
        pytest.param(replace(IDLE_WINDOW, known_s=200.0), id="mostly unknown"),
        pytest.param(replace(IDLE_WINDOW, known_s=0.0, mean_ratio=None, max_ratio=None), id="unknown"),
        pytest.param(replace(IDLE_WINDOW, job_id=40), id="another job's window"),
    ],
)
def test_not_idle(window):
    assert findings(replace(WELL, allocations={3: HOLDER}, util_windows={3: window})) == []


def test_a_free_gpu_is_not_idle():
    assert findings(replace(WELL, util_windows={3: IDLE_WINDOW})) == []


def process(**values) -> GpuProcess:
    fields = {
        "pid": 9931, "mem_used_bytes": 642 * 1024**2, "user": "bob",
        "command": "/usr/bin/python3 serve.py", "age_s": 172800.0,
    }  # fmt: skip
    return GpuProcess(**{**fields, **values})


def with_process(one: GpuProcess) -> NodePicture:
    return replace(WELL, samples={3: replace(FRESH, processes=(one,))})


def test_foreign_process():
    finding = the_finding(with_process(process()))
    assert (finding.rule, finding.subject, finding.gpu) == ("foreign_process", "gpu 3, pid 9931", 3)
    assert finding.message == (
        "gpu 3 is used for 2d by a process outside the queue: pid 9931 (python3) of bob, 642 MiB"
    )
    assert finding.evidence["mem_used_bytes"] == 642 * 1024**2


def test_a_foreign_process_nothing_is_known_of():
    unknown = process(mem_used_bytes=None, user=None, command=None, age_s=None)
    assert the_finding(with_process(unknown)).message == (
        "gpu 3 is used by a process outside the queue: pid 9931 (unknown program) of an unknown user, unknown memory"
    )


def test_a_foreign_container_is_named_with_what_ends_it_at_once():
    container = Container("docker", "3f2a1b9c0d12" + "0" * 52, image="pytorch:24.05", names_job=42)
    finding = the_finding(with_process(process(user="root", age_s=1.0, container=container)))
    assert finding.message == (
        "gpu 3 is used for 1s by a process outside the queue: pid 9931 (python3) of root, 642 MiB, in container "
        "docker 3f2a1b9c0d12 (pytorch:24.05), which names job 42 in its environment; docker stop 3f2a1b9c0d12 ends it"
    )
    assert (finding.evidence["container"], finding.evidence["names_job"]) == ("docker 3f2a1b9c0d12 (pytorch:24.05)", 42)
    orphan = replace(container, runtime="kubernetes", image=None, names_job=None)
    message = the_finding(with_process(process(container=orphan))).message
    assert message.endswith("642 MiB, in container kubernetes 3f2a1b9c0d12")


def test_a_job_on_a_gpu_that_it_was_not_given_is_named():
    finding = the_finding(with_process(process(job_id=41, stray=True)))
    assert finding.message.startswith(
        "gpu 3 is used for 2d by a process of job 41, which it was not given to: pid 9931"
    )
    assert finding.job_id == 41


def test_a_terminal_that_went_away_is_no_crash():
    assert findings(replace(WELL, ended=(EndedJob(replace(CRASHED, exit_code=None, signal=1), TAIL),))) == []


def test_processes_of_jobs_young_ones_and_allowed_ones_are_not_foreign():
    assert findings(with_process(process(job_id=41))) == []
    assert findings(with_process(process(age_s=4.9))) == []
    assert findings(replace(with_process(process()), foreign_ok=frozenset({"python3"}))) == []


SPEC = JobSpec(argv=("gan.py",), cwd="/", uid=1, gid=1, user="ada", name="gan", env_ref="e")
CRASHED = Job(
    id=7, node="node1", spec=SPEC, state=JobState.FAILED, submitted_at=0.0, exit_code=1, run_s=12.0,
    attempt=1, gpus=(3,),
)  # fmt: skip
TAIL = ("Traceback (most recent call last):", "ValueError: no such loss", "", "  ")


def test_job_crashed():
    finding = the_finding(replace(WELL, ended=(EndedJob(CRASHED, TAIL),)))
    assert (finding.rule, finding.subject, finding.job_id) == ("job_crashed", "job 7, attempt 1", 7)
    assert finding.message == ("job 7 (gan) of ada crashed after 12s: exit code 1")
    assert finding.evidence["log_tail"] == list(TAIL)


@pytest.mark.parametrize(
    ("changes", "ending"),
    [
        ({"signal": 11, "exit_code": None}, "crashed after 12s: killed by SIGSEGV"),
        ({"signal": 99, "exit_code": None}, "crashed after 12s: killed by signal 99"),
        ({"run_s": None, "exit_code": 127}, "crashed: exit code 127"),
        ({"exit_code": 1, "cause": "exit code 1"}, "crashed after 12s: exit code 1"),
        (
            {"run_s": None, "exit_code": 125, "cause": "cannot run nothere: No such file"},
            "crashed: exit code 125 (cannot run nothere: No such file)",
        ),
        (
            {"state": JobState.OUT_OF_MEMORY, "signal": 9, "exit_code": None},
            "crashed after 12s: killed by SIGKILL, out of memory",
        ),
    ],
)
def test_how_a_job_crashed(changes, ending):
    ended = EndedJob(replace(CRASHED, **changes))
    assert the_finding(replace(WELL, ended=(ended,))).message == f"job 7 (gan) of ada {ending}"


@pytest.mark.parametrize("state", sorted(set(JobState) - {JobState.FAILED, JobState.OUT_OF_MEMORY}))
def test_a_job_that_was_stopped_or_succeeded_has_not_crashed(state):
    stopped = replace(CRASHED, state=state, signal=15, exit_code=None)
    assert findings(replace(WELL, ended=(EndedJob(stopped, TAIL),))) == []


def test_a_job_that_never_started_has_not_crashed():
    assert findings(replace(WELL, ended=(EndedJob(replace(CRASHED, exit_code=None)),))) == []


def filesystem(used_ratio: float, **values) -> FilesystemSample:
    fields = {
        "at": 5000.0, "mount": "/data", "fstype": "ext4", "size_bytes": 1000 * GIB,
        "available_bytes": round((1 - used_ratio) * 1000) * GIB, "files_free": 1, "read_only": False,
    }  # fmt: skip
    return FilesystemSample(**{**fields, **values})


def test_filesystem_full():
    finding = the_finding(replace(WELL, filesystems=(filesystem(0.96),)))
    assert (finding.rule, finding.subject) == ("filesystem_full", "/data")
    assert finding.message == "/data is 96 % full: 40 GiB left"
    assert finding.evidence == {
        "used_ratio": 0.96, "full_ratio": 0.92, "available_bytes": 40 * GIB,
        "size_bytes": 1000 * GIB, "fstype": "ext4",
    }  # fmt: skip


def test_a_filesystem_that_does_not_answer():
    silent = filesystem(0.5, fstype="nfs4", size_bytes=None, available_bytes=None, error="no answer within 5s")
    assert the_finding(replace(WELL, filesystems=(silent,))).message == (
        "/data (nfs4) does not answer: no answer within 5s"
    )


def test_a_read_only_image_is_not_full_and_an_unknown_size_is_not_either():
    image = filesystem(1.0, fstype="squashfs", read_only=True)
    unknown = filesystem(0.5, size_bytes=None)
    assert findings(replace(WELL, filesystems=(image, unknown, filesystem(0.91)))) == []
