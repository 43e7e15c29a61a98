"""How much of other users' jobs people see."""

from enum import StrEnum


class Visibility(StrEnum):
    """What somebody who is no operator sees of the jobs of others.

    `all`: everything but logs, reports and environments. `masked`: who holds which GPU and since when, not what runs
    there. `own`: nothing.
    """

    ALL = "all"
    MASKED = "masked"
    OWN = "own"
