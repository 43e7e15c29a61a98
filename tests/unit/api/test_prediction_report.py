"""How well run times are predicted is told by the status, by a job and by the metrics."""

import pytest
from readings import Exposition
from scene import Scene

from dcdaemon.api.metrics.pages import make_pages
from dcdaemon.core.job import JobState
from dcdaemon.core.prediction import PastRun

RUN = PastRun("ada", ("train.py",), 1, None, JobState.SUCCEEDED, 100.0, 100.0, "history")


def learn(scene: Scene) -> None:
    runs = [RUN, RUN._replace(run_s=400.0), RUN._replace(run_s=25.0), RUN._replace(run_s=800.0, predicted_by="prior")]
    scene.desk.predictions.recall(runs)


def test_the_status_tells_typical_errors_of_all_and_by_source(door):
    learn(door.scene)
    told = door.ada.get("/v1/status")["predictions"]
    assert told == {
        "jobs": 4, "typical_ratio": 4.0, "within_2x_ratio": 0.25, "longer_ratio": 0.5,
        "by": {
            "limit": {"jobs": 0, "typical_ratio": None, "within_2x_ratio": None, "longer_ratio": None},
            "history": {
                "jobs": 3, "typical_ratio": 4.0, "within_2x_ratio": pytest.approx(1 / 3),
                "longer_ratio": pytest.approx(1 / 3),
            },
            "prior": {"jobs": 1, "typical_ratio": 8.0, "within_2x_ratio": 0.0, "longer_ratio": 1.0},
        },
    }  # fmt: skip


def test_a_job_tells_what_was_predicted(door, job_body):
    [answer] = door.ada.post("/v1/jobs", job_body(limit_s=60.0))["jobs"]
    told = door.ada.get(f"/v1/jobs/{answer['id']}")
    assert (told["predicted_s"], told["predicted_by"]) == (60.0, "limit")


def test_the_metrics_tell_typical_errors_of_the_sources_there_are():
    scene = Scene(gpus=2)
    page = make_pages(scene.desk, list, dcgm=False)["/metrics"]
    assert "dcd_prediction_typical_ratio" not in page().decode()
    learn(scene)
    shown = Exposition(page().decode())
    assert shown.value("dcd_prediction_typical_ratio", by="history") == 4
    assert shown.value("dcd_prediction_typical_ratio", by="prior") == 8
    assert {of["by"] for of in shown.labels("dcd_prediction_typical_ratio")} == {"history", "prior"}
