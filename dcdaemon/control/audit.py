"""The audit: whose rows one may read, and the changes that are made outside of the database."""

import contextlib
from collections.abc import Mapping
from dataclasses import replace

from dcdaemon.control.desk import Desk
from dcdaemon.core.audit import AuditQuery, AuditRow, Change
from dcdaemon.core.errors import StoreUnavailable
from dcdaemon.core.ports import DAEMON, Actor


def find_audit(desk: Desk, actor: Actor, query: AuditQuery) -> list[AuditRow]:
    """Return the rows that match: to an operator all, to anybody else those of what he did himself."""
    return desk.store.find_audit(query if actor.operator else replace(query, uid=actor.uid))


def note_service(desk: Desk, action: str, facts: Mapping[str, object]) -> None:
    """Note that the daemon itself started, stopped or read its configuration anew.

    A database that takes no writes just then must not keep the daemon from starting or stopping.
    """
    with contextlib.suppress(StoreUnavailable):
        desk.store.note(Change(action, "daemon", after=facts), desk.clock.now(), DAEMON)


def note_reload(desk: Desk, before: Mapping[str, object], after: Mapping[str, object]) -> None:
    """Note which settings a reload found changed; the values are masked by who passes them."""
    with contextlib.suppress(StoreUnavailable):
        desk.store.note(Change("config_reload", "daemon", None, before, after), desk.clock.now(), DAEMON)
