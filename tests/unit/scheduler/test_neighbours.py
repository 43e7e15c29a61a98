"""Which of a node's free GPUs a job gets."""

from scenes import GIB, NOW, POLICY, drained, node, running, view, waiting

from dcdaemon.core.booking import Booking
from dcdaemon.core.view import ClusterView, GpuSlot, NodeView, RunningJob
from dcdaemon.scheduler.cycle import plan
from dcdaemon.scheduler.neighbours import pick
from dcdaemon.scheduler.queue import QueueIndex


def slots(*neighbourhoods, penalties=()) -> dict[int, GpuSlot]:
    penalised = dict(penalties)
    return {
        index: GpuSlot(index, 80 * GIB, neighbourhood=path, penalty=penalised.get(index, 0))
        for index, path in enumerate(neighbourhoods)
    }


#: Two sockets with four GPUs each, in pairs.
PAIRS = slots((0, 0), (0, 0), (0, 1), (0, 1), (1, 0), (1, 0), (1, 1), (1, 1))


def test_gpus_of_which_nothing_is_known_are_given_from_the_lowest_index_on():
    assert pick([6, 2, 5, 0], 2, {}) == (0, 2)
    assert pick([6, 2, 5, 0], 2, slots(*[()] * 8)) == (0, 2)
    assert pick([], 0, {}) == ()


def test_a_job_gets_neighbours():
    assert pick([1, 2, 4, 5], 2, PAIRS) == (4, 5)
    assert pick([0, 1, 3, 4, 6, 7], 3, PAIRS) == (0, 1, 3), "a pair and one of the same socket"
    assert pick(list(range(8)), 4, PAIRS) == (0, 1, 2, 3)


def test_the_wider_neighbourhood_counts_before_the_narrower_one():
    assert pick([0, 1, 2, 4, 5, 6, 7], 4, PAIRS) == (4, 5, 6, 7)
    assert pick([0, 2, 4, 5, 6], 3, PAIRS) == (4, 5, 6)


def test_a_neighbourhood_that_is_used_already_is_filled_up_so_that_whole_ones_stay_free():
    assert pick([0, 1, 2, 3, 5, 6, 7], 1, PAIRS) == (5,)
    assert pick([0, 1, 2, 3, 5, 6, 7], 3, PAIRS) == (5, 6, 7)
    assert pick([0, 1, 2, 3, 4, 5, 6, 7], 1, PAIRS) == (0,)


def test_of_equal_neighbours_the_ones_in_order_come_first():
    hot = slots(*[(0,)] * 4, penalties={0: 4, 2: 1})
    assert pick([0, 1, 2, 3], 2, hot) == (1, 3)
    assert pick([0, 1, 2, 3], 3, hot) == (1, 2, 3)


def test_neighbours_count_before_order():
    tired = slots((0,), (0,), (1,), penalties={1: 8})
    assert pick([0, 1, 2], 2, tired) == (0, 1)


def test_what_somebody_counts_on_is_taken_last_whatever_the_neighbours():
    assert pick(list(range(8)), 2, PAIRS, last={0, 2, 4, 6}) == (1, 3)
    assert pick([0, 1], 2, PAIRS, last={0}) == (0, 1)


def test_a_gpu_of_which_nothing_is_known_is_nobodys_neighbour():
    assert pick([0, 1, 2], 2, slots((), (0,), (0,))) == (1, 2)


def test_where_there_are_too_many_narrow_neighbourhoods_the_wider_ones_decide():
    many = slots(*((index // 8, index) for index in range(16)))
    assert pick([7, *range(8, 16)], 8, many) == tuple(range(8, 16))


def numa_node(name="n1", blocked=None) -> NodeView:
    blocked = blocked or {}
    return NodeView(
        name, 64, 512 * GIB,
        tuple(GpuSlot(i, 80 * GIB, *blocked.get(i, (None, "")), neighbourhood=(i // 4,)) for i in range(8)),
    )  # fmt: skip


def started(decided) -> dict[int, tuple[int, ...]]:
    return {start.job_id: start.gpus for start in decided.starts}


def test_the_plan_keeps_a_job_on_one_socket_and_a_socket_whole():
    busy = view(running(100, [0], 3600), nodes=[numa_node(blocked=drained(6))])
    made = plan(busy, QueueIndex([waiting(1, 2), waiting(2, 3)]), POLICY, NOW)
    assert started(made) == {1: (1, 2), 2: (4, 5, 7)}


def test_the_gpus_of_a_promise_are_left_to_it_while_others_are_free():
    busy = view(running(100, [4, 5, 6, 7], 600), running(101, [0, 1], None), nodes=[numa_node()])
    # The head takes the four that end; of the two free ones nothing is kept, however the neighbours stand.
    made = plan(busy, QueueIndex([waiting(1, 5), waiting(2, 1, 60.0)]), POLICY, NOW)
    [kept] = made.reservations
    assert (kept.job_id, started(made)) == (1, {2: tuple({2, 3} - set(kept.gpus))})


def test_gpus_that_are_booked_for_later_are_given_last_whatever_the_neighbours():
    booking = Booking(1, "n1", (1,), NOW + 7200, NOW + 9000, users=("eve",))
    cluster = ClusterView((numa_node(),), (RunningJob(9, "n1", (4, 5, 6, 7), 0, 0, None),), bookings=(booking,))
    made = plan(cluster, QueueIndex([waiting(1, 2, 600.0)]), POLICY, NOW)
    assert started(made) == {1: (0, 2)}


def test_on_nodes_without_such_facts_the_lowest_indices_are_given():
    made = plan(view(running(100, [1], 60), nodes=[node()]), QueueIndex([waiting(1, 3)]), POLICY, NOW)
    assert started(made) == {1: (0, 2, 3)}
