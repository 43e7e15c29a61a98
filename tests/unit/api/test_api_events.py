"""GET /v1/events: which events, in which order, and what each one tells."""

import pytest

from dcdaemon.core.errors import BadInput, Unauthorized
from dcdaemon.core.event import Event, EventKind


@pytest.fixture
def told(scene):
    """Four events, of which the second happened twice."""
    now = scene.clock.now()
    events = [
        Event(now - 7200, EventKind.LINK_DOWN, "eth0", "eth0 lost its carrier"),
        Event(now - 600, EventKind.XID, "GPU 3", "XID 79", {"xid": 79, "where": ("a", "b")}, gpu=3, job_id=42, count=2),
        Event(now - 60, EventKind.LINK_UP, "eth0", "eth0 is up"),
        Event(now - 1, EventKind.XID, "GPU 1", "XID 31", {"xid": 31}, gpu=1),
    ]
    return scene.store.save_events(events)


def ids(answer) -> list[int]:
    return [event["id"] for event in answer["events"]]


def test_all_events_the_oldest_first(door, told):
    answer = door.ada.get("/v1/events")
    assert answer["schema"] == 1
    assert ids(answer) == told


def test_an_event_tells_when_what_where_how_often_and_whose(door, scene, told):
    event = door.ada.get("/v1/events")["events"][1]
    assert event.pop("at").endswith("+00:00")
    assert event == {
        "id": told[1], "kind": "xid", "subject": "GPU 3", "message": "XID 79",
        "evidence": {"xid": 79, "where": ["a", "b"]}, "gpu": 3, "job_id": 42, "count": 2,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({"kind": "xid"}, [1, 3]),
        ({"kind": ["xid", "link_up"]}, [1, 2, 3]),
        ({"since_s": 3600}, [1, 2, 3]),
        ({"since_s": 0}, []),
        ({"limit": 2}, [2, 3]),
        ({"kind": "xid", "since_s": 300}, [3]),
    ],
)
def test_filters(door, told, query, expected):
    assert ids(door.ada.get("/v1/events", query)) == [told[place] for place in expected]


def test_going_on_after_the_last_one_seen(door, told):
    assert ids(door.ada.get("/v1/events", {"after_id": told[1]})) == told[2:]
    assert ids(door.ada.get("/v1/events", {"after_id": told[-1]})) == []


@pytest.mark.parametrize(
    "query", [{"kind": "xids"}, {"limit": 0}, {"limit": 10_001}, {"after_id": -1}, {"after_id": 2**63}, {"since_s": -1}]
)
def test_nonsense_is_refused(door, query):
    with pytest.raises(BadInput):
        door.ada.get("/v1/events", query)


def test_strangers_are_told_nothing(door, told):
    with pytest.raises(Unauthorized):
        door.stranger.get("/v1/events")
