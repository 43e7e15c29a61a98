"""One job as asked for, and what is wrong with it by itself, whatever else is queued."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

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
_NEVER = re.compile("(?!)")
_PYTHON_FLAGS = "-[bBdEiIOPqsSuvx]*"
_SHELL = re.compile(r"-[A-Za-z]*[cs][A-Za-z]*|-"), re.compile(r"[-+][A-Za-z]*[oO]|--(rcfile|init-file)"), _NEVER
#: Programs that run a script, by their names less the version: options behind which there is none (bash -lc, python -),
#: those that take the next word (bash -eo pipefail, python -W ignore), that of a module (python -um train, -mtrain).
_LAUNCHING = {
    "python": (
        re.compile(f"{_PYTHON_FLAGS}c.*|-"),
        re.compile(f"{_PYTHON_FLAGS}[WX]|--check-hash-based-pycs"),
        re.compile(f"{_PYTHON_FLAGS}m(.*)"),
    ),
    "torchrun": (
        _NEVER,
        re.compile("--(?!standalone$|no.python$|run.path$)[a-z_-]+"),
        re.compile("(?:-m|--module)()"),
    ),
    "bash": _SHELL,
    "sh": _SHELL,
}
#: A path without blanks and assignments.
_FILE_NAME = re.compile(r"[\w./,+~-]+")
_WORD = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


@dataclass(frozen=True, slots=True)
class Wish:
    """One job, or one array of jobs, before anything is checked.

    `array` is its text (`0-99%5`); `after`, `after_any` and `after_not_ok` are selectors; `begin_at` and `deadline_at`
    are epoch seconds. With `gpu_mem_auto` its share of a GPU is to be what earlier runs held; `gpu_mem_runs` is of how
    many that was learned.
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
    deadline_at: float | None = None
    array: str | None = None
    after_any: tuple[str, ...] = ()
    after_not_ok: tuple[str, ...] = ()
    gpu_mem_bytes: int | None = None
    gpu_mem_auto: bool = False
    gpu_mem_runs: int | None = None
    checkpoint_signal: str | None = None
    checkpoint_s: float | None = None
    launcher: str | None = None
    ranks: int | None = None
    hang_after_s: float | None = None

    @property
    def gpus_taken(self) -> int:
        """How many GPUs it takes, wholly or in part."""
        return 1 if self.gpu_mem_auto or self.gpu_mem_bytes is not None else self.gpus


def check_wish(wish: Wish) -> None:
    """Raise BadInput for a command, paths, names or numbers that cannot be."""
    _check_command(wish)
    _check_names(wish)
    _check_amounts(wish)
    _check_checkpoints(wish)
    check_launcher(wish.launcher, wish.ranks, wish.gpus_taken, wish.argv)


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
    if wish.gpu_mem_auto and (wish.gpu_mem_bytes is not None or wish.gpus > 1):
        raise BadInput("a job says how much memory of one GPU it needs, or has it learned", "use --gpu-mem auto alone")
    if wish.limit_s is not None and not 0 < wish.limit_s < 10 * 365 * 86400:
        raise BadInput("the time limit must be more than 0 and less than ten years", "write it like -t 2h")
    if wish.grace_s is not None and not 0 <= wish.grace_s <= 86400:
        raise BadInput("the grace time must be between 0 and a day", "write it like --grace 30s")
    if not 0 <= wish.priority <= 100:
        raise BadInput(f"priority {wish.priority} is not between 0 and 100", f"{DEFAULT_PRIORITY} is the default")
    if wish.begin_at is not None and not 0 <= wish.begin_at <= LATEST_BEGIN:
        raise BadInput("the begin time is no time", "write it like --begin 22:00 or --begin 2026-12-01T08:00")
    if wish.deadline_at is not None and not 0 <= wish.deadline_at <= LATEST_BEGIN:
        raise BadInput("the deadline is no time", "write it like --deadline 18:00 or --deadline 2026-12-01T08:00")


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
    """Name a job after the script or module that Python, a shell or torchrun runs, else after its program.

    Others see the name: of the command line it takes in nothing else, and nothing that looks like no file.
    """
    program = argv[0].rsplit("/", 1)[-1]
    launching = _LAUNCHING.get(program.rstrip("0123456789."))
    script = None if launching is None else _script(iter(argv[1:]), *launching)
    return _printable((script and _file_name(script)) or program)


def _script(words: Iterator[str], stops: re.Pattern[str], takes: re.Pattern[str], module: re.Pattern[str]) -> str:
    """Return what is run, a module by its last part; empty where that is a command, or comes from elsewhere."""
    for word in words:
        if (found := module.fullmatch(word)) is not None:
            return (found[1] or next(words, "")).rsplit(".", 1)[-1]
        if stops.fullmatch(word):
            return ""
        if takes.fullmatch(word):
            next(words, None)
        elif not word.startswith(("-", "+")):
            return word
    return ""


def _file_name(path: str) -> str | None:
    return path.rstrip("/").rsplit("/", 1)[-1] if _FILE_NAME.fullmatch(path) else None


def _printable(name: str) -> str:
    return "".join(character if character.isprintable() else "?" for character in name)[:80] or "job"
