"""Whatever is submitted and saved in whatever order: the database answers as the store in memory does."""

from dataclasses import replace
from typing import Any

import sqlalchemy as sa
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    invariant,
    multiple,
    rule,
    run_state_machine_as_test,
)

from dcdaemon.core.job import ACTIVE, ENDED, MOVES, Job, JobSpec, JobState
from dcdaemon.core.ports import Actor, JobChange, JobQuery
from dcdaemon.fakes.store import MemoryStore
from dcdaemon.store.sql_store import open_store
from tests.contract.emptying import empty

ADA = Actor(uid=1001, gid=100, user="ada")
GPUS = st.lists(st.integers(0, 3), unique=True, max_size=3).map(tuple)


def moved(job: Job, state: JobState, gpus: tuple[int, ...]) -> Job:
    """Make any allowed move, straight from the table of moves."""
    if state is JobState.STARTING:
        return job.mark_starting("n1", gpus, simulated=True)
    if state is JobState.WAITING:
        return job.mark_unstarted() if job.state in ACTIVE else job.mark_requeued(9.0)
    if state in ENDED:
        return job.mark_ended(state, 9.0, exit_code=1)
    return replace(job, state=state, version=job.version + 1)


class Sequences(RuleBasedStateMachine):
    """Saves changes to versions that may be current or long gone, on two stores at once."""

    url = ""
    seen = Bundle("seen")  # every version of every job that was ever answered

    def __init__(self) -> None:
        super().__init__()
        empty(self.url)
        self.memory = MemoryStore("n1")
        self.database = open_store(self.url, "n1")
        self.engine = sa.create_engine(self.url)

    def both(self, call: Any) -> Any:
        expected, answered = call(self.memory), call(self.database)
        assert answered == expected
        return answered

    @rule(target=seen, count=st.integers(1, 3), held=st.booleans(), share=st.sampled_from([None, 5, 7]))
    def submit(self, *, count: int, held: bool, share: int | None) -> Any:
        spec = JobSpec(("x",), "/", 1, 1, "u", "x", "e", gpus=1, held=held, gpu_mem_bytes=share)
        return multiple(*self.both(lambda store: store.submit([spec] * count, 5.0, ADA)))

    @rule(target=seen, changes=st.lists(st.tuples(seen, st.sampled_from(JobState), GPUS), max_size=4))
    def save(self, changes: list[tuple[Job, JobState, tuple[int, ...]]]) -> Any:
        batch = [
            JobChange(job, moved(job, state, gpus), 6.0, ADA, "move")
            for job, state, gpus in changes
            if state in MOVES[job.state]
        ]
        saved = self.both(lambda store: store.save(batch))
        return multiple(*(job for job in saved if job is not None))

    @rule(target=seen, job=seen, gpus=st.sampled_from([(0,), (1,), (0, 1), (2, 0)]))
    def start(self, job: Job, gpus: tuple[int, ...]) -> Any:
        """Start a job as it stands now, on GPUs that others may hold."""
        now = self.memory.job(job.id)
        if now is None or now.state is not JobState.WAITING:
            return multiple()
        change = JobChange(now, now.mark_starting("n1", gpus, simulated=True), 6.0)
        (saved,) = self.both(lambda store: store.save([change]))
        return multiple() if saved is None else saved

    @invariant()
    def jobs_and_audit_are_equal(self) -> None:
        self.both(lambda store: store.jobs(JobQuery()))
        self.both(lambda store: store.audit())

    @invariant()
    def gpus_are_held_by_active_jobs_alone(self) -> None:
        with self.engine.connect() as connection:
            rows = connection.execute(sa.text("SELECT node, gpu, job_id FROM allocation")).all()
            shares = connection.execute(sa.text("SELECT node, gpu, job_id FROM gpu_share")).all()
        active = self.memory.jobs(JobQuery(states=ACTIVE))
        whole, shared = (
            {
                (job.node, gpu, job.id)
                for job in active
                if (job.spec.gpu_mem_bytes is None) == is_whole
                for gpu in job.gpus
            }
            for is_whole in (True, False)
        )
        held = {tuple(row) for row in rows}
        assert len(rows) == len({(node, gpu) for node, gpu, _ in held}), "one holder is named of each GPU"
        assert sorted(tuple(row) for row in shares) == sorted(shared)
        assert held <= whole | shared
        assert whole <= held
        assert {slot[:2] for slot in held} == {slot[:2] for slot in whole | shared}

    def teardown(self) -> None:
        self.database.close()
        self.engine.dispose()


def test_the_database_and_the_memory_answer_alike(url: str) -> None:
    machine = type("SequencesOnUrl", (Sequences,), {"url": url})
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=20, stateful_step_count=15, deadline=None, suppress_health_check=list(HealthCheck)
        ),
    )
