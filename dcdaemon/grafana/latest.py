"""The SQL of tables that show the newest reading of each device."""

from typing import Any

from dcdaemon.core.samples import KINDS

_SAMPLES: tuple[Any, ...] = KINDS
_KEYS: dict[str, tuple[str, ...]] = {sample.KIND: sample.KEYS for sample in _SAMPLES}


def latest(kind: str, *columns: str, within_s: int = 60) -> str:
    """Return `columns` (expressions may be named by AS) of each device, its reading at most so old at the end shown."""
    keys = _KEYS[kind]
    table = f"{kind}_sample"
    shown = ", ".join(column if " AS " in column else f"sample.{column} AS {column}" for column in columns)
    same = "".join(f" AND sample.{key} = newest.{key}" for key in keys)
    return (
        f"WITH newest AS (\n  SELECT {', '.join(keys)}, MAX(ts) AS ts\n  FROM {table}\n"  # noqa: S608  names are ours
        f"  WHERE node = ${{node:sqlstring}} AND ts BETWEEN $__to / 1000 - {within_s} AND $__to / 1000\n"
        f"  GROUP BY {', '.join(keys)}\n)\n"
        f"SELECT {', '.join(f'sample.{key} AS {key}' for key in keys)}, {shown}\n"
        f"FROM newest\n"
        f"JOIN {table} sample ON sample.node = ${{node:sqlstring}} AND sample.ts = newest.ts{same}\n"
        f"ORDER BY {', '.join(f'sample.{key}' for key in keys)}"
    )
