"""The report of a day: what was done, what it took, what stood idle, in one line of the daemon's log."""

from dcdaemon.control.desk import Desk
from dcdaemon.core.job import ENDED, JobState
from dcdaemon.core.ports import JobQuery
from dcdaemon.core.units import format_energy

_DAY_S = 86400.0
_IDLE = "idle"


def daily_report(desk: Desk) -> str:
    """Return the report of the 24 hours before now."""
    since = desk.clock.now() - _DAY_S
    ended = desk.store.jobs(JobQuery(states=ENDED, ended_since=since))
    succeeded = sum(job.state is JobState.SUCCEEDED for job in ended)
    rows = desk.store.energy("user", since)
    used_s = sum(row.gpu_s for row in rows if row.key != _IDLE)
    idle_mj = sum(row.energy_mj for row in rows if row.key == _IDLE)
    total_mj = sum(row.energy_mj for row in rows)
    odd = len(desk.store.anomalies(since=since))
    return (
        f"{len(ended)} {'job' if len(ended) == 1 else 'jobs'} ended, {succeeded} of them succeeded; "
        f"{used_s / 3600:.1f} GPU-hours used; "
        f"{format_energy(total_mj)}, {format_energy(idle_mj)} of it idle; "
        f"{odd} {'anomaly' if odd == 1 else 'anomalies'}"
    )
