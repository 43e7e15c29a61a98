"""How well starts are foretold is told by the status, a job and the metrics."""

from dataclasses import replace

from readings import Exposition
from scene import Scene

from dcdaemon.api.metrics.pages import make_pages


def foretold(scene: Scene, low_at: float, at: float, high_at: float) -> None:
    """Score a job that was foretold so, seconds from its start."""
    job = scene.run()
    times = {"forecast_low_at": low_at, "forecast_at": at, "forecast_high_at": high_at}
    assert job.started_at is not None
    scene.desk.forecasts.recall([replace(job, **{name: job.started_at + s for name, s in times.items()})])


def test_the_status_tells_how_many_starts_lay_within_their_times(door):
    nothing = {"within_ratio": None, "typical_error_ratio": None, "at_once_ratio": None}
    assert door.ada.get("/v1/status")["forecasts"] == {"jobs": 0, "late": 0, **nothing}
    foretold(door.scene, -1.0, 0.0, 60.0)
    foretold(door.scene, 600.0, 900.0, 1200.0)
    told = door.ada.get("/v1/status")["forecasts"]
    assert told == {"jobs": 2, "late": 0, "within_ratio": 0.5, "typical_error_ratio": None, "at_once_ratio": 0.5}


def test_the_metrics_have_the_share_within(door):
    scene = door.scene
    foretold(scene, -1.0, 0.0, 60.0)
    page = Exposition(make_pages(scene.desk, list, dcgm=False)["/metrics"]().decode())
    assert page.value("dcd_start_forecast_within_ratio") == 1.0
