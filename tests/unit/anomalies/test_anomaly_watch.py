"""An anomaly is raised once and cleared once; windows of utilisation; the table of rules."""

import sys
import threading
from dataclasses import replace
from pathlib import Path

from dcdaemon.anomalies.picture import Allocation, EndedJob, NodePicture, UtilWindow
from dcdaemon.anomalies.rules import RULES
from dcdaemon.anomalies.utilisation import UtilHistory
from dcdaemon.anomalies.watch import Watch, watch_from
from dcdaemon.core.job import Job, JobSpec, JobState
from dcdaemon.core.samples import FilesystemSample, GpuSample

PAGE = Path(__file__).parents[3] / "docs" / "anomalies.md"
HOLDER = Allocation(job_id=41, user="ada", name="vit", since=0.0)
WELL = NodePicture(at=5000.0, monotonic_s=500.0, node="node1")


def disk(used_pct: int) -> NodePicture:
    sample = FilesystemSample(0.0, "/data", "ext4", 100, 100 - used_pct, 1, read_only=False)
    return replace(WELL, filesystems=(sample,))


def idle(mean_ratio: float | None, span_s: float = 600.0) -> NodePicture:
    window = UtilWindow(41, span_s, span_s, mean_ratio, mean_ratio)
    return replace(WELL, allocations={3: HOLDER}, util_windows={3: window})


def test_an_anomaly_is_raised_once_and_cleared_once():
    raised = Watch().step(disk(95))
    assert [finding.subject for finding in raised.raised] == ["/data"]
    lasting = raised.watch.step(disk(96))
    assert (lasting.raised, lasting.cleared) == ((), ())
    cleared = lasting.watch.step(disk(50))
    assert cleared.cleared == (("filesystem_full", "/data"),)
    assert cleared.watch.step(disk(50)).cleared == ()


def test_a_filesystem_is_full_until_two_points_below():
    step = Watch().step(disk(92))
    step = step.watch.step(disk(91))
    assert step.cleared == ()
    assert step.watch.step(disk(89)).cleared == (("filesystem_full", "/data"),)


def test_a_blip_does_not_end_idleness_but_work_does():
    step = Watch().step(idle(0.01))
    assert len(step.raised) == 1
    blip = replace(idle(0.02), util_windows={3: UtilWindow(41, 600.0, 600.0, 0.02, 1.0)})
    step = step.watch.step(blip)
    assert (step.raised, step.cleared) == ((), ())
    assert step.watch.step(idle(0.06)).cleared == (("idle_gpu", "gpu 3, job 41"),)


def test_idleness_survives_a_restart_and_ends_with_the_job():
    watch = watch_from(Watch().step(idle(0.01)).raised)
    just_begun = idle(None, span_s=0.0)
    step = watch.step(just_begun)
    assert (step.raised, step.cleared) == ((), ())
    assert step.watch.step(WELL).cleared == (("idle_gpu", "gpu 3, job 41"),)


def test_a_momentary_finding_is_never_open():
    spec = JobSpec(argv=("a",), cwd="/", uid=1, gid=1, user="ada", name="a", env_ref="e")
    crashed = Job(id=7, node="node1", spec=spec, state=JobState.FAILED, submitted_at=0.0, exit_code=1)
    step = Watch().step(replace(WELL, ended=(EndedJob(crashed),)))
    assert [finding.rule for finding in step.momentary] == ["job_crashed"]
    assert (step.raised, step.watch) == ((), Watch())


def test_a_refused_step_is_found_again():
    watch = Watch()
    assert watch.step(disk(95)).raised == watch.step(disk(95)).raised


def sample(at_s: float, util: float | None, gpu: int = 3) -> GpuSample:
    return GpuSample(at=at_s, monotonic_s=at_s, gpu=gpu, util_ratio=util)


def test_a_window_is_weighted_by_time_and_as_long_as_asked():
    history = UtilHistory(keep_s=10.0)
    for second in range(30):
        history.add([sample(float(second), 0.0 if second < 28 else 1.0)], {3: HOLDER})
    window = history.windows()[3]
    assert (window.span_s, window.known_s, window.mean_ratio, window.max_ratio) == (10.0, 10.0, 0.2, 1.0)


def test_unknown_and_silence_are_not_known_time():
    history = UtilHistory(keep_s=600.0)
    for at_s, util in [(0.0, 0.0), (1.0, None), (2.0, 0.5), (202.0, 0.0)]:
        history.add([sample(at_s, util)], {3: HOLDER})
    window = history.windows()[3]
    assert (window.span_s, window.known_s) == (202.0, 31.0)
    assert window.mean_ratio == 0.5 / 31.0


def test_a_sample_seen_twice_counts_once():
    history = UtilHistory(keep_s=600.0)
    for at_s in (0.0, 1.0, 1.0, 1.0):
        history.add([sample(at_s, 0.0)], {3: HOLDER})
    assert history.windows()[3].known_s == 1.0


def test_a_window_begins_anew_with_each_job_and_ends_with_the_last():
    history = UtilHistory(keep_s=600.0)
    for at_s in (0.0, 5.0):
        history.add([sample(at_s, 0.0), sample(at_s, 0.0, gpu=4)], {3: HOLDER})
    assert history.windows().keys() == {3}
    history.add([sample(6.0, 0.0)], {3: replace(HOLDER, job_id=42)})
    assert history.windows()[3] == UtilWindow(42, 0.0, 0.0, None, None)
    history.add([sample(7.0, 0.0)], {})
    assert history.windows() == {}


def test_a_window_asked_for_is_reached_whatever_the_clock_shows():
    history = UtilHistory(keep_s=600.0)
    at_s = 123_456.7
    for _ in range(700):
        at_s += 1.1
        history.add([sample(at_s, 0.0)], {3: HOLDER})
    assert history.windows()[3].span_s == 600.0


def test_windows_can_be_read_while_another_thread_adds_samples():
    history = UtilHistory(keep_s=50.0)
    done = threading.Event()

    def add() -> None:
        for second in range(20_000):
            history.add([sample(float(second), 0.5)], {3: replace(HOLDER, job_id=second // 5000)})
        done.set()

    usual_s = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    adding = threading.Thread(target=add)
    adding.start()
    try:
        while not done.is_set():
            assert all(window.mean_ratio in {None, 0.5} for window in history.windows().values())
    finally:
        adding.join()
        sys.setswitchinterval(usual_s)
    assert history.windows()[3].span_s == 50.0


def test_every_rule_is_documented_as_it_is():
    page = PAGE.read_text()
    for rule in RULES:
        assert f"| `{rule.name}` | {rule.severity} | {rule.meaning} |" in page
