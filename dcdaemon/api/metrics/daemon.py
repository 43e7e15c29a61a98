"""The queue, and the daemon itself: its duties, its collectors, its process; nothing here asks the database."""

import os
import platform
import resource
import time
from collections import Counter
from collections.abc import Sequence

from dcdaemon.api.metrics.own import write
from dcdaemon.api.metrics.text import Page, label, labels
from dcdaemon.control.board import Board, DutyReport
from dcdaemon.control.desk import Desk
from dcdaemon.core.job import ENDED, Job, JobState

_PAGE_BYTES = resource.getpagesize()


class EndedJobs:
    """Counts jobs by how they ended, since the daemon started; a listener of the desk."""

    def __init__(self) -> None:
        self.counts: Counter[JobState] = Counter(dict.fromkeys(sorted(ENDED), 0))

    def __call__(self, job: Job) -> None:
        """Count a job that has ended."""
        if job.state in ENDED:
            self.counts[job.state] += 1


def write_jobs(page: Page, desk: Desk, ended: EndedJobs) -> None:
    """Add the queue by state, what has ended so far, and how well its run times were predicted."""
    waiting, held, _ = desk.book.counts()
    active = Counter(job.state for job in desk.book.active())
    states = {"waiting": waiting - held, "held": held}
    states |= {state.value: active[state] for state in (JobState.STARTING, JobState.RUNNING, JobState.STOPPING)}
    write(page, "dcd_jobs", ((label("state", state), count) for state, count in states.items()))
    write(page, "dcd_jobs_ended_total", ((label("state", state), count) for state, count in ended.counts.items()))
    predicted = desk.predictions.accuracy_by_source().items()
    write(page, "dcd_prediction_typical_ratio", ((label("by", by), one.typical_ratio) for by, one in predicted))
    foretold = desk.forecasts.accuracy(desk.book.unfinished(), desk.clock.now())
    write(page, "dcd_start_forecast_within_ratio", [("", foretold.within_ratio)])


def write_daemon(page: Page, desk: Desk, duties: Sequence[DutyReport]) -> None:
    """Add version, duties and how far the ledger is; and the process, under the names every exporter uses."""
    facts = desk.board.facts
    about = labels(version=facts.version, python=platform.python_version(), node=desk.node, engine=facts.engine)
    write(page, "dcd_build_info", [(about, 1)])
    write(page, "dcd_simulated", [("", int(facts.simulated))])
    write(page, "dcd_ledger_booked_timestamp_seconds", [("", desk.board.booked_until or None)])
    _write_duties(page, duties)
    _write_collectors(page, desk.board, desk.clock.monotonic())
    _write_process(page, facts.started_at)


def _write_duties(page: Page, duties: Sequence[DutyReport]) -> None:
    of = [(label("duty", duty.name), duty) for duty in duties]
    write(page, "dcd_duty_up", ((name, int(duty.error is None and not duty.late)) for name, duty in of))
    write(page, "dcd_duty_last_tick_age_seconds", ((name, duty.last_tick_age_s) for name, duty in of))
    write(page, "dcd_duty_last_duration_seconds", ((name, duty.last_duration_s) for name, duty in of))
    write(page, "dcd_duty_ticks_total", ((name, duty.ticks) for name, duty in of))


def _write_collectors(page: Page, board: Board, now_s: float) -> None:
    swept = board.host.collectors if board.host is not None else ()
    of = [(label("collector", one.name), one) for one in (*swept, *board.collectors.values()) if one.running]
    ages = ((name, None if one.last_read_s is None else round(now_s - one.last_read_s, 3)) for name, one in of)
    write(page, "dcd_collector_up", ((name, int(one.lack is None and one.error is None)) for name, one in of))
    write(page, "dcd_collector_last_read_age_seconds", ages)
    write(page, "dcd_collector_last_duration_seconds", ((name, one.last_duration_s) for name, one in of))


def _write_process(page: Page, started_at: float) -> None:
    with open("/proc/self/stat", encoding="ascii") as file:  # noqa: PTH123  one small read
        fields = file.read().rpartition(")")[2].split()
    write(page, "process_cpu_seconds_total", [("", round(time.process_time(), 6))])
    write(page, "process_start_time_seconds", [("", started_at)])
    write(page, "process_virtual_memory_bytes", [("", int(fields[20]))])
    write(page, "process_resident_memory_bytes", [("", int(fields[21]) * _PAGE_BYTES)])
    write(page, "process_threads", [("", int(fields[17]))])
    write(page, "process_open_fds", [("", len(os.listdir("/proc/self/fd")))])  # noqa: PTH208  only how many
    write(page, "process_max_fds", [("", resource.getrlimit(resource.RLIMIT_NOFILE)[0])])
