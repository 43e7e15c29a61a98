"""Follow the events of a node, across restarts of its daemon."""

import time
from collections.abc import Iterator

from dcdaemon.client.answer import Document
from dcdaemon.client.follow import PATIENCE_S, wait_until_back
from dcdaemon.client.http import Client, Query
from dcdaemon.core.errors import Unreachable

PAUSE_S = 2.0


def follow_events(
    client: Client, query: Query, *, pause_s: float = PAUSE_S, patience_s: float = PATIENCE_S
) -> Iterator[Document]:
    """Yield the events that match and then each new one, without end.

    A daemon that goes away is waited for; raises Unreachable when it is not back within `patience_s`, or not there at
    the start.
    """
    events = client.get("/v1/events", query)["events"]
    # Only what is new from here on: the time that was asked for would move on with the clock.
    later = {name: value for name, value in query.items() if name != "since_s"}
    last = 0
    while True:
        yield from events
        last = events[-1]["id"] if events else last
        time.sleep(pause_s)
        try:
            events = client.get("/v1/events", {**later, "after_id": last})["events"]
        except Unreachable:
            events = []
            wait_until_back(client, patience_s)
