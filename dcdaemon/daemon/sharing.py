"""How this node is shared, from what the configuration says of queues, accounts, quotas and fair-share."""

from dcdaemon.config.model import Config
from dcdaemon.config.sharing import Account as AccountSettings
from dcdaemon.config.sharing import Queue as QueueSettings
from dcdaemon.config.sharing import default_queue
from dcdaemon.scheduler.policy import Order
from dcdaemon.scheduler.queues import Account, Queue, Quotas, Sharing


def make_sharing(config: Config) -> Sharing:
    """Return the queues (one, if none is configured), accounts, quotas and weights."""
    default, order = default_queue(config.queues), Order(config.scheduler.order)
    queues = {name: _queue(name, queue, order) for name, queue in config.queues.items()}
    return Sharing(
        queues=queues or {default: Queue(default, order=order)},
        default=default,
        accounts={name: _account(name, account) for name, account in config.accounts.items()},
        quotas=Quotas(config.quotas.gpus_per_user, dict(config.quotas.users), config.quotas.hard),
        user_shares=dict(config.fair_share.users),
        half_life_s=config.fair_share.half_life_s,
        no_cpu_per_user=config.jobs.no_cpu_per_user,
    )


def _queue(name: str, said: QueueSettings, usual: Order) -> Queue:
    return Queue(
        name=name,
        gpus=frozenset(said.gpus) or None,
        order=Order(said.order) if said.order else usual,
        tier=said.priority_tier,
        default_limit_s=said.default_limit_s,
        max_limit_s=said.max_limit_s,
        max_gpus_per_job=said.max_gpus_per_job,
        max_gpus_per_user=said.max_gpus_per_user,
        max_gpus=said.max_gpus,
        max_jobs_per_user=said.max_jobs_per_user,
        users=frozenset(said.users),
        accounts=frozenset(said.accounts),
        urgent=said.urgent,
        preemptible=said.preemptible,
        min_run_s=said.min_run_s,
    )


def _account(name: str, said: AccountSettings) -> Account:
    return Account(name, said.users, said.shares, said.max_gpus, said.quota_gpus)
