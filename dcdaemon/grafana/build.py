"""Write the boards as files: `python -m dcdaemon.grafana.build dashboards`."""

import json
import sys
from pathlib import Path

from dcdaemon.core.errors import BadInput
from dcdaemon.grafana.board import Board, fleet_board, node_board
from dcdaemon.grafana.dialect import DIALECTS


def boards() -> list[Board]:
    """Return every board in every dialect."""
    return [*(node_board(dialect) for dialect in DIALECTS), fleet_board()]


def export(directory: Path) -> list[Path]:
    """Write every board to `directory` as JSON and return the files; raise BadInput if it cannot be done."""
    try:
        directory.mkdir(parents=True, exist_ok=True)
        return [_write(board, directory) for board in boards()]
    except OSError as error:
        msg = f"cannot write the dashboards to {directory}: {error.strerror}"
        raise BadInput(msg, "name a directory that you may write to") from error


def _write(board: Board, directory: Path) -> Path:
    path = directory / f"{board.slug}.json"
    path.write_text(json.dumps(board.build(), indent=2) + "\n")
    return path


if __name__ == "__main__":
    for written in export(Path(sys.argv[1] if len(sys.argv) > 1 else "dashboards")):
        sys.stdout.write(f"{written}\n")
