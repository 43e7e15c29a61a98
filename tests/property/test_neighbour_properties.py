"""No choice of the same GPUs is better than the one that is made."""

from itertools import combinations

from hypothesis import given
from hypothesis import strategies as st

from dcdaemon.core.view import GpuSlot
from dcdaemon.scheduler.neighbours import pick, spread


@st.composite
def machines(draw):
    """A node of up to eight GPUs on sockets and, below them, switches; of some nothing is known."""
    paths = st.sampled_from([(), (0, 0), (0, 1), (1, 0), (1, 1), (1, 2), (0,)])
    indices = sorted(draw(st.sets(st.integers(0, 11), min_size=1, max_size=8)))
    return {
        index: GpuSlot(index, neighbourhood=draw(paths), penalty=draw(st.sampled_from([0, 0, 1, 8])))
        for index in indices
    }


def judged(chosen, slots, last):
    """What counts, the weightiest first."""
    depth = max(len(slot.neighbourhood) for slot in slots.values())
    paths = {gpu: (*slot.neighbourhood, -1, -1)[:depth] for gpu, slot in slots.items()}
    broken = [{paths[gpu][:level] for gpu in chosen} for level in range(1, depth + 1)]
    return (
        sum(gpu in last for gpu in chosen),
        tuple(map(len, broken)),
        tuple(sum(path[: level + 1] in there for path in paths.values()) for level, there in enumerate(broken)),
        sum(slots[gpu].penalty for gpu in chosen),
        tuple(sorted(chosen)),
    )


@given(machines(), st.data())
def test_no_other_choice_is_spread_less_or_breaks_into_more_or_is_in_better_order(slots, data):
    count = data.draw(st.integers(0, len(slots)))
    last = data.draw(st.sets(st.sampled_from(sorted(slots))))
    offered = data.draw(st.permutations(sorted(slots)))
    chosen = pick(offered, count, slots, last)
    assert len(set(chosen)) == count
    assert set(chosen) <= set(slots)
    best = min(judged(others, slots, last) for others in combinations(sorted(slots), count))
    assert judged(chosen, slots, last) == best


@given(machines(), st.data())
def test_the_order_in_which_gpus_are_offered_decides_nothing(slots, data):
    count = data.draw(st.integers(0, len(slots)))
    one, other = (data.draw(st.permutations(sorted(slots))) for _ in range(2))
    assert pick(one, count, slots) == pick(other, count, slots)


def test_a_spread_is_counted_from_wide_to_narrow():
    assert spread([(0, 0), (0, 1), (1, 1)]) == (2, 3)
