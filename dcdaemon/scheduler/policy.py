"""The choices an operator has about scheduling."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Policy:
    """How the queue is served; `backfill_depth` is how many shapes behind the head may be tried in vain.

    `gangs` lets a job that is wider than any node take several whole ones.
    """

    backfill: bool = True
    backfill_depth: int = 1000
    default_limit_s: float | None = None
    gangs: bool = False

    def limit_for(self, asked_s: float | None) -> float | None:
        """Return the limit a job gets at submit, in seconds; plan() counts on it, so it must be enforced."""
        return self.default_limit_s if asked_s is None else asked_s
