"""Read the values of sbatch's options: times, memory, counts, GPUs, indices; each raises BadInput when it is none."""

import re
import signal
from typing import NamedTuple

from dcdaemon.core.errors import BadInput

_MINUTE_S, _HOUR_S, _DAY_S = 60, 3600, 86400
_DAYS = re.compile(r"(\d+)-(\d+)(?::(\d+))?(?::(\d+))?")
_CLOCK = re.compile(r"(?:(\d+):)?(\d+):(\d+)|(\d+)")
_ENDLESS = ("-1", "infinite", "unlimited")
_MEMORY = re.compile(r"(\d+)(?:([kmgt])(?:i?b)?)?", re.IGNORECASE)
_SHIFTS = {"k": 10, "m": 20, "g": 30, "t": 40}
_SIGNAL = re.compile(r"(?:([RB]{1,2}):)?(?:SIG)?(\w{1,10})(?:@(\d{1,5}))?")
#: As NVIDIA names it, or after the name of the GPU as Slurm finds it: `h100_1g.10gb`, `2g.20gb+me`, `1g.24gb-me`.
_MIG_PROFILE = re.compile(r"(?:.*[_-])?\d{1,2}g\.(\d{1,4})gb(?:[+-]\S+)?", re.IGNORECASE)
#: An instance has a little less memory than in its name, and the next smaller size is half of it.
_OF_ITS_NAME = 0.85
_NODES = re.compile(r"(\d+)(?:-(\d+))?")


class Gpus(NamedTuple):
    """A number of GPUs, and the models that were asked for; empty when any will do."""

    number: int
    kinds: tuple[str, ...] = ()


class Checkpoint(NamedTuple):
    """A signal that is sent so long before the time limit, to the batch script itself or to its steps."""

    signal: str
    ahead_s: float
    to_script: bool


def checkpoint_of(text: str) -> Checkpoint:
    """Return what `--signal` says: `[R][B]:USR1@60`, by name or by number; the time is 60 seconds unless said."""
    match = _SIGNAL.fullmatch(text.upper())
    if not match:
        raise BadInput(f"{text!r} is no signal", "write it like --signal=B:USR1@60")
    word = match[2]
    try:
        name = signal.Signals(int(word)).name if word.isdecimal() else signal.Signals["SIG" + word].name
    except (KeyError, ValueError):
        raise BadInput(f"{text!r} names no signal", "write it like --signal=B:USR1@60") from None
    return Checkpoint(name.removeprefix("SIG"), float(match[3] or 60), to_script="B" in (match[1] or ""))


def time_limit_s(text: str) -> float | None:
    """Return seconds, rounded up to minutes as Slurm does; None for no limit: 0, infinite, unlimited."""
    if text.lower() in _ENDLESS:
        return None
    if days := _DAYS.fullmatch(text):
        day, hour, minute, second = (int(part or 0) for part in days.groups())
    elif clock := _CLOCK.fullmatch(text):
        day, (hour, minute, second, alone) = 0, (int(part or 0) for part in clock.groups())
        minute += alone
    else:
        raise BadInput(f"{text!r} is no time limit", "write it like 30 (minutes), 2:30:00, 1-12 or 1-12:00:00")
    total_s = day * _DAY_S + hour * _HOUR_S + minute * _MINUTE_S + second
    return float(-(-total_s // _MINUTE_S) * _MINUTE_S) or None


def memory_bytes(text: str) -> int:
    """Return bytes; a bare number is mebibytes, K M G T are powers of 1024."""
    match = _MEMORY.fullmatch(text)
    if not match:
        raise BadInput(f"{text!r} is no amount of memory", "write it like 4096 (MB), 32G or 1T")
    return int(match[1]) << _SHIFTS[(match[2] or "m").lower()]


def count(text: str, what: str, least: int = 1) -> int:
    """Return a whole number of `what`."""
    if not re.fullmatch(r"\d{1,9}", text) or int(text) < least:
        raise BadInput(f"{text!r} is no number of {what}", f"write a whole number, {least} or more")
    return int(text)


def one_node(text: str) -> None:
    """Accept a number of nodes that one node can be; raise BadInput for more."""
    match = _NODES.fullmatch(text)
    if not match or (match[2] and int(match[2]) < int(match[1])):
        raise BadInput(f"{text!r} is no number of nodes", "write --nodes=1")
    if int(match[1]) > 1:
        raise BadInput(
            f"the job needs {match[1]} nodes, and jobs run on one", "ask for --nodes=1 and the GPUs of one node"
        )


def gpus_of(text: str) -> Gpus:
    """Read `2`, `h100:2` or `h100:1,a100:1`."""
    parts = [part.rpartition(":") for part in text.split(",")]
    kinds = tuple(kind for kind, colon, _ in parts if colon)
    return Gpus(sum(count(number, "GPUs", 0) for _, _, number in parts), kinds)


def gpus_of_gres(text: str) -> Gpus:
    """Read `gpu`, `gpu:2`, `gpu:h100:2` or `none`; anything else than GPUs is refused."""
    total, kinds = 0, []
    for part in [] if text.lower() == "none" else text.split(","):
        name, *details = part.removeprefix("gres/").removeprefix("gres:").split(":")
        if name != "gpu" or len(details) > 2:
            raise BadInput(
                f"--gres={part} asks for something else than GPUs", "write --gres=gpu:2 or --gres=gpu:h100:2"
            )
        if details and (details[-1].isdecimal() or len(details) == 2):
            total += count(details.pop(), "GPUs", 0)
        else:
            total += 1
        kinds += details
    return Gpus(total, tuple(kinds))


def instance_bytes(kind: str) -> int | None:
    """Return the memory to ask for to get a MIG instance of this profile, bytes; None for what is no profile."""
    match = _MIG_PROFILE.fullmatch(kind)
    return None if match is None else int(int(match[1]) * _OF_ITS_NAME * 1024**3)


def same_or_one(values: dict[str, int], what: str) -> int | None:
    """Return the one number that all these options give, or None without any; raise BadInput for two."""
    if len(set(values.values())) > 1:
        said = " and ".join(f"--{name} gives {value}" for name, value in values.items())
        raise BadInput(f"{said} {what} on one node", "keep one of them")
    return next(iter(values.values()), None)
