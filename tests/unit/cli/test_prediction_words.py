"""What is predicted of a job, and how well predictions turn out, in words."""

import documents

from dcdaemon.cli.show.daemon import status_text
from dcdaemon.cli.show.job import job_text

UNKNOWN = {"jobs": 0, "typical_ratio": None, "within_2x_ratio": None, "longer_ratio": None}


def lines_of(text: str, name: str) -> list[str]:
    return [line.strip() for line in text.splitlines() if line.strip().startswith(name)]


def shown(**changes) -> list[str]:
    return lines_of(job_text(documents.job(7, "train", **changes)), "predicted")


def test_a_job_tells_what_was_predicted_and_by_what():
    assert shown(predicted_s=7200.0, predicted_by="history") == ["predicted    2h (by history)"]
    assert shown(predicted_s=None, predicted_by=None) == []


def test_a_job_that_has_ended_tells_how_far_off_that_was():
    ended = {"predicted_s": 7200.0, "predicted_by": "limit", "state": "succeeded", "ended_at": documents.ago(5)}
    assert shown(**ended, run_s=10080.0) == ["predicted    2h (by limit); it ran 1.4 times as long"]
    assert shown(**ended, run_s=72.0) == ["predicted    2h (by limit); it ran 0.01 times as long"]
    assert shown(**ended, run_s=None) == ["predicted    2h (by limit)"]


def test_the_status_tells_how_well_the_last_jobs_were_predicted():
    good, bad = ({"jobs": 60, "typical_ratio": 1.44}, {"jobs": 40, "typical_ratio": 3.0})
    told = {
        "jobs": 100, "typical_ratio": 1.82, "within_2x_ratio": 0.63, "longer_ratio": 0.5,
        "by": {"limit": UNKNOWN, "history": UNKNOWN | good, "prior": UNKNOWN | bad},
    }  # fmt: skip
    assert lines_of(status_text(documents.status(predictions=told)), "predicted") == [
        "predicted  typically within x1.8, 63% within x2 (by history x1.4, by prior x3.0; the last 100 jobs)"
    ]


def test_the_status_tells_nothing_before_a_job_was_predicted():
    by = {"limit": UNKNOWN, "history": UNKNOWN, "prior": UNKNOWN}
    for status in (documents.status(), documents.status(predictions=UNKNOWN | {"by": by})):
        assert lines_of(status_text(status), "predicted") == []
