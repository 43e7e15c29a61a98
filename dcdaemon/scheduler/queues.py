"""How a node is shared: its queues, the accounts of its users, and what each of them may use at once."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

from dcdaemon.core.view import CapKey
from dcdaemon.scheduler.caps import Cap
from dcdaemon.scheduler.policy import Order, QueueRule, Weights

#: The queue of a node on which none is configured.
MAIN = "main"
_WEEK_S = 7 * 86400.0


@dataclass(frozen=True, slots=True)
class Queue:
    """One queue; what is None or empty does not restrict. `gpus` are indices on each node, `tier` higher goes first."""

    name: str
    gpus: frozenset[int] | None = None
    order: Order | None = None
    tier: int = 0
    default_limit_s: float | None = None
    max_limit_s: float | None = None
    max_gpus_per_job: int | None = None
    max_gpus_per_user: int | None = None
    max_gpus: int | None = None
    max_jobs_per_user: int | None = None
    users: frozenset[str] = frozenset()
    accounts: frozenset[str] = frozenset()
    urgent: bool = False
    preemptible: bool = False
    min_run_s: float = 0.0

    @property
    def rule(self) -> QueueRule:
        """What a decision has to know of it."""
        return QueueRule(self.order, self.tier, self.gpus, self.urgent, self.preemptible, self.min_run_s)

    def admits(self, user: str, account: str) -> bool:
        """Say whether this user's jobs may come in under this account."""
        return not (self.users or self.accounts) or user in self.users or account in self.accounts

    def limit_for(self, asked_s: float | None, usual_s: float | None) -> float | None:
        """Return the limit of a job that asked for this one; `usual_s` is the node's default."""
        if asked_s is not None:
            return asked_s
        known = [limit for limit in (self.default_limit_s or usual_s, self.max_limit_s) if limit is not None]
        return min(known, default=None)


@dataclass(frozen=True, slots=True)
class Account:
    """Users who share one claim: a weight for fair-share, a cap, a quota."""

    name: str
    users: tuple[str, ...] = ()
    shares: float = 1.0
    max_gpus: int | None = None
    quota_gpus: int | None = None


@dataclass(frozen=True, slots=True)
class Quotas:
    """What one user may count on, in GPUs: `per_user`, or what `users` says of some; `hard` quotas are caps.

    A quota is soft unless it is hard: beyond it a job gets only what nobody within the quota waits for.
    """

    per_user: int | None = None
    users: Mapping[str, int] = field(default_factory=dict)
    hard: bool = False

    def of(self, user: str) -> int | None:
        """Return the user's quota."""
        return self.users.get(user, self.per_user)


@dataclass(frozen=True, slots=True)
class Sharing:
    """All of it; the first queue and the first account that fit are a user's own unless another is named."""

    queues: Mapping[str, Queue] = field(default_factory=lambda: {MAIN: Queue(MAIN)})
    default: str = MAIN
    accounts: Mapping[str, Account] = field(default_factory=dict)
    quotas: Quotas = field(default_factory=Quotas)
    #: Weights of users in fair-share, beside the others of their account; unless set, 1.
    user_shares: Mapping[str, float] = field(default_factory=dict)
    half_life_s: float = _WEEK_S
    #: How many jobs of one user that ask for no CPU and no GPU run at once.
    no_cpu_per_user: int | None = None

    @property
    def rules(self) -> dict[str, QueueRule]:
        """What a decision has to know of each queue."""
        return {name: queue.rule for name, queue in self.queues.items()}

    @property
    def preempts(self) -> bool:
        """Whether a running job may ever have to make room."""
        quotas = self.quotas.per_user is not None or bool(self.quotas.users)
        quotas = quotas or any(account.quota_gpus is not None for account in self.accounts.values())
        return (quotas and not self.quotas.hard) or any(queue.urgent for queue in self.queues.values())

    @property
    def by_owner(self) -> bool:
        """Whether it may matter in some queue whose a job is; None in a queue stands for the node's own order."""
        return any(queue.order in {None, Order.FAIR_SHARE} for queue in self.queues.values())

    @property
    def by_deadline(self) -> bool:
        """Whether deadlines may matter in some queue; None in a queue stands for the node's own order."""
        return any(queue.order in {None, Order.DEADLINE} for queue in self.queues.values())

    @property
    def weights(self) -> Weights:
        """What accounts and users weigh in fair-share."""
        return Weights({name: account.shares for name, account in self.accounts.items()}, self.user_shares)

    def queue(self, name: str) -> Queue:
        """Return a queue; a job of one that is not configured any more goes by the default queue's rules."""
        return self.queues.get(name) or self.queues[self.default]

    def accounts_of(self, user: str) -> list[str]:
        """Return the accounts the user belongs to, the usual one first."""
        return [account.name for account in self.accounts.values() if user in account.users]

    def caps_of(self, user: str, account: str, queue: str, *, no_cpu: bool = False) -> tuple[CapKey, ...]:
        """Return the limits that count a job of this user while it runs; `no_cpu`: it asks for no CPU and no GPU."""
        keys = (*self._keys(user, account, queue), *([(Cap.NO_CPU, user)] if no_cpu else []))
        return tuple(key for key in keys if self.most(key) is not None)

    def most(self, key: CapKey) -> int | None:
        """Return the most that may run under a limit, GPUs or jobs by its kind; None where there is no such limit."""
        kind, name = key
        if kind == Cap.USER:
            return self.quotas.of(name) if self.quotas.hard else None
        if kind == Cap.NO_CPU:
            return self.no_cpu_per_user
        if kind == Cap.ACCOUNT:
            return self._account_cap(name)
        if kind == Cap.QUOTA:
            return self._quota(*name.split("/", 1))
        queue, cap = self.queues.get(name.split("/", 1)[0]), _QUEUE_CAPS.get(kind)
        return None if queue is None or cap is None else cap(queue)

    def _keys(self, user: str, account: str, queue: str) -> Iterator[CapKey]:
        name = self.queue(queue).name
        yield Cap.USER, user
        yield Cap.ACCOUNT, account
        yield Cap.QUEUE, name
        yield Cap.QUEUE_USER, f"{name}/{user}"
        yield Cap.QUEUE_JOBS, f"{name}/{user}"
        yield Cap.QUOTA, f"user/{user}"
        yield Cap.QUOTA, f"account/{account}"

    def _account_cap(self, name: str) -> int | None:
        account = self.accounts.get(name)
        if account is None:
            return None
        known = [account.max_gpus, account.quota_gpus if self.quotas.hard else None]
        return min((cap for cap in known if cap is not None), default=None)

    def _quota(self, whose: str, name: str) -> int | None:
        if self.quotas.hard:
            return None
        if whose == "user":
            return self.quotas.of(name)
        account = self.accounts.get(name)
        return account.quota_gpus if account else None


_QUEUE_CAPS: dict[str, Callable[[Queue], int | None]] = {
    Cap.QUEUE: lambda queue: queue.max_gpus,
    Cap.QUEUE_USER: lambda queue: queue.max_gpus_per_user,
    Cap.QUEUE_JOBS: lambda queue: queue.max_jobs_per_user,
}
