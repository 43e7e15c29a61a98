"""Release: an operator has the driver let go of, so that it can be loaded anew, and taken back."""

import logging

from dcdaemon.control.desk import Desk
from dcdaemon.control.drain import refresh_slots
from dcdaemon.core.audit import Change
from dcdaemon.core.errors import Forbidden, Refused
from dcdaemon.core.ports import Actor

log = logging.getLogger(__name__)


def release_driver(desk: Desk, actor: Actor, for_s: float, *, force: bool = False) -> None:
    """Read no GPU and give none to a job for so long; 0 takes the driver back at once.

    Raise Forbidden, or Refused while jobs hold GPUs: they hold the driver themselves. `force` only stops the reading.
    """
    if not actor.operator:
        raise Forbidden(f"{actor.user} may not release the driver", "ask an operator of this node")
    if desk.source is None:
        raise Refused("this daemon reads no GPUs", "dcd status shows what it reads")
    refuse = for_s > 0 and not force
    if refuse:
        _refuse_holders(desk)
    _let_go(desk, for_s)
    if refuse:
        try:
            # A job may have been started while the driver was let go of: it holds the driver now.
            _refuse_holders(desk)
        except Refused:
            _let_go(desk, 0.0)
            raise
    after = {"released_for_s": for_s, "forced": force}
    desk.store.note(Change("driver_release", "driver", after=after), desk.clock.now(), actor)
    log.info(
        "driver released" if for_s > 0 else "driver taken back",
        extra={"action": "driver_released" if for_s > 0 else "driver_taken_back", "user": actor.user, "for": for_s},
    )


def _let_go(desk: Desk, for_s: float) -> None:
    """Have it let go of for so long, and let the scheduler know."""
    assert desk.source is not None  # noqa: S101  asked by the caller
    desk.source.release(for_s)
    desk.board.gpus = desk.source.read()
    refresh_slots(desk)


def _refuse_holders(desk: Desk) -> None:
    """Raise Refused while jobs hold GPUs."""
    holders = sorted({job.id for jobs in desk.book.sharers().values() for job in jobs})
    if holders:
        who = f"jobs {', '.join(map(str, holders))} hold" if len(holders) > 1 else f"job {holders[0]} holds"
        raise Refused(
            f"{who} GPUs, and the driver with them: it could not be unloaded",
            "dcd drain keeps new jobs away until they have ended; --force only stops the reading of GPUs",
        )
