"""Every store keeps what was foretold of a job's start."""

from dcdaemon.core.job import JobSpec
from dcdaemon.core.ports import Actor, JobChange, Store
from dcdaemon.core.prediction import ExpectedStart, Prediction, Source

ADA = Actor(uid=1001, gid=100, user="ada")
SPEC = JobSpec(argv=("x",), cwd="/", uid=1001, gid=100, user="ada", name="x", env_ref="e")
PLAIN = Prediction(60.0, Source.PRIOR, 2.0)


def test_a_forecast_is_kept_as_it_was_made_and_survives_changes(store: Store) -> None:
    foretold = PLAIN._replace(start=ExpectedStart(20.5, 10.25, 70.125))
    jobs = store.submit([SPEC, SPEC], 1.0, ADA, [foretold, PLAIN])
    assert [(job.forecast_low_at, job.forecast_at, job.forecast_high_at) for job in jobs] == [
        (10.25, 20.5, 70.125), (None, None, None),
    ]  # fmt: skip
    assert [store.job(job.id) for job in jobs] == jobs
    [started] = store.save([JobChange(jobs[0], jobs[0].mark_starting(jobs[0].node, (), simulated=False), 2.0)])
    assert started is not None
    assert started.forecast_high_at == 70.125
    assert store.job(started.id) == started
