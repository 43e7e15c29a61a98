"""A week of a node in seconds: thousands of jobs, lost GPUs, drains, strangers, dead daemons and a clock that jumps."""

from collections import Counter

import pytest
from scene import ROOT
from simulation.node_life import DAY_S, GPUS, HOUR_S, KINDS, POLL_S, THRESHOLDS, NodeLife

from dcdaemon.control import change
from dcdaemon.core.energy import IDLE
from dcdaemon.core.job import ENDED, Job, JobState
from dcdaemon.fakes.gpus import utilisation

DAYS = 7
MEAN_ARRIVAL_S = 185.0
#: A job this long is seen by enough readings to speak of its utilisation.
LONG_ENOUGH_S = 15 * POLL_S


def arrivals(life: NodeLife) -> None:
    """Have a job come now and then for the whole week; some after another one."""

    def arrive():
        if not life._away:
            follows = bool(life.kinds) and life.chance.random() < 0.05
            life.submit(after=("last",) if follows else ())
        if life.clock.monotonic() < end_s:
            life.at(life.chance.expovariate(1 / MEAN_ARRIVAL_S), arrive)

    end_s = life.clock.monotonic() + DAYS * DAY_S
    life.at(0.0, arrive)


def accidents(life: NodeLife) -> None:
    """Spread what goes wrong over the week."""
    chance = life.chance
    for day in range(DAYS):
        noon = day * DAY_S + 12 * HOUR_S
        life.at(noon + chance.uniform(0, HOUR_S), lambda: life.lose(chance.randrange(GPUS), 2 * HOUR_S))
        life.at(noon + chance.uniform(3, 4) * HOUR_S, lambda: life.drain(chance.randrange(GPUS), 3 * HOUR_S))
        life.at(noon + chance.uniform(7, 8) * HOUR_S, lambda: life.invade(chance.randrange(GPUS), HOUR_S))
        for _ in range(12):
            life.at(day * DAY_S + chance.uniform(0, DAY_S), lambda: None if life._away else life.meddle())
        life.at(day * DAY_S + chance.uniform(1, 2) * HOUR_S, lambda: life.kill_a_shim(900.0))
    life.at(1.5 * DAY_S, lambda: life.restart(0.0))
    life.at(2.5 * DAY_S - 600.0, lambda: life.restart(1800.0))
    life.at(4.3 * DAY_S, lambda: life.restart(60.0))
    life.at(5.3 * DAY_S, lambda: life.scene.clock.step_wall(-HOUR_S))
    life.at(6.3 * DAY_S, lambda: life.scene.clock.step_wall(HOUR_S))


def finish(life: NodeLife) -> None:
    """Let everything end that can, and cancel what waits for a job that failed."""
    for _ in range(48):
        life.live(HOUR_S)
        if not life.scene.desk.book.unfinished():
            break
        if not life.scene.desk.book.active():
            for job in life.scene.desk.book.unfinished():
                change.cancel(life.scene.desk, ROOT, job.id)
    life.live(HOUR_S)
    life.gpus.tick()
    life.gpus.book()


@pytest.fixture(scope="module")
def week() -> NodeLife:
    life = NodeLife(seed=20_240_229)
    arrivals(life)
    accidents(life)
    for _ in range(4 * DAYS):
        life.live(6 * HOUR_S)
        life.check()
    finish(life)
    life.check()
    return life


def test_nothing_was_ever_broken(week):
    assert week.broken == []
    assert set(week.happened) >= {"lost", "drain", "foreign", "restarts", "shims", "cancel", "hold", "requeue"}


def test_every_job_has_ended_and_none_waits(week):
    jobs = week.scene.jobs()
    assert len(jobs) > 3000
    assert Counter(job.state in ENDED for job in jobs) == {True: len(jobs)}
    assert week.scene.desk.book.holders() == {}
    assert len(week.scene.desk.book.queue) == 0
    assert week.scene.engine.living() == set()


def test_no_attempt_ran_twice_and_attempts_are_numbered_without_a_gap(week):
    starts = Counter(job_id for job_id, _ in week.scene.engine.starts)
    assert len(set(week.scene.engine.starts)) == len(week.scene.engine.starts)
    assert {job.id: job.attempt for job in week.scene.jobs() if job.attempt} == dict(starts)


def test_every_job_ended_as_its_kind_does_unless_somebody_stopped_it(week):
    natural = dict.fromkeys(KINDS, JobState.SUCCEEDED)
    natural |= dict.fromkeys(("crasher", "segfault"), JobState.FAILED)
    natural |= dict.fromkeys(("endless", "stubborn"), JobState.TIMED_OUT)
    odd = Counter(
        (job.spec.name, job.state.value)
        for job in week.scene.jobs()
        if job.state not in {natural[job.spec.name], JobState.CANCELLED, JobState.LOST}
    )
    assert odd == Counter()
    lost = sum(job.state is JobState.LOST for job in week.scene.jobs())
    assert 0 < lost <= week.happened["shims"]
    assert {job.spec.name for job in week.scene.jobs() if job.state is natural[job.spec.name]} == set(KINDS)


def test_the_ledger_holds_every_millijoule_the_meters_counted_and_no_more(week):
    counted = [end - begin for begin, end in zip(week.baseline_mj, week.source.counters_mj(), strict=True)]
    booked = {row.key: row.energy_mj for row in week.scene.store.energy("gpu", None)}
    assert booked == {str(gpu): energy_mj for gpu, energy_mj in enumerate(counted)}


def test_the_parts_by_job_user_and_day_add_up_to_the_whole(week):
    total = sum(row.energy_mj for row in week.scene.store.energy("gpu", None))
    for by in ("job", "user", "day"):
        assert sum(row.energy_mj for row in week.scene.store.energy(by, None)) == total, by
    jobs = [job.id for job in week.scene.jobs()]
    idle = {row.key: row.energy_mj for row in week.scene.store.energy("user", None)}["idle"]
    assert sum(usage.energy_mj for usage in week.scene.store.usage(jobs).values()) + idle == total
    assert 0.01 * total < idle < 0.6 * total
    assert IDLE not in jobs


def known(week: NodeLife) -> list[tuple[Job, float]]:
    """Return the jobs on GPUs of which every attempt left a record, with the seconds they ran."""
    ran = [(job, week.run_s(job)) for job in week.scene.jobs() if job.spec.gpus and job.attempt]
    return [(job, run_s) for job, run_s in ran if run_s is not None]


def test_every_job_is_booked_the_gpu_time_it_had(week):
    usage = week.scene.store.usage([job.id for job in week.scene.jobs()])
    jobs = known(week)
    assert len(jobs) > 2500
    off_s = {job.id: abs(usage[job.id].gpu_s - run_s * job.spec.gpus) for job, run_s in jobs}
    wrong_s = [seconds for seconds in off_s.values() if seconds > 0.01]
    # Only a clock that jumps by an hour may cost those who run just then the interval it jumped in.
    assert len(wrong_s) <= 2 * GPUS, wrong_s
    assert all(seconds <= GPUS * POLL_S for seconds in wrong_s)


def test_every_long_job_is_booked_the_utilisation_it_had(week):
    usage = week.scene.store.usage([job.id for job in week.scene.jobs()])
    measured = [
        (job, usage[job.id].gpu_util_ratio, utilisation(KINDS[job.spec.name].cpu_share))
        for job, run_s in known(week)
        if run_s > LONG_ENOUGH_S
    ]
    assert len(measured) > 100
    wrong = [(job.id, found, true) for job, found, true in measured if found is None or abs(found - true) > 0.1]
    # The seconds in which a job ends are told by the reading after it.
    assert len(wrong) <= 0.01 * len(measured), wrong


def test_what_was_found_odd_is_what_went_wrong_and_none_of_it_is_left_open(week):
    assert week.scene.store.anomalies(open_only=True) == []
    found = Counter(anomaly.finding.rule for anomaly in week.scene.store.anomalies())
    assert found.keys() == {"gpu_lost", "foreign_process", "idle_gpu", "job_crashed"}
    assert found["gpu_lost"] == week.happened["lost"]
    assert week.happened["foreign"] <= found["foreign_process"] <= week.happened["foreign"] + week.happened["restarts"]


def disturbed(week: NodeLife, job: Job) -> bool:
    """Tell whether a lost GPU or a new daemon kept a job from being watched; what is not known is not called idle."""
    begin, end = job.started_at or 0.0, job.ended_at or 0.0
    blind = [
        (anomaly.raised_at, anomaly.cleared_at or end)
        for anomaly in week.scene.store.anomalies()
        if anomaly.finding.rule == "gpu_lost" and anomaly.finding.gpu in job.gpus
    ]
    return any(begin <= until and since <= end for since, until in blind + [(at, at) for at in week.restarted_at])


def test_every_crash_and_every_long_idler_was_found(week):
    anomalies = week.scene.store.anomalies()
    crashed = Counter(anomaly.finding.job_id for anomaly in anomalies if anomaly.finding.rule == "job_crashed")
    failures = Counter(
        job_id
        for (job_id, _), attempt in week.scene.engine._attempts.items()
        if getattr(attempt.outcome, "exit_code", None) == 1 or getattr(attempt.outcome, "signal", None) == 11
    )
    assert crashed == failures
    idle = {anomaly.finding.job_id for anomaly in anomalies if anomaly.finding.rule == "idle_gpu"}
    idled = [job for job, run_s in known(week) if job.spec.name == "idler" and run_s > 2 * THRESHOLDS.idle_after_s]
    assert len(idled) > 20
    assert [job for job in idled if job.id not in idle and not disturbed(week, job)] == []
    assert {week.kinds[job_id] for job_id in idle} == {"idler"}
