"""One job as asked for, and what is wrong with it by itself, whatever else is queued."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from dcdaemon.core.errors import BadInput
from dcdaemon.core.launcher import check_launcher

MAX_ARG_BYTES = 128 * 1024
MAX_ARGV_BYTES = 1024 * 1024
DEFAULT_PRIORITY = 50
#: The end of the year 9999, epoch seconds: later times cannot be printed.
LATEST_BEGIN = 253_402_300_799.0
#: What tells the jobs of an array apart in the name of a log (core/log_path.py).
_OWN_LOG = re.compile(r"%\d{0,2}[ajJ]")
#: TERM, which ends whoever does not expect it, comes by itself when the time to save is over.
CHECKPOINT_SIGNALS = ("USR1", "USR2", "HUP", "INT", "TERM", "CONT")
MAX_CHECKPOINT_S = 86400.0
MIN_HANG_S, MAX_HANG_S = 1.0, 30 * 86400.0
_WORD = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


@dataclass(frozen=True, slots=True)
class Wish:
    """One job, or one array of jobs, before anything is checked.

    `array` is its text (`0-99%5`); `after`, `after_any` and `after_not_ok` are selectors; `begin_at` is epoch seconds.
    """

    argv: tuple[str, ...]
    cwd: str
    name: str | None = None
    gpus: int = 0
    cpus: int = 1
    mem_bytes: int = 0
    limit_s: float | None = None
    grace_s: float | None = None
    priority: int = DEFAULT_PRIORITY
    after: tuple[str, ...] = ()
    log_path: str | None = None
    requeue: bool = False
    held: bool = False
    queue: str = ""
    account: str = ""
    begin_at: float | None = None
    array: str | None = None
    after_any: tuple[str, ...] = ()
    after_not_ok: tuple[str, ...] = ()
    gpu_mem_bytes: int | None = None
    checkpoint_signal: str | None = None
    checkpoint_s: float | None = None
    launcher: str | None = None
    ranks: int | None = None
    hang_after_s: float | None = None


def check_wish(wish: Wish) -> None:
    """Raise BadInput for a command, paths, names or numbers that cannot be."""
    _check_command(wish)
    _check_names(wish)
    _check_amounts(wish)
    _check_checkpoints(wish)
    check_launcher(wish.launcher, wish.ranks, wish.gpus if wish.gpu_mem_bytes is None else 1, wish.argv)


def _check_command(wish: Wish) -> None:
    if not wish.argv or not wish.argv[0]:
        raise BadInput("the job has no command", "write it after --, like: dcd submit -g 1 -- python train.py")
    sizes = [len(argument.encode("utf-8", "surrogateescape")) for argument in wish.argv]
    if max(sizes) >= MAX_ARG_BYTES or sum(sizes) >= MAX_ARGV_BYTES:
        raise BadInput("the command line is too long for the system", "put long arguments into a file")
    for text in (*wish.argv, wish.cwd, wish.log_path or "", wish.name or ""):
        if "\0" in text:
            raise BadInput("the job contains a NUL byte", "remove it")
    if not wish.cwd.startswith("/") or (wish.log_path is not None and not wish.log_path.startswith("/")):
        raise BadInput("working directory and log must be absolute paths", "dcd submit makes them so by itself")
    if wish.array is not None and wish.log_path not in (None, "/dev/null") and not _OWN_LOG.search(wish.log_path or ""):
        raise BadInput("the jobs of an array cannot share one log", "put the index into its name: --log out-%a.log")


def _check_names(wish: Wish) -> None:
    if wish.name is not None and (len(wish.name) > 200 or not wish.name.isprintable()):
        raise BadInput("the job's name is too long or not printable", "use at most 200 printable characters")
    for kind, word in (("a queue", wish.queue), ("an account", wish.account)):
        if word and not _WORD.fullmatch(word):
            raise BadInput(f"{word!r} cannot be the name of {kind}", "use letters, digits, and . _ - within")


def _check_amounts(wish: Wish) -> None:
    if wish.gpus < 0 or wish.cpus < 0 or wish.mem_bytes < 0:
        raise BadInput("GPUs, CPUs and memory cannot be negative", "use -g 0 for a job without a GPU")
    if wish.gpu_mem_bytes is not None and (wish.gpu_mem_bytes == 0 or wish.gpus > 1):
        raise BadInput("a job asks for memory of one GPU, or for whole GPUs", "use --gpu-mem 10G alone or with -g 1")
    if wish.limit_s is not None and not 0 < wish.limit_s < 10 * 365 * 86400:
        raise BadInput("the time limit must be more than 0 and less than ten years", "write it like -t 2h")
    if wish.grace_s is not None and not 0 <= wish.grace_s <= 86400:
        raise BadInput("the grace time must be between 0 and a day", "write it like --grace 30s")
    if not 0 <= wish.priority <= 100:
        raise BadInput(f"priority {wish.priority} is not between 0 and 100", f"{DEFAULT_PRIORITY} is the default")
    if wish.begin_at is not None and not 0 <= wish.begin_at <= LATEST_BEGIN:
        raise BadInput("the begin time is no time", "write it like --begin 22:00 or --begin 2026-12-01T08:00")


def _check_checkpoints(wish: Wish) -> None:
    if wish.checkpoint_signal is not None and wish.checkpoint_signal not in CHECKPOINT_SIGNALS:
        raise BadInput(
            f"signal {wish.checkpoint_signal!r} is not one of {', '.join(CHECKPOINT_SIGNALS)}",
            "write it like --signal USR1, or --signal USR1@60s",
        )
    if wish.launcher is not None and wish.checkpoint_signal not in (None, "USR1", "USR2"):
        raise BadInput(f"{wish.checkpoint_signal} would end the launcher", "use --signal USR1 or USR2 with --launcher")
    if wish.checkpoint_s is not None and not 0 <= wish.checkpoint_s <= MAX_CHECKPOINT_S:
        raise BadInput("the time before the limit must be between 0 and a day", "write it like --signal USR1@60s")
    if wish.hang_after_s is not None and not MIN_HANG_S <= wish.hang_after_s <= MAX_HANG_S:
        raise BadInput("a job hangs after 1 second to 30 days of silence", "write it like --hang-after 30m")


def name_from(argv: Sequence[str]) -> str:
    """Name a job after its script: the first argument that looks like a file or module, else the program."""
    program = argv[0].rsplit("/", 1)[-1]
    if not program.startswith(("python", "bash", "sh", "torchrun")):
        return _printable(program)
    for before, argument in pairwise(argv):
        if before == "-m":
            return _printable(argument.rsplit(".", 1)[-1])
        if not argument.startswith("-") and before != "-c":
            return _printable(argument.rsplit("/", 1)[-1])
    return _printable(program)


def _printable(name: str) -> str:
    return "".join(character if character.isprintable() else "?" for character in name)[:80] or "job"
