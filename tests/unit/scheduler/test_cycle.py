import pytest
from scenes import NOW, POLICY, drained, node, running, view, waiting

from dcdaemon.core.plan import Plan, Reservation, Start
from dcdaemon.scheduler.cycle import plan
from dcdaemon.scheduler.policy import Policy
from dcdaemon.scheduler.queue import QueueIndex


def decide(picture, *jobs, policy=POLICY) -> Plan:
    return plan(picture, QueueIndex(jobs), policy, NOW)


def started(decided) -> list[int]:
    return [start.job_id for start in decided.starts]


def test_an_empty_queue_gives_an_empty_plan():
    assert decide(view()) == Plan((), (), NOW)


def test_jobs_start_first_in_first_out_within_a_priority_and_higher_numbers_first():
    decided = decide(view(), waiting(1, 2), waiting(2, 2), waiting(3, 2, priority=80))
    assert decided.starts == (
        Start(3, "n1", (0, 1)),
        Start(1, "n1", (2, 3)),
        Start(2, "n1", (4, 5)),
    )


def test_the_head_is_promised_the_gpus_of_the_jobs_that_end_first():
    picture = view(running(1, [0, 1, 2], 600), running(2, [3, 4, 5], 300), running(3, [6], None))
    decided = decide(picture, waiting(10, 3, 60))
    assert decided.reservation == Reservation(10, "n1", (3, 4, 5), NOW + 300)


@pytest.mark.parametrize(
    ("job", "starts"),
    [
        (waiting(11, 1, 300), True),  # over exactly when the head starts
        (waiting(11, 1, 301), True),  # outlasts it on GPU 7, which the head does not need
        (waiting(11, 2, 300), True),  # one of its GPUs is pinned, but free again in time
        (waiting(11, 2, 301), False),
        (waiting(11, 2), False),  # endless
    ],
)
def test_a_later_job_passes_the_head_only_where_it_cannot_delay_it(job, starts):
    # GPUs 6 and 7 are free; the head counts on GPUs 0 to 5 and one more.
    picture = view(running(1, [0, 1, 2, 3, 4, 5], 300))
    decided = decide(picture, waiting(10, 7), job)
    assert decided.reservation == Reservation(10, "n1", (0, 1, 2, 3, 4, 5, 6), NOW + 300)
    assert (started(decided) == [11]) is starts


def test_a_job_that_passes_prefers_gpus_the_head_does_not_count_on():
    decided = decide(view(running(1, [0, 1, 2, 3, 4, 5], 300)), waiting(10, 7), waiting(11, 1, 60))
    assert decided.starts == (Start(11, "n1", (7,), backfilled=True),)


def test_endless_jobs_that_pass_leave_the_head_its_cpus_and_memory():
    picture = view(running(1, [0], 300, cpus=40), nodes=[node(cpus=64, mem_gib=100)])
    head = waiting(10, 1, cpus=50, mem_gib=90)
    assert started(decide(picture, head, waiting(11, 1, cpus=14), waiting(12, 1, cpus=1))) == [11]
    assert started(decide(picture, head, waiting(11, 1, cpus=15))) == []
    assert started(decide(picture, head, waiting(11, 1, 300, cpus=15))) == [11]
    assert started(decide(picture, head, waiting(11, 1, mem_gib=11), waiting(12, 1, mem_gib=10))) == [12]


def test_other_nodes_than_the_reserved_one_are_open_to_all():
    nodes = [node("a", gpus=4), node("b", gpus=2)]
    decided = decide(view(running(1, [0], 300, on="a"), nodes=nodes), waiting(10, 4), waiting(11, 2))
    assert decided.reservation == Reservation(10, "a", (0, 1, 2, 3), NOW + 300)
    assert decided.starts == (Start(11, "b", (0, 1), backfilled=True),)


def test_behind_endless_jobs_the_heads_start_is_unknown_and_what_is_free_is_kept():
    picture = view(running(1, [0, 1, 2, 3], None), running(2, [4], 60))
    decided = decide(picture, waiting(10, 6), waiting(11, 1, 10))
    assert decided.reservation == Reservation(10, "n1", (4, 5, 6, 7), None)
    assert decided.starts == ()


def test_of_nodes_with_unknown_ends_the_one_that_lacks_least_is_kept():
    nodes = [node("a"), node("b")]
    picture = view(running(1, range(6), on="a"), running(2, [0, 1, 2], on="b"), nodes=nodes)
    assert decide(picture, waiting(10, 8)).reservation == Reservation(10, "b", (3, 4, 5, 6, 7), None)


def test_a_job_that_passes_goes_to_another_node_before_it_takes_pinned_gpus():
    nodes = [node("a", gpus=4), node("b")]
    picture = view(running(1, [0, 1], 300, on="a"), running(2, range(5), on="b"), nodes=nodes)
    decided = decide(picture, waiting(10, 4), waiting(11, 1, 60))
    assert decided.starts == (Start(11, "b", (5,), backfilled=True),)


def test_memory_that_was_not_asked_for_is_not_taken():
    picture = view(running(1, [0], mem_gib=512))
    assert started(decide(picture, waiting(10, 1), waiting(11, 1, mem_gib=1))) == [10]


def test_a_job_that_only_a_repair_makes_room_for_blocks_nobody():
    picture = view(nodes=[node(blocked=drained(5))])
    decided = decide(picture, waiting(10, 8, priority=80), waiting(11, 7))
    assert decided.reservation is None
    assert decided.starts == (Start(11, "n1", (0, 1, 2, 3, 4, 6, 7)),)


def test_a_blocked_gpu_is_not_counted_on_even_when_its_job_ends():
    picture = view(running(1, [0, 1, 2, 3], 60), running(2, [4, 5, 6, 7], 90), nodes=[node(blocked=drained(0))])
    decided = decide(picture, waiting(10, 4))
    assert decided.reservation == Reservation(10, "n1", (1, 2, 3, 4), NOW + 90)


def test_a_job_past_its_limit_is_due_now():
    decided = decide(view(running(1, range(8), -5)), waiting(10, 8))
    assert decided.reservation == Reservation(10, "n1", tuple(range(8)), NOW)


def test_the_fullest_node_that_fits_is_taken_so_that_wide_jobs_find_a_whole_one():
    nodes = [node("a"), node("b", gpus=4), node("c")]
    decided = decide(view(running(1, [0, 1], on="c"), nodes=nodes), waiting(10, 3), waiting(11, 8))
    assert decided.starts == (Start(10, "b", (0, 1, 2)), Start(11, "a", tuple(range(8))))


def test_without_backfill_nothing_passes_the_head():
    picture = view(running(1, [0], 300))
    decided = decide(picture, waiting(10, 8), waiting(11, 1, 10), policy=Policy(backfill=False))
    assert decided.starts == ()
    assert decided.reservation is not None


def test_the_depth_bounds_the_shapes_tried_in_vain_not_the_jobs():
    picture = view(running(1, range(7), 300))
    wide = [waiting(number, 2 + number % 3) for number in range(20, 50)]
    jobs = [waiting(10, 8), *wide, waiting(60, 1, 10)]
    assert started(decide(picture, *jobs, policy=Policy(backfill_depth=3))) == []
    assert started(decide(picture, *jobs, policy=Policy(backfill_depth=4))) == [60]


def test_a_shape_refused_with_a_long_limit_may_pass_with_a_short_one():
    picture = view(running(1, range(6), 300))
    decided = decide(picture, waiting(10, 8), waiting(11, 2, 900), waiting(12, 2, 600), waiting(13, 2, 200))
    assert started(decided) == [13]
