"""Which of a node's free GPUs a job gets: neighbours of each other first, then those in best order."""

from collections.abc import Collection, Iterator, Mapping, Sequence

from dcdaemon.core.view import GpuSlot

#: Where a node has more neighbourhoods, the narrowest level is left out: each choice of them is compared.
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
    groups: dict[Path, list[int]] = {}
    for gpu in sorted(candidates, key=lambda gpu: (gpu in last, _penalty(gpu, slots), gpu)):
        groups.setdefault(paths[gpu], []).append(gpu)
    if len(groups) == 1:
        return tuple(sorted(next(iter(groups.values()))[:count]))

    def cost(chosen: Sequence[int]) -> tuple[object, ...]:
        penalty = sum(_penalty(gpu, slots) for gpu in chosen)
        return (sum(gpu in last for gpu in chosen), spread(chosen, paths), _touched(chosen, paths), penalty, chosen)

    return min((tuple(sorted(chosen)) for chosen in _choices(list(groups.values()), count)), key=cost)


def spread(chosen: Collection[int], paths: Mapping[int, Path]) -> tuple[int, ...]:
    """Return over how many neighbourhoods of each level, from wide to narrow, these GPUs are spread."""
    return tuple(len({paths[gpu][:level] for gpu in chosen}) for level in _levels(paths))


def _touched(chosen: Collection[int], paths: Mapping[int, Path]) -> tuple[int, ...]:
    """Return how many candidates of each level are in a neighbourhood that is broken into."""
    broken = [(level, {paths[gpu][:level] for gpu in chosen}) for level in _levels(paths)]
    return tuple(sum(path[:level] in places for path in paths.values()) for level, places in broken)


def _levels(paths: Mapping[int, Path]) -> range:
    return range(1, 1 + max(len(path) for path in paths.values()))


def _paths(candidates: Sequence[int], slots: Mapping[int, GpuSlot]) -> dict[int, Path]:
    paths = {gpu: slots[gpu].neighbourhood if gpu in slots else () for gpu in candidates}
    while len(set(paths.values())) > MOST_NEIGHBOURHOODS:
        narrowest = max(len(path) for path in paths.values())
        paths = {gpu: path[: narrowest - 1] for gpu, path in paths.items()}
    return paths


def _penalty(gpu: int, slots: Mapping[int, GpuSlot]) -> int:
    return slots[gpu].penalty if gpu in slots else 0


def _choices(groups: Sequence[Sequence[int]], count: int) -> Iterator[list[int]]:
    """Yield what can be taken of the groups, of each its first so many."""
    if not groups:
        yield []
        return
    first, rest = groups[0], groups[1:]
    least = max(0, count - sum(map(len, rest)))
    for number in range(least, min(len(first), count) + 1):
        for others in _choices(rest, count - number):
            yield [*first[:number], *others]
