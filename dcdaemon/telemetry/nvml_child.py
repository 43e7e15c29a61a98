"""The telemetry child: polls every GPU through NVML in its own thread and writes each answer as a JSON line.

It imports as little as it can: it lives as long as the daemon and is counted in its size.
"""

import json
import os
import sys
import threading
import time
from collections.abc import Iterator

from dcdaemon.telemetry.gpu_nvml import GpuLost, Memory, NoDriver, NvmlGpu, open_driver

# A GPU that was reset is seen only by a process that starts NVML anew.
_RENEW_AFTER_LOST_S = 60.0
# Listing processes is by far the dearest question (milliseconds), so it is asked at every second poll.
_POLLS_PER_PROCESS_LIST = 2


class Line:
    """The way to the parent; what a driver library prints to stdout goes to stderr instead."""

    def __init__(self) -> None:
        self._fd = os.dup(1)
        self._lock = threading.Lock()
        os.dup2(2, 1)

    def say(self, **message: object) -> None:
        """Write one line, whole; leave when nobody listens any more."""
        rest = json.dumps(message, separators=(",", ":")).encode() + b"\n"
        with self._lock:
            try:
                while rest:
                    rest = rest[os.write(self._fd, rest) :]
            except BrokenPipeError:
                os._exit(0)


class Watch:
    """Polls one GPU for ever; a call that hangs holds up no other GPU."""

    def __init__(self, index: int, interval_s: float, line: Line) -> None:
        self._index, self._interval_s, self._line = index, interval_s, line
        self._gpu: NvmlGpu | None = None
        self._lost_since: float | None = None

    def run(self) -> None:
        """Poll at each interval; end the whole child when the driver went away."""
        try:
            for poll in _polls(self._interval_s):
                self._poll(poll)
        except NoDriver as gone:
            self._line.say(driver_error=str(gone), code=gone.code)
            os._exit(0)

    def _poll(self, poll: int) -> None:
        stamp = {"at": time.time(), "monotonic_s": time.monotonic(), "gpu": self._index}
        try:
            gpu = self._gpu or self._meet()
            sample = gpu.sample()
            news = {"processes": _pairs(gpu.processes())} if poll % _POLLS_PER_PROCESS_LIST == 0 else {}
        except (GpuLost, UnicodeDecodeError) as trouble:
            self._line.say(sample=stamp | {"error": str(trouble)})
            self._renew_when_long_lost()
            return
        self._lost_since = None
        self._line.say(sample=stamp | sample, dropped=gpu.dropped, **news)

    def _meet(self) -> NvmlGpu:
        gpu = NvmlGpu(self._index)
        self._line.say(info=gpu.info())
        self._gpu = gpu
        return gpu

    def _renew_when_long_lost(self) -> None:
        now = time.monotonic()
        self._lost_since = self._lost_since or now
        if now - self._lost_since > _RENEW_AFTER_LOST_S:
            os._exit(0)


def _pairs(memory: Memory | None) -> list[tuple[int, int | None]] | None:
    return None if memory is None else list(memory.items())


def _polls(interval_s: float) -> Iterator[int]:
    """Count polls, one an interval; those missed during a slow answer are not made up for."""
    due, poll = time.monotonic(), 0
    while True:
        yield poll
        poll += 1
        due = max(due + interval_s, time.monotonic())
        time.sleep(max(0.0, due - time.monotonic()))


def _leave_with_parent() -> None:
    """End this process when the parent closes its end, even while the driver hangs."""
    while os.read(0, 4096):
        pass
    os._exit(0)


def _end_at_once(failure: threading.ExceptHookArgs) -> None:
    """Let no watch die quietly: the parent sees the end and starts a fresh child."""
    sys.excepthook(failure.exc_type, failure.exc_value or failure.exc_type(), failure.exc_traceback)
    os._exit(1)


def main(interval_s: float) -> None:
    """Poll until the parent is gone; say so and return when there is no driver to ask."""
    line = Line()
    threading.excepthook = _end_at_once
    threading.Thread(target=_leave_with_parent, daemon=True).start()
    try:
        hello = open_driver()
    except NoDriver as error:
        line.say(driver_error=str(error), code=error.code)
        return
    count = int(str(hello["count"]))
    if count == 0:
        line.say(driver_error=f"driver {hello['driver_version']} sees no GPU", code=0)
        return
    line.say(hello=hello)
    watches = [threading.Thread(target=Watch(index, interval_s, line).run) for index in range(count)]
    for watch in watches:
        watch.start()
        # A little apart, the calls of different GPUs do not queue up at the driver's lock.
        time.sleep(min(interval_s / count, 0.01))


if __name__ == "__main__":
    main(float(sys.argv[1]))
