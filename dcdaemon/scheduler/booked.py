"""Whether it is bookings that keep a job from starting, and which."""

from dcdaemon.core.reasons import BookedGpus
from dcdaemon.scheduler.bookings import shut_gpus
from dcdaemon.scheduler.instances import gpu_of
from dcdaemon.scheduler.nearest import Nearest


def booked_gpus(near: Nearest, now: float) -> list[BookedGpus]:
    """Return what is booked where the job lacks least; nothing where it could wait for other GPUs as well."""
    share = near.share_on(near.spaces[-1])
    space = near.spaces[-1].meant_for(share)
    shut = shut_gpus(space.closures, now, share.longest_s) & space.usable
    if not shut or share.gpus <= len(space.free):
        return []
    # Jobs hold what is not booked: those are in the way, and the bookings only beside them.
    if len(space.idle) < share.gpus <= len(space.usable) - len(shut):
        return []
    bars = [closure.booking for closure in space.closures if closure.bars(now, share.longest_s)]
    return [
        BookedGpus(
            booking=booking.id, label=booking.label, gpus=sorted({gpu_of(gpu) for gpu in booking.gpus if gpu in shut}),
            opens_in_s=max(0.0, booking.from_at - now), ends_in_s=booking.ends_at - now,
        )
        for booking in bars
    ]  # fmt: skip
