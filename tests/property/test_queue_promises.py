"""Whatever happens, in whatever order: no GPU twice, no job lost, no job twice, and the book is the store's picture."""

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from scene import ADA, BOB, ROOT, Scene, broken_promises

from dcdaemon.control import change
from dcdaemon.control.drain import drain, undrain
from dcdaemon.control.start import apply_plan, launch_all
from dcdaemon.core.errors import Refused
from dcdaemon.core.gpu import GpuProcess
from dcdaemon.core.job import ENDED, JobState
from dcdaemon.fakes.engine import Play
from dcdaemon.scheduler.cycle import plan

GPUS = 4
plays = st.builds(
    Play,
    run_s=st.sampled_from([None, 1.0, 5.0, 30.0, 200.0]),
    exit_code=st.sampled_from([0, 0, 1]),
    deaf=st.booleans(),
    start_error=st.sampled_from([None, None, None, "no space"]),
)
places = st.integers(0, 30)
gpus = st.integers(0, GPUS - 1)


class Life(RuleBasedStateMachine):
    """A node, its users and its accidents."""

    @initialize()
    def begin(self):
        self.scene = Scene(gpus=GPUS, cpus=8)
        self.accepted: set[int] = set()
        self.ended: dict[int, int] = {}
        self.plan = None

    def pick(self, place: int):
        jobs = self.scene.jobs()
        return jobs[place % len(jobs)] if jobs else None

    @rule(
        play=plays,
        wanted=st.integers(0, GPUS),
        cpus=st.integers(0, 4),
        priority=st.sampled_from([10, 50]),
        limit_s=st.sampled_from([None, 2.0, 60.0]),
        after=st.none() | places,
        requeue=st.booleans(),
        held=st.booleans(),
        actor=st.sampled_from([ADA, BOB]),
    )
    def submit(self, *, play, wanted, cpus, priority, limit_s, after, requeue, held, actor):
        first = self.pick(after) if after is not None else None
        job = self.scene.submit(
            play, actor, gpus=wanted, cpus=cpus, priority=priority, limit_s=limit_s, grace_s=3.0,
            after=(str(first.id),) if first else (), requeue=requeue, held=held,
        )  # fmt: skip
        self.accepted.add(job.id)

    @rule(place=places, verb=st.sampled_from([change.cancel, change.hold, change.release, change.requeue]))
    def act(self, place, verb):
        job = self.pick(place)
        if job is None:
            return
        try:
            verb(self.scene.desk, ROOT, job.id)
        except Refused:
            assert self.scene.job(job) == job
            return
        if verb is change.requeue:
            self.ended.pop(job.id, None)

    @rule(seconds=st.sampled_from([0.0, 0.5, 1.0, 4.0, 60.0]))
    def pass_time(self, seconds):
        self.scene.advance(seconds)

    @rule(step_s=st.sampled_from([-3600.0, 3600.0]))
    def step_the_wall_clock(self, step_s):
        self.scene.clock.step_wall(step_s)

    @rule()
    def conduct(self):
        self.scene.cycle()

    @rule()
    def make_a_plan(self):
        desk = self.scene.desk
        self.plan = plan(desk.book.view(), desk.book.queue, desk.policy, self.scene.clock.now())

    @precondition(lambda self: self.plan is not None)
    @rule()
    def apply_the_old_plan(self):
        made, self.plan = self.plan, None
        launch_all(self.scene.desk, apply_plan(self.scene.desk, made))

    @rule(gpu=gpus)
    def drain(self, gpu):
        drain(self.scene.desk, ROOT, gpu, "why not")

    @rule(gpu=gpus)
    def undrain(self, gpu):
        undrain(self.scene.desk, ROOT, gpu)

    @rule(lost=st.sets(gpus), foreign=st.sets(gpus))
    def read_the_gpus(self, lost, foreign):
        self.scene.sample({gpu: [GpuProcess(7, 1, command="x")] for gpu in foreign}, lost=lost)

    @rule(place=places)
    def lose_a_shim(self, place):
        job = self.pick(place)
        if job is not None and (job.id, job.attempt) in self.scene.engine._running:
            self.scene.engine.kill_shim(job)

    @rule()
    def restart(self):
        self.scene.daemon()
        self.plan = None

    @rule()
    def reboot(self):
        self.scene.engine.reboot()
        self.restart()

    @invariant()
    def promises_hold(self):
        assert broken_promises(self.scene) == []

    @invariant()
    def no_accepted_job_is_lost(self):
        assert {job.id for job in self.scene.jobs()} == self.accepted

    @invariant()
    def what_has_ended_stays_ended(self):
        """Unless somebody requeued it; one that asked to run again never counts as ended by an accident."""
        for job in self.scene.jobs():
            if job.id in self.ended:
                assert (job.state in ENDED, job.attempt) == (True, self.ended[job.id])
            elif job.state in ENDED:
                self.ended[job.id] = job.attempt

    @invariant()
    def gpus_that_take_no_work_got_none_since(self):
        for gpu, job in self.scene.desk.book.holders().items():
            assert job.state is not JobState.WAITING
            assert 0 <= gpu < GPUS


TestLife = Life.TestCase
TestLife.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
