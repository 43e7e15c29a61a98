"""The boards: which panels there are and where they stand."""

from collections.abc import Sequence
from dataclasses import dataclass

from dcdaemon.grafana import queries
from dcdaemon.grafana.dialect import POSTGRESQL, Dialect, Json
from dcdaemon.grafana.fleet import FLEET_PANELS
from dcdaemon.grafana.hardware import HARDWARE_PANELS
from dcdaemon.grafana.over_time import mean, over_time, peak
from dcdaemon.grafana.panels import BOARD_COLUMNS, Bars, Heading, Lines, Numbers, Panel, Rows

NODE_PANELS: tuple[Panel | Heading, ...] = (
    Heading("Now"),
    Numbers("Jobs", "Unfinished jobs.", queries.JOBS_NOW, 6, 4, ("running", "waiting", "held")),
    Numbers("GPUs", "GPUs of this node.", queries.GPUS_NOW, 6, 4, ("busy", "drained", "all_gpus")),
    Numbers("Power", "All GPUs together, newest readings.", queries.POWER_NOW, 4, 4, ("power_w",)),
    Numbers("Energy", "Booked in the hours shown.", queries.ENERGY_SHOWN, 4, 4, ("jobs_kwh", "idle_kwh")),
    Numbers("Anomalies", "Not yet cleared.", queries.ANOMALIES_NOW, 4, 4, ("open_anomalies",), alarm=True),
    Heading("GPUs"),
    Lines(
        "GPU utilisation", "Share of time in which a kernel ran, however little of the GPU it used.",
        over_time("gpu", mean("util_ratio")), 12, 8, unit="percentunit", highest=1,
    ),
    Lines("GPU power", "Average of a point.", over_time("gpu", mean("power_w")), 12, 8, unit="watt"),
    Lines("GPU memory", "Peak of a point.", over_time("gpu", peak("mem_used_bytes")), 12, 8, unit="bytes"),
    Lines("GPU temperature", "Peak of a point.", over_time("gpu", peak("temp_c")), 12, 8, unit="celsius"),
    Rows(
        "GPUs now", "Readings at most a minute old; empty where there are none.", queries.GPUS, 24, 9,
        ("gpu", "model", "kind", "drained", "job_id", "job", "user_name",
         "util_ratio", "power_w", "temp_c", "mem_used_bytes", "mem_total_bytes"),
    ),
    Heading("Queue"),
    Rows(
        "Waiting jobs", "In the order of the queue; `dcd why` tells what each one waits for.",
        queries.WAITING, 12, 9,
        ("job_id", "job", "user_name", "gpus_asked", "priority", "state", "queued_ms", "wait_s"),
    ),
    Rows(
        "Running jobs", "Utilisation and energy so far.", queries.RUNNING, 12, 9,
        ("job_id", "job", "user_name", "state", "gpus", "started_ms", "run_s", "util_ratio", "energy_kwh"),
    ),
    Rows(
        "Ended jobs", "The last 200 that ended in the time shown; use of all attempts together.",
        queries.ENDED, 24, 10,
        ("job_id", "job", "user_name", "state", "exit_code", "ended_ms", "wait_s", "run_s",
         "gpu_hours", "util_ratio", "energy_kwh"),
    ),
    Heading("Energy"),
    Bars(
        "Energy by day", "Whole days in UTC, the first one too; idle is what no job used.",
        queries.ENERGY_BY_DAY, 12, 9, ("utc_day", "jobs_kwh", "idle_kwh"),
    ),
    Rows(
        "Energy by user", "Booked in the hours shown.", queries.ENERGY_BY_USER, 12, 9,
        ("user_name", "energy_kwh", "gpu_hours"),
    ),
    Heading("Anomalies and events"),
    Rows(
        "Open anomalies", "Raised and not yet cleared, whenever that was.", queries.ANOMALIES, 24, 9,
        ("raised_ms", "severity", "rule", "subject", "message", "job_id", "gpu", "acked_by"),
    ),
    Rows(
        "Events", "What happened to the hardware and to its telemetry in the time shown, a row for each burst.",
        queries.EVENTS, 24, 10, ("at_ms", "event", "subject", "what", "times", "gpu", "job_id"),
    ),
    *HARDWARE_PANELS,
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Board:
    """One board for one kind of database; its uid never changes, so an upload replaces the earlier one.

    One that is `of_node` lets the viewer pick the node.
    """

    name: str
    title: str
    panels: tuple[Panel | Heading, ...]
    dialect: Dialect
    of_node: bool = True

    @property
    def slug(self) -> str:
        """Return the name of its file; PostgreSQL's has no suffix."""
        return self.name if self.dialect is POSTGRESQL else f"{self.name}-{self.dialect.name}"

    @property
    def full_title(self) -> str:
        """Return the title as Grafana lists it."""
        return self.title if self.dialect is POSTGRESQL else f"{self.title} (SQLite)"

    def build(self, datasource_uid: str | None = None) -> Json:
        """Return the board's JSON; without a data source Grafana picks the first one that fits."""
        return {
            "id": None,
            "uid": f"dcdaemon-{self.slug}",
            "title": self.full_title,
            "tags": ["dcdaemon"],
            "schemaVersion": 41,
            "editable": True,
            "graphTooltip": 1,
            "timezone": "browser",
            "refresh": "30s",
            "time": {"from": "now-24h", "to": "now"},
            "annotations": {"list": []},
            "links": [],
            "templating": {"list": _variables(self.dialect, datasource_uid)[: 2 if self.of_node else 1]},
            "panels": _placed(self.panels, self.dialect),
        }


def node_board(dialect: Dialect) -> Board:
    """Return the board of one node: GPUs, queue, energy, anomalies, events, and all other hardware."""
    return Board("node", "dcdaemon: node", NODE_PANELS, dialect)


def fleet_board() -> Board:
    """Return the board of all nodes of a PostgreSQL server; a SQLite file has one node."""
    return Board("fleet", "dcdaemon: all nodes", FLEET_PANELS, POSTGRESQL, of_node=False)


def _variables(dialect: Dialect, datasource_uid: str | None) -> list[Json]:
    datasource: Json = {
        "name": "datasource", "label": "Data source", "type": "datasource", "query": dialect.plugins[0],
        "refresh": 1, "regex": "", "multi": False, "includeAll": False, "hide": 0,
        "current": {"text": datasource_uid, "value": datasource_uid} if datasource_uid else {},
    }  # fmt: skip
    node: Json = {
        "name": "node", "label": "Node", "type": "query", "datasource": dialect.datasource,
        "query": queries.NODES, "definition": queries.NODES,
        "refresh": 1, "regex": "", "sort": 0, "multi": False, "includeAll": False, "hide": 0, "current": {},
    }  # fmt: skip
    return [datasource, node]


def _placed(panels: Sequence[Panel | Heading], dialect: Dialect) -> list[Json]:
    """Return the panels as read: left to right, and on to the next line where one is full.

    The panels of a closed heading stand inside it, placed as if it were open.
    """
    placed: list[Json] = []
    inside = placed
    left = top = line_height = 0
    for number, panel in enumerate(panels, start=1):
        if left + panel.width > BOARD_COLUMNS:
            left, top, line_height = 0, top + line_height, 0
        place = {"x": left, "y": top, "w": panel.width, "h": panel.height}
        drawn = {"id": number, "gridPos": place, **panel.render(dialect)}
        if isinstance(panel, Heading):
            placed.append(drawn)
            inside = drawn["panels"] if panel.closed else placed
        else:
            inside.append(drawn)
        left, line_height = left + panel.width, max(line_height, panel.height)
    return placed
