"""The contracts of the command line: stdout is data, formats, exit codes, the shape of errors."""

import csv
import io
import json
import os
import subprocess
import sys

import documents
import pytest
from stub_daemon import Answer, StubDaemon, error

from dcdaemon.cli.main import run

LISTINGS = {
    "ps": ("/v1/jobs", ["41", "42", "43", "44"]),
    "gpus": ("/v1/gpus", ["0", "1", "2", "5", "6"]),
    "history": ("/v1/history", ["40", "39", "38"]),
    "energy": ("/v1/energy", ["user1", "user2", "idle"]),
    "anomalies": ("/v1/anomalies", ["7", "6"]),
    "events": ("/v1/events", ["9", "11", "12"]),
}


@pytest.mark.parametrize("verb", [*LISTINGS, "status"])
def test_json_is_the_document_of_the_api_and_nothing_else(daemon, dcd, verb):
    path = LISTINGS.get(verb, ("/v1/status",))[0]
    for arguments in ([verb, "--json"], [verb, "-o", "json"]):
        said = dcd(*arguments)
        assert (said.code, said.err) == (0, "")
        assert json.loads(said.out) == daemon.routes[f"GET {path}"]
        assert said.out.count("\n") == 1


@pytest.mark.parametrize("verb", LISTINGS)
def test_ids_one_a_line(daemon, dcd, verb):
    assert dcd(verb, "-q").out.split("\n") == [*LISTINGS[verb][1], ""]


@pytest.mark.parametrize("verb", LISTINGS)
def test_jsonl_and_csv_hold_every_row_with_typed_values(daemon, dcd, verb):
    lines = dcd(verb, "-o", "jsonl").out.splitlines()
    rows = list(csv.DictReader(io.StringIO(dcd(verb, "-o", "csv").out)))
    assert len(lines) == len(rows) == len(LISTINGS[verb][1])
    for line, row in zip(lines, rows, strict=True):
        for key, value in json.loads(line).items():
            if isinstance(value, float):
                assert float(row[key]) == value
            elif value is None:
                assert row[key] == ""


def test_stdout_is_data_and_stderr_is_talk(daemon, dcd):
    said = dcd("ps")
    assert said.out.splitlines()[0].split() == ["ID", "NAME", "USER", "STATE", "GPUS", "TIME", "ENERGY", "NOTE"]
    assert len(said.out.splitlines()) == 5
    assert said.err == "2 running, 2 waiting · 8 GPUs: 3 busy, 1 drained, 1 foreign · dcd why 43\n"


def test_a_pipe_gets_no_colour_unless_asked(daemon, dcd, monkeypatch):
    assert "\x1b" not in dcd("ps").out
    assert "\x1b[32mrunning" in dcd("ps", "--color", "always").out
    monkeypatch.setenv("FORCE_COLOR", "1")
    assert "\x1b[32mrunning" in dcd("ps").out
    assert "\x1b" not in dcd("ps", "--color", "never").out
    monkeypatch.setenv("NO_COLOR", "1")
    assert "\x1b" not in dcd("ps").out


def test_columns_go_by_heading_or_json_key(daemon, dcd):
    assert dcd("ps", "--columns", "id,limit_s").out.splitlines() == [
        "ID  LIMIT_S",
        "41  14400.0",
        "42  7200.0",
        "43",
        "44",
    ]
    assert dcd("ps", "-o", "csv", "--columns", "id,limit_s").out.splitlines()[:2] == ["id,limit_s", "41,14400.0"]
    said = dcd("ps", "--columns", "id,colour")
    assert said.code == 2
    assert said.err.startswith("error: there is no column 'colour'\nhint: choose from id, name, user")


def test_filters_reach_the_daemon(daemon, dcd):
    dcd("ps", "3-7", "-u", "user1", "-s", "PD", "-s", "running", "--since", "1d", "-n", "9")
    assert daemon.asked[-1].query == {
        "sel": ["3-7"], "user": ["user1"], "state": ["PD", "running"], "since_s": ["86400.0"], "limit": ["9"],
        "all": ["1"],
    }  # fmt: skip
    dcd("energy", "--by", "job", "--since", "2h")
    assert daemon.asked[-1].query == {"by": ["job"], "since_s": ["7200.0"]}
    dcd("history")
    assert daemon.asked[-1].query == {"since_s": ["604800.0"], "limit": ["1000"]}


@pytest.mark.parametrize(
    ("alias", "verb"), [("queue", "ps"), ("squeue", "ps"), ("sinfo", "gpus"), ("sacct", "history")]
)
def test_other_names_work(daemon, dcd, alias, verb):
    assert dcd(alias, "-q").out == dcd(verb, "-q").out


@pytest.mark.parametrize(
    ("arguments", "message", "hint"),
    [
        (["pss"], "there is no verb 'pss'; did you mean 'ps'?", "dcd -h explains it"),
        (["ps", "--jsn"], "no such option '--jsn'", "dcd ps -h explains it"),
        (["history", "--since", "30"], "duration '30' has no unit", "write 30m for minutes, 30s for seconds"),
        (["submit", "-t", "30", "--", "x"], "duration '30' has no unit", "write 30m for minutes, 30s for seconds"),
        (["submit", "-m", "lots", "--", "x"], "'lots' is not an amount of memory", "write it like 512M"),
        (["submit", "-g", "-1", "--", "x"], "invalid value for '-g' / '--gpus'", "dcd submit -h explains it"),
        (["submit"], "no command is given", "dcd submit -h explains it"),
        (["show"], "no job is selected", "dcd show -h explains it"),
        (["submit", "--env", "X", "--", "x"], "--env 'X' is not NAME=VALUE", "write it like --env X=value"),
        (["ps", "--url", "https://u:word@x"], "the daemon's address holds more than host and port", "a token goes"),
        (["ps", "--token-file", "/nonexistent"], "the token file /nonexistent cannot be read", "name a readable file"),
        (["ps", "-w"], "watching needs a terminal", "leave -w out"),
    ],
)  # fmt: skip
def test_wrong_usage_is_two_lines_and_exit_code_2(daemon, dcd, arguments, message, hint):
    said = dcd(*arguments)
    assert (said.code, said.out) == (2, "")
    first, second = said.err.splitlines()
    assert first.lower().startswith(f"error: {message}".lower())
    assert second.startswith(f"hint: {hint}")


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        (error(422, "bad_input", "m", "h"), 2),
        (error(404, "not_found", "m", "h"), 4),
        (error(409, "refused", "m", "h"), 5),
        (error(422, "never_fits", "m", "h"), 5),
        (error(401, "unauthorized", "m", "h"), 5),
        (error(503, "store_unavailable", "m", "h"), 1),
    ],
)
def test_errors_of_the_daemon_keep_message_hint_and_exit_code(daemon, dcd, answer, code):
    daemon.routes["GET /v1/gpus"] = answer
    said = dcd("gpus")
    assert (said.code, said.out, said.err) == (code, "", "error: m\nhint: h\n")
    said = dcd("gpus", "--json")
    assert (said.code, said.err) == (code, "")
    assert json.loads(said.out) == answer.document


@pytest.mark.parametrize(
    "arguments", [["ps", "--json", "--nope"], ["pss", "-o", "json"], ["ps", "-ojson", "--since", "3"]]
)
def test_in_json_mode_wrong_usage_is_a_document_too(daemon, dcd, arguments):
    said = dcd(*arguments)
    assert (said.code, said.err) == (2, "")
    assert json.loads(said.out)["error"]["code"] == "bad_input"


@pytest.mark.parametrize(
    "verb",
    [
        "ps",
        "gpus",
        "status",
        "history",
        "energy",
        "anomalies",
        "events",
        "events -f",
        "cancel 1 -y",
        "why 1",
        "logs 1",
        "wait 1",
    ],
)
def test_without_a_daemon_every_verb_says_so_and_how_to_start_it(tmp_path, dcd, verb, monkeypatch):
    monkeypatch.setenv("DCD_URL", f"unix://{tmp_path}/none.sock")
    said = dcd(*verb.split())
    assert (said.code, said.out) == (3, "")
    first, second = said.err.splitlines()
    assert first.startswith(f"error: no daemon answers at unix://{tmp_path}/none.sock")
    assert "dcd daemon run --demo" in second


def test_dcd_alone_shows_the_daemon_and_six_commands(daemon, dcd, monkeypatch, tmp_path):
    said = dcd()
    lines = said.out.splitlines()
    assert lines[0] == "dcdaemon 0.1.0 on node1 · 2 running, 9 waiting · 8 GPUs, 3 busy"
    assert sum(line.startswith("  dcd ") for line in lines) == 6
    monkeypatch.setenv("DCD_URL", f"unix://{tmp_path}/none.sock")
    said = dcd()
    assert said.code == 0
    assert "no daemon answers" in said.out


def test_a_bug_is_told_in_two_lines_and_with_debug_as_a_traceback(daemon, dcd, monkeypatch):
    daemon.routes["GET /v1/gpus"] = {"schema": 1}
    said = dcd("gpus")
    assert said.code == 1
    assert said.err.startswith("error: unexpected: KeyError")
    assert "DCD_DEBUG=1" in said.err
    monkeypatch.setenv("DCD_DEBUG", "1")
    with pytest.raises(KeyError):
        run(["gpus"])


def test_a_reader_that_leaves_is_no_error(daemon):
    daemon.routes["GET /v1/jobs"] = {**documents.queue(), "jobs": documents.queue()["jobs"] * 2000}
    command = [sys.executable, "-m", "dcdaemon", "ps", "--json"]
    # Unbuffered output would swallow the closed pipe: a partial write is no error to it.
    env = {key: value for key, value in os.environ.items() if key != "PYTHONUNBUFFERED"}
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=env) as process:
        process.stdout.read(10)
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait(10) == 141


def test_a_token_file_is_sent_and_a_wrong_one_refused(tmp_path, dcd, monkeypatch):
    stub = StubDaemon(None, "secret")
    try:
        stub.routes["GET /v1/jobs"] = documents.queue()
        (tmp_path / "good").write_text("secret\n")
        (tmp_path / "bad").write_text("guess\n")
        assert dcd("ps", "-q", "--url", stub.url, "--token-file", str(tmp_path / "good")).code == 0
        monkeypatch.setenv("DCD_TOKEN_FILE", str(tmp_path / "bad"))
        said = dcd("ps", "--url", stub.url)
        assert said.code == 5
        assert said.err == "error: the token is not known\nhint: check --token-file\n"
    finally:
        stub.close()


def test_version_needs_no_daemon(dcd):
    assert dcd("version").out == "dcdaemon 0.1.0\n"
    assert dcd("--version").out == "dcdaemon 0.1.0\n"
    assert json.loads(dcd("version", "--json").out)["version"] == "0.1.0"


def test_drain_and_undrain_answer_with_the_gpus(daemon, dcd):
    daemon.routes["POST /v1/gpus/5/drain"] = daemon.routes["POST /v1/gpus/5/undrain"] = documents.gpus()
    assert "drained: ECC" in dcd("drain", "5", "--reason", "ECC").out
    assert daemon.asked[-1].body == {"reason": "ECC"}
    assert dcd("undrain", "5", "-q").out == dcd("gpus", "-q").out
    assert dcd("drain", "5").code == 2


def test_anomalies_can_be_acknowledged(daemon, dcd):
    daemon.routes["POST /v1/anomalies/7/ack"] = documents.anomalies()
    assert "idle_gpu" in dcd("anomalies", "--ack", "7").out
    assert [asked.method for asked in daemon.asked] == ["POST", "GET"]
    assert dcd("anomalies", "--ack", "8").code == 4


def test_an_answer_that_is_cut_off_is_told(daemon, dcd):
    daemon.routes["GET /v1/jobs"] = Answer(cut=True)
    said = dcd("ps")
    assert said.code == 3
    assert "broke off" in said.err
