"""Every store keeps events alike: a row for each burst, whose count grows."""

from dataclasses import replace

import pytest

from dcdaemon.core.event import Event, EventKind
from dcdaemon.core.ports import Store
from dcdaemon.store.sql_store import open_store

DAY = 86400
XID = Event(100.5, EventKind.XID, "gpu 3", "XID 79", {"xid": 79, "pids": [1, 2], "from": "kernel log"}, 3, 7)
LINK = Event(200.0, EventKind.LINK_DOWN, "mlx5_0/1", "port down", count=4)


def test_an_event_comes_back_as_it_was_told(store: Store) -> None:
    first, second = store.save_events([XID, LINK])
    assert first < second
    assert store.events() == [replace(XID, id=first), replace(LINK, id=second)]
    assert store.save_events([]) == []


def test_a_count_grows_in_its_own_row(store: Store) -> None:
    (number,) = store.save_events([XID])
    assert store.save_events([replace(XID, id=number, count=9), LINK]) == [number, number + 1]
    assert [(event.kind, event.count) for event in store.events()] == [(EventKind.XID, 9), (EventKind.LINK_DOWN, 4)]


@pytest.mark.parametrize(
    "changed", [{"id": 4711}, {"id": 1, "subject": "gpu 4"}, {"id": 1, "kind": EventKind.GPU_LOST}]
)
def test_a_count_of_a_row_that_is_not_there_makes_a_new_one(store: Store, changed: dict[str, object]) -> None:
    """After an older backup was put back, a number means another event, or none."""
    store.save_events([XID])
    other = replace(XID, **changed)  # type: ignore[arg-type]
    assert store.save_events([other]) == [2]
    assert store.events() == [replace(XID, id=1), replace(other, id=2)]


def test_the_newest_are_given_oldest_first(store: Store) -> None:
    told = [replace(XID, at=float(at), kind=kind) for at in range(5) for kind in (EventKind.XID, EventKind.GPU_LOST)]
    store.save_events(told)
    assert [(event.at, event.kind) for event in store.events(limit=3)] == [
        (3.0, EventKind.GPU_LOST),
        (4.0, EventKind.XID),
        (4.0, EventKind.GPU_LOST),
    ]
    assert [event.at for event in store.events(since=3.0)] == [3.0, 3.0, 4.0, 4.0]
    assert [event.at for event in store.events(kinds=[EventKind.XID], limit=2)] == [3.0, 4.0]
    assert [event.id for event in store.events(after_id=8)] == [9, 10]
    assert store.events(kinds=[EventKind.LINK_UP]) == []


def test_events_of_another_node_are_not_ours(url: str) -> None:
    ours, theirs = open_store(url, "n1"), open_store(url, "n2")
    (number,) = theirs.save_events([XID])
    assert ours.events() == []
    assert ours.save_events([replace(XID, id=number, count=5)]) == [number + 1], "their row is not ours to count in"
    assert [event.count for event in theirs.events()] == [1]
    ours.close()
    theirs.close()


def test_whatever_a_device_is_called_its_event_is_kept(store: Store) -> None:
    odd = Event(1.0, EventKind.MOUNT_SILENT, "/mnt/\udcff\0x", "/mnt/\udcff\0x is silent", {"mount": "/mnt/\udcff\0x"})
    (number,) = store.save_events([odd])
    (kept,) = store.events()
    assert kept.evidence == odd.evidence
    assert kept.subject.startswith("/mnt/")
    assert store.save_events([replace(odd, id=number, count=2)]) == [number]


def test_evidence_of_any_kind_is_kept_as_text(store: Store) -> None:
    store.save_events([replace(XID, evidence={"why": OSError("gone"), "gpus": {1}})])
    (kept,) = store.events()
    assert kept.evidence == {"why": "gone", "gpus": "{1}"}


def test_old_events_go(store: Store) -> None:
    store.save_events([XID, replace(LINK, at=400.0 * DAY)])
    assert store.prune(500.0 * DAY) == 1
    assert [event.kind for event in store.events()] == [EventKind.LINK_DOWN]


def test_an_event_of_a_kind_unknown_here_is_passed_over(url: str) -> None:
    import sqlalchemy as sa  # noqa: PLC0415

    store = open_store(url, "n1")
    store.save_events([XID, LINK])
    with sa.create_engine(url, poolclass=sa.NullPool).begin() as connection:
        connection.execute(sa.text("UPDATE event SET kind = 'told by a newer version' WHERE id = 1"))
    assert [event.id for event in store.events()] == [2]
    store.close()
