from dcdaemon.anomalies.picture import HungJob, NodePicture
from dcdaemon.anomalies.watch import watch_from
from dcdaemon.core.anomaly import Severity
from dcdaemon.core.vitals import RankVitals

RANKS = (
    (RankVitals(0, 100, "R", None, 900.0), 890.0),
    (RankVitals(1, 101, "T", "do_signal_stop", 10.0), 0.04),
)
WELL = NodePicture(at=5000.0, monotonic_s=500.0, node="n1", expected_driver=False)


def test_a_hang_names_the_rank_that_does_nothing_and_where_it_waits():
    picture = NodePicture(
        at=5000.0, monotonic_s=500.0, node="n1", expected_driver=False,
        hung=(HungJob(41, 2, "ada", "vit", 1800.0, RANKS),),
    )  # fmt: skip
    step = watch_from(()).step(picture)
    [finding] = step.raised
    assert (finding.rule, finding.subject, finding.severity, finding.job_id) == (
        "hung", "job 41, attempt 2", Severity.WARNING, 41,
    )  # fmt: skip
    assert finding.message == (
        "job 41 (vit) of ada hangs: no report and no output for 30m, in which rank 1 (pid 101) used 0.0 s of CPU; "
        "it is stopped in do_signal_stop"
    )
    assert finding.evidence["ranks"] == [
        {"rank": 0, "pid": 100, "state": "R", "waits_in": None, "cpu_s": 890.0},
        {"rank": 1, "pid": 101, "state": "T", "waits_in": "do_signal_stop", "cpu_s": 0.04},
    ]
    assert step.watch.step(WELL).cleared == (("hung", "job 41, attempt 2"),)
