"""Bookings over HTTP: what is answered, what is refused, and what the GPUs say of them."""

import pytest
from scene import BOB

from dcdaemon.core.errors import BadInput, Forbidden, NotFound, Refused

HOUR = 3600.0


@pytest.fixture(autouse=True)
def _logins(scene):
    scene.desk.is_login = {"ada", "bob"}.__contains__


def book(door, client=None, **fields):
    return (client or door.root).post("/v1/bookings", {"count": 2, "for_s": HOUR, **fields})


def test_a_booking_is_answered_with_its_gpus_and_its_window(door, scene):
    made = book(door, users=["bob"], name="course", reason="week 12")
    listed = door.bob.get("/v1/bookings")
    assert listed["bookings"] == [{key: value for key, value in made.items() if key != "schema"}]
    assert (listed["schema"], listed["node"], made["schema"]) == (1, "n1", 1)
    [booking] = scene.desk.book.bookings
    assert made == {
        "schema": 1, "id": 1, "name": "course", "state": "open", "from_at": made["booked_at"],
        "until_at": made["until_at"], "users": ["bob"], "accounts": [], "node": "n1", "gpus": [2, 3],
        "reason": "week 12", "booked_by": "root", "booked_at": made["booked_at"], "unbooked_at": None,
        "jobs": [], "in_the_way": [],
    }  # fmt: skip
    assert booking.until_at - booking.from_at == HOUR


def test_a_window_to_come_may_be_said_in_seconds_or_with_an_offset(door, scene):
    now = scene.clock.now()
    planned = book(door, gpus=[0], count=None, from_at=now + HOUR, until_at=now + 2 * HOUR, for_s=None)
    again = book(door, gpus=[1], count=None, from_at=planned["from_at"], until_at=planned["until_at"], for_s=None)
    assert (planned["state"], again["from_at"]) == ("planned", planned["from_at"])


def test_jobs_inside_and_jobs_in_the_way_are_named(door, scene):
    bob, ada = scene.run(gpus=1, actor=BOB), scene.run(gpus=1)
    made = book(door, count=4, users=["bob"], force=True)
    assert (made["jobs"], made["in_the_way"]) == ([bob.id], [ada.id])


def test_what_is_called_off_is_listed_only_where_all_are(door):
    made = book(door)
    off = door.root.post(f"/v1/bookings/{made['id']}/unbook")
    assert (off["id"], off["state"], off["unbooked_at"] is not None) == (made["id"], "unbooked", True)
    assert door.ada.get("/v1/bookings")["bookings"] == []
    [kept] = door.ada.get("/v1/bookings", {"all": "true"})["bookings"]
    assert kept["state"] == "unbooked"
    with pytest.raises(NotFound, match="there is no booking 1 that is not over"):
        door.root.post(f"/v1/bookings/{made['id']}/unbook")


def test_what_is_over_is_listed_only_where_all_are(door, scene):
    book(door)
    scene.clock.advance(HOUR)
    assert door.ada.get("/v1/bookings")["bookings"] == []
    assert [one["state"] for one in door.ada.get("/v1/bookings", {"all": "true"})["bookings"]] == ["over"]


def test_gpus_say_for_whom_they_are_set_aside(door, scene):
    now = scene.clock.now()
    later = book(door, gpus=[0, 3], count=None, from_at=now + 2 * HOUR)
    course = book(door, users=["bob"], name="course", gpus=[3], count=None)
    gpus = door.ada.get("/v1/gpus")["gpus"]
    assert [gpu["state"] for gpu in gpus] == ["free", "free", "free", "booked"]
    assert [[one["id"] for one in gpu["bookings"]] for gpu in gpus] == [
        [later["id"]],
        [],
        [],
        [course["id"], later["id"]],
    ]
    assert gpus[3]["bookings"][0] == {
        "id": course["id"], "name": "course", "state": "open", "from_at": course["from_at"],
        "until_at": course["until_at"], "users": ["bob"], "accounts": [],
    }  # fmt: skip


def test_a_gpu_at_work_inside_a_window_is_busy(door, scene):
    book(door, count=4, users=["ada"])
    scene.run(gpus=1)
    assert [gpu["state"] for gpu in door.ada.get("/v1/gpus")["gpus"]] == ["busy", "booked", "booked", "booked"]


def test_only_operators_book_and_call_off(door, scene):
    with pytest.raises(Forbidden, match="bob may not book GPUs"):
        book(door, door.bob)
    made = book(door)
    with pytest.raises(Forbidden):
        door.bob.post(f"/v1/bookings/{made['id']}/unbook")
    assert len(scene.desk.book.bookings) == 1


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"from_at": 1.0}, "the booking would have begun"),
        ({"from_at": "2026-12-01T09:00"}, "no offset"),
        ({"count": -1}, "count"),
        ({"count": "2"}, "count"),
        ({"gpus": [-1], "count": None}, "gpus"),
        ({"gpus": list(range(2000)), "count": None}, "gpus"),
        ({"users": ["a\ud800"]}, "users"),
        ({"users": "ada"}, "users"),
        ({"window": 3}, "window"),
        ({"for_s": 1e9}, "the booking would last longer than a year"),
    ],
)
def test_bad_input_is_one_clear_error_and_nothing_is_booked(door, scene, fields, said):
    with pytest.raises(BadInput, match=said):
        book(door, **fields)
    assert scene.desk.book.bookings == ()


def test_what_cannot_be_together_is_refused(door):
    book(door, count=3)
    with pytest.raises(Refused, match="2 GPUs cannot be booked, 1 of 4 is not booked then"):
        book(door)
