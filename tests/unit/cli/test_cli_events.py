"""`dcd events`: what is asked of the API, how it reads, and how following goes on."""

import json
import re
import signal
import subprocess
import sys

import documents
import pytest
from stub_daemon import Answer, error

from dcdaemon.cli.show.events import event_line
from dcdaemon.client.events import follow_events
from dcdaemon.client.http import Client
from dcdaemon.core.errors import Unreachable


def event(number: int, **changes: object) -> dict:
    return {**documents.events()["events"][2], "id": number, **changes}


def asked(daemon) -> list[dict[str, list[str]]]:
    return [one.query for one in daemon.asked if one.path == "/v1/events"]


def test_the_options_become_the_query_of_the_api(daemon, dcd):
    assert dcd("events").code == 0
    assert dcd("events", "--since", "2h", "--kind", "xid", "--kind", "GPU_LOST", "-n", "5").code == 0
    assert asked(daemon) == [
        {"since_s": ["86400.0"], "limit": ["1000"]},
        {"since_s": ["7200.0"], "kind": ["xid", "gpu_lost"], "limit": ["5"]},
    ]


def test_a_kind_that_does_not_exist_and_an_age_without_a_unit_are_refused(daemon, dcd):
    said = dcd("events", "--kind", "xids")
    assert (said.code, said.out) == (2, "")
    assert "'xids' is not one of 'xid', 'gpu_lost'" in said.err
    assert "has no unit" in dcd("events", "--since", "5").err
    assert asked(daemon) == []


def test_people_are_told_how_many_and_how_to_go_on(daemon, dcd):
    said = dcd("events")
    assert said.err == "3 events · dcd events -f goes on\n"
    assert [line.split()[0] for line in said.out.splitlines()] == ["ID", "9", "11", "12"]
    daemon.routes["GET /v1/events"] = {"schema": 1, "events": []}
    said = dcd("events")
    assert (said.out, said.err) == ("", "nothing happened in this time\n")


def test_a_line_tells_time_kind_subject_and_what_happened():
    at = "2026-01-02T03:04:05.000+00:00"
    line = event_line(event(1, at=at))
    assert re.fullmatch(r"2026-01-0\d \d\d:04:05  gpu_lost           GPU 3          GPU 3 does not answer", line)
    assert event_line(event(1, at=at, count=3, job_id=42)).endswith("GPU 3 does not answer (3 times, job 42)")
    assert event_line(event(1, message="\x1b[31mred\nline")).endswith("?[31mred?line")


def test_following_asks_for_what_is_new_and_outlives_a_daemon_that_is_away(daemon):
    script = [
        {"schema": 1, "events": [event(5), event(7)]}, {"schema": 1, "events": []}, Answer(cut=True),
        error(503, "daemon_unreachable", "the daemon is being stopped"), {"schema": 1, "events": [event(9)]},
    ]  # fmt: skip
    daemon.routes["GET /v1/events"] = lambda _: script.pop(0)
    following = follow_events(Client(daemon.url), {"since_s": 60.0, "kind": ["gpu_lost"]}, pause_s=0.0)
    assert [next(following)["id"] for _ in range(3)] == [5, 7, 9]
    assert asked(daemon) == [
        {"since_s": ["60.0"], "kind": ["gpu_lost"]},
        *[{"kind": ["gpu_lost"], "after_id": ["7"]}] * 4,
    ]


def test_following_begins_only_where_a_daemon_answers_and_ends_when_it_stays_away(daemon, tmp_path):
    with pytest.raises(Unreachable):
        next(follow_events(Client(f"unix://{tmp_path}/none"), {}))
    following = follow_events(Client(daemon.url), {}, pause_s=0.0, patience_s=0.0)
    for _ in range(3):
        next(following)
    daemon.routes = {"GET /v1/status": error(503, "daemon_unreachable", "gone"), "GET /v1/events": Answer(cut=True)}
    with pytest.raises(Unreachable):
        next(following)


@pytest.mark.parametrize(
    ("form", "expected"),
    [
        ((), [r".*  mount_silent .*", r".*  xid .* \(3 times, job 42\)", r".*  gpu_lost .*"]),
        (("-o", "jsonl"), [r"\{.*\}"] * 3),
        (("-q",), ["9", "11", "12"]),
    ],
)
def test_following_prints_a_line_each_until_ctrl_c(daemon, form, expected):
    command = [sys.executable, "-m", "dcdaemon", "events", "-f", *form, "--url", daemon.url]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        lines = [process.stdout.readline().rstrip("\n") for _ in range(3)]
        process.send_signal(signal.SIGINT)
        assert process.wait(10) == 130
        assert process.stderr.read() == ""
    for line, pattern in zip(lines, expected, strict=True):
        assert re.fullmatch(pattern, line), line
    if "jsonl" in form:
        assert [json.loads(line)["id"] for line in lines] == [9, 11, 12]


def test_csv_cannot_be_followed(daemon, dcd):
    said = dcd("events", "-f", "-o", "csv")
    assert said.code == 2
    assert said.err == "error: csv has one heading and an end, which following has not\nhint: take -o jsonl\n"
