"""SIGHUP: what is applied at once, what waits for a restart, and that a bad file changes nothing."""

import logging
import threading
from types import SimpleNamespace

import pytest
from scene import BOB, Scene

from dcdaemon.anomalies.utilisation import UtilHistory
from dcdaemon.config.load import load
from dcdaemon.config.model import SETTINGS
from dcdaemon.core.errors import BadConfig, Refused
from dcdaemon.core.job import JobState
from dcdaemon.daemon.reload import LIVE, OF_OTHERS, Reload
from dcdaemon.daemon.settings import thresholds
from dcdaemon.scheduler.policy import Order


class Running:
    """A daemon's parts that a reload reaches, its configuration file, and what was told to `reloaded`."""

    def __init__(self, scene: Scene, path) -> None:
        self.path, self.desk, self.told = path, scene.desk, []
        path.write_text("")
        loaded = self.read()
        self.watch = SimpleNamespace(thresholds=thresholds(loaded.config))
        self.gpus = SimpleNamespace(history=UtilHistory(loaded.config.anomalies.idle_after_s))
        self.store = SimpleNamespace(retention=None)
        self.reload = Reload(self, loaded, self.read)
        self.reload.open()

    def read(self):
        return load([self.path], env={"HOME": "/root"}, uid=0)

    def reloaded(self, old, new) -> None:
        self.told.append(sorted(name for name in new.raw if old.raw.get(name) != new.raw[name]))

    def hup(self, text: str) -> None:
        self.path.write_text(text)
        self.reload()


@pytest.fixture
def running(scene: Scene, tmp_path):
    return Running(scene, tmp_path / "dcdaemon.toml")


@pytest.fixture(autouse=True)
def _own_logging():
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)


def test_what_can_be_is_applied_at_once(running):
    running.hup(
        '[daemon]\noperators = ["bob"]\nlog_level = "debug"\n[jobs]\nper_user = 1\ngrace = "5s"\n'
        '[scheduler]\ndefault_limit = "1h"\npatience = 0.5\nbackfill = false\nshare_holdoff = "1s"\n'
        '[energy]\nprice_per_kwh = 0.5\ncurrency = "CHF"\ncarbon_g_per_kwh = 30\n[gpus]\nforeign_ok = ["Xorg"]\n'
        '[anomalies]\nidle_after = "7m"\nidle_below = 0.2\nfilesystem_full = 0.5\nstale_after = "9s"\n'
        '[storage]\nraw_retention = "1d"\nminute_retention = "2d"\nhour_retention = "3d"\n'
    )
    desk = running.desk
    assert (desk.rules.operators, desk.rules.jobs_per_user, desk.rules.grace_s) == ({"bob"}, 1, 5.0)
    assert desk.rules.default_limit_s == 3600.0
    assert (desk.policy.patience, desk.policy.backfill, desk.policy.share_holdoff_s) == (0.5, False, 1.0)
    facts = desk.board.facts
    assert (facts.price_per_kwh, facts.currency, facts.carbon_g_per_kwh) == (0.5, "CHF", 30.0)
    assert desk.board.foreign_ok == {"Xorg"}
    assert running.watch.thresholds.idle_after_s == running.gpus.history.keep_s == 420.0
    assert running.watch.thresholds.filesystem_full_ratio == 0.5
    kept = running.store.retention
    assert (kept.raw_s, kept.minute_s, kept.hour_s) == (86400.0, 2 * 86400.0, 3 * 86400.0)
    assert logging.getLogger().level == logging.DEBUG


def test_an_operator_that_was_added_may_act_and_a_limit_that_was_lowered_holds(running, scene):
    running.hup("[jobs]\nper_user = 1\n")
    scene.submit(actor=BOB)
    with pytest.raises(Refused):
        scene.submit(actor=BOB)
    running.hup("")
    scene.submit(actor=BOB)


def test_another_order_serves_the_same_queue_from_the_next_cycle_on(running, scene):
    blocker = scene.run(gpus=4)
    long, short = scene.submit(gpus=4, limit_s=7200.0), scene.submit(gpus=4, limit_s=60.0)
    running.hup('[scheduler]\norder = "fair-share"\n')
    assert running.desk.book.queue.by_owner
    assert running.desk.policy.order_in("main") is Order.FAIR_SHARE
    running.hup('[scheduler]\norder = "fifo"\n')
    assert not running.desk.book.queue.by_owner
    assert {job.id for job in running.desk.book.queue} == {long.id, short.id}
    scene.cancel(blocker)
    scene.advance(60.0)
    assert (scene.state(long), scene.state(short)) == (JobState.RUNNING, JobState.WAITING)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("[jobs]\nper_user = -1\n[energy]\nprice_per_kwh = 9\n", "jobs.per_user = -1 is not a number"),
        ("[jobs\n", "is not valid TOML"),
        ("jobs = 3\n", "jobs = 3 is not a section"),
    ],
)
def test_a_bad_file_is_refused_as_a_whole_and_one_line_says_which_key(running, caplog, text, why):
    running.hup("[energy]\nprice_per_kwh = 0.5\n")
    before = running.desk.rules
    caplog.clear()
    running.hup(text)
    [line] = [record for record in caplog.records if record.levelno >= logging.WARNING]
    assert (line.levelno, why in line.getMessage()) == (logging.ERROR, True)
    assert str(running.path) in line.getMessage()
    assert running.desk.board.facts.price_per_kwh == 0.5
    assert running.desk.rules is before
    running.path.unlink()
    running.reload()
    assert running.desk.board.facts.price_per_kwh == 0.5


def test_what_the_rest_of_the_daemon_cannot_take_refuses_the_reload_before_anything_is_applied(running, monkeypatch):
    def no_good(_old, _new) -> None:
        raise BadConfig("the certificate has expired", "renew it")

    monkeypatch.setattr(running, "reloaded", no_good)
    running.hup("[energy]\nprice_per_kwh = 0.5\n")
    assert running.desk.board.facts.price_per_kwh is None


def test_what_needs_a_restart_is_named_each_time_until_it_comes(running, caplog):
    caplog.set_level(logging.INFO, "dcdaemon.daemon.reload")
    for _ in range(2):
        caplog.clear()
        running.hup('[daemon]\ntcp = "127.0.0.1:1"\n[energy]\nprice_per_kwh = 0.5\n[gpus]\npower_limit_w = 400\n')
        [line] = [record for record in caplog.records if record.name.endswith("reload")]
        assert line.getMessage() == "configuration read again; only a restart applies daemon.tcp (jobs go on)"
    running.hup("[energy]\nprice_per_kwh = 0.5\n")
    assert caplog.records[-1].getMessage() == "configuration read again"
    assert running.told == [
        ["daemon.tcp", "energy.price_per_kwh", "gpus.power_limit_w"], ["daemon.tcp"], ["gpus.power_limit_w"],
    ]  # fmt: skip


def test_an_unknown_key_warns_as_at_the_start_and_hides_nothing(running):
    running.hup("[jobs]\nper_usr = 3\nper_user = 5\n")
    [warning] = running.desk.board.facts.config_warnings
    assert "did you mean jobs.per_user?" in warning
    assert running.desk.rules.jobs_per_user == 5


def test_systemd_is_told_when_a_reload_begins_and_that_it_is_over_also_when_it_was_refused(running, systemd):
    for text in ("", "[jobs\n"):
        running.hup(text)
        begun, over = systemd.told()
        assert begun.startswith("RELOADING=1\nMONOTONIC_USEC=")
        assert begun.rpartition("=")[2].isdecimal()
        assert over == "READY=1"


def test_a_signal_during_the_start_is_obeyed_once_the_daemon_is_ready(running, systemd):
    early = Reload(running, running.read(), running.read)
    running.path.write_text("[energy]\nprice_per_kwh = 0.5\n")
    early()
    assert (systemd.told(), running.desk.board.facts.price_per_kwh) == ([], None)
    early.open()
    assert len(systemd.told()) == 2
    assert running.desk.board.facts.price_per_kwh == 0.5


def test_two_signals_at_once_are_two_reloads_one_after_the_other(running, systemd):
    threads = [threading.Thread(target=running.reload) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [message.split("=")[0] for message in systemd.told()] == ["RELOADING", "READY"] * 2


def test_every_setting_that_is_live_is_one_that_there_is():
    assert LIVE.keys() <= SETTINGS.keys()
    assert SETTINGS.keys() >= OF_OTHERS
