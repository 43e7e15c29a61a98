"""Which of a node's free GPUs a job gets: neighbours of each other first, then those in best order."""

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from itertools import chain, combinations

from dcdaemon.core.view import GpuSlot

#: Where a node has more neighbourhoods, the narrowest level is left out: each set of them is looked at.
MOST_NEIGHBOURHOODS = 8

Path = tuple[int, ...]


def pick(
    candidates: Sequence[int], count: int, slots: Mapping[int, GpuSlot], last: Collection[int] = ()
) -> tuple[int, ...]:
    """Return so many of the candidates, the lowest index first; at least as many must be there.

    As few as can be of those in `last`, then the fewest neighbourhoods, then those that have the fewest GPUs left over
    (so that whole ones stay free), then the lowest penalties, then the lowest indices.
    """
    if not count:
        return ()
    paths = _paths(candidates, slots)
    in_order = sorted(candidates, key=lambda gpu: (gpu in last, _penalty(gpu, slots), gpu))
    sizes = Counter(paths.values())
    if len(sizes) == 1:
        return tuple(sorted(in_order[:count]))

    def offers() -> Iterator[tuple[object, ...]]:
        for places in _subsets(sizes):
            if sum(sizes[place] for place in places) >= count:
                chosen = tuple(sorted([gpu for gpu in in_order if paths[gpu] in places][:count]))
                needed = sum(gpu in last for gpu in chosen)
                yield (
                    needed,
                    spread(places),
                    _broken(places, sizes),
                    sum(_penalty(gpu, slots) for gpu in chosen),
                    chosen,
                )

    best = min(offers())[-1]
    assert isinstance(best, tuple)  # noqa: S101  for the type checker
    return best


def spread(places: Collection[Path]) -> tuple[int, ...]:
    """Return how many neighbourhoods these are, counted at each level from wide to narrow."""
    return tuple(len({place[:level] for place in places}) for level in range(1, 1 + max(map(len, places))))


def _broken(places: Collection[Path], sizes: Mapping[Path, int]) -> tuple[int, ...]:
    """Return how many candidates the neighbourhoods have that are broken into, at each level."""
    levels = range(1, 1 + max(map(len, places)))
    broken = ((level, {place[:level] for place in places}) for level in levels)
    return tuple(sum(size for path, size in sizes.items() if path[:level] in there) for level, there in broken)


def _subsets(places: Collection[Path]) -> Iterator[tuple[Path, ...]]:
    return chain.from_iterable(combinations(places, number) for number in range(1, 1 + len(places)))


def _paths(candidates: Sequence[int], slots: Mapping[int, GpuSlot]) -> dict[int, Path]:
    paths = {gpu: slots[gpu].neighbourhood if gpu in slots else () for gpu in candidates}
    # All of one length: what is not known of a GPU is a neighbourhood of its own kind.
    longest = max(len(path) for path in paths.values())
    paths = {gpu: path + (-1,) * (longest - len(path)) for gpu, path in paths.items()}
    while len(set(paths.values())) > MOST_NEIGHBOURHOODS:
        paths = {gpu: path[:-1] for gpu, path in paths.items()}
    return paths


def _penalty(gpu: int, slots: Mapping[int, GpuSlot]) -> int:
    return slots[gpu].penalty if gpu in slots else 0
