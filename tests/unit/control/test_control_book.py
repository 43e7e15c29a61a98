"""Who used which GPU when: the holds that the ledger splits energy by."""

from scene import Scene

from dcdaemon.control.book import Hold
from dcdaemon.fakes.engine import Play


def holds(scene: Scene, since: float = 0.0) -> list[Hold]:
    return scene.desk.book.holds(since, scene.clock.now())


def test_a_hold_lasts_from_the_start_to_the_end_of_the_job(scene):
    begin = scene.clock.now()
    scene.run(Play(run_s=10.0), gpus=2)
    assert holds(scene) == [Hold(1, 0, begin), Hold(1, 1, begin)]
    scene.clock.advance(15.0)
    scene.cycle()
    assert holds(scene) == [Hold(1, 0, begin, begin + 10.0), Hold(1, 1, begin, begin + 10.0)]


def test_a_job_uses_nothing_while_it_waits_or_is_being_launched(scene):
    seen = []
    start = scene.engine.start

    def looking(order):
        seen.append((scene.desk.book.holders(), holds(scene)))
        return start(order)

    scene.engine.start = looking
    job = scene.submit(gpus=1)
    scene.clock.advance(100.0)
    scene.cycle()
    [(holders, held)] = seen
    assert set(holders) == {0}, "its GPU is taken"
    assert held == [], "but nothing of it is used yet"
    assert holds(scene) == [Hold(job.id, 0, scene.clock.now())]


def test_a_launch_that_never_was_leaves_no_hold(scene):
    scene.submit(Play(start_error="no"), gpus=1)
    scene.cycle()
    assert holds(scene) == []


def test_a_job_that_ended_before_its_start_was_written_down_is_held_for_all_of_its_time(scene):
    job = scene.submit(Play(run_s=10.0), gpus=1)
    begin = scene.clock.now()
    start = scene.engine.start

    def dying(order):
        start(order)
        raise KeyboardInterrupt

    scene.engine.start = dying
    try:
        scene.cycle()
    except KeyboardInterrupt:
        scene.clock.advance(25.0)
    scene.engine.tick()
    scene.daemon()
    assert holds(scene) == [Hold(job.id, 0, begin, begin + 10.0)]


def test_a_later_attempt_is_a_hold_of_its_own(scene):
    begin = scene.clock.now()
    scene.run(Play(run_s=10.0, exit_code=None, signal=15, cause="requeued"), gpus=1)
    scene.advance(10.0)
    assert holds(scene) == [Hold(1, 0, begin, begin + 10.0), Hold(1, 0, begin + 10.0)]


def test_holds_that_ended_long_ago_are_forgotten(scene):
    begin = scene.clock.now()
    scene.run(Play(run_s=10.0), gpus=1)
    scene.advance(10.0)
    scene.run(gpus=1)
    assert holds(scene, since=begin + 10.0) == [Hold(2, 0, begin + 10.0)]
    assert holds(scene, since=0.0) == [Hold(2, 0, begin + 10.0)]


def test_a_clock_set_back_leaves_no_hold_in_the_future(scene):
    scene.run(Play(run_s=10.0), gpus=1)
    scene.advance(10.0)
    scene.clock.step_wall(-3600.0)
    assert holds(scene) == []
    scene.clock.advance(3600.0)
    assert holds(scene) == []


def test_a_job_that_ran_across_a_clock_set_back_is_held_for_as_long_as_it_ran(scene):
    scene.run(Play(run_s=100.0), gpus=1)
    scene.advance(60.0)
    scene.clock.step_wall(-3600.0)
    scene.advance(40.0)
    now = scene.clock.now()
    assert holds(scene) == [Hold(1, 0, now - 100.0, now)]


def test_a_gpu_whose_energy_was_not_split_for_long_keeps_its_holds_for_as_long(scene):
    begin = scene.clock.now()
    scene.run(Play(run_s=10.0), gpus=2)
    scene.advance(500.0)
    kept = scene.desk.book.holds(begin + 400.0, scene.clock.now(), {1: begin - 5.0})
    assert kept == [Hold(1, 1, begin, begin + 10.0)]


def test_after_a_restart_a_running_job_is_held_since_its_start(scene):
    begin = scene.clock.now()
    job = scene.run(gpus=1)
    scene.advance(500.0)
    scene.daemon()
    assert holds(scene) == [Hold(job.id, 0, begin)]


def test_counts_tell_waiting_held_and_active_jobs(scene):
    scene.run(gpus=4)
    scene.submit()
    scene.submit(held=True)
    assert scene.desk.book.counts() == (2, 1, 1)
