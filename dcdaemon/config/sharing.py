"""The settings of queues, accounts, quotas and fair-share, and what of them cannot be together."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from dcdaemon.config.lists import GPU_INDICES, GPUS_OF_USERS, SHARES_OF_USERS
from dcdaemon.config.setting import declared
from dcdaemon.config.values import (
    COUNT,
    DURATION,
    INTERVAL,
    MORE_THAN_0,
    NAMES,
    SWITCH,
    WHOLE_NUMBER,
    choice,
    maybe,
    near,
    optional,
)
from dcdaemon.core.errors import BadConfig

_NONE = "; empty: no such limit."


@dataclass(frozen=True, slots=True)
class Queue:
    """One queue: which GPUs its jobs get, who goes first, and what a job and a user may have.

    Without any there is one queue, `main`, with all GPUs and no limits.
    """

    default: bool = declared(False, SWITCH, "Where a job goes that names no queue.")  # noqa: FBT003
    gpus: tuple[int, ...] = declared([], GPU_INDICES, 'Its GPUs of this node, like [0, 1] or "0-3"; empty: all.')
    order: str | None = declared(
        "",
        optional(choice("shortest", "fifo", "fair-share", "deadline")),
        "Who goes first among jobs of one priority; empty: as [scheduler] order says.",
    )
    priority_tier: int = declared(
        0, WHOLE_NUMBER, "Among jobs of one priority those in a queue of a higher tier go first; may be negative."
    )
    default_limit_s: float | None = declared(
        "", optional(INTERVAL), "Time limit of a job that names none; empty: as everywhere.", "default_limit"
    )
    max_limit_s: float | None = declared("", optional(INTERVAL), f"The longest time limit of a job{_NONE}", "max_limit")
    max_gpus_per_job: int | None = declared("", maybe(COUNT), f"The most GPUs of one job{_NONE}")
    max_gpus_per_user: int | None = declared("", maybe(COUNT), f"The most GPUs of one user's jobs at once{_NONE}")
    max_gpus: int | None = declared("", maybe(COUNT), f"The most GPUs of all its jobs at once{_NONE}")
    max_jobs_per_user: int | None = declared("", maybe(COUNT), f"How many jobs of one user run at once{_NONE}")
    users: tuple[str, ...] = declared([], NAMES, "Who may submit to it, beside `accounts`; both empty: everybody.")
    accounts: tuple[str, ...] = declared([], NAMES, "Accounts whose jobs may come in, beside `users`.")
    urgent: bool = declared(False, SWITCH, "Its jobs may preempt preemptible ones.")  # noqa: FBT003
    preemptible: bool = declared(False, SWITCH, "Its jobs may be preempted.")  # noqa: FBT003
    min_run_s: float = declared(
        "0s", DURATION, "How long a job of it runs at least before it may be preempted.", "min_run"
    )


@dataclass(frozen=True, slots=True)
class Account:
    """Users who share one claim on the GPUs."""

    users: tuple[str, ...] = declared([], NAMES, "Who belongs to it; a user's first account is the usual one.")
    shares: float = declared(1.0, MORE_THAN_0, "Its weight in fair-share, beside the other accounts.")
    max_gpus: int | None = declared("", maybe(COUNT), f"The most GPUs of its jobs at once{_NONE}")
    quota_gpus: int | None = declared(
        "", maybe(COUNT), "GPUs it can count on; beyond, its jobs get what is idle; empty: no quota."
    )


@dataclass(frozen=True, slots=True)
class Quotas:
    """GPUs that a user can count on; beyond, jobs get what nobody within a quota waits for, and give it back."""

    gpus_per_user: int | None = declared("", maybe(COUNT), "The quota of each user; empty: none.")
    users: tuple[tuple[str, int], ...] = declared(
        [], GPUS_OF_USERS, 'Quotas of single users, like ["ada=8", "guest=0"].'
    )
    hard: bool = declared(
        False,  # noqa: FBT003
        SWITCH,
        "Make all quotas caps, those of accounts too: nobody gets more, even where GPUs idle.",
    )


@dataclass(frozen=True, slots=True)
class FairShare:
    """How queues of the order "fair-share" weigh the GPU time that was used before."""

    half_life_s: float = declared("7d", INTERVAL, "GPU time so long ago counts half.", "half_life")
    users: tuple[tuple[str, float], ...] = declared(
        [], SHARES_OF_USERS, 'Weights of single users within their account, like ["ada=2"]; else 1.'
    )


def refuse_contradictions(queues: Mapping[str, Queue], accounts: Mapping[str, Account]) -> None:
    """Raise BadConfig for queues and accounts that cannot be meant."""
    _refuse_defaults(queues)
    for name, queue in queues.items():
        _refuse_queue(f"queues.{name}", queue, list(accounts))
    for name, account in accounts.items():
        _refuse_account(f"accounts.{name}", account)


def default_queue(queues: Mapping[str, Queue]) -> str:
    """Return the name of the default queue: the one that says so, else the only one, else "main"."""
    marked = [name for name, queue in queues.items() if queue.default]
    return marked[0] if marked else next(iter(queues)) if len(queues) == 1 else "main"


def _refuse_defaults(queues: Mapping[str, Queue]) -> None:
    marked = [f"queues.{name}" for name, queue in queues.items() if queue.default]
    if len(marked) > 1:
        raise BadConfig(f"{_list(marked)} are each the default queue", "leave default = true in one of them")
    if queues and default_queue(queues) not in queues:
        known = _list([f"queues.{name}" for name in queues])
        raise BadConfig(f"none of {known} is the default queue", "write default = true in one of them")


def _refuse_queue(where: str, queue: Queue, accounts: Sequence[str]) -> None:
    for account in queue.accounts:
        if account not in accounts:
            raise BadConfig(
                f"{where}.accounts has {account!r}, which is no account", near(account, accounts, "dcd config show")
            )
    if None not in (queue.default_limit_s, queue.max_limit_s) and queue.default_limit_s > queue.max_limit_s:  # type: ignore[operator]
        raise BadConfig(f"{where}.default_limit is longer than its max_limit", "shorten the one or lengthen the other")
    if queue.urgent and queue.preemptible:
        raise BadConfig(f"{where} is urgent and preemptible", "a queue preempts others or is preempted: take one out")
    if queue.gpus and queue.max_gpus_per_job is not None and queue.max_gpus_per_job > len(queue.gpus):
        raise BadConfig(
            f"{where}.max_gpus_per_job = {queue.max_gpus_per_job} is more than its {len(queue.gpus)} GPUs",
            "lower it or give the queue more GPUs",
        )


def _refuse_account(where: str, account: Account) -> None:
    if not account.users:
        raise BadConfig(f"{where} has no users", 'name those who belong to it: users = ["ada", "bob"]')
    if None not in (account.quota_gpus, account.max_gpus) and account.quota_gpus > account.max_gpus:  # type: ignore[operator]
        raise BadConfig(f"{where}.quota_gpus is more than its max_gpus", "the quota would never be reached: lower it")


def _list(names: Sequence[str]) -> str:
    return " and ".join(filter(None, [", ".join(names[:-1]), names[-1]]))
