"""Booking: who may, what is refused, which GPUs are chosen, and what a node does with it."""

import math
from dataclasses import replace

import pytest
from scene import ADA, BOB, NODE, ROOT, Scene

from dcdaemon.control import bookings
from dcdaemon.control.book import Book
from dcdaemon.control.booking_wish import BookingWish
from dcdaemon.control.bookings import book_gpus, in_the_way, inside, unbook
from dcdaemon.control.change import cancel
from dcdaemon.control.desk import login_exists
from dcdaemon.control.drain import drain
from dcdaemon.control.start import apply_plan
from dcdaemon.core.booking import Booking
from dcdaemon.core.errors import BadInput, DcdError, Forbidden, NotFound, Refused, StoreUnavailable
from dcdaemon.core.job import JobState
from dcdaemon.core.plan import Plan, Start
from dcdaemon.core.view import NodeView
from dcdaemon.fakes.engine import Play
from dcdaemon.scheduler.policy import Order
from dcdaemon.scheduler.queues import Account, Queue, Sharing

HOUR = 3600.0


@pytest.fixture
def scene() -> Scene:
    made = Scene()
    made.desk.is_login = {"ada", "bob", "root"}.__contains__
    return made


def wish(**fields: object) -> BookingWish:
    plain = BookingWish(count=4, for_s=HOUR) if "gpus" not in fields else BookingWish(for_s=HOUR)
    return replace(plain, **fields)


def book(scene: Scene, **fields: object) -> Booking:
    return book_gpus(scene.desk, ROOT, wish(**fields))


def at(scene: Scene, seconds: float) -> float:
    return scene.clock.now() + seconds


# ---------------------------------------------------------------- what is refused


def refusal(scene: Scene, **fields: object) -> DcdError:
    with pytest.raises(DcdError) as caught:
        book(scene, **fields)
    assert scene.store.bookings(0.0) == []
    assert scene.store.audit() == []
    assert scene.desk.book.bookings == ()
    return caught.value


def test_only_an_operator_books_and_calls_off(scene):
    with pytest.raises(Forbidden, match="ada may not book GPUs"):
        book_gpus(scene.desk, ADA, wish())
    made = book(scene)
    with pytest.raises(Forbidden):
        unbook(scene.desk, ADA, made.id)
    assert scene.desk.book.bookings == (made,)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"from_s": -1.0}, "the booking would have begun 1s ago"),
        ({"from_s": HOUR, "until_s": HOUR, "for_s": None}, "the booking would end before it begins"),
        ({"from_s": HOUR, "until_s": 60.0, "for_s": None}, "the booking would end before it begins"),
        ({"for_s": 0.0}, "the booking would end before it begins"),
        ({"for_s": -5.0}, "the booking would end before it begins"),
        ({"for_s": 367 * 86400.0}, "the booking would last longer than a year"),
        ({"for_s": math.inf}, "the booking would last longer than a year"),
        ({"for_s": math.nan}, "the window is at no time"),
        ({"from_s": math.nan}, "the window is at no time"),
        ({"from_s": 1e12}, "the window is at no time"),
        ({"for_s": None}, "a booking has an end or a length"),
        ({"until_s": 60.0}, "a booking has an end or a length"),
        ({"count": 5}, "5 GPUs cannot be booked, this node has 4"),
        ({"count": 0}, "0 GPUs cannot be booked, this node has 4"),
        ({"count": None}, "a booking is for so many GPUs, or for these"),
        ({"count": 1, "gpus": (0,)}, "a booking is for so many GPUs, or for these"),
        ({"name": "x" * 65}, "the booking's name is too long or not printable"),
        ({"name": "two\nlines"}, "the booking's name is too long or not printable"),
        ({"reason": "x" * 501}, "the booking's reason is too long or not printable"),
    ],
)
def test_what_makes_no_sense_is_refused_with_a_word_why(scene, fields, message):
    times = {f"{name[:-2]}_at": at(scene, fields.pop(name)) for name in ("from_s", "until_s") if name in fields}
    error = refusal(scene, **fields, **times)
    assert isinstance(error, BadInput)
    assert error.message == message
    assert error.hint


def test_gpus_users_and_accounts_that_are_not_there_are_named(scene):
    assert refusal(scene, gpus=(0, 7)).message == "there is no GPU 7"
    assert refusal(scene, users=("ada", "adda")).message == "there is no user 'adda' on this node"
    error = refusal(scene, accounts=("course",))
    assert (error.message, error.hint) == (
        "there is no account 'course'", "none is configured: name users instead",
    )  # fmt: skip
    assert isinstance(error, NotFound)


def test_a_name_that_is_nearly_right_is_answered_with_the_right_one(scene):
    accounts = {"course": Account("course", ("ada", "bob"))}
    scene.desk.book = Book(scene.desk.book.node, Sharing(accounts=accounts))
    assert refusal(scene, accounts=("curse",)).hint == "did you mean course?"
    assert refusal(scene, users=("adaa",)).hint == "did you mean ada?"
    assert book(scene, accounts=("course",)).accounts == ("course",)


def test_a_login_is_what_the_system_knows():
    assert login_exists("root")
    assert not login_exists("no-such-user-here")
    assert not login_exists("nul\0byte")


def test_two_bookings_have_no_gpu_at_one_time(scene):
    first = book(scene, gpus=(0, 1), from_at=at(scene, HOUR), name="course")
    with pytest.raises(Refused) as caught:
        book(scene, gpus=(1, 2), from_at=at(scene, 1.5 * HOUR))
    assert caught.value.message == f"GPU 1 is booked then: booking {first.id} (course)"
    assert caught.value.hint == f"choose another time or GPU, or dcd unbook {first.id}"
    with pytest.raises(Refused) as caught:
        book(scene, count=3, from_at=at(scene, 1.5 * HOUR))
    assert caught.value.message == "3 GPUs cannot be booked, 2 of 4 are not booked then"
    assert caught.value.hint == f"booking {first.id} (course): choose another time, or dcd unbook one"
    assert [one.gpus for one in scene.desk.book.bookings] == [(0, 1)]
    assert book(scene, gpus=(1, 2), from_at=at(scene, 2 * HOUR)).gpus == (1, 2), "one ends when the other begins"
    assert book(scene, count=2, from_at=at(scene, HOUR)).gpus == (2, 3)


def test_there_is_an_end_to_the_number_of_bookings(scene, monkeypatch):
    monkeypatch.setattr(bookings, "MAX_BOOKINGS", 2)
    for hour in (0, 1):
        book(scene, from_at=at(scene, hour * HOUR))
    with pytest.raises(Refused, match="there are 2 bookings already"):
        book(scene, from_at=at(scene, 5 * HOUR))
    scene.clock.advance(HOUR)
    assert book(scene, from_at=at(scene, 5 * HOUR)).id == 3, "what is over does not count"


# ---------------------------------------------------------------- which GPUs


def test_gpus_are_taken_from_the_end_where_jobs_are_last(scene):
    assert book(scene, count=2).gpus == (2, 3)


def test_gpus_that_are_held_into_the_window_or_do_not_work_are_chosen_last(scene):
    scene.run(gpus=1)
    scene.run(gpus=1, limit_s=60.0)
    drain(scene.desk, ROOT, 3, "fan")
    assert scene.desk.book.holders().keys() == {0, 1}
    later = at(scene, HOUR)
    assert book(scene, count=2, from_at=later).gpus == (1, 2), "the limited job is over by then"
    assert book(scene, count=1, from_at=later).gpus == (3,)


def test_jobs_that_may_run_into_the_window_are_named_and_forced_ones_run_on(scene):
    endless, limited = scene.run(gpus=2), scene.run(gpus=1, limit_s=HOUR)
    with pytest.raises(Refused) as caught:
        book(scene, count=3, from_at=at(scene, 60.0))
    error = caught.value
    assert error.message == f"jobs {endless.id} and {limited.id} hold GPUs 1 and 2 and may run into the window"
    made = book(scene, count=4, from_at=at(scene, 60.0), force=True)
    assert [job.id for job in in_the_way(scene.desk, made, scene.clock.now())] == [endless.id, limited.id]
    assert {scene.state(endless), scene.state(limited)} == {JobState.RUNNING}


def test_jobs_of_those_it_is_for_are_not_in_the_way(scene):
    job = scene.run(gpus=4, actor=BOB)
    made = book(scene, count=4, users=("bob",))
    assert in_the_way(scene.desk, made, scene.clock.now()) == []
    assert [one.id for one in inside(scene.desk, made)] == [job.id]


# ---------------------------------------------------------------- what comes of it


def test_a_window_opens_and_closes_for_the_jobs_that_wait(scene):
    made = book(scene, from_at=at(scene, 60.0), for_s=60.0, users=("bob",))
    soon, ada, bob = (
        scene.submit(gpus=4, limit_s=10.0, grace_s=5.0, play=Play(run_s=10.0)),
        scene.submit(gpus=4),
        scene.submit(gpus=4, actor=BOB, play=Play(run_s=20.0)),
    )
    scene.cycle()
    assert scene.state(soon) is JobState.RUNNING
    scene.advance(10.0)
    assert (scene.state(soon), scene.state(ada)) == (JobState.SUCCEEDED, JobState.WAITING)
    assert scene.state(bob) is JobState.WAITING, "ada is first, and bob's window is not open yet"
    scene.advance(50.0)
    assert scene.clock.now() == made.from_at
    assert (scene.state(ada), scene.state(bob)) == (JobState.WAITING, JobState.RUNNING)
    scene.advance(20.0)
    assert (scene.state(ada), scene.state(bob)) == (JobState.WAITING, JobState.SUCCEEDED)
    scene.advance(40.0)
    assert scene.state(ada) is JobState.RUNNING


def test_calling_off_lets_everybody_in_at_once_and_ends_no_job(scene):
    made = book(scene, count=2, users=("bob",))
    bob, ada = scene.submit(gpus=2, actor=BOB), scene.submit(gpus=4)
    one = scene.submit(gpus=2)
    scene.cycle()
    assert scene.job(bob).gpus == (2, 3)
    assert scene.state(one) is JobState.WAITING, "the head needs all GPUs, and has no end in sight"
    wakes = scene.wakes
    off = unbook(scene.desk, ROOT, made.id)
    assert off.unbooked_at == scene.clock.now()
    assert scene.wakes == wakes + 1
    assert scene.desk.book.bookings == ()
    assert scene.state(bob) is JobState.RUNNING
    cancel(scene.desk, ADA, ada.id)
    scene.cycle()
    assert scene.job(one).gpus == (0, 1)


def test_a_job_that_was_let_in_keeps_its_gpus_after_the_window(scene):
    book(scene, for_s=60.0, users=("bob",))
    bob = scene.run(gpus=4, actor=BOB)
    scene.advance(61.0)
    assert scene.state(bob) is JobState.RUNNING
    assert scene.state(scene.run(gpus=1)) is JobState.WAITING


def test_a_booking_wakes_the_scheduler_and_is_heeded_after_a_restart(scene):
    made = book(scene, users=("bob",))
    assert scene.wakes == 1
    desk = scene.daemon()
    assert desk.book.bookings == (made,)
    assert scene.state(scene.run(gpus=1)) is JobState.WAITING
    assert desk.book.next_due(scene.clock.now()) == made.until_at
    scene.clock.advance(HOUR)
    assert scene.daemon().book.bookings == ()


def test_what_is_over_or_unknown_cannot_be_called_off(scene):
    made = book(scene)
    scene.clock.advance(HOUR)
    for booking_id in (made.id, 4711):
        with pytest.raises(NotFound, match=f"there is no booking {booking_id} that is not over"):
            unbook(scene.desk, ROOT, booking_id)


def test_a_plan_made_before_the_booking_is_not_carried_out_against_it(scene):
    ada, bob = scene.submit(gpus=1), scene.submit(gpus=1, actor=BOB)
    old = Plan((Start(ada.id, NODE, (0,)), Start(bob.id, NODE, (1,))), (), scene.clock.now())
    book(scene, users=("bob",))
    assert [job.id for job in apply_plan(scene.desk, old)] == [bob.id]
    assert scene.state(ada) is JobState.WAITING


def test_a_database_in_trouble_books_nothing(scene, monkeypatch):
    def unavailable(*_: object) -> None:
        raise StoreUnavailable("the database takes no writes now", "wait")

    monkeypatch.setattr(scene.store, "add_booking", unavailable)
    with pytest.raises(StoreUnavailable):
        book(scene)
    assert scene.desk.book.bookings == ()
    assert scene.state(scene.run(gpus=4)) is JobState.RUNNING


def test_while_something_is_booked_jobs_of_different_users_are_not_alike(scene):
    queues = {"main": Queue("main", order=Order.FIFO)}
    scene.desk.book = Book(scene.desk.book.node, Sharing(queues=queues))
    assert not scene.desk.book.queue.by_owner
    waiting = scene.submit(gpus=4, held=True)
    made = book(scene, users=("bob",))
    assert scene.desk.book.queue.by_owner
    assert waiting.id in scene.desk.book.queue
    unbook(scene.desk, ROOT, made.id)
    assert not scene.desk.book.queue.by_owner


def test_who_booked_what_is_in_the_audit(scene):
    made = book(scene, users=("bob", "bob"), name="course", reason="week 12")
    unbook(scene.desk, ROOT, made.id)
    booked, unbooked = scene.store.audit()
    assert (booked.user, booked.action, booked.detail["users"]) == ("root", "book", ["bob"])
    assert (unbooked.user, unbooked.action, unbooked.detail) == ("root", "unbook", {"booking": made.id})


def test_the_book_of_a_node_without_bookings_is_due_at_no_time():
    assert Book(NodeView("n1", 1, 1)).next_due(0.0) is None
