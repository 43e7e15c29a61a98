"""An hour of a node on a real database whose daemon dies every minute; `make proof` does a day of it."""

from simulation.mortal_life import IDLE, MortalLife


def test_an_hour_with_a_kill_every_minute_loses_repeats_and_mislabels_nothing(tmp_path):
    life = MortalLife(seed=7, database=tmp_path / "dcdaemon.db")
    life.kill_every_minute(60)
    life.jobs_come(3600.0)
    life.live(3600.0)
    life.finish()
    assert life.booked_as_counted()
    assert life.wrong_ends() == []
    life.close()
    assert life.broken == []
    assert life.violations == []
    assert life.fate.kills.total() == 60
    assert len(set(life.fate.kills) - {IDLE}) == 3
    assert len(life.answered) >= 15
