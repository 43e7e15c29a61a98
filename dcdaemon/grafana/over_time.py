"""The SQL of lines over time: from single samples, minutes or hours, whichever suits the length of the time shown.

Up to three hours are drawn from samples, up to three days from minutes, more from hours. What is gone from the finer
rows is taken from the coarser, and what is not yet in the coarser (the hour that is not over) from the finer.
"""

import re
from dataclasses import dataclass
from enum import Enum

#: How each kind of device is called in a legend; nothing where there is one of a node.
DEVICES = {
    "gpu": "'GPU ' || gpu",
    "mig": "'GPU ' || gpu || ' ' || instance",
    "host": "''",
    "sensor": "chip || ' ' || sensor",
    "rapl": "domain",
    "bmc": "''",
    "disk": "device",
    "filesystem": "mount",
    "drive": "device",
    "nfs": "mount",
    "object_store": "store",
    "net": "interface",
    "ib": "device || '/' || port",
    "switch_port": "switch || ' ' || port",
    "switch": "switch",
}
_COLUMN = re.compile(r"\{(\w+)\}")


class Way(Enum):
    """How the values of a point become one: in the rows of samples, and of what was folded already."""

    MEAN = ("AVG", "avg")
    PEAK = ("MAX", "max")
    RATE = ("AVG", "by second")
    GROWTH = ("SUM", "delta")

    @property
    def counts(self) -> bool:
        """Tell whether it looks at a counter."""
        return self in {Way.RATE, Way.GROWTH}


@dataclass(frozen=True, slots=True)
class Line:
    """What is drawn: an expression of gauges in braces, or one counter; `name` tells lines of one device apart."""

    value: str
    way: Way
    name: str

    @property
    def columns(self) -> tuple[str, ...]:
        """Name what it reads."""
        return (self.value,) if self.way.counts else tuple(_COLUMN.findall(self.value))

    def of_samples(self) -> str:
        """Return its value in a row of a single sample, which has the row before beside it."""
        if not self.way.counts:
            return _COLUMN.sub(r"\1", self.value)
        now, before = self.value, f"{self.value}_before"
        grown = f"CAST(CASE WHEN {now} < {before} THEN {now} ELSE {now} - {before} END AS DOUBLE PRECISION)"
        return grown if self.way is Way.GROWTH else f"{grown} / (ts - ts_before)"

    def of_buckets(self, bucket_s: int) -> str:
        """Return its value in a row that stands for a minute or an hour."""
        if not self.way.counts:
            return _COLUMN.sub(rf"\1_{self.way.value[1]}", self.value)
        grown = f"CAST({self.value}_delta AS DOUBLE PRECISION)"
        return grown if self.way is Way.GROWTH else f"{grown} / {bucket_s}"


def mean(column: str, name: str = "") -> Line:
    """Draw the mean of a gauge, or of an expression of gauges in braces."""
    return Line(column if "{" in column else f"{{{column}}}", Way.MEAN, name)


def peak(column: str, name: str = "") -> Line:
    """Draw the highest value of a gauge."""
    return Line(f"{{{column}}}", Way.PEAK, name)


def rate(column: str, name: str = "") -> Line:
    """Draw what a counter grows by in a second."""
    return Line(column, Way.RATE, name)


def growth(column: str, name: str = "") -> Line:
    """Draw what a counter grows by from point to point: for what happens so rarely that a rate says nothing."""
    return Line(column, Way.GROWTH, name)


# Each boundary is the one bound of its kind in a WHERE, so that SQLite, too, reads no more than it must.
_EDGES = """\
WITH kept AS (
  SELECT (SELECT MIN(ts) FROM <table> WHERE <node>) AS first_sample,
         (SELECT MIN(ts) FROM <table>_1m WHERE <node>) AS first_minute,
         (SELECT MAX(ts) + 60 FROM <table>_1m WHERE <node>) AS minutes_end,
         (SELECT MAX(ts) + 3600 FROM <table>_1h WHERE <node>) AS hours_end
), wanted AS (
  SELECT CASE WHEN <hours> THEN COALESCE(hours_end, 0)
              ELSE COALESCE(first_minute, first_sample, $__to / 1000 + 1) END AS hours_until,
         CASE WHEN <samples> THEN COALESCE(first_sample, minutes_end, 0)
              ELSE COALESCE(minutes_end, 0) END AS minutes_until
  FROM kept
), edge AS (
  SELECT CASE WHEN hours_until - 3600 > $__to / 1000 THEN $__to / 1000 ELSE hours_until - 3600 END AS last_hour,
         CASE WHEN hours_until < $__from / 1000 THEN $__from / 1000 ELSE hours_until END AS first_minute,
         CASE WHEN minutes_until - 60 > $__to / 1000 THEN $__to / 1000 ELSE minutes_until - 60 END AS last_minute,
         CASE WHEN minutes_until < $__from / 1000 THEN $__from / 1000 ELSE minutes_until END AS first_sample
  FROM wanted
)"""
_PICKED = """\
picked AS (
  SELECT ts, <device> AS device, <of_hours>
  FROM <table>_1h
  WHERE <node> AND ts >= $__from / 1000 AND ts <= (SELECT last_hour FROM edge)
  UNION ALL
  SELECT ts, <device> AS device, <of_minutes>
  FROM <table>_1m
  WHERE <node> AND ts >= (SELECT first_minute FROM edge) AND ts <= (SELECT last_minute FROM edge)
  UNION ALL
  SELECT ts, device, <of_samples>
  FROM (
    SELECT ts, <device> AS device, <read>
    FROM <table>
    WHERE <node> AND ts >= (SELECT first_sample FROM edge) AND ts <= $__to / 1000<window>
  ) samples
)"""
_DRAWN = """\
drawn AS (
  SELECT ts - ts % ($__interval_ms / 1000) AS "time", <shown> AS device, <folds>
  FROM picked
  GROUP BY 1, 2
)"""
_HOURS = "$__to - $__from > 259200000 OR $__interval_ms >= 3600000"
_SAMPLES = "$__to - $__from <= 10800000 AND $__interval_ms < 60000"


def over_time(kind: str, *lines: Line, together: bool = False) -> str:
    """Return each of `lines` for each device, or once for all `together`: the highest of them, of growth the sum."""
    counters = [line.value for line in lines if line.way.counts]
    before = [f"LAG({name}) OVER its AS {name}_before" for name in (*counters, *(["ts"] if counters else []))]
    parts = {
        "<of_hours>": _columns([line.of_buckets(3600) for line in lines]),
        "<of_minutes>": _columns([line.of_buckets(60) for line in lines]),
        "<of_samples>": _columns([line.of_samples() for line in lines]),
        "<folds>": _columns([f"{_fold(line, together)}(v{number})" for number, line in enumerate(lines)]),
        "<read>": ", ".join([*dict.fromkeys(name for line in lines for name in line.columns), *before]),
        "<window>": f"\n    WINDOW its AS (PARTITION BY {DEVICES[kind]} ORDER BY ts)" if counters else "",
        "<device>": DEVICES[kind],
        "<shown>": "''" if together else "device",
        "<table>": f"{kind}_sample",
        "<node>": "node = ${node:sqlstring}",
        "<hours>": _HOURS,
        "<samples>": _SAMPLES,
    }
    alone = together or DEVICES[kind] == "''"
    drawn = "\nUNION ALL\n".join(_drawn(number, line, alone=alone) for number, line in enumerate(lines))
    sql = f"{_EDGES}, {_PICKED}, {_DRAWN}\n{drawn}\nORDER BY 1, 2"
    for mark, text in parts.items():
        sql = sql.replace(mark, text)
    return sql


def _fold(line: Line, together: bool) -> str:  # noqa: FBT001  a word of the sentence
    return "MAX" if together and line.way is not Way.GROWTH else line.way.value[0]


def _columns(values: list[str]) -> str:
    return ", ".join(f"{value} AS v{number}" for number, value in enumerate(values))


def _drawn(number: int, line: Line, *, alone: bool) -> str:
    name = f"'{line.name}'" if alone else f"device || ' {line.name}'" if line.name else "device"
    # Times 1.0: the SQLite data source takes a column's type from its first value and cuts off decimals of the rest.
    return f'SELECT "time", {name} AS metric, v{number} * 1.0 AS value FROM drawn WHERE v{number} IS NOT NULL'  # noqa: S608
