"""How wrong predictions were is told by source, over the last jobs."""

from dcdaemon.core.prediction import Accuracy, Source
from dcdaemon.scheduler.predict_score import KEPT, SHORTEST_S, Score


def test_nothing_is_told_before_a_job_has_ended():
    assert Score().accuracy() == Accuracy(0)
    assert Score().by_source() == dict.fromkeys(Source, Accuracy(0))


def test_typical_is_the_middle_one_whether_too_short_or_too_long():
    score = Score()
    for run_s in (25.0, 100.0, 400.0, 800.0, 150.0):
        score.add(Source.HISTORY, 100.0, run_s)
    assert score.accuracy() == Accuracy(5, 4.0, 2 / 5, 3 / 5)


def test_each_source_is_told_by_itself():
    score = Score()
    score.add(Source.LIMIT, 100.0, 100.0)
    score.add(Source.PRIOR, 100.0, 800.0)
    by = score.by_source()
    assert (by[Source.LIMIT].typical_ratio, by[Source.PRIOR].typical_ratio, by[Source.HISTORY].jobs) == (1.0, 8.0, 0)


def test_it_is_about_the_last_jobs():
    score = Score()
    for _ in range(KEPT):
        score.add(Source.PRIOR, 100.0, 800.0)
    for _ in range(KEPT):
        score.add(Source.PRIOR, 100.0, 100.0)
    assert score.accuracy() == Accuracy(KEPT, 1.0, 1.0, 0.0)


def test_seconds_do_not_matter():
    score = Score()
    score.add(Source.HISTORY, 1.0, SHORTEST_S)
    score.add(Source.HISTORY, SHORTEST_S, 0.0)
    assert score.accuracy().typical_ratio == 1.0
