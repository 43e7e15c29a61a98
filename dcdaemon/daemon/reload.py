"""SIGHUP: reads the configuration again; applies what can be, names the rest; a bad one changes nothing."""

import logging
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

from dcdaemon.config.families import setting_named
from dcdaemon.config.load import Loaded
from dcdaemon.config.model import SECTIONS, Config
from dcdaemon.control import remember
from dcdaemon.core.errors import DcdError
from dcdaemon.daemon.build import Daemon
from dcdaemon.daemon.lifecycle import notify, set_up_logging
from dcdaemon.daemon.settings import make_policy, make_retention, make_rules, thresholds
from dcdaemon.daemon.sharing import make_sharing

log = logging.getLogger(__name__)


def _log(_daemon: Daemon, config: Config) -> None:
    set_up_logging(config.daemon.log_level, config.daemon.log_format)


def _rules(daemon: Daemon, config: Config) -> None:
    daemon.desk.rules = make_rules(config)


def _policy(daemon: Daemon, config: Config) -> None:
    desk, sharing = daemon.desk, make_sharing(config)
    # The memory of what everybody has waited for goes by the order, too.
    with desk.book.lock:
        desk.policy = make_policy(config, sharing)
        desk.book.go_by(sharing)
        remember.begin(desk)
    desk.wake()


def _prices(daemon: Daemon, config: Config) -> None:
    board, energy = daemon.desk.board, config.energy
    board.facts = replace(
        board.facts, price_per_kwh=energy.price_per_kwh, currency=energy.currency,
        carbon_g_per_kwh=energy.carbon_g_per_kwh,
    )  # fmt: skip


def _tolerance(daemon: Daemon, config: Config) -> None:
    daemon.desk.board.foreign_ok = frozenset(config.gpus.foreign_ok)


def _thresholds(daemon: Daemon, config: Config) -> None:
    daemon.watch.thresholds = thresholds(config)
    daemon.gpus.history.keep_s = config.anomalies.idle_after_s


def _retention(daemon: Daemon, config: Config) -> None:
    daemon.store.retention = make_retention(config)


Apply = Callable[[Daemon, Config], None]
#: What a running daemon takes over, and by what; a setting that is not here needs a restart, during which jobs go on.
LIVE: dict[str, Apply] = {
    "daemon.log_level": _log,
    "daemon.log_format": _log,
    "daemon.operators": _rules,
    "access.visibility": _rules,
    "scheduler.default_limit": _rules,
    "jobs.grace": _rules,
    "jobs.per_user": _rules,
    "jobs.no_cpu_per_user": _policy,
    "scheduler.order": _policy,
    "scheduler.patience": _policy,
    "scheduler.backfill": _policy,
    "scheduler.share_holdoff": _policy,
    "energy.price_per_kwh": _prices,
    "energy.currency": _prices,
    "energy.carbon_g_per_kwh": _prices,
    "gpus.foreign_ok": _tolerance,
    "anomalies.idle_after": _thresholds,
    "anomalies.idle_below": _thresholds,
    "anomalies.filesystem_full": _thresholds,
    "anomalies.stale_after": _thresholds,
    "storage.raw_retention": _retention,
    "storage.minute_retention": _retention,
    "storage.hour_retention": _retention,
}
#: What no part of the daemon reads: another unit does, and is reloaded by itself.
OF_OTHERS = frozenset({"gpus.power_limit_w"})


class Reload:
    """Called at each SIGHUP; one at a time. `again` reads the configuration as the start did."""

    def __init__(self, daemon: Daemon, loaded: Loaded, again: Callable[[], Loaded]) -> None:
        self._daemon, self._loaded, self._again = daemon, loaded, again
        #: What the daemon works with: of a reload only what is live came in.
        self._config = loaded.config
        self._lock = threading.Lock()
        self._open, self._due = False, False

    def open(self) -> None:
        """Begin to listen, once the daemon has started and said so; what was asked for meanwhile is done now."""
        with self._lock:
            self._open = True
        if self._due:
            self()

    def __call__(self) -> None:
        """Read again and apply; tell systemd when it begins and when it is done (sd_notify(3))."""
        with self._lock:
            self._due = not self._open
            if self._due:
                return
            notify("RELOADING=1", f"MONOTONIC_USEC={time.monotonic_ns() // 1000}")
            try:
                self._reload()
            except DcdError as error:
                hint = f" ({error.hint})" if error.hint else ""
                log.error("reload refused, nothing was changed: %s%s", error.message, hint, extra=_REFUSED)  # noqa: TRY400
            finally:
                notify("READY=1")

    def _reload(self) -> None:
        fresh = self._again()
        # Before anything is applied: a certificate that cannot be used refuses the reload as a whole.
        self._daemon.reloaded(self._loaded, fresh)
        changed = sorted(_changed(self._loaded, fresh))
        live = [name for name in changed if name in LIVE]
        self._config = _with(self._config, fresh.config, live)
        for apply in dict.fromkeys(LIVE[name] for name in live):
            apply(self._daemon, self._config)
        board = self._daemon.desk.board
        board.facts = replace(board.facts, config_warnings=fresh.warnings)
        for warning in fresh.warnings:
            log.warning(warning, extra={"action": "config_warning"})
        # What is not live stays as it was: it is named at each reload until the restart that applies it.
        taken = {name: fresh.raw.get(name) for name in changed if name in LIVE or name in OF_OTHERS}
        self._loaded = replace(self._loaded, raw=self._loaded.raw | taken)
        self._tell(live, sorted({_shown(name) for name in changed if name not in LIVE and name not in OF_OTHERS}))

    def _tell(self, live: list[str], later: list[str]) -> None:
        facts = {"action": "reloaded", "applied": ",".join(live) or "nothing"}
        if not later:
            log.info("configuration read again", extra=facts)
            return
        log.warning(
            "configuration read again; only a restart applies %s (jobs go on)",
            ", ".join(later),
            extra=facts | {"needs_restart": ",".join(later)},
        )


_REFUSED = {"action": "reload_refused"}


def _shown(name: str) -> str:
    """Return a setting, or of a queue, an account or a user of switches its section: one word for what comes whole."""
    section = name.rpartition(".")[0]
    return name if section in SECTIONS else section


def _changed(old: Loaded, new: Loaded) -> Iterable[str]:
    for name in old.raw.keys() | new.raw.keys():
        if old.raw.get(name) != new.raw.get(name):
            yield name


def _with(config: Config, fresh: Config, names: Iterable[str]) -> Config:
    """Return the configuration with these settings taken from the fresh one."""
    for name in names:
        setting = setting_named(name)
        if setting is not None and setting.section in SECTIONS:
            section: Any = getattr(config, setting.section)
            value = getattr(getattr(fresh, setting.section), setting.attribute)
            config = replace(config, **{setting.section: replace(section, **{setting.attribute: value})})
    return config
