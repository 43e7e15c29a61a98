"""The telemetry child: polls every GPU through NVML and writes what it hears as lines of JSON, one for each sweep.

It imports as little as it can: it lives as long as the daemon and is counted in its size. Its first line from the
parent tells how often each value is wanted; when the parent closes its end, the child finishes what it is at and goes.
"""

import json
import os
import sys
import threading
import time
from collections.abc import Sequence

from dcdaemon.telemetry.gpu_lanes import Lanes
from dcdaemon.telemetry.gpu_nvml import GpuLost, NoDriver, NvmlGpu, Tempo, open_driver
from dcdaemon.telemetry.nvml_events import Events
from dcdaemon.telemetry.nvml_library import pynvml

# Within this time of being asked, a child that is not stuck has come out of its calls to the driver.
_FINISH_S = 0.15


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
    """One GPU from its first poll on: what it tells, or how it is lost."""

    def __init__(self, index: int, tempo: Tempo, line: Line, events: Events) -> None:
        self._index, self._tempo, self._line, self._events = index, tempo, line, events
        self._gpu: NvmlGpu | None = None

    def poll(self) -> list[object]:
        """Return what is to be said of this GPU now; end the whole child when the driver went away.

        That is its index, both times, the hot values in their order, and whatever else is new, by name.
        """
        said = [self._index, time.time(), time.monotonic()]
        try:
            gpu = self._gpu or NvmlGpu(self._index, self._tempo)
            gpu.poll()
            news = gpu.take_news()
            if self._gpu is None or "cut" in news:
                # To be cut may change a GPU's attributes, its minor number among them (nvmlDeviceSetMigMode).
                news["info"] = gpu.info()
            if self._gpu is None:
                self._events.add(self._index, gpu.handle)
                self._gpu = gpu
        except (GpuLost, UnicodeDecodeError) as trouble:
            return [*said, None, {"error": str(trouble)}]
        except NoDriver as gone:
            self._line.say(driver_error=str(gone), code=gone.code)
            os._exit(0)
        return [*said, gpu.values.now[: self._tempo.hot], *([news] if news else [])]


def _read_tempo() -> Tempo:
    """Return what the parent's first line says; leave when there is no parent any more."""
    text = b""
    while not text.endswith(b"\n"):
        part = os.read(0, 65536)
        if not part:
            os._exit(0)
        text += part
    plan = json.loads(text)
    return Tempo(plan["interval_s"], plan["every"])


def _leave_with_parent(lanes: Sequence[Lanes]) -> None:
    """End this process when the parent closes its end: between two calls to the driver, unless it hangs in one."""
    while os.read(0, 4096):
        pass
    for each in lanes:
        each.stop(_FINISH_S)
    os._exit(0)


def _end_at_once(failure: threading.ExceptHookArgs) -> None:
    """Let no thread die quietly: the parent sees the end and starts a fresh child."""
    sys.excepthook(failure.exc_type, failure.exc_value or failure.exc_type(), failure.exc_traceback)
    os._exit(1)


def main() -> None:
    """Poll until the parent is gone; say so and return when there is no driver to ask."""
    line, lanes = Line(), list[Lanes]()
    threading.excepthook = _end_at_once
    tempo = _read_tempo()
    threading.Thread(target=_leave_with_parent, args=(lanes,), daemon=True).start()
    try:
        hello = open_driver()
    except NoDriver as error:
        line.say(driver_error=str(error), code=error.code)
        return
    count = int(str(hello["count"]))
    if count == 0:
        line.say(driver_error=f"driver {hello['driver_version']} sees no GPU", code=pynvml.NVML_SUCCESS)
        return
    line.say(hello=hello | {"names": list(tempo.beliefs), "hot": tempo.hot})
    events = Events(count, lambda gpu, kind, number: line.say(event=kind, gpu=gpu, number=number, at=time.time()))
    watches = [Watch(index, tempo, line, events) for index in range(count)]
    lanes.append(Lanes([watch.poll for watch in watches], tempo.interval_s, lambda answers: line.say(gpus=answers)))
    threading.Thread(target=events.run, daemon=True).start()
    lanes[0].run()


if __name__ == "__main__":
    main()
