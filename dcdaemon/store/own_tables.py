"""All tables of this program by name: those of the schema, and those that are made with the series of samples."""

from collections.abc import Mapping

from sqlalchemy import Table

from dcdaemon.store.schema import metadata
from dcdaemon.store.series import SERIES

#: Where Alembic keeps the revision; beside ours.
VERSION_TABLE = "alembic_version"
_OF_SAMPLES = (table for series in SERIES.values() for table in (series.raw, *series.folded.values()))
OWN_TABLES: Mapping[str, Table] = {table.name: table for table in (*metadata.sorted_tables, *_OF_SAMPLES)}
