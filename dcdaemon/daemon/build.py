"""Puts the daemon together: the only place that knows every room."""

import contextlib
import logging
import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from dcdaemon import __version__
from dcdaemon.api.changes import Changes
from dcdaemon.api.metrics.server import MetricsServer
from dcdaemon.api.server import ApiServer
from dcdaemon.api.tls import Tls
from dcdaemon.config.load import Loaded
from dcdaemon.config.model import Config
from dcdaemon.config.secrets import masked
from dcdaemon.control import remember
from dcdaemon.control.audit import note_reload, note_service
from dcdaemon.control.board import Board
from dcdaemon.control.book import Book
from dcdaemon.control.desk import Desk
from dcdaemon.control.event_book import EventBook
from dcdaemon.control.finish import load
from dcdaemon.control.predictions import RECALLED
from dcdaemon.control.reports import ReportReader
from dcdaemon.control.slow_gpus import learn_speeds
from dcdaemon.core.errors import BadConfig, DcdError
from dcdaemon.core.event import Tell
from dcdaemon.core.roles import SWEEP_S, Role
from dcdaemon.core.view import NodeView
from dcdaemon.daemon.calendar_work import make_calendar
from dcdaemon.daemon.clock import SystemClock
from dcdaemon.daemon.conductor import Conductor
from dcdaemon.daemon.doors import make_metrics, make_sockets, make_tls
from dcdaemon.daemon.duties.gpus import GpuDuty
from dcdaemon.daemon.duties.host import HostDuty
from dcdaemon.daemon.duties.memory import MemoryDuty
from dcdaemon.daemon.duties.reports import ReportDuty
from dcdaemon.daemon.duties.storing import StoringDuty
from dcdaemon.daemon.duties.watch import WatchDuty
from dcdaemon.daemon.duties.watchdog import WatchdogDuty
from dcdaemon.daemon.hardware import make_gpu_source, make_host
from dcdaemon.daemon.lifecycle import Stop
from dcdaemon.daemon.settings import (
    capacity,
    make_facts,
    make_isolation,
    make_newest,
    make_policy,
    make_retention,
    make_rules,
    thresholds,
)
from dcdaemon.daemon.sharing import make_sharing
from dcdaemon.daemon.state_lock import lock_state_dir
from dcdaemon.daemon.ticker import Ticker
from dcdaemon.engines.local import LocalEngine
from dcdaemon.runner.envs import EnvFiles
from dcdaemon.runner.on_disk import job_ids

if TYPE_CHECKING:
    from dcdaemon.store.sql_store import SqlStore

log = logging.getLogger(__name__)

_BOOK_EVERY_S = 5.0
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


def refuse_simulation(simulated: int) -> None:
    """Raise BadConfig where systemd runs the daemon: pretend GPUs have no place in a service."""
    if simulated and "NOTIFY_SOCKET" in os.environ:
        raise BadConfig(
            "the installed service does not simulate GPUs",
            "take --simulate-gpus or --demo out of ExecStart, or try it by hand",
        )
