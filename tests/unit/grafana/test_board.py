"""The boards as Grafana reads them; what their queries return is tested in tests/contract."""

import re
from pathlib import Path

import pytest

from dcdaemon.core.errors import BadInput
from dcdaemon.core.samples import KINDS
from dcdaemon.grafana.board import node_board
from dcdaemon.grafana.build import boards, export
from dcdaemon.grafana.columns import COLUMNS, overrides
from dcdaemon.grafana.dialect import DIALECTS, POSTGRESQL, SQLITE
from dcdaemon.grafana.over_time import DEVICES
from dcdaemon.grafana.panels import BOARD_COLUMNS, Heading

DASHBOARDS = Path(__file__).parents[3] / "dashboards"
EVERY_BOARD = pytest.mark.parametrize("board", boards(), ids=lambda board: board.slug)


def test_the_committed_boards_are_what_the_code_builds(tmp_path):
    exported = {path.name: path.read_text() for path in export(tmp_path / "new")}
    committed = {path.name: path.read_text() for path in DASHBOARDS.glob("*.json")}
    assert exported == committed, "run: python -m dcdaemon.grafana.build dashboards"


def test_an_export_to_a_place_that_is_a_file_says_so(tmp_path):
    (tmp_path / "taken").write_text("")
    with pytest.raises(BadInput, match=r"cannot write the dashboards to .*taken: File exists") as caught:
        export(tmp_path / "taken")
    assert caught.value.hint


def panels_of(board):
    """Return every panel, those inside closed rows, too."""
    return [inner for panel in board.build()["panels"] for inner in (panel, *panel.get("panels", ()))]


@EVERY_BOARD
def test_panels_have_their_own_ids_and_places(board):
    panels = panels_of(board)
    assert len({panel["id"] for panel in panels}) == len(panels)
    cells = [
        (x, y)
        for place in (panel["gridPos"] for panel in panels)
        for x in range(place["x"], place["x"] + place["w"])
        for y in range(place["y"], place["y"] + place["h"])
    ]
    assert len(cells) == len(set(cells))
    assert max(x for x, _ in cells) < BOARD_COLUMNS


@EVERY_BOARD
def test_every_panel_asks_the_data_source_the_viewer_picked(board):
    document = board.build()
    panels = [panel for panel in panels_of(board) if panel["type"] != "row"]
    sources = [panel["datasource"] for panel in panels] + [panel["targets"][0]["datasource"] for panel in panels]
    sources += [variable["datasource"] for variable in document["templating"]["list"] if "datasource" in variable]
    assert {(source["type"], source["uid"]) for source in sources} == {(board.dialect.plugins[0], "${datasource}")}
    assert document["templating"]["list"][0]["query"] == board.dialect.plugins[0]


@EVERY_BOARD
def test_every_panel_says_what_it_shows(board):
    assert [panel.title for panel in board.panels if not isinstance(panel, Heading) and not panel.description] == []


def test_uids_never_change_because_an_upload_replaces_by_uid():
    assert [board.build()["uid"] for board in boards()] == ["dcdaemon-node", "dcdaemon-node-sqlite", "dcdaemon-fleet"]


def test_both_dialects_run_the_same_sql_but_for_the_name_of_a_day():
    def texts(dialect):
        targets = [panel["targets"][0] for panel in panels_of(node_board(dialect)) if panel["type"] != "row"]
        return [target.get("rawSql") or target["queryText"] for target in targets]

    differing = [pair for pair in zip(texts(POSTGRESQL), texts(SQLITE), strict=True) if pair[0] != pair[1]]
    assert len(differing) == 1
    assert "to_char" in differing[0][0]
    assert "strftime" in differing[0][1]


def test_sqlite_lines_are_drawn_as_time_series_named_by_their_label():
    lines = [panel for panel in panels_of(node_board(SQLITE)) if panel["type"] == "timeseries"]
    assert {panel["targets"][0]["queryType"] for panel in lines} == {"time series"}
    assert {tuple(panel["targets"][0]["timeColumns"]) for panel in lines} == {("time",)}
    assert {panel["fieldConfig"]["defaults"]["displayName"] for panel in lines} == {"${__field.labels.metric}"}


def test_a_column_nobody_described_is_a_mistake():
    with pytest.raises(KeyError, match="surprise"):
        overrides(("surprise",))


def test_every_described_column_is_used():
    used = {column for board in boards() for panel in board.panels for column in getattr(panel, "columns", ())}
    assert used == set(COLUMNS)


def test_what_nobody_looks_at_each_day_is_closed_so_that_the_page_ends_soon():
    rows = [panel for panel in node_board(POSTGRESQL).build()["panels"] if panel["type"] == "row"]
    assert [row["title"] for row in rows if not row["collapsed"]] == [
        "Now", "GPUs", "Queue", "Energy", "Anomalies and events",
    ]  # fmt: skip
    assert all(bool(row["panels"]) == row["collapsed"] for row in rows)


def test_a_closed_row_holds_its_panels_and_the_next_row_follows_it():
    document = node_board(POSTGRESQL).build()
    closed = next(row for row in document["panels"] if row["type"] == "row" and row["collapsed"])
    assert [panel["title"] for panel in closed["panels"]][:2] == ["SM active", "Tensor cores active"]
    assert min(panel["gridPos"]["y"] for panel in closed["panels"]) == closed["gridPos"]["y"] + 1


def test_every_kind_of_device_has_a_name_in_the_legends():
    assert {kind.KIND for kind in KINDS} == set(DEVICES)


def test_every_kind_of_sample_is_shown_somewhere():
    text = " ".join(panel.sql for panel in node_board(POSTGRESQL).panels if not isinstance(panel, Heading))
    assert [kind.KIND for kind in KINDS if f"{kind.KIND}_sample" not in text] == []


def test_the_provisioning_example_names_the_plugins_the_boards_ask_for():
    text = (DASHBOARDS / "provisioning" / "datasources.yaml").read_text()
    assert re.findall(r"(?m)^ +type: (\S+)$", text) == [dialect.plugins[0] for dialect in DIALECTS]
    uids = re.findall(r"(?m)^ +uid: (\S+)$", text)
    assert len(set(uids)) == len(uids) == 2
