"""The panels of a board in Grafana's classic JSON: one number or several, lines over time, bars, tables."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

from dcdaemon.grafana.columns import overrides
from dcdaemon.grafana.dialect import Dialect, Json

BOARD_COLUMNS = 24
_GREY: Json = {"mode": "absolute", "steps": [{"color": "text", "value": None}]}


@dataclass(frozen=True)
class Panel(ABC):
    """One panel and its query; `columns` are the query's columns in their order."""

    kind: ClassVar[str]
    time_series: ClassVar[bool] = False

    title: str
    description: str
    sql: str
    width: int
    height: int
    columns: tuple[str, ...] = ()

    def render(self, dialect: Dialect) -> Json:
        """Return the panel's JSON without its place."""
        return {
            "type": self.kind,
            "title": self.title,
            "description": self.description,
            "datasource": dialect.datasource,
            "targets": [dialect.target(self.sql, time_series=self.time_series)],
            "fieldConfig": {"defaults": self.defaults(dialect), "overrides": overrides(self.columns)},
            "options": self.options(),
        }

    def defaults(self, dialect: Dialect) -> Json:  # noqa: ARG002  some panels name their series by it
        """Return how values are drawn unless a column says otherwise."""
        return {"thresholds": _GREY, "color": {"mode": "thresholds"}}

    @abstractmethod
    def options(self) -> Json:
        """Return the options of this kind of panel."""


@dataclass(frozen=True)
class Numbers(Panel):
    """The columns of a single row, each as one large number; `alarm` colours every number above zero red."""

    kind: ClassVar[str] = "stat"
    alarm: bool = False

    def defaults(self, dialect: Dialect) -> Json:
        """Colour by threshold."""
        if not self.alarm:
            return super().defaults(dialect)
        steps = [{"color": "green", "value": None}, {"color": "red", "value": 1}]
        return {"thresholds": {"mode": "absolute", "steps": steps}, "color": {"mode": "thresholds"}}

    def options(self) -> Json:
        """Show the newest row, one number per column."""
        return {
            "reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False},
            "graphMode": "none",
            "colorMode": "value",
            "textMode": "value_and_name",
            "orientation": "vertical",
        }


@dataclass(frozen=True)
class Lines(Panel):
    """One line per series over time, at most one point each five seconds: samples are not kept denser."""

    kind: ClassVar[str] = "timeseries"
    time_series: ClassVar[bool] = True
    unit: str = "short"
    highest: float | None = None

    def render(self, dialect: Dialect) -> Json:
        """Add the shortest distance of two points."""
        return {**super().render(dialect), "interval": "5s"}

    def defaults(self, dialect: Dialect) -> Json:
        """Draw thin lines from zero; a gap in the samples stays a gap."""
        custom = {
            "drawStyle": "line",
            "lineWidth": 1,
            "fillOpacity": 8,
            "showPoints": "auto",
            "spanNulls": False,
        }
        shown: Json = {"unit": self.unit, "min": 0, "color": {"mode": "palette-classic"}, "custom": custom}
        if self.highest is not None:
            shown["max"] = self.highest
        if dialect.series_name is not None:
            shown["displayName"] = dialect.series_name
        return shown

    def options(self) -> Json:
        """Name every line below the graph, and show all of them under the pointer."""
        return {
            "legend": {"displayMode": "list", "placement": "bottom", "showLegend": True, "calcs": []},
            "tooltip": {"mode": "multi", "sort": "desc"},
        }


@dataclass(frozen=True)
class Bars(Panel):
    """Stacked bars over the words in the first column."""

    kind: ClassVar[str] = "barchart"

    def defaults(self, dialect: Dialect) -> Json:  # noqa: ARG002  the same in both dialects
        """Give each column its colour."""
        return {"min": 0, "color": {"mode": "palette-classic"}, "custom": {"fillOpacity": 80, "lineWidth": 0}}

    def options(self) -> Json:
        """Stack the columns after the first."""
        return {
            "xField": self.columns[0],
            "stacking": "normal",
            "orientation": "auto",
            "showValue": "never",
            "legend": {"displayMode": "list", "placement": "bottom", "showLegend": True, "calcs": []},
            "tooltip": {"mode": "multi", "sort": "none"},
        }


@dataclass(frozen=True)
class Rows(Panel):
    """A table."""

    kind: ClassVar[str] = "table"

    def options(self) -> Json:
        """Keep the rows low."""
        return {"showHeader": True, "cellHeight": "sm"}


@dataclass(frozen=True)
class Heading:
    """A line of text across the board that begins a group of panels; a closed one hides them until it is opened."""

    title: str
    closed: bool = False
    width: int = BOARD_COLUMNS
    height: int = 1

    def render(self, dialect: Dialect) -> Json:  # noqa: ARG002  the same face as a panel
        """Return the row's JSON without its place."""
        return {"type": "row", "title": self.title, "collapsed": self.closed, "panels": []}
