"""The job that a submit makes of a spec."""

from dcdaemon.core.job import Job, JobSpec, JobState
from dcdaemon.core.prediction import Prediction


def new_job(job_id: int, spec: JobSpec, node: str, at: float, prediction: Prediction | None = None) -> Job:
    """Return a waiting job with what was foretold of it."""
    start = prediction and prediction.start
    return Job(
        id=job_id,
        node=node,
        spec=spec,
        state=JobState.WAITING,
        submitted_at=at,
        queued_at=at,
        held=spec.held,
        priority=spec.priority,
        predicted_s=prediction and prediction.run_s,
        predicted_by=prediction and prediction.by.value,
        forecast_at=start and start.at,
        forecast_low_at=start and start.low_at,
        forecast_high_at=start and start.high_at,
    )
