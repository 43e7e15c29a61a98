"""Puts the daemon together: the only place that knows every room."""

import contextlib
import logging
import os
import socket
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from dcdaemon import __version__
from dcdaemon.anomalies.picture import Thresholds
from dcdaemon.api.changes import Changes
from dcdaemon.api.metrics.server import MetricsServer
from dcdaemon.api.server import ApiServer, tcp_socket, unix_socket
from dcdaemon.api.tls import Tls, is_loopback, refuse_open_tcp
from dcdaemon.config.load import Loaded
from dcdaemon.config.model import Config
from dcdaemon.config.secrets import masked
from dcdaemon.control import remember
from dcdaemon.control.audit import note_reload, note_service
from dcdaemon.control.board import Board, DaemonFacts
from dcdaemon.control.book import Book
from dcdaemon.control.daily import daily_report
from dcdaemon.control.desk import Desk, Rules
from dcdaemon.control.event_book import EventBook
from dcdaemon.control.finish import load
from dcdaemon.control.newest import Newest
from dcdaemon.control.predictions import RECALLED
from dcdaemon.control.reports import ReportReader
from dcdaemon.control.slow_gpus import learn_speeds
from dcdaemon.core.access import Visibility
from dcdaemon.core.collector import CollectorReport
from dcdaemon.core.errors import BadConfig, DcdError
from dcdaemon.core.event import Tell
from dcdaemon.core.exposed import Exposed
from dcdaemon.core.ports import Clock, GpuSource, Store
from dcdaemon.core.roles import SWEEP_S, Role
from dcdaemon.core.samples import GpuSample, MigSample, ObjectStoreSample, SwitchPortSample, SwitchSample
from dcdaemon.core.view import NodeView
from dcdaemon.daemon.backups import DailyBackup
from dcdaemon.daemon.clock import SystemClock
from dcdaemon.daemon.conductor import Conductor
from dcdaemon.daemon.duties.gpus import GpuDuty
from dcdaemon.daemon.duties.host import HostDuty
from dcdaemon.daemon.duties.memory import MemoryDuty
from dcdaemon.daemon.duties.reports import ReportDuty
from dcdaemon.daemon.duties.storing import StoringDuty
from dcdaemon.daemon.duties.watch import WatchDuty
from dcdaemon.daemon.duties.watchdog import WatchdogDuty
from dcdaemon.daemon.lifecycle import Stop
from dcdaemon.daemon.loads import JobLoads
from dcdaemon.daemon.sharing import make_sharing
from dcdaemon.daemon.state_lock import lock_state_dir
from dcdaemon.daemon.ticker import Ticker
from dcdaemon.daemon.timers import Calendar, CalendarJob
from dcdaemon.daemon.tokens import ensure_token
from dcdaemon.engines.local import LocalEngine
from dcdaemon.runner.envs import EnvFiles
from dcdaemon.runner.isolation import AUTO, SHIM, Isolation, choose_isolation
from dcdaemon.runner.on_disk import job_ids
from dcdaemon.scheduler.policy import Order, Policy
from dcdaemon.scheduler.queues import Sharing
from dcdaemon.telemetry.collecting import Collector
from dcdaemon.telemetry.host import LinuxHost
from dcdaemon.telemetry.no_gpus import NoGpus

if TYPE_CHECKING:
    from dcdaemon.store.retention import Retention
    from dcdaemon.store.sql_store import SqlStore

log = logging.getLogger(__name__)

_BOOK_EVERY_S = 5.0
#: How long the environment of an ended job is kept, so that it can be requeued.
_ENVS_KEPT_S = 30 * 86400.0
_LOOK_EVERY_S = 5.0
#: How long the start waits for a slow driver; a submit before the GPUs are known would be refused.
_KNOWN_WITHIN_S = 10.0


class Daemon:
    """All parts of a running daemon, and the order in which they start and stop."""

    def __init__(self, loaded: Loaded, stop: Stop, *, gpus_simulated: int) -> None:
        config = loaded.config
        self.config = config
        isolation = make_isolation(config, simulated=gpus_simulated > 0)
        self._stop = stop
        clock = SystemClock()
        state_dir = Path(config.daemon.state_dir)
        self._lock = lock_state_dir(state_dir)
        events = EventBook()
        self.store = make_store(config, events.tell)
        self.conductor = Conductor(stop.failed)
        self.engine = LocalEngine(
            state_dir, self.conductor.ended, config.jobs.log_limit_bytes, isolation, config.jobs.devices
        )
        self.envs = EnvFiles(state_dir / "env")
        facts = make_facts(loaded, clock, isolation, simulated=gpus_simulated > 0)
        sharing = make_sharing(config)
        book = Book(NodeView(config.node.name, *capacity(config)), sharing)
        self.desk = Desk(
            node=config.node.name, store=self.store, engine=self.engine, envs=self.envs, book=book,
            board=Board(facts, foreign_ok=frozenset(config.gpus.foreign_ok), newest=make_newest(config), events=events),
            clock=clock,
            policy=make_policy(config, sharing),
            rules=make_rules(config),
            reports=ReportReader(self.engine, self.store), wake=self.conductor.wake,
        )  # fmt: skip
        self.source = self.desk.source = make_gpu_source(config, gpus_simulated, self.desk, self.engine)
        self.host = make_host(config, self.desk.board.events.tell, clock)
        self.changes = Changes()
        self.ticker = Ticker(stop.failed)
        self.calendar = make_calendar(config, self.desk, self.envs)
        self.api: ApiServer | None = None
        self.metrics: MetricsServer | None = None
        self.tls: Tls | None = None
        self._door: Path | None = None
        self.gpus_known = False
        self._add_duties(simulated=gpus_simulated > 0)

    def _add_duties(self, *, simulated: bool) -> None:
        config, desk = self.config, self.desk
        gpus = GpuDuty(desk, self.source, config.gpus.poll_interval_s, _BOOK_EVERY_S, config.anomalies.idle_after_s)
        look_every_s = min(_LOOK_EVERY_S, config.anomalies.idle_after_s / 4)
        expected = not simulated and Role.COMPUTE in config.node.roles
        watch = WatchDuty(
            desk, gpus, thresholds(config), look_every_s, expected_driver=expected,
            hung_after_s=config.anomalies.hung_after_s,
        )  # fmt: skip
        alive: Callable[[], bool] = lambda: self.api is not None and self.api.alive  # noqa: E731  one expression
        watchdog = WatchdogDuty(desk, self.ticker, self.conductor, alive)
        desk.listeners += [self.changes, gpus.noted, watch.noted, desk.predictions.noted, desk.forecasts.noted]
        self.gpus, self.watch = gpus, watch
        storing = StoringDuty(desk, gpus.book_due, SWEEP_S)
        host = HostDuty(desk, self.host, SWEEP_S, self.calendar.clock_set)
        reports, memory = ReportDuty(desk), MemoryDuty(desk)
        for duty in (gpus, host, storing, reports, memory, watch, watchdog):
            self.ticker.add(duty)

    def start(self) -> None:
        """Take over what lives, then open the door: nobody is answered before the queue is known."""
        self.metrics = make_metrics(self.config, self.desk, self.ticker, self._stop)
        self.tls = make_tls(self.config)
        sockets = make_sockets(self.config, self.store, self.tls)
        self._door = Path(self.config.daemon.socket)
        # A database that somebody put back by hand must not give ids away whose jobs have run here.
        self.store.reserve_job_ids(max(job_ids(Path(self.config.daemon.state_dir)), default=0))
        self.engine.open()
        chosen = self.engine.isolation
        reasons = "; ".join(chosen.reasons) or None
        log.info("jobs are fenced by: %s", chosen.name, extra={"action": "isolation", "why": reasons})
        self.source.start()
        self.gpus_known = self.source.wait_known(_KNOWN_WITHIN_S)
        self.desk.book.fair_use.recall(self.store, self.desk.clock.now())
        # First the queue, then the first reading: what the GPUs used while no daemon looked belongs to known jobs.
        # What ended while no daemon looked is learned from when the queue is loaded, and not a second time.
        self.desk.predictions.recall(self.store.past_runs(RECALLED))
        load(self.desk)
        self.gpus.tick()
        learn_speeds(self.desk)
        remember.begin(self.desk)
        self.conductor.start(self.desk)
        self.ticker.start()
        self.calendar.start()
        note_service(self.desk, "daemon_start", {"version": __version__, "pid": os.getpid(), "uid": os.geteuid()})
        self.api = ApiServer(self.desk, self.changes, __version__, sockets, self._stop.failed, self.tls)
        self.api.start()
        if self.metrics is not None:
            self.metrics.start()

    def reloaded(self, old: Loaded, new: Loaded) -> None:
        """Read the certificate again, and note what a reload found changed; raise BadConfig for a bad certificate."""
        if self.tls is not None:
            self.tls.load()
        changed = [name for name, value in new.raw.items() if old.raw.get(name) != value]
        before, after = ({name: masked(one.raw.get(name)) for name in changed} for one in (old, new))
        note_reload(self.desk, before, after)

    def close(self) -> None:
        """Close the door, stop deciding, write what is buffered, let go of the driver; jobs go on."""
        if self.metrics is not None:
            self.metrics.stop()
        if self.api is not None:
            self.api.stop()
        self.conductor.stop()
        self.calendar.stop()
        self.ticker.stop()
        for last in (self.gpus.book, self.watch.tick):
            with contextlib.suppress(DcdError):
                last()
        if self.api is not None:
            note_service(self.desk, "daemon_stop", {"pid": os.getpid(), "why": self._stop.reason or "once"})
        self.host.close()
        self.source.close()
        self.engine.close()
        self.store.close()
        if self._door is not None:
            self._door.unlink(missing_ok=True)
        os.close(self._lock)


def make_store(config: Config, tell: Tell) -> "SqlStore":
    """Open the database, migrated to the newest schema."""
    from dcdaemon.store.sql_store import open_store  # noqa: PLC0415

    return open_store(config.storage.url, config.node.name, make_retention(config), tell=tell)


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


def make_gpu_source(config: Config, simulated: int, desk: Desk, engine: LocalEngine) -> GpuSource:
    """Return simulated GPUs where someone asked for them, else the driver's."""
    if simulated:
        from dcdaemon.fakes.gpus import SimulatedGpus  # noqa: PLC0415

        return SimulatedGpus(simulated, JobLoads(desk.book, engine), desk.clock, config.gpus.poll_interval_s)
    if Role.COMPUTE not in config.node.roles:
        return NoGpus()
    from dcdaemon.telemetry.gpu_source import NvmlSource  # noqa: PLC0415
    from dcdaemon.telemetry.kernel_log import COMMAND  # noqa: PLC0415

    def report(news: CollectorReport) -> None:
        desk.board.collectors[news.name] = news

    return NvmlSource(
        config.gpus.poll_interval_s, config.gpus.driver_deadline_s, tell=desk.board.events.tell, journal=COMMAND,
        report=report,
    )  # fmt: skip


def make_host(config: Config, tell: Tell, clock: Clock) -> LinuxHost:
    """Return the collectors of the node's own hardware, those of its roles that are there or configured."""
    extra: dict[str, Collector] = {}
    switches = make_switches(config, tell)
    if switches is not None:
        extra["snmp"] = switches
    object_store = make_object_store(config, tell)
    if object_store is not None:
        extra["object_store"] = object_store
    return LinuxHost(tell=tell, roles=config.node.roles, extra=extra, clock=clock)


def make_switches(config: Config, tell: Tell) -> Collector | None:
    """Return the collector of switches, None where no device is configured."""
    if not config.snmp.devices:
        return None
    from dcdaemon.telemetry.snmp import Switches  # noqa: PLC0415
    from dcdaemon.telemetry.snmp_access import Access, Device  # noqa: PLC0415
    from dcdaemon.telemetry.snmp_keys import User  # noqa: PLC0415

    community = config.snmp.community_file
    users = {
        name: User(
            user.user or name, user.authentication, user.privacy,
            Path(user.authentication_file), Path(user.privacy_file),
        )
        for name, user in config.snmp_users.items()
    }  # fmt: skip
    devices = [Device(*device) for device in config.snmp.devices]
    return Switches(devices, Access(Path(community) if community else None, users), config.snmp.interval_s, tell)


def make_object_store(config: Config, tell: Tell) -> Collector | None:
    """Return the probe of the object store, None where none is configured."""
    store = config.object_store
    if not store.endpoint:
        return None
    from dcdaemon.telemetry.object_store import ObjectStoreProbe  # noqa: PLC0415
    from dcdaemon.telemetry.s3 import Bucket  # noqa: PLC0415

    bucket = Bucket(store.endpoint, store.bucket, store.region, store.access_key, Path(store.secret_file))
    return ObjectStoreProbe(bucket, tell, every_s=store.interval_s, most_pages=store.list_pages)


def make_facts(loaded: Loaded, clock: Clock, isolation: Isolation, *, simulated: bool) -> DaemonFacts:
    """Return what the daemon says of itself."""
    energy = loaded.config.energy
    return DaemonFacts(
        version=__version__, pid=os.getpid(), uid=os.geteuid(), started_at=clock.now(), engine=LocalEngine.name,
        simulated=simulated, config_warnings=loaded.warnings, roles=loaded.config.node.roles,
        price_per_kwh=energy.price_per_kwh, currency=energy.currency, carbon_g_per_kwh=energy.carbon_g_per_kwh,
        isolation=isolation.name, manager=isolation.manager, isolation_reasons=isolation.reasons,
    )  # fmt: skip


def make_newest(config: Config) -> Newest:
    """Return where the newest samples are kept, told of what is read more rarely than the table of metrics says."""
    every_s = config.gpus.poll_interval_s
    asked_s = config.snmp.interval_s
    kinds = {GpuSample.KIND: every_s, MigSample.KIND: every_s}
    kinds[ObjectStoreSample.KIND] = config.object_store.interval_s
    return Newest(kinds | {SwitchSample.KIND: asked_s, SwitchPortSample.KIND: asked_s})


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


def make_calendar(config: Config, desk: Desk, envs: EnvFiles) -> Calendar:
    """Return the calendar work: roll-up each minute, retention each hour, report and (where asked) backup each day."""
    store = desk.store
    clock = SystemClock()
    calendar = Calendar()
    calendar.add(CalendarJob("roll-up", "*", "*", lambda: store.roll_up(clock.now())))
    calendar.add(CalendarJob("retention", "17", "*", lambda: forget_old(store, envs, clock.now())))
    calendar.add(CalendarJob("speeds", "3", "*", lambda: learn_speeds(desk)))
    calendar.add(CalendarJob("report", "5", "0", lambda: report_day(desk)))
    if config.storage.backup_dir:
        hour, minute = config.storage.backup_at.split(":")
        envs_dir, tell = Path(config.daemon.state_dir) / "env", desk.board.events.tell
        daily = DailyBackup(store, config.storage, config.node.name, envs_dir, tell)
        calendar.add(CalendarJob("backup", minute, hour, lambda: daily.make(clock.now())))
    return calendar


def report_day(desk: Desk) -> None:
    """Write the report of the last 24 hours to the log."""
    log.info("the last 24 hours: %s", daily_report(desk), extra={"action": "daily_report"})


def forget_old(store: Store, envs: EnvFiles, now: float) -> None:
    """Delete samples past their retention, and environments that no job can be run again with."""
    store.prune(now)
    # Asked for after the listing would be too late for a job that is being submitted just then.
    envs.keep_only(lambda: store.env_refs(now - _ENVS_KEPT_S))


def make_tls(config: Config) -> Tls | None:
    """Return the certificate of the TCP door, None where there is none; raise BadConfig for one that is no good."""
    certificate, key = config.daemon.tls_certificate, config.daemon.tls_key
    if bool(certificate) != bool(key):
        raise BadConfig("of [daemon] tls_certificate and tls_key only one is set", "set both, or neither")
    return Tls(Path(certificate), Path(key)).load() if certificate else None


def make_sockets(config: Config, store: Store, tls: Tls | None = None) -> list[socket.socket]:
    """Bind the doors: the unix socket, and TCP where it is configured."""
    if config.daemon.tcp:
        refuse_open_tcp(config.daemon.tcp, tls, config.daemon.tls)
        if tls is None and not is_loopback(config.daemon.tcp):
            facts = {"action": "no_tls", "tcp": config.daemon.tcp}
            log.warning("tokens cross the network in the clear: [daemon] tls is off", extra=facts)
    sockets = [unix_socket(Path(config.daemon.socket))]
    if config.daemon.tcp:
        sockets.append(tcp_socket(config.daemon.tcp))
        token = ensure_token(Path(config.daemon.state_dir) / "api-token", store, SystemClock().now())
        log.info("TCP takes the token in %s", token, extra={"action": "token_file"})
    return sockets


def make_metrics(config: Config, desk: Desk, ticker: Ticker, stop: Stop) -> MetricsServer | None:
    """Bind the listener for Prometheus and make its pages; None where it is off."""
    if not config.metrics.listen:
        return None
    from dcdaemon.api.metrics.pages import make_pages  # noqa: PLC0415  off by default

    node: Callable[[], Iterable[Exposed]] | None = None
    if config.metrics.node:
        from dcdaemon.telemetry.node_names.reader import NodeNames  # noqa: PLC0415  as above

        node = NodeNames()
    listener = tcp_socket(config.metrics.listen, "[metrics] listen")
    pages = make_pages(desk, ticker.reports, dcgm=config.metrics.dcgm, node=node)
    log.info("scrapes are answered at %s", config.metrics.listen, extra={"action": "metrics_open"})
    return MetricsServer(pages, listener, stop.failed)


def refuse_simulation(simulated: int) -> None:
    """Raise BadConfig where systemd runs the daemon: pretend GPUs have no place in a service."""
    if simulated and "NOTIFY_SOCKET" in os.environ:
        raise BadConfig(
            "the installed service does not simulate GPUs",
            "take --simulate-gpus or --demo out of ExecStart, or try it by hand",
        )
