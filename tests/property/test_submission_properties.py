"""Whatever is submitted, in whatever order: nothing starts before what it waits for, and nothing waits for nothing."""

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from scene import ADA, ENV, ROOT, Scene, broken_promises

from dcdaemon.control import change
from dcdaemon.control.submit import submit
from dcdaemon.control.wish import Wish
from dcdaemon.core.errors import BadInput, NotFound, Refused
from dcdaemon.core.job import ACTIVE, ENDED, Job, JobState
from dcdaemon.fakes.engine import Play

GPUS = 4
NAMES = "abcde"
KINDS = ("after", "after_any", "after_not_ok")
plays = st.builds(Play, run_s=st.sampled_from([1.0, 5.0, 30.0]), exit_code=st.sampled_from([0, 0, 1]))
places = st.integers(0, 40)
begins = st.none() | st.sampled_from([-10.0, 3.0, 20.0, 100.0])
wishes = st.lists(
    st.tuples(
        st.sampled_from(NAMES),
        st.lists(st.tuples(st.sampled_from(KINDS), st.sampled_from(NAMES)), max_size=2, unique=True),
        st.none() | st.sampled_from(["0-2", "1,5%1", "0-4%2", "7"]),
    ),
    min_size=1,
    max_size=5,
    unique_by=lambda wish: wish[0],
)


def has_circle(waits: dict[str, set[str]]) -> bool:
    """Take away what waits for nothing, until nothing is left or all that is left waits for itself."""
    left = dict(waits)
    while free := [name for name, others in left.items() if not others & left.keys()]:
        for name in free:
            del left[name]
    return bool(left)


class Queue(RuleBasedStateMachine):
    """A node whose users wait for each other, and for the time of day."""

    @initialize()
    def begin(self):
        self.scene = Scene(gpus=GPUS, cpus=64)
        self.accepted: set[int] = set()
        self.watch()

    def watch(self):
        """Judge every start by what is stored at that moment."""
        start = self.scene.engine.start

        def judged(order):
            assert self.may_start(order.job) == []
            return start(order)

        if start.__name__ != judged.__name__:
            self.scene.engine.start = judged

    def may_start(self, job: Job) -> list[str]:
        """Name what forbids this start, by the words of the documentation."""
        ends = {other: self.scene.job(other).state for other in job.spec.dependencies}
        promises = {
            "after: all have succeeded": all(ends[other] is JobState.SUCCEEDED for other in job.spec.after),
            "after_any: all have ended": all(ends[other] in ENDED for other in job.spec.after_any),
            "after_not_ok: all have ended without success": all(
                ends[other] in ENDED - {JobState.SUCCEEDED} for other in job.spec.after_not_ok
            ),
            "begin: the time has come": (job.spec.begin_at or 0.0) <= self.scene.clock.now(),
            "hold: it was let go": not job.held,
        }
        return [promise for promise, kept in promises.items() if not kept]

    def pick(self, place: int) -> Job | None:
        jobs = self.scene.jobs()
        return jobs[place % len(jobs)] if jobs else None

    @rule(play=plays, kinds=st.lists(st.tuples(st.sampled_from(KINDS), places), max_size=3), begin=begins,
          gpus=st.integers(0, 2), held=st.booleans(), requeue=st.booleans())  # fmt: skip
    def submit_one(self, *, play, kinds, begin, gpus, held, requeue):
        fields: dict[str, tuple[str, ...]] = {}
        for kind, place in kinds:
            other = self.pick(place)
            if other is not None:
                fields[kind] = (*fields.get(kind, ()), str(other.id))
        if set(fields.get("after", ())) & set(fields.get("after_not_ok", ())):
            return
        begin_at = None if begin is None else self.scene.clock.now() + begin
        job = self.scene.submit(play, ADA, gpus=gpus, begin_at=begin_at, held=held, requeue=requeue, **fields)
        self.accepted.add(job.id)

    @rule(asked=wishes, play=plays)
    def submit_many(self, *, asked, play):
        names = {name for name, _, _ in asked}
        waits = {name: {other for _, other in others if other != name} & names for name, others, _ in asked}
        # What a job says of its own name is about jobs of before, and about none where there are none.
        both = any(
            {("after", other), ("after_not_ok", other)} <= set(others)
            for name, others, _ in asked
            for other in NAMES
            if other != name
        )
        made = [
            self.scene.wish(
                name=name, array=array,
                **{kind: tuple(f"name:{other}" for one, other in others if one == kind) for kind in KINDS},
            )
            for name, others, array in asked
        ]  # fmt: skip
        before = self.scene.jobs()
        said, jobs = self.answer(made)
        assert ("circle" in said) == has_circle(waits)
        if said:
            assert self.scene.jobs() == before
            return
        assert not both
        self.accepted |= {job.id for job in jobs}
        self.scene.plays |= {job.id: play for job in jobs}

    def answer(self, made: list[Wish]) -> tuple[str, list[Job]]:
        try:
            return "", submit(self.scene.desk, ADA, made, ENV)
        except (BadInput, NotFound) as error:
            return error.message, []

    @rule(place=places, verb=st.sampled_from([change.cancel, change.hold, change.release, change.requeue]))
    def act(self, place, verb):
        job = self.pick(place)
        if job is not None:
            try:
                verb(self.scene.desk, ROOT, job.id)
            except Refused:
                assert self.scene.job(job) == job

    @rule(seconds=st.sampled_from([0.0, 1.0, 4.0, 17.0, 90.0]))
    def pass_time(self, seconds):
        self.scene.advance(seconds)

    @rule()
    def restart(self):
        self.scene.daemon()

    @rule()
    def reboot(self):
        self.scene.engine.reboot()
        self.scene.daemon()

    @invariant()
    def promises_hold(self):
        assert broken_promises(self.scene) == []
        assert {job.id for job in self.scene.jobs()} == self.accepted

    @invariant()
    def no_array_is_over_its_limit(self):
        active = [job.spec for job in self.scene.jobs() if job.state in ACTIVE]
        for spec in active:
            if spec.array_limit is not None:
                assert sum(other.array_id == spec.array_id for other in active) <= spec.array_limit

    def teardown(self):
        """Let everything go: what still waits then waits for something that went wrong."""
        if not hasattr(self, "scene"):
            return
        for job in self.scene.jobs():
            if job.held:
                change.release(self.scene.desk, ROOT, job.id)
        for _ in range(2 * len(self.accepted) + 3):
            self.scene.advance(200.0)
        for job in self.scene.jobs():
            if job.state not in ENDED:
                assert self.waits_in_vain(job)

    def waits_in_vain(self, job: Job) -> bool:
        """Tell whether one of its dependencies ended as it must not, or waits in vain itself."""
        others = {other: self.scene.job(other) for other in job.spec.dependencies}
        wrong = [
            *(other for other in job.spec.after if others[other].state in ENDED - {JobState.SUCCEEDED}),
            *(other for other in job.spec.after_not_ok if others[other].state is JobState.SUCCEEDED),
        ]
        return bool(wrong) or any(
            other.state is JobState.WAITING and self.waits_in_vain(other) for other in others.values()
        )


TestQueue = Queue.TestCase
TestQueue.settings = settings(max_examples=80, stateful_step_count=30, deadline=None)
