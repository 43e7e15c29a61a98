"""CSV and JSON for programs, spreadsheets and terminals: whatever a job is called, it is text, and only text."""

import csv
import io
import json
import sys

import pytest

from dcdaemon.cli.show.output import Output, Page, emit


def written(capsys: pytest.CaptureFixture[str], *rows: dict[str, object]) -> list[dict[str, str]]:
    emit(Page({}, rows), Output("csv"))
    return list(csv.DictReader(io.StringIO(capsys.readouterr().out, newline="")))


@pytest.mark.parametrize("text", ["=1+1", "+1", "-x", "@SUM(A1)", "\t=1", "\n=1"])
def test_text_that_begins_like_a_formula_comes_after_a_quote(capsys, text):
    assert written(capsys, {"name": text}) == [{"name": f"'{text}"}]


def test_numbers_below_zero_lists_and_other_text_are_as_they_are(capsys):
    row = {"id": -3, "power": -0.5, "argv": ["-c", "=1"], "name": "a=b-c", "none": None, "on": True}
    assert written(capsys, row) == [
        {"id": "-3", "power": "-0.5", "argv": '["-c","=1"]', "name": "a=b-c", "none": "", "on": "true"}
    ]


@pytest.mark.parametrize("control", ["\x1b", "\x00", "\x08", "\r", "\x7f", "\x9b"])
def test_no_control_character_gets_out_wherever_it_stands(capsys, control):
    emit(Page({}, [{"name": f"a{control}[2J", "argv": [f"b{control}"]}]), Output("csv"))
    assert control not in capsys.readouterr().out


def test_lines_are_kept_within_quotes_for_a_program_and_not_for_a_terminal(capsys, monkeypatch):
    assert written(capsys, {"message": "one\ntwo\tthree", "id": 1})[0]["message"] == "one\ntwo\tthree"
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    emit(Page({}, [{"message": "one\ntwo\x1b[0m", "id": 1}]), Output("csv"))
    assert capsys.readouterr().out == "message,id\none?two?[0m,1\n"


@pytest.mark.parametrize("form", ["json", "jsonl"])
@pytest.mark.parametrize("control", ["\x1b", "\x7f", "\x9b"])
def test_json_escapes_control_characters_and_says_the_same(capsys, form, control):
    emit(Page({"name": f"ä{control}"}, [{"name": f"ä{control}"}]), Output(form))
    said = capsys.readouterr().out
    assert control not in said
    assert json.loads(said) == {"name": f"ä{control}"}
