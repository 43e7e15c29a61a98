"""Submit: check a job at the door, keep its environment, store it durably, wake the scheduler."""

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import accumulate, pairwise

from dcdaemon.control.deadline import check_deadline
from dcdaemon.control.dependencies import Ids, Named, resolve_dependencies
from dcdaemon.control.desk import Desk
from dcdaemon.control.foretell import foretell, watch, with_starts
from dcdaemon.control.learned_memory import with_learned_memory
from dcdaemon.control.queues import admit
from dcdaemon.control.wish import DEFAULT_PRIORITY, Wish, check_wish, name_from
from dcdaemon.core.array import MAX_TASKS, Array, parse_array
from dcdaemon.core.errors import BadInput, DcdError, NeverFits, Refused
from dcdaemon.core.job import Job, JobSpec
from dcdaemon.core.ports import Actor
from dcdaemon.core.units import format_duration
from dcdaemon.scheduler.capacity import check_fits

MAX_JOBS = MAX_TASKS
MAX_ENV_BYTES = 2 * 1024 * 1024
#: Of all jobs of a request, arrays written out: each is stored, and answered, with its own command line.
MAX_WORDS_BYTES = 16 * 1024 * 1024


def submit(desk: Desk, actor: Actor, wishes: Sequence[Wish], env: Mapping[str, str]) -> list[Job]:
    """Accept all jobs or none; what is returned is durable. Raise BadInput, NeverFits, Refused or StoreUnavailable."""
    specs = check(desk, actor, wishes, env)
    ref = desk.envs.keep(actor.uid, env)
    expected, now = desk.predictions.of(specs), desk.clock.now()
    foretold = foretell(desk, specs, expected, now)
    stored = [replace(spec, env_ref=ref) for spec in specs]
    jobs = desk.store.submit(stored, now, actor, with_starts(expected, foretold))
    watch(desk, jobs, foretold)
    desk.settle(jobs)
    return jobs


def check(desk: Desk, actor: Actor, wishes: Sequence[Wish], env: Mapping[str, str]) -> list[JobSpec]:
    """Return the jobs as they would be stored, arrays written out, or raise what is wrong with them."""
    _check_number(len(wishes))
    arrays = [None if wish.array is None else parse_array(wish.array) for wish in wishes]
    sizes = [1 if array is None else len(array.indices) for array in arrays]
    _check_number(sum(sizes))
    _check_words(wishes, sizes)
    _check_env(env)
    _check_uid(desk, actor)
    _check_share(desk, actor, sum(sizes))
    for place, wish in enumerate(wishes, start=1):
        with _named_by(place, len(wishes)):
            check_wish(wish)
    request = _named(with_learned_memory(desk, actor, wishes), sizes)
    after = resolve_dependencies(desk, actor, request)
    specs = list[JobSpec]()
    for place, (named, array, ids) in enumerate(zip(request, arrays, after, strict=True), start=1):
        with _named_by(place, len(wishes)):
            specs += _specs(desk, actor, named, array, ids)
    return specs


@contextlib.contextmanager
def _named_by(place: int, jobs: int) -> Iterator[None]:
    """Say of what is wrong with one of several jobs which one it is."""
    try:
        yield
    except DcdError as error:
        if jobs > 1:
            raise type(error)(f"job {place} of {jobs}: {error.message}", error.hint) from error
        raise


def _check_number(jobs: int) -> None:
    if not 0 < jobs <= MAX_JOBS:
        raise BadInput(f"{jobs} jobs in one request", f"send 1 to {MAX_JOBS} jobs at a time")


def _check_words(wishes: Sequence[Wish], sizes: Sequence[int]) -> None:
    words = ((size, (*wish.argv, wish.cwd, wish.log_path or "")) for wish, size in zip(wishes, sizes, strict=True))
    total = sum(size * sum(map(len, texts)) for size, texts in words)
    if total > MAX_WORDS_BYTES:
        raise BadInput(
            f"the command lines of these jobs have {total} bytes together, at most {MAX_WORDS_BYTES} are kept",
            "put what is long into a file or the environment, which they share",
        )


def _named(wishes: Sequence[Wish], sizes: Sequence[int]) -> list[Named]:
    """Name each wish, and give its jobs their places."""
    ends = list(accumulate(sizes, initial=1))
    return [
        Named(wish, wish.name or name_from(wish.argv), range(first, end))
        for wish, (first, end) in zip(wishes, pairwise(ends), strict=True)
    ]


def _specs(
    desk: Desk, actor: Actor, named: Named, array: Array | None, after: tuple[Ids, Ids, Ids]
) -> Iterator[JobSpec]:
    spec = _spec(desk, actor, named, after)
    if array is None:
        yield spec
        return
    first = -named.places[0]
    for index in array.indices:
        yield replace(spec, array_id=first, array_index=index, array_limit=array.limit)


def _spec(desk: Desk, actor: Actor, named: Named, after: tuple[Ids, Ids, Ids]) -> JobSpec:
    wish = named.wish
    check_priority(actor, wish.priority)
    admission = admit(desk, actor, wish)
    check_deadline(wish, desk.clock.now())
    check_signal(wish.checkpoint_s, admission.limit_s)
    begins_later = wish.begin_at is not None and wish.begin_at > desk.clock.now()
    spec = JobSpec(
        argv=wish.argv, cwd=wish.cwd, uid=actor.uid, gid=actor.gid, user=actor.user, env_ref="",
        name=named.name, gpus=wish.gpus_taken,
        cpus=wish.cpus, mem_bytes=wish.mem_bytes, gpu_mem_bytes=wish.gpu_mem_bytes,
        gpu_mem_runs=wish.gpu_mem_runs, deadline_at=wish.deadline_at,
        limit_s=admission.limit_s, preemptible=admission.preemptible,
        grace_s=wish.grace_s if wish.grace_s is not None else desk.rules.grace_s,
        priority=wish.priority, log_path=wish.log_path, requeue=wish.requeue, held=wish.held,
        queue=admission.queue, account=admission.account, begin_at=wish.begin_at if begins_later else None,
        after=after[0], after_any=after[1], after_not_ok=after[2],
        checkpoint_signal=wish.checkpoint_signal, checkpoint_s=wish.checkpoint_s,
        launcher=wish.launcher, ranks=wish.ranks, hang_after_s=wish.hang_after_s,
    )  # fmt: skip
    check_place(desk, spec)
    return spec


def check_priority(actor: Actor, priority: int) -> None:
    """Raise Refused for a priority that is not the caller's to give."""
    if priority > DEFAULT_PRIORITY and not actor.operator:
        raise Refused(
            f"priority {priority} is above {DEFAULT_PRIORITY}, which only an operator may give",
            f"use -p {DEFAULT_PRIORITY} or lower",
        )


def check_place(desk: Desk, spec: JobSpec) -> None:
    """Raise NeverFits for a job that could not run here if nothing else did."""
    misfit = check_fits(spec, (desk.book.node,), policy=desk.policy, queue=spec.queue)
    if misfit is not None:
        less = "ask for less" if spec.gpu_mem_runs is None else "take a whole GPU with -g 1"
        lacks_gpus = "GPU" in misfit.sentence
        hint = f"{less}, or see `dcd gpus` for what this node has" if lacks_gpus else less
        raise NeverFits(_as_message(misfit.sentence), hint)


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


def check_signal(ahead_s: float | None, limit_s: float | None) -> None:
    """Raise BadInput for a signal that would be due before the job has begun: it would end the job, not warn it."""
    if ahead_s is not None and limit_s is not None and ahead_s >= limit_s:
        raise BadInput(
            f"the signal is due {format_duration(ahead_s)} before a time limit of {format_duration(limit_s)}",
            "ask for a longer limit with -t, or for the signal later",
        )


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
