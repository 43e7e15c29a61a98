"""`dcd book`, `dcd bookings` and `dcd unbook`: what is asked of the daemon, and what people and scripts read."""

import json
import os

import documents
import pytest
from stub_daemon import error
from terminal import in_terminal

BOOKED = {"schema": 1, **documents.bookings()["bookings"][0]}


@pytest.fixture
def booking(daemon):
    """A daemon that takes any booking; returns the newest request."""
    daemon.routes["POST /v1/bookings"] = dict(BOOKED)
    daemon.routes["GET /v1/jobs"] = {"schema": 1, "jobs": []}
    return lambda: next(asked.body for asked in reversed(daemon.asked) if asked.path == "/v1/bookings")


def test_a_booking_is_asked_for_as_it_was_written(dcd, booking):
    said = dcd(
        "book", "--gpus", "4", "--from", "2026-12-01T09:00+01:00", "--for", "4h", "--user", "ada", "--user", "bob",
        "--account", "course", "--name", "course", "--reason", "week 12", "--force",
    )  # fmt: skip
    assert (said.code, said.out) == (0, "3\n")
    assert booking() == {
        "count": 4, "gpus": [], "from_at": 1796112000.0, "for_s": 14400.0, "until_at": None, "users": ["ada", "bob"],
        "accounts": ["course"], "name": "course", "reason": "week 12", "force": True,
    }  # fmt: skip


def test_what_is_left_out_means_now_and_nobody(dcd, booking):
    assert dcd("book", "--gpu", "0,1", "--for", "1h").code == 0
    assert booking() == {
        "count": None, "gpus": [0, 1], "from_at": None, "for_s": 3600.0, "until_at": None, "users": [], "accounts": [],
        "name": "", "reason": "", "force": False,
    }  # fmt: skip


def test_the_end_can_be_said_instead_of_the_length(dcd, booking):
    assert dcd("book", "--gpus", "1", "--from", "now", "--until", "2026-12-01T13:00+01:00").code == 0
    assert (booking()["from_at"], booking()["for_s"], booking()["until_at"]) == (None, None, 1796126400.0)


@pytest.mark.parametrize(
    ("written", "gpus"), [(["4-7"], [4, 5, 6, 7]), (["0", "2"], [0, 2]), (["0-1, 3"], [0, 1, 3]), (["5-5"], [5])]
)
def test_gpus_are_numbers_and_ranges(dcd, booking, written, gpus):
    options = [part for text in written for part in ("--gpu", text)]
    assert dcd("book", *options, "--for", "1h").code == 0
    assert booking()["gpus"] == gpus


@pytest.mark.parametrize("text", ["", "x", "1,", "3-1", "-1", "1-", "0-99999", "99999999999", "1.5"])
def test_what_names_no_gpus_is_refused_before_the_daemon_is_asked(dcd, daemon, text):
    said = dcd("book", f"--gpu={text}", "--for", "1h")
    assert (said.code, said.out) == (2, "")
    assert said.err == f"error: --gpu {text!r} names no GPUs\nhint: write it like --gpu 0,1 or --gpu 4-7\n"
    assert daemon.asked == []


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--from", "soon", "--for", "1h"], "error: --from 'soon' is no time\nhint: write it like +2h, 22:00"),
        (["--from", "now", "--until", "later"], "error: --until 'later' is no time\n"),
        (["--from", "tue 25:00", "--for", "1h"], "error: --from 'tue 25:00' is no time\n"),
        (["--for", "4"], "error: duration '4' has no unit\n"),
    ],
)
def test_a_time_that_is_none_is_refused_before_the_daemon_is_asked(dcd, daemon, options, said):
    answer = dcd("book", "--gpus", "1", *options)
    assert answer.code == 2
    assert answer.err.startswith(said)
    assert daemon.asked == []


def test_a_person_reads_a_sentence(daemon, booking):
    code, text = in_terminal(["book", "--gpus", "4", "--for", "4h"], os.environ, 200)
    assert code == 0
    assert text == (
        "Booked GPUs 4-7 from Tue 2026-12-01 09:00 to 13:00: booking 3 (course), for ada, bob and account course."
        "  Call it off: dcd unbook 3\n"
    )


def test_what_is_in_the_way_is_said(daemon, booking):
    daemon.routes["POST /v1/bookings"] |= {
        "in_the_way": [7, 8, 12],
        "users": [],
        "accounts": [],
        "name": "",
        "gpus": [0],
    }
    _, text = in_terminal(["book", "--gpus", "1", "--for", "4h"], os.environ, 200)
    assert text == (
        "Booked GPU 0 from Tue 2026-12-01 09:00 to 13:00: booking 3, for nobody. Jobs 7-8, 12 may run into it, and "
        "keep their GPUs to the end.  Call it off: dcd unbook 3\n"
    )


def test_calling_off_says_what_was_called_off(dcd, daemon):
    daemon.routes["POST /v1/bookings/3/unbook"] = {**BOOKED, "state": "unbooked"}
    said = dcd("unbook", "3")
    assert (said.code, said.out) == (
        0, "Called off booking 3 (course): GPUs 4-7 from Tue 2026-12-01 09:00 to 13:00.\n",
    )  # fmt: skip


def test_a_refusal_is_two_lines_and_its_code(dcd, daemon):
    daemon.routes["POST /v1/bookings"] = error(409, "refused", "GPU 1 is booked then: booking 3", "choose another time")
    said = dcd("book", "--gpu", "1", "--for", "1h")
    assert (said.code, said.out) == (5, "")
    assert said.err == "error: GPU 1 is booked then: booking 3\nhint: choose another time\n"


def test_past_bookings_are_asked_for(dcd, daemon):
    daemon.routes["GET /v1/bookings"] = documents.bookings()
    assert dcd("bookings").code == 0
    assert daemon.asked[-1].query == {}
    said = dcd("bookings", "-a", "-o", "id")
    assert said.out == "3\n4\n5\n"
    assert daemon.asked[-1].query == {"all": ["true"]}


def test_scripts_get_the_daemons_document(dcd, daemon):
    daemon.routes["GET /v1/bookings"] = documents.bookings()
    assert json.loads(dcd("bookings", "--json").out) == documents.bookings()


def test_no_bookings_are_no_lines(dcd, daemon):
    daemon.routes["GET /v1/bookings"] = {"schema": 1, "node": "n1", "bookings": []}
    said = dcd("bookings")
    assert (said.out, said.err) == ("", "n1: 0 bookings\n")


def test_gpus_show_for_whom_they_are_booked(dcd, daemon):
    brief = ("id", "name", "state", "from_at", "until_at", "users", "accounts")
    briefs = [{key: one[key] for key in brief} for one in documents.bookings()["bookings"][:2]]
    daemon.routes["GET /v1/gpus"]["gpus"][3] |= {
        "state": "booked",
        "processes": [],
        "job": None,
        "drained_reason": None,
        "bookings": briefs,
    }
    said = dcd("gpus", "--columns", "index,state,used by")
    assert [line.split(maxsplit=2) for line in said.out.splitlines()][4] == [
        "5", "booked",
        "booked for course until Tue 2026-12-01 13:00, booked for nobody from Tue 2026-12-01 22:00",
    ]  # fmt: skip
    assert "1 booked" in said.err


def test_waiting_jobs_without_a_limit_are_told_of_and_those_that_are_let_in_are_not(dcd, daemon, booking):
    job = {"gpus_asked": 1, "limit_s": None, "user": "ada", "account": ""}
    jobs = [{**job, "id": 1}, {**job, "id": 2, "limit_s": 60.0}, {**job, "id": 3, "gpus_asked": 0}]
    daemon.routes["GET /v1/jobs"] = {"schema": 1, "jobs": jobs}
    said = dcd("book", "--gpus", "1", "--for", "1h")
    assert said.err.startswith("note: 1 waiting job has no time limit and cannot start on these GPUs until it is over")
    assert dcd("book", "--gpus", "1", "--for", "1h", "--user", "ada").err == ""
