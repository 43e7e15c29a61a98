"""Drain: an operator takes a GPU out of placement, with a reason, and gives it back."""

from dcdaemon.control.desk import Desk
from dcdaemon.control.gpu_state import slots
from dcdaemon.core.errors import Forbidden, NotFound
from dcdaemon.core.ports import Actor, GpuMark


def drain(desk: Desk, actor: Actor, gpu: int, reason: str) -> None:
    """Give no new job this GPU until it is undrained; raise Forbidden or NotFound."""
    now = desk.clock.now()
    _mark(desk, actor, GpuMark(gpu, drained=reason, drained_by=actor.user, drained_at=now))


def undrain(desk: Desk, actor: Actor, gpu: int) -> None:
    """Let jobs use this GPU again; raise Forbidden or NotFound."""
    _mark(desk, actor, GpuMark(gpu))


def _mark(desk: Desk, actor: Actor, mark: GpuMark) -> None:
    if not actor.operator:
        raise Forbidden(f"{actor.user} may not drain GPUs", "ask an operator of this node")
    if all(gpu.index != mark.gpu for gpu in desk.board.gpus.gpus):
        raise NotFound(f"there is no GPU {mark.gpu}", "dcd gpus lists them")
    desk.store.mark(mark, desk.clock.now(), actor)
    desk.board.marks = None  # read again: the scheduler asks for the marks every second
    refresh_slots(desk)


def refresh_slots(desk: Desk) -> None:
    """Fold the newest reading and the marks into what the scheduler may give away; wake it when that changed."""
    if desk.board.marks is None:
        desk.board.marks = {mark.gpu: mark for mark in desk.store.marks()}
    if desk.book.set_gpus(slots(desk.board.gpus, desk.board.marks, desk.board.foreign_ok, desk.board.slow)):
        desk.wake()
