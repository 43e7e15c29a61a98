"""What looked wrong, with its evidence."""

from dataclasses import dataclass, field
from enum import StrEnum


class Severity(StrEnum):
    """How much it matters."""

    INFO = "info"
    WARNING = "warning"
    CRITICAL = "critical"


@dataclass(frozen=True, slots=True)
class Finding:
    """A rule's verdict now; (rule, subject) names the anomaly while it lasts; evidence holds the numbers."""

    rule: str
    subject: str
    severity: Severity
    message: str
    evidence: dict[str, object] = field(default_factory=dict)
    job_id: int | None = None
    gpu: int | None = None


@dataclass(frozen=True, slots=True)
class Anomaly:
    """A finding as stored: raised once, cleared when its rule no longer finds it (a momentary one at birth)."""

    id: int
    node: str
    finding: Finding
    raised_at: float
    cleared_at: float | None = None
    acked_by: str | None = None
