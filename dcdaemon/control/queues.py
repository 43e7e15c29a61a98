"""Admission: which queue and account a job goes to, what the queue gives it, and what the queue refuses."""

from collections.abc import Iterable
from dataclasses import dataclass

from dcdaemon.control.desk import Desk
from dcdaemon.control.wish import Wish
from dcdaemon.core.errors import Forbidden, NeverFits, NotFound, Refused
from dcdaemon.core.ports import Actor
from dcdaemon.core.units import format_duration
from dcdaemon.core.view import CapKey, QueuedJob
from dcdaemon.scheduler.caps import Over, Tally, owner_of
from dcdaemon.scheduler.grammar import counted
from dcdaemon.scheduler.queues import Queue, Sharing

_LIST = "dcd queues lists them"
#: Of the longest time limit of a queue, what a job may ask for as its grace.
_GRACE_OF_LIMIT = 0.1


@dataclass(frozen=True, slots=True)
class Admission:
    """Where a job goes, and what it gets there; `limit_s` is its time limit, None for none."""

    queue: str
    account: str
    limit_s: float | None
    preemptible: bool


def admit(desk: Desk, actor: Actor, wish: Wish) -> Admission:
    """Return where the job goes; raise NotFound, Forbidden, Refused or NeverFits.

    The account is one the caller belongs to, whatever the request says.
    """
    sharing = desk.book.sharing
    queue = _queue(sharing, wish.queue)
    account = _account(sharing, actor, queue, wish.account)
    if not actor.operator and not queue.admits(actor.user, account):
        raise Forbidden(
            f"queue {queue.name} is for {_those(queue)}; {actor.user} may not submit to it",
            "choose another with -Q: dcd queues lists them",
        )
    limit_s = queue.limit_for(wish.limit_s, desk.rules.default_limit_s)
    _check_limit(queue, limit_s)
    if not actor.operator:
        _check_grace(queue, wish.grace_s, desk.rules.grace_s)
    gpus = wish.gpus_taken
    _check_gpus(desk, queue, gpus)
    keys = sharing.caps_of(actor.user, account, queue.name, no_cpu=not wish.cpus and not gpus)
    _check_caps(sharing, keys, gpus)
    return Admission(queue.name, account, limit_s, queue.preemptible)


def _queue(sharing: Sharing, name: str) -> Queue:
    if not name:
        return sharing.queues[sharing.default]
    queue = sharing.queues.get(name)
    if queue is None:
        raise NotFound(f"there is no queue {name!r}", _near(name, sharing.queues, _LIST))
    return queue


def _account(sharing: Sharing, actor: Actor, queue: Queue, name: str) -> str:
    """Return the account that is named, else the first of the user's own that the queue takes."""
    own = sharing.accounts_of(actor.user)
    if not name:
        return next((account for account in own if queue.admits(actor.user, account)), own[0] if own else "")
    if name in own:
        return name
    if name in sharing.accounts:
        hint = f"yours: {', '.join(own)}" if own else "leave -A out, or ask an operator to add you"
        raise Forbidden(f"{actor.user} does not belong to account {name}", hint)
    otherwise = "dcd share lists them" if sharing.accounts else "none is configured: leave -A out"
    raise NotFound(f"there is no account {name!r}", _near(name, sharing.accounts, otherwise))


def _check_limit(queue: Queue, limit_s: float | None) -> None:
    most_s = queue.max_limit_s
    if most_s is not None and limit_s is not None and limit_s > most_s:
        most, asked = format_duration(most_s), format_duration(limit_s)
        raise Refused(
            f"queue {queue.name} runs no job longer than {most}, this one asks for {asked}",
            f"use -t {most} or shorter, or another queue with -Q",
        )


def _check_grace(queue: Queue, grace_s: float | None, usual_s: float) -> None:
    """Refuse a grace that would make the longest time limit of the queue a word: a job runs until both are over."""
    if queue.max_limit_s is None or grace_s is None:
        return
    most_s = max(usual_s, queue.max_limit_s * _GRACE_OF_LIMIT)
    if grace_s > most_s:
        most, asked = format_duration(most_s), format_duration(grace_s)
        raise Refused(
            f"queue {queue.name} gives a job {most} to end after its time limit, this one asks for {asked}",
            f"use --grace {most} or shorter, or another queue with -Q",
        )


def _check_gpus(desk: Desk, queue: Queue, gpus: int) -> None:
    most = queue.max_gpus_per_job
    if most is not None and gpus > most:
        raise Refused(
            f"queue {queue.name} gives a job {counted(most, 'GPU')} at most, this one asks for {gpus}",
            f"use -g {most} or fewer, or another queue with -Q",
        )
    if queue.gpus is not None:
        there = sum(slot.index in queue.gpus for slot in desk.book.node.gpus)
        if gpus > there:
            raise NeverFits(
                f"the job asks for {counted(gpus, 'GPU')}, queue {queue.name} has {there}",
                "ask for less, or use another queue with -Q",
            )


def _check_caps(sharing: Sharing, keys: tuple[CapKey, ...], gpus: int) -> None:
    """Refuse what a cap would never let start; a quota that is soft refuses nothing."""
    if not keys:
        return
    job = QueuedJob(0, 0, 0, gpus, 0, 0, None, caps=keys)
    over = Tally({key: sharing.most(key) or 0 for key in keys}).refusing(job)
    if over is not None:
        raise Refused(f"{_never(over)}, this one asks for {gpus}", "ask for less, or use another queue with -Q")


def _never(over: Over) -> str:
    return f"{owner_of(over.key)} may have {counted(over.most, 'job' if over.counts_jobs else 'GPU')} at a time"


def _those(queue: Queue) -> str:
    names = [*sorted(queue.users), *(f"account {account}" for account in sorted(queue.accounts))]
    return " and ".join(filter(None, [", ".join(names[:-1]), names[-1]]))


def _near(name: str, known: Iterable[str], otherwise: str) -> str:
    import difflib  # noqa: PLC0415  only a typo needs it

    close = difflib.get_close_matches(name, list(known), n=1)
    return f"did you mean {close[0]}?" if close else otherwise
