"""Several nodes may share one database: each changes only its own jobs."""

from dataclasses import replace

import pytest
from scene import ADA

from dcdaemon.control import change
from dcdaemon.core.errors import Refused


def test_a_job_of_another_node_is_not_ours_to_change(scene):
    job = scene.submit()
    scene.desk.node = "elsewhere"
    with pytest.raises(Refused) as refusal:
        change.cancel(scene.desk, ADA, job.id)
    assert refusal.value.hint == f"ask the daemon on {job.node}"
    assert scene.desk.store.job(job.id) == replace(job)


def test_a_gpu_that_was_drained_since_the_plan_is_not_given_away(scene):
    from dcdaemon.control.drain import drain  # noqa: PLC0415
    from dcdaemon.control.start import apply_plan  # noqa: PLC0415
    from dcdaemon.scheduler.cycle import plan  # noqa: PLC0415

    job = scene.submit(gpus=4)
    book = scene.desk.book
    made = plan(book.view(), book.queue, scene.desk.policy, scene.clock.now())
    assert [start.job_id for start in made.starts] == [job.id]
    operator = replace(ADA, operator=True)
    drain(scene.desk, operator, 2, "ticket 881")
    assert apply_plan(scene.desk, made) == []
    assert scene.desk.store.job(job.id) == job
