"""What differs between PostgreSQL and SQLite behind Grafana: data source, shape of a query, one function."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

Json = dict[str, Any]

_UTC_DAY = re.compile(r"UTC_DAY\((\w+)\)")


@dataclass(frozen=True, slots=True)
class Dialect:
    """One kind of database; `plugins` are the ids its data source goes by, the current one first."""

    name: str
    plugins: tuple[str, ...]
    utc_day: str
    query: Callable[[str, bool], Json]
    series_name: str | None

    def target(self, sql: str, *, time_series: bool) -> Json:
        """Return a panel's query; UTC_DAY(column) becomes the day of epoch seconds as YYYY-MM-DD."""
        text = _UTC_DAY.sub(lambda match: self.utc_day.replace("?", match[1]), sql)
        return {"refId": "A", "datasource": self.datasource, **self.query(text, time_series)}

    @property
    def datasource(self) -> Json:
        """Return the reference to the data source that the viewer picked."""
        return {"type": self.plugins[0], "uid": "${datasource}"}


def _postgresql_query(sql: str, time_series: bool) -> Json:  # noqa: FBT001  called through Dialect.query
    form = "time_series" if time_series else "table"
    return {"rawSql": sql, "rawQuery": True, "editorMode": "code", "format": form}


def _sqlite_query(sql: str, time_series: bool) -> Json:  # noqa: FBT001  called through Dialect.query
    # The plugin runs queryText, and its editor shows rawQueryText and writes queryText from it.
    kind = "time series" if time_series else "table"
    return {
        "queryText": sql,
        "rawQueryText": sql,
        "queryType": kind,
        "timeColumns": ["time"] if time_series else [],
    }


POSTGRESQL = Dialect(
    name="postgresql",
    plugins=("grafana-postgresql-datasource", "postgres"),
    utc_day="to_char(to_timestamp(?) AT TIME ZONE 'UTC', 'YYYY-MM-DD')",
    query=_postgresql_query,
    series_name=None,
)

SQLITE = Dialect(
    name="sqlite",
    plugins=("frser-sqlite-datasource",),
    utc_day="strftime('%Y-%m-%d', ?, 'unixepoch')",
    query=_sqlite_query,
    # PostgreSQL's data source names a series by its column `metric`; this one leaves a label.
    series_name="${__field.labels.metric}",
)

DIALECTS = (POSTGRESQL, SQLITE)
