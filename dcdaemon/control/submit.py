"""Submit: check a job at the door, keep its environment, store it durably, wake the scheduler."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from dcdaemon.control.desk import Desk
from dcdaemon.control.select import refuse_too_many, resolve
from dcdaemon.core.errors import BadInput, NeverFits, Refused
from dcdaemon.core.job import Job, JobSpec
from dcdaemon.core.ports import Actor
from dcdaemon.scheduler.capacity import check_fits

MAX_JOBS = 10_000
#: Of all jobs of a request together; each is a row to store and to look at again.
MAX_DEPENDENCIES = 200_000
MAX_ENV_BYTES = 2 * 1024 * 1024
MAX_ARG_BYTES = 128 * 1024
MAX_ARGV_BYTES = 1024 * 1024
DEFAULT_PRIORITY = 50


@dataclass(frozen=True, slots=True)
class Wish:
    """One job as asked for, before anything is checked."""

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


def submit(desk: Desk, actor: Actor, wishes: Sequence[Wish], env: Mapping[str, str]) -> list[Job]:
    """Accept all jobs or none; what is returned is durable. Raise BadInput, NeverFits, Refused or StoreUnavailable."""
    specs = check(desk, actor, wishes, env)
    ref = desk.envs.keep(actor.uid, env)
    jobs = desk.store.submit([replace(spec, env_ref=ref) for spec in specs], desk.clock.now(), actor)
    desk.settle(jobs)
    return jobs


def check(desk: Desk, actor: Actor, wishes: Sequence[Wish], env: Mapping[str, str]) -> list[JobSpec]:
    """Return the jobs as they would be stored, or raise what is wrong with them."""
    if not wishes or len(wishes) > MAX_JOBS:
        raise BadInput(f"{len(wishes)} jobs in one request", f"send 1 to {MAX_JOBS} jobs at a time")
    _check_env(env)
    _check_uid(desk, actor)
    _check_share(desk, actor, len(wishes))
    after = _dependencies(desk, actor, wishes)
    return [_spec(desk, actor, wish, after[wish.after]) for wish in wishes]


def _dependencies(desk: Desk, actor: Actor, wishes: Sequence[Wish]) -> dict[tuple[str, ...], tuple[int, ...]]:
    """Look up what the jobs wait for, once for all that wait for the same."""
    asked = Counter(wish.after for wish in wishes)
    refuse_too_many(selector for selectors in asked for selector in selectors)
    found = {selectors: resolve(desk, actor, selectors) for selectors in asked}
    total = sum(len(found[selectors]) * jobs for selectors, jobs in asked.items())
    if total > MAX_DEPENDENCIES:
        raise BadInput(
            f"{total} dependencies in one request, at most {MAX_DEPENDENCIES} are kept",
            "let one job wait for all of them, and the others for that one",
        )
    return found


def _spec(desk: Desk, actor: Actor, wish: Wish, after: tuple[int, ...]) -> JobSpec:
    _check_command(wish)
    _check_amounts(wish)
    if wish.priority > DEFAULT_PRIORITY and not actor.operator:
        raise Refused(
            f"priority {wish.priority} is above {DEFAULT_PRIORITY}, which only an operator may give",
            f"use -p {DEFAULT_PRIORITY} or lower",
        )
    spec = JobSpec(
        argv=wish.argv, cwd=wish.cwd, uid=actor.uid, gid=actor.gid, user=actor.user, env_ref="",
        name=wish.name or _name_from(wish.argv), gpus=wish.gpus, cpus=wish.cpus, mem_bytes=wish.mem_bytes,
        limit_s=wish.limit_s if wish.limit_s is not None else desk.rules.default_limit_s,
        grace_s=wish.grace_s if wish.grace_s is not None else desk.rules.grace_s,
        priority=wish.priority, after=after, log_path=wish.log_path,
        requeue=wish.requeue, held=wish.held,
    )  # fmt: skip
    misfit = check_fits(spec, (desk.book.node,))
    if misfit is not None:
        raise NeverFits(_as_message(misfit.sentence), "ask for less, or see `dcd gpus` for what this node has")
    return spec


def _check_share(desk: Desk, actor: Actor, more: int) -> None:
    """Keep one user's script from filling the queue and the disk of everybody."""
    most = desk.rules.jobs_per_user
    if actor.operator:
        return
    unfinished = desk.book.count_of(actor.uid)
    if unfinished + more > most:
        raise Refused(
            f"{actor.user} has {unfinished} unfinished jobs; with {more} more that is over the limit of {most}",
            "wait for some to end, or ask an operator to raise [jobs] per_user",
        )


def _as_message(sentence: str) -> str:
    return sentence[:1].lower() + sentence[1:].rstrip(".")


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
    if wish.name is not None and (len(wish.name) > 200 or not wish.name.isprintable()):
        raise BadInput("the job's name is too long or not printable", "use at most 200 printable characters")


def _check_amounts(wish: Wish) -> None:
    if wish.gpus < 0 or wish.cpus < 0 or wish.mem_bytes < 0:
        raise BadInput("GPUs, CPUs and memory cannot be negative", "use -g 0 for a job without a GPU")
    if wish.limit_s is not None and not 0 < wish.limit_s < 10 * 365 * 86400:
        raise BadInput("the time limit must be more than 0 and less than ten years", "write it like -t 2h")
    if wish.grace_s is not None and not 0 <= wish.grace_s <= 86400:
        raise BadInput("the grace time must be between 0 and a day", "write it like --grace 30s")
    if not 0 <= wish.priority <= 100:
        raise BadInput(f"priority {wish.priority} is not between 0 and 100", f"{DEFAULT_PRIORITY} is the default")


def _check_env(env: Mapping[str, str]) -> None:
    size = sum(len(key) + len(value) + 2 for key, value in env.items())
    if size > MAX_ENV_BYTES:
        raise BadInput(
            f"the environment has {size} bytes, at most {MAX_ENV_BYTES} are kept", "unset what is not needed"
        )
    for key, value in env.items():
        if not key or "=" in key or "\0" in key + value or not _reaches_a_process(key + value):
            raise BadInput(f"environment variable {key!r} is malformed", "a name has no '=', and nothing a NUL byte")


def _reaches_a_process(text: str) -> bool:
    """Tell whether a process can be given this text; bytes that are no UTF-8 can, half characters cannot."""
    try:
        text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        return False
    return True


def _check_uid(desk: Desk, actor: Actor) -> None:
    if desk.rules.daemon_uid not in (0, actor.uid):
        raise Refused(
            f"this daemon runs as uid {desk.rules.daemon_uid} and cannot run jobs for {actor.user}",
            "run your own with `dcd daemon run`, or ask for the daemon to be installed as a service",
        )


def _name_from(argv: Sequence[str]) -> str:
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
