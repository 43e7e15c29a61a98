"""Who has used what of this node: each account and user with what was promised to them, and who comes next."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from dcdaemon.control.desk import Desk
from dcdaemon.control.queue_report import gpus_held
from dcdaemon.core.job import Job, JobState
from dcdaemon.scheduler.fair_share import AHEAD_S, Claims, Payer
from dcdaemon.scheduler.queue import is_ready
from dcdaemon.scheduler.queues import Sharing


@dataclass(frozen=True, slots=True)
class ShareLine:
    """An account (`user` None) or one of its users: what it weighs and has had, beside all others.

    `share_ratio` and `usage_ratio` are parts of the whole, from 0 to 1; None where nothing was used at all. `factor` is
    1 without any use and a half at exactly the share. `next` is the place among those with jobs that could start.
    """

    account: str
    user: str | None
    shares: float
    share_ratio: float
    usage_gpu_s: float
    usage_ratio: float | None
    factor: float
    running_gpus: int
    waiting_jobs: int
    next: int | None = None


def share_lines(desk: Desk) -> list[ShareLine]:
    """Return each account followed by its users, accounts in the order of the configuration, "" last."""
    now = desk.clock.now()
    with desk.book.lock:
        used, ahead = desk.book.shares_used(now), desk.book.shares_used(now, AHEAD_S)
        jobs = desk.book.unfinished()
        ready = {(job.account, job.user) for job in desk.book.queue if is_ready(job)}
    order = sorted(ready, key=Claims(ahead, desk.book.sharing.weights).key)
    table = _Table(desk.book.sharing, used, jobs, {payer: place for place, payer in enumerate(order, start=1)})
    return [line for account in table.accounts for line in table.lines(account)]


class _Table:
    """What all lines are made from."""

    def __init__(
        self, sharing: Sharing, used: Mapping[Payer, float], jobs: Iterable[Job], places: Mapping[Payer, int]
    ) -> None:
        self._sharing, self._used, self._places = sharing, used, places
        self._total_s = sum(used.values())
        self._running: defaultdict[Payer, list[Job]] = defaultdict(list)
        self._waiting: defaultdict[Payer, int] = defaultdict(int)
        for job in jobs:
            payer = (job.spec.account, job.spec.user)
            if job.state is JobState.WAITING:
                self._waiting[payer] += 1
            else:
                self._running[payer].append(job)
        self._users = self._users_of()
        self.accounts = sorted(self._users, key=self._place_of)

    def lines(self, account: str) -> list[ShareLine]:
        """Return the account, then its users, who used least first."""
        users, weights = self._users[account], self._sharing.weights
        weight_of = {user: weights.users.get(user, 1.0) for user in users}
        shares = weights.accounts.get(account, 1.0)
        ratio = shares / sum(weights.accounts.get(name, 1.0) for name in self._users)
        whole = sum(weight_of.values())
        lines = [self._line(account, user, part, ratio * part / whole, [user]) for user, part in weight_of.items()]
        lines.sort(key=lambda line: (line.usage_gpu_s / line.shares, line.user))
        return [self._line(account, None, shares, ratio, users), *lines]

    def _line(self, account: str, user: str | None, shares: float, ratio: float, users: Iterable[str]) -> ShareLine:
        payers = [(account, name) for name in users]
        used_s = sum(self._used.get(payer, 0.0) for payer in payers)
        part = used_s / self._total_s if self._total_s else None
        held = gpus_held(job for payer in payers for job in self._running[payer])
        return ShareLine(
            account=account, user=user, shares=shares, share_ratio=ratio, usage_gpu_s=used_s, usage_ratio=part,
            factor=2.0 ** -((part or 0.0) / ratio), running_gpus=len(held),
            waiting_jobs=sum(self._waiting[payer] for payer in payers),
            next=None if user is None else self._places.get((account, user)),
        )  # fmt: skip

    def _users_of(self) -> dict[str, list[str]]:
        """Return the users of each account: those that belong to it, and those that used it or wait under it."""
        users: defaultdict[str, dict[str, None]] = defaultdict(dict)
        for name, known in self._sharing.accounts.items():
            users[name].update(dict.fromkeys(known.users))
        for account, user in (*self._used, *self._running, *self._waiting):
            users[account][user] = None
        return {account: list(names) for account, names in users.items()}

    def _place_of(self, account: str) -> tuple[bool, int]:
        known = list(self._sharing.accounts)
        return not account, known.index(account) if account in known else len(known)
