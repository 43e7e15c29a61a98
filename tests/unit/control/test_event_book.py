"""Events on their way to the database: bursts, counts, outages, bounds, and whose they were."""

import threading
from collections import Counter

import pytest

from dcdaemon.control import event_book
from dcdaemon.control.book import Hold
from dcdaemon.control.event_book import BURST_S, LONGEST_BURST_S, EventBook, holder_among
from dcdaemon.core.errors import StoreUnavailable
from dcdaemon.core.event import Event, EventKind
from dcdaemon.fakes.store import MemoryStore


class MoodyStore(MemoryStore):
    """A store that is away while `away`, and notes how many rows each call brought."""

    def __init__(self) -> None:
        super().__init__("n1")
        self.away = False
        self.calls: list[int] = []

    def save_events(self, events):
        if self.away:
            raise StoreUnavailable("the database is away", "wait")
        self.calls.append(len(events))
        return super().save_events(events)


@pytest.fixture
def store() -> MoodyStore:
    return MoodyStore()


def nobody(_gpu: int, _at: float) -> None:
    return None


def xid(at: float, code: int = 79, gpu: int | None = 3, **more: object) -> Event:
    return Event(at, EventKind.XID, f"GPU {gpu}", f"XID {code}", {"xid": code}, gpu=gpu, **more)


def link(at: float, name: str = "eth0", **more: object) -> Event:
    return Event(at, EventKind.LINK_DOWN, name, f"{name} lost its carrier", **more)


def stored(store: MoodyStore) -> list[tuple[str, int]]:
    return [(event.subject, event.count) for event in store.events()]


def test_the_same_thing_within_a_burst_shares_a_row_whose_count_grows(store):
    book = EventBook()
    book.tell(link(1000.0))
    assert book.flush(store, nobody) == 1
    book.tell(link(1000.0 + BURST_S))
    book.tell(link(1001.0 + BURST_S, count=3))
    assert book.flush(store, nobody) == 1
    assert stored(store) == [("eth0", 5)]
    [row] = store.events()
    assert (row.at, row.message) == (1000.0, "eth0 lost its carrier")


def test_nothing_new_writes_nothing(store):
    book = EventBook()
    book.tell(link(1000.0))
    book.flush(store, nobody)
    assert book.flush(store, nobody) == 0
    assert store.calls == [1]


def test_after_a_silence_another_row_begins(store):
    book = EventBook()
    book.tell(link(1000.0))
    book.tell(link(1000.1 + BURST_S))
    book.flush(store, nobody)
    assert stored(store) == [("eth0", 1), ("eth0", 1)]


def test_what_does_not_end_begins_a_row_anew_each_hour(store):
    book = EventBook()
    for minute in range(0, 150, 2):
        book.tell(link(1000.0 + minute * 60))
    book.flush(store, nobody)
    rows = store.events()
    assert [row.at - 1000.0 for row in rows] == [0.0, LONGEST_BURST_S + 120, 2 * LONGEST_BURST_S + 240]
    assert sum(row.count for row in rows) == 75


def test_other_kinds_other_subjects_and_other_codes_have_rows_of_their_own(store):
    book = EventBook()
    for event in (xid(1.0, 79), xid(1.0, 31), xid(1.0, 79, gpu=4), link(1.0), link(1.0, "eth1")):
        book.tell(event)
    for metric in ("temp_c", "power_w", "temp_c"):
        book.tell(Event(1.0, EventKind.IMPLAUSIBLE_VALUE, "gpu 3", f"{metric} is nonsense", {"metric": metric}))
    book.flush(store, nobody)
    assert len(store.events()) == 7
    odd = {event.message: event.count for event in store.events(kinds=[EventKind.IMPLAUSIBLE_VALUE])}
    assert odd == {"temp_c is nonsense": 2, "power_w is nonsense": 1}


def test_a_clock_set_back_keeps_the_row_and_loses_no_count(store):
    book = EventBook()
    book.tell(link(1000.0))
    book.tell(link(400.0))
    book.flush(store, nobody)
    assert stored(store) == [("eth0", 2)]


def test_every_event_is_counted_at_once_by_kind_and_xids_by_gpu_and_code():
    book = EventBook()
    for event in (xid(1.0, 79), xid(2.0, 79, count=2), xid(3.0, 31), xid(4.0, 31, gpu=None), link(5.0)):
        book.tell(event)
    kinds, xids = book.totals()
    assert kinds == {EventKind.XID: 5, EventKind.LINK_DOWN: 1}
    assert xids == {(3, 79): 3, (3, 31): 1}
    assert book.xids_since(2.0) == Counter({(3, 79): 2, (3, 31): 1})
    assert book.xids_since(3.5) == {}


def test_readings_that_the_store_dropped_are_added_up():
    book = EventBook()
    for readings in (100, 20, "many"):
        book.tell(Event(1.0, EventKind.SAMPLES_DROPPED, "database", "", {"readings": readings}))
    assert book.readings_dropped == 120


def test_an_outage_keeps_everything_in_order_and_counts_go_on(store):
    book = EventBook()
    store.away = True
    book.tell(link(1.0, "a"))
    book.tell(link(2.0, "b"))
    for _ in range(3):
        with pytest.raises(StoreUnavailable):
            book.flush(store, nobody)
    book.tell(link(3.0, "a"))
    book.tell(link(4.0, "c"))
    store.away = False
    assert book.flush(store, nobody) == 3
    assert stored(store) == [("a", 2), ("b", 1), ("c", 1)]
    assert book.dropped == 0


def test_an_outage_in_the_middle_of_a_long_flush_loses_nothing_and_repeats_nothing(store, monkeypatch):
    monkeypatch.setattr(event_book, "_SLICE", 2)
    book = EventBook()
    for name in "abcde":
        book.tell(link(1.0, name))

    def one_slice_only(events):
        if store.calls:
            raise StoreUnavailable("the database went away", "wait")
        return MoodyStore.save_events(store, events)

    with monkeypatch.context() as patched:
        patched.setattr(store, "save_events", one_slice_only)
        with pytest.raises(StoreUnavailable):
            book.flush(store, nobody)
    assert book.flush(store, nobody) == 3
    assert stored(store) == [(name, 1) for name in "abcde"]
    assert store.calls == [2, 2, 1]


def test_no_more_waits_than_fits_the_oldest_go_first_and_that_is_told(store, monkeypatch):
    monkeypatch.setattr(event_book, "MAX_WAITING", 3)
    book = EventBook()
    for name in "abcde":
        book.tell(link(1.0, name))
    assert book.dropped == 2
    book.flush(store, nobody)
    assert stored(store) == [("c", 1), ("d", 1), ("e", 1), ("events", 1)]
    told = store.events()[-1]
    assert (told.kind, told.evidence) == (EventKind.SAMPLES_DROPPED, {"rows": 2})
    assert told.message == "2 events were counted but not stored: the database was away for too long"
    assert book.totals()[0][EventKind.LINK_DOWN] == 5


def test_bursts_are_forgotten_when_over_or_when_there_are_too_many(monkeypatch):
    monkeypatch.setattr(event_book, "MAX_WAITING", 4)
    book = EventBook()
    for number in range(100):
        book.tell(link(1.0 + number / 100, f"eth{number}"))
    assert len(book._bursts) <= 4
    book.tell(link(1000.0, "late"))
    assert list(book._bursts) == [(EventKind.LINK_DOWN, "late", "")]


def test_a_burst_that_goes_on_outlives_younger_ones(monkeypatch, store):
    monkeypatch.setattr(event_book, "MAX_WAITING", 4)
    book = EventBook()
    book.tell(link(1.0, "old"))
    for number in range(10):
        book.tell(link(2.0, f"eth{number}"))
        book.tell(link(2.0, "old"))
    assert book._bursts[EventKind.LINK_DOWN, "old", ""].event.count == 11


def test_an_event_belongs_to_the_job_that_had_the_gpu_when_it_happened(store):
    holds = [
        Hold(1, 3, 100.0, 200.0), Hold(2, 3, 200.5), Hold(3, 5, 0.0, 50.0), Hold(4, 6, 90.0),
    ]  # fmt: skip
    book = EventBook()
    at_of = {150.0: 1, 200.2: 1, 201.0: 2, 99.0: None}
    for code, at in enumerate(at_of):
        book.tell(xid(at, code))
    book.tell(xid(60.0, gpu=5))
    book.tell(xid(95.0, gpu=6, job_id=77))
    book.tell(link(150.0))
    book.flush(store, holder_among(holds))
    assert [event.job_id for event in store.events()] == [*at_of.values(), None, 77, None]


def test_whose_event_it_was_is_remembered_through_an_outage(store):
    book = EventBook()
    book.tell(xid(150.0))
    store.away = True
    with pytest.raises(StoreUnavailable):
        book.flush(store, holder_among([Hold(1, 3, 100.0, 200.0)]))
    store.away = False
    book.flush(store, nobody)
    assert store.events()[0].job_id == 1


def test_an_event_told_while_the_row_is_being_written_is_not_lost(store, monkeypatch):
    book = EventBook()
    book.tell(link(1.0))
    write = store.save_events

    def save_and_hear_more(events):
        monkeypatch.undo()
        book.tell(link(2.0))
        return write(events)

    monkeypatch.setattr(store, "save_events", save_and_hear_more)
    assert book.flush(store, nobody) == 2
    assert stored(store) == [("eth0", 2)]


def test_many_threads_tell_and_one_writes_and_every_event_is_there(store):
    book = EventBook()

    def tell(name: str) -> None:
        for _ in range(500):
            book.tell(link(1.0, name))

    threads = [threading.Thread(target=tell, args=(f"eth{number}",)) for number in range(4)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        book.flush(store, nobody)
    book.flush(store, nobody)
    assert sorted(stored(store)) == [(f"eth{number}", 500) for number in range(4)]
    assert book.totals()[0] == {EventKind.LINK_DOWN: 2000}
