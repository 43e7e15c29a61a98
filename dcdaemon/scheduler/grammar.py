"""The small words that reasons share: counts, lists of jobs, spans of time."""

from collections.abc import Sequence

from dcdaemon.core.reasons import BlockedGpu
from dcdaemon.core.units import format_duration

#: Longer lists end in "and 9 more".
NAMED_AT_MOST = 4
_BLOCKED = {"drained": "is drained", "health": "failed its last check", "foreign": "holds a foreign process"}


def counted(number: int, noun: str) -> str:
    """Return `1 GPU`, `3 GPUs`."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def jobs(ids: Sequence[int]) -> str:
    """Return `job 3`, `jobs 3 and 4`, `jobs 1, 2, 3, 4 and 9 more`."""
    return _listed("job", ids)


def gpus(named: Sequence[tuple[str, int]]) -> str:
    """Return `GPU 5`, `GPUs 5 and 6`; of several nodes `GPU 5 of n1 and GPUs 0 and 1 of n2`."""
    nodes = dict.fromkeys(node for node, _ in named)
    listed = {name: _listed("GPU", [gpu for node, gpu in named if node == name]) for name in nodes}
    if len(nodes) == 1:
        return listed.popitem()[1]
    return conjoined([f"{gpus_there} of {name}" for name, gpus_there in listed.items()])


def blocked_gpus(blocked: Sequence[BlockedGpu]) -> str:
    """Return what keeps each GPU from taking work: `GPU 5 is drained (ticket 881)`."""
    of_several = len({gpu["node"] for gpu in blocked}) > 1
    named = [_blocked(gpu, of_several=of_several) for gpu in blocked[:NAMED_AT_MOST]]
    more = len(blocked) - len(named)
    if not more:
        return conjoined(named)
    return conjoined([*named, f"{counted(more, 'more GPU')} {'takes' if more == 1 else 'take'} no work"])


def conjoined(parts: Sequence[str]) -> str:
    """Return `a`, `a and b`, `a, b and c`."""
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"


def at_the_latest(seconds: float) -> str:
    """Return `in 5m at the latest`, or that it is due."""
    return "any moment now" if seconds < 1 else f"in {format_duration(seconds)} at the latest"


def in_about(seconds: float) -> str:
    """Return `in 5m`, or that it is due."""
    return "any moment now" if seconds < 1 else f"in {format_duration(seconds)}"


def number(amount: float) -> str:
    """Return `4`, `2.5`."""
    return f"{amount:.0f}" if amount == int(amount) else f"{amount:.1f}"


def capital(text: str) -> str:
    """Return the text as it begins a sentence."""
    return text[:1].upper() + text[1:]


def joined(*sentences: str) -> str:
    """Return the sentences in a row, empty ones left out."""
    return " ".join(sentence for sentence in sentences if sentence)


def _listed(noun: str, numbers: Sequence[int]) -> str:
    if len(numbers) == 1:
        return f"{noun} {numbers[0]}"
    shown = [str(number) for number in numbers[:NAMED_AT_MOST]]
    more = len(numbers) - len(shown)
    return f"{noun}s {conjoined([*shown, f'{more} more'] if more else shown)}"


def _blocked(gpu: BlockedGpu, *, of_several: bool) -> str:
    detail = f" ({gpu['detail']})" if gpu["detail"] else ""
    return f"GPU {gpu['gpu']}{' of ' + gpu['node'] if of_several else ''} {_BLOCKED[gpu['block']]}{detail}"
