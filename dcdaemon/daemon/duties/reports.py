"""Every second: take in what running jobs report of their training."""

from dcdaemon.control.desk import Desk


class ReportDuty:
    """Reads the report files of active jobs."""

    name = "reports"

    def __init__(self, desk: Desk, every_s: float = 1.0) -> None:
        self.every_s = every_s
        self._desk = desk

    def tick(self) -> None:
        """Collect once."""
        self._desk.refresh_reports()
