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


def gpus(indices: Sequence[int]) -> str:
    """Return `GPU 5`, `GPUs 5 and 6`."""
    return _listed("GPU", indices)


def blocked_gpus(blocked: Sequence[BlockedGpu]) -> str:
    """Return what keeps each GPU from taking work: `GPU 5 is drained (ticket 881)`."""
    named = [_blocked(gpu) for gpu in blocked[:NAMED_AT_MOST]]
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


def _blocked(gpu: BlockedGpu) -> str:
    detail = f" ({gpu['detail']})" if gpu["detail"] else ""
    return f"GPU {gpu['gpu']} {_BLOCKED[gpu['block']]}{detail}"
