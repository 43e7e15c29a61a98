"""One thing that `dcd doctor` looked at."""

from dataclasses import asdict, dataclass

from dcdaemon.client.answer import Document

OK, WARN, FAIL = "ok", "warn", "fail"


@dataclass(frozen=True, slots=True)
class Check:
    """What was looked at, how it is (ok, warn, fail), and how to mend it, or to have more where it is well."""

    name: str
    level: str
    message: str
    fix: str | None = None

    def as_json(self) -> Document:
        """Return the check as a JSON object."""
        return asdict(self)
