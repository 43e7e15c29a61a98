"""Every store keeps bookings alike."""

from dataclasses import replace

from dcdaemon.core.booking import Booking
from dcdaemon.core.ports import Actor, Store
from dcdaemon.store.sql_store import open_store

ADA = Actor(uid=1001, gid=100, user="ada", operator=True)
COURSE = Booking(
    0, "n1", (2, 3), 500.0, 900.0, ("bob", "eve"), ("course",), name="course", reason="week 12", booked_by="ada",
    booked_at=100.0,
)  # fmt: skip
NIGHT = Booking(0, "n1", (0,), 200.0, 300.0, booked_by="ada", booked_at=110.0)


def test_a_booking_is_kept_as_it_was_made(store: Store) -> None:
    made = store.add_booking(COURSE, ADA)
    assert made == replace(COURSE, id=made.id)
    assert made.id > 0
    assert store.bookings(0.0) == [made]


def test_bookings_come_in_the_order_in_which_they_begin_and_leave_when_they_are_over(store: Store) -> None:
    course, night = store.add_booking(COURSE, ADA), store.add_booking(NIGHT, ADA)
    assert course.id < night.id
    assert store.bookings(0.0) == [night, course]
    assert store.bookings(299.9) == [night, course]
    assert store.bookings(300.0) == [course]
    assert store.bookings(900.0) == []


def test_a_booking_is_called_off_once_and_stays_for_the_record(store: Store) -> None:
    course = store.add_booking(COURSE, ADA)
    off = store.unbook(course.id, 600.0, ADA)
    assert off == replace(course, unbooked_at=600.0)
    assert store.unbook(course.id, 610.0, ADA) is None
    assert store.bookings(599.9) == [off]
    assert store.bookings(600.0) == []


def test_what_is_over_or_was_never_there_cannot_be_called_off(store: Store) -> None:
    night = store.add_booking(NIGHT, ADA)
    assert store.unbook(night.id, 300.0, ADA) is None
    assert store.unbook(4711, 100.0, ADA) is None
    assert [row.action for row in store.audit()] == ["book"]


def test_the_audit_tells_who_booked_what_and_who_called_it_off(store: Store) -> None:
    course = store.add_booking(COURSE, ADA)
    store.unbook(course.id, 150.0, replace(ADA, user="root", uid=0))
    booked, unbooked = store.audit()
    assert (booked.at, booked.user, booked.action, booked.job_id) == (100.0, "ada", "book", None)
    assert booked.detail == course.audit_detail
    assert booked.detail["gpus"] == [2, 3]
    assert (unbooked.at, unbooked.user, unbooked.action) == (150.0, "root", "unbook")
    assert unbooked.detail == {"booking": course.id}


def test_another_nodes_bookings_are_none_of_ours(url: str) -> None:
    ours, theirs = open_store(url, "n1"), open_store(url, "n2")
    mine = ours.add_booking(COURSE, ADA)
    assert theirs.bookings(0.0) == []
    assert theirs.unbook(mine.id, 100.0, ADA) is None
    assert ours.bookings(0.0) == [mine]
    theirs.close()
    ours.close()
