"""The board of all nodes of one PostgreSQL server: what they do together, and each of them in a line."""

import re

from dcdaemon.grafana import queries
from dcdaemon.grafana.panels import Bars, Heading, Lines, Numbers, Panel, Rows

_OF_NODE = re.compile(r"(\w+\.)?node = \$\{node:sqlstring\}")


def everywhere(sql: str) -> str:
    """Return a query of one node as one of all nodes."""
    return _OF_NODE.sub("TRUE", sql)


#: Up to three hours by minute, more by hour, from an index that holds these columns and no other. Summed up in each
#: branch: an Append of a month's single rows would cost as much again.
_BY_HOUR_OR_MINUTE = """\
  SELECT <key>, <values>
  FROM gpu_sample_1h
  WHERE ts BETWEEN $__from / 1000 AND $__to / 1000 AND $__to - $__from > 10800000
  GROUP BY <key>
  UNION ALL
  SELECT <key>, <values>
  FROM gpu_sample_1m
  WHERE node IN (SELECT node FROM gpu) AND ts BETWEEN $__from / 1000 AND $__to / 1000 AND $__to - $__from <= 10800000
  GROUP BY <key>"""
_TOGETHER = """\
WITH together AS (
<summed>
), drawn AS (
  SELECT ts - ts % ($__interval_ms / 1000) AS "time", <point>
  FROM together
  GROUP BY 1
)
<lines>
ORDER BY 1, 2"""


def summed(key: str, values: str) -> str:
    """Return what is made of all rows of the time shown that have the same `key`."""
    return _BY_HOUR_OR_MINUTE.replace("<key>", key).replace("<values>", values)


NODES_NOW = """\
SELECT COUNT(DISTINCT node) AS nodes, COUNT(*) AS all_gpus,
       (SELECT COUNT(*) FROM allocation) AS busy,
       (SELECT COUNT(*) FROM gpu_mark WHERE drained IS NOT NULL) AS drained
FROM gpu"""

#: The newest minute that is surely over on every node.
POWER_NOW = """\
SELECT SUM(power_w_avg) AS power_w
FROM gpu_sample_1m
WHERE node IN (SELECT node FROM gpu) AND ts = $__to / 1000 - 120 - ($__to / 1000 - 120) % 60"""

_NODE_MEANS = ("util_ratio", "sm_active_ratio", "tensor_active_ratio", "power_w")

NODES = """\
WITH means AS (
<summed>
)
SELECT node, (SELECT COUNT(*) FROM gpu WHERE gpu.node = means.node) AS all_gpus,
       (SELECT COUNT(*) FROM allocation WHERE allocation.node = means.node) AS busy,
       util_ratio, sm_active_ratio, tensor_active_ratio, power_w,
       (SELECT COUNT(*) FROM anomaly WHERE anomaly.node = means.node AND cleared_at IS NULL) AS open_anomalies
FROM means
ORDER BY node""".replace("<summed>", summed("node", ", ".join(f"AVG({name}_avg) AS {name}" for name in _NODE_MEANS)))

ANOMALIES = everywhere(queries.ANOMALIES).replace("raised_ms,", "raised_ms, node,")

EVENTS = everywhere(queries.EVENTS).replace("at_ms,", "at_ms, node,")


def together(fold: str, **lines: str) -> str:
    """Return lines through all GPUs: `fold` makes one value of all of a moment, then the mean one of a point."""
    parts = {
        "<summed>": summed("ts", ", ".join(f"{fold}({column}) AS {column}" for column in lines.values())),
        "<point>": ", ".join(f"AVG({column}) AS {column}" for column in lines.values()),
        "<lines>": "\nUNION ALL\n".join(
            f"SELECT \"time\", '{name.replace('_', ' ')}' AS metric, {column} AS value FROM drawn "  # noqa: S608
            f"WHERE {column} IS NOT NULL"
            for name, column in lines.items()
        ),
    }
    sql = _TOGETHER
    for mark, text in parts.items():
        sql = sql.replace(mark, text)
    return sql


FLEET_PANELS: tuple[Panel | Heading, ...] = (
    Heading("Now"),
    Numbers("Nodes", "Nodes and their GPUs.", NODES_NOW, 8, 4, ("nodes", "all_gpus", "busy", "drained")),
    Numbers("Jobs", "Unfinished jobs.", everywhere(queries.JOBS_NOW), 6, 4, ("running", "waiting", "held")),
    Numbers("Power", "All GPUs together, the newest minute that is over.", POWER_NOW, 4, 4, ("power_w",)),
    Numbers("Anomalies", "Not yet cleared.", everywhere(queries.ANOMALIES_NOW), 6, 4, ("open_anomalies",), alarm=True),
    Heading("GPUs"),
    Lines(
        "GPUs used", "Mean of all GPUs: a kernel resident, an SM with a warp, a tensor core at work.",
        together("AVG", kernel="util_ratio_avg", SM="sm_active_ratio_avg", tensor="tensor_active_ratio_avg"), 12, 8,
        unit="percentunit", highest=1,
    ),
    Lines("GPU power", "All GPUs together.", together("SUM", power="power_w_avg"), 12, 8, unit="watt"),
    Lines(
        "GPU memory", "All GPUs together.", together("SUM", used="mem_used_bytes_avg"), 12, 8, unit="bytes"
    ),
    Lines("GPUs measured", "GPUs with a reading.", together("COUNT", GPUs="power_w_avg"), 12, 8),
    Rows(
        "Each node", "GPUs now; the rest over the time shown.", NODES, 24, 12,
        ("node", "all_gpus", "busy", "util_ratio", "sm_active_ratio", "tensor_active_ratio", "power_w",
         "open_anomalies"),
    ),
    Heading("Energy"),
    Bars(
        "Energy by day", "Whole days in UTC, the first one too; idle is what no job used.",
        everywhere(queries.ENERGY_BY_DAY), 12, 9, ("utc_day", "jobs_kwh", "idle_kwh"),
    ),
    Rows(
        "Energy by user", "Booked in the hours shown.", everywhere(queries.ENERGY_BY_USER), 12, 9,
        ("user_name", "energy_kwh", "gpu_hours"),
    ),
    Heading("Anomalies and events"),
    Rows(
        "Open anomalies", "Raised and not yet cleared, whenever that was.", ANOMALIES, 24, 9,
        ("raised_ms", "node", "severity", "rule", "subject", "message", "job_id", "gpu", "acked_by"),
    ),
    Rows(
        "Events", "The newest of the time shown, a row for each burst.", EVENTS, 24, 10,
        ("at_ms", "node", "event", "subject", "what", "times", "gpu", "job_id"),
    ),
)  # fmt: skip
