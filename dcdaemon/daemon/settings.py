"""What the other rooms are told of the configuration, in their own words: they do not read it."""

import os
from typing import TYPE_CHECKING

from dcdaemon import __version__
from dcdaemon.anomalies.picture import Thresholds
from dcdaemon.config.load import Loaded
from dcdaemon.config.model import Config
from dcdaemon.control.board import DaemonFacts
from dcdaemon.control.desk import Rules
from dcdaemon.control.newest import Newest
from dcdaemon.core.access import Visibility
from dcdaemon.core.ports import Clock
from dcdaemon.core.samples import GpuSample, MigSample, ObjectStoreSample, SwitchPortSample, SwitchSample
from dcdaemon.engines.local import LocalEngine
from dcdaemon.runner.isolation import AUTO, SHIM, Isolation, choose_isolation
from dcdaemon.scheduler.policy import Order, Policy
from dcdaemon.scheduler.queues import Sharing

if TYPE_CHECKING:
    from dcdaemon.store.retention import Retention


def make_policy(config: Config, sharing: Sharing) -> Policy:
    """Return how the queues are served."""
    chosen = config.scheduler
    return Policy(
        order=Order(chosen.order), patience=chosen.patience, backfill=chosen.backfill,
        queues=sharing.rules, weights=sharing.weights, share_holdoff_s=chosen.share_holdoff_s,
    )  # fmt: skip


def make_rules(config: Config) -> Rules:
    """Return what this node grants."""
    operators = frozenset(config.daemon.operators)
    jobs = config.jobs
    visibility = Visibility(config.access.visibility)
    return Rules(os.geteuid(), config.scheduler.default_limit_s, jobs.grace_s, operators, jobs.per_user, visibility)


def thresholds(config: Config) -> Thresholds:
    """Return from where on something is odd."""
    odd = config.anomalies
    return Thresholds(odd.idle_after_s, odd.idle_below_ratio, odd.filesystem_full_ratio, odd.stale_after_s)


def capacity(config: Config) -> tuple[int, int]:
    """Return how many CPUs and bytes of memory jobs may ask for together."""
    cpus = config.jobs.cpus or len(os.sched_getaffinity(0))
    memory = config.jobs.memory_bytes or os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return cpus, memory


def make_retention(config: Config) -> "Retention":
    """Return how long samples are kept."""
    from dcdaemon.store.retention import Retention  # noqa: PLC0415

    kept = config.storage
    return Retention(kept.raw_retention_s, kept.minute_retention_s, kept.hour_retention_s)


def make_isolation(config: Config, *, simulated: bool) -> Isolation:
    """Return how jobs are fenced; raise BadConfig where the configured way is not possible here."""
    wanted = config.jobs.isolation
    # A demonstration beside an installed daemon must not take the names of that one's units.
    return choose_isolation(SHIM if simulated and wanted == AUTO else wanted)


def make_newest(config: Config) -> Newest:
    """Return where the newest samples are kept, told of what is read more rarely than the table of metrics says."""
    every_s = config.gpus.poll_interval_s
    asked_s = config.snmp.interval_s
    kinds = {GpuSample.KIND: every_s, MigSample.KIND: every_s}
    kinds[ObjectStoreSample.KIND] = config.object_store.interval_s
    return Newest(kinds | {SwitchSample.KIND: asked_s, SwitchPortSample.KIND: asked_s})


def make_facts(loaded: Loaded, clock: Clock, isolation: Isolation, *, simulated: bool) -> DaemonFacts:
    """Return what the daemon says of itself."""
    energy = loaded.config.energy
    return DaemonFacts(
        version=__version__, pid=os.getpid(), uid=os.geteuid(), started_at=clock.now(), engine=LocalEngine.name,
        simulated=simulated, config_warnings=loaded.warnings, roles=loaded.config.node.roles,
        price_per_kwh=energy.price_per_kwh, currency=energy.currency, carbon_g_per_kwh=energy.carbon_g_per_kwh,
        isolation=isolation.name, manager=isolation.manager, isolation_reasons=isolation.reasons,
    )  # fmt: skip
