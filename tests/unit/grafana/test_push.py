"""Uploading boards to a Grafana server, against a real HTTP server that checks what it gets."""

import json
import socket
import subprocess
import sys

import pytest

from dcdaemon.core.errors import BadInput, Forbidden, Refused, Unauthorized, Unreachable
from dcdaemon.grafana.board import node_board
from dcdaemon.grafana.build import boards
from dcdaemon.grafana.dialect import SQLITE as SQLITE_DIALECT
from dcdaemon.grafana.push import Pushed, push
from tests.unit.grafana.stub_grafana import POSTGRESQL, SQLITE, TOKEN, StubGrafana, running


@pytest.fixture
def grafana():
    with running(StubGrafana()) as stub:
        yield stub


def test_a_push_makes_the_folder_and_replaces_every_board(grafana):
    pushed = push(grafana.url, TOKEN)

    assert [(method, path) for method, path, _ in grafana.asked] == [
        ("GET", "/api/datasources"),
        ("GET", "/api/folders"),
        ("POST", "/api/folders"),
        *[("POST", "/api/dashboards/db")] * 3,
    ]
    assert grafana.asked[2][2] == {"title": "dcdaemon"}
    for upload, board in zip(grafana.uploads(), boards(), strict=True):
        assert upload == {
            "dashboard": board.build(),
            "folderUid": "made",
            "overwrite": True,
            "message": "dcdaemon 0.1.0",
        }
    assert pushed == [
        Pushed("dcdaemon: node", f"{grafana.url}/d/dcdaemon-node/slug"),
        Pushed("dcdaemon: node (SQLite)", f"{grafana.url}/d/dcdaemon-node-sqlite/slug"),
        Pushed("dcdaemon: all nodes", f"{grafana.url}/d/dcdaemon-fleet/slug"),
    ]


@pytest.mark.parametrize("named", ["GPU nodes", "f7"])
def test_a_folder_that_exists_is_found_by_title_or_uid(grafana, named):
    grafana.folders = [{"uid": "f1", "title": "Other"}, {"uid": "f7", "title": "GPU nodes"}]
    push(grafana.url, TOKEN, folder=named)
    assert {upload["folderUid"] for upload in grafana.uploads()} == {"f7"}
    assert ("POST", "/api/folders") not in [(method, path) for method, path, _ in grafana.asked]


def test_a_named_data_source_gets_its_own_board_only_and_is_preset(grafana):
    pushed = push(grafana.url, TOKEN, datasource_uid="lite1")
    assert [board.title for board in pushed] == ["dcdaemon: node (SQLite)"]
    (upload,) = grafana.uploads()
    variables = {variable["name"]: variable for variable in upload["dashboard"]["templating"]["list"]}
    assert variables["datasource"]["current"]["value"] == "lite1"
    assert upload["dashboard"] == node_board(SQLITE_DIALECT).build("lite1")


@pytest.mark.parametrize(
    ("sources", "titles"),
    [
        ([POSTGRESQL], ["dcdaemon: node", "dcdaemon: all nodes"]),
        ([{"uid": "old", "type": "postgres"}], ["dcdaemon: node", "dcdaemon: all nodes"]),
        ([SQLITE, {"uid": "p", "type": "prometheus"}], ["dcdaemon: node (SQLite)"]),
    ],
)
def test_without_a_name_the_boards_follow_the_data_sources_there_are(grafana, sources, titles):
    grafana.datasources = sources
    assert [board.title for board in push(grafana.url, TOKEN)] == titles


def test_an_editor_who_may_not_list_data_sources_still_pushes(grafana):
    grafana.may_list_datasources = False
    assert len(push(grafana.url, TOKEN)) == 3


def test_no_data_source_that_fits_is_refused_before_anything_is_changed(grafana):
    grafana.datasources = [{"uid": "p", "type": "prometheus"}]
    with pytest.raises(Refused, match="no PostgreSQL or SQLite data source"):
        push(grafana.url, TOKEN)
    with pytest.raises(Refused, match="no data source with the uid 'nowhere'"):
        push(grafana.url, TOKEN, datasource_uid="nowhere")
    assert {method for method, _, _ in grafana.asked} == {"GET"}


def test_a_wrong_token_is_unauthorized_and_does_not_appear_in_the_message(grafana):
    with pytest.raises(Unauthorized, match="Invalid API key") as caught:
        push(grafana.url, "glsa_wrong")
    assert "glsa_wrong" not in str(caught.value)
    assert "Editor" in caught.value.hint


def test_the_newline_at_the_end_of_a_token_file_does_no_harm(grafana):
    assert len(push(grafana.url, TOKEN + "\n")) == 3


JSON = "application/json"


@pytest.mark.parametrize(
    ("answer", "error", "message"),
    [
        ((403, JSON, b'{"message": "no"}'), Forbidden, "does not allow this.*: no"),
        ((412, JSON, b'{"message": "newer"}'), Refused, "refused: newer"),
        ((500, JSON, b'{"message": "disk"}'), Unreachable, "failed: disk"),
        ((502, "text/html", b"Bad Gateway"), Unreachable, "failed: Server Error 502"),
        ((200, "text/html", b"<form>login</form>"), Refused, "not as Grafana does"),
        ((200, JSON, b"{half"), Refused, "not as Grafana does"),
    ],
)
def test_each_kind_of_no_gets_its_own_error(grafana, answer, error, message):
    grafana.instead[("POST", "/api/dashboards/db")] = answer
    with pytest.raises(error, match=message) as caught:
        push(grafana.url, TOKEN)
    assert caught.value.hint


def test_a_server_that_is_not_there_is_unreachable():
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
        with pytest.raises(Unreachable, match="cannot be reached"):
            push(f"http://127.0.0.1:{port}", TOKEN)


@pytest.mark.parametrize("url", ["localhost:3000", "ftp://host", "http://", "http://host/?verify=0", ""])
def test_an_address_that_cannot_be_one_is_bad_input(url):
    with pytest.raises(BadInput, match="not the address"):
        push(url, TOKEN)


def test_grafana_below_a_path_is_asked_below_it(grafana):
    with pytest.raises(Refused):
        push(f"{grafana.url}/grafana", TOKEN)
    assert grafana.asked[0][1] == "/grafana/api/datasources"


def test_the_client_library_is_not_loaded_until_something_is_pushed():
    code = "import dcdaemon.grafana.push, sys, json; print(json.dumps(sorted(sys.modules)))"
    printed = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, timeout=60).stdout
    assert {"grafana_client", "niquests"}.isdisjoint(json.loads(printed))
