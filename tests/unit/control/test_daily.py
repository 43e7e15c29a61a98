"""The report of a day."""

from dcdaemon.control.daily import daily_report
from dcdaemon.core.anomaly import Finding, Severity
from dcdaemon.core.energy import EnergyMethod, EnergyShare, Metered
from dcdaemon.fakes.engine import Play


def test_the_report_counts_what_ended_what_it_took_and_what_stood_idle(scene):
    scene.run(Play(run_s=10.0), gpus=1)
    scene.run(Play(run_s=10.0, exit_code=3), gpus=1)
    scene.advance(20.0)
    now = scene.clock.now()
    shares = (EnergyShare("node", 0, 1, 3_600_000, 7200.0), EnergyShare("node", 0, 0, 7_200_000, 3600.0))
    book = Metered("node", 0, now - 60, now, 10_800_000, EnergyMethod.COUNTER, shares, 10_800_000)
    scene.desk.store.book([book], [])
    scene.desk.store.raise_anomalies([Finding("gpu_lost", "gpu 3", Severity.CRITICAL, "GPU 3 is lost")], now)

    assert daily_report(scene.desk) == (
        "2 jobs ended, 1 of them succeeded; 2.0 GPU-hours used; 3.0 Wh, 2.0 Wh of it idle; 1 anomaly"
    )


def test_the_day_before_yesterday_is_not_in_it(scene):
    scene.run(Play(run_s=10.0), gpus=1)
    scene.advance(20.0)
    scene.clock.advance(3 * 86400.0)

    assert daily_report(scene.desk).startswith("0 jobs ended, 0 of them succeeded; 0.0 GPU-hours used")
