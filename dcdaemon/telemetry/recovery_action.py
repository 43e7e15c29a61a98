"""What the driver asks to be done to a GPU so that it recovers: told when it changes, from whichever source."""

import re
import threading

from dcdaemon.core.event import Event, EventKind, Tell

_WORDS = {
    0: "nothing any more",
    1: "a reset of the GPU",
    2: "a reboot of the node",
    3: "an end of all peer-to-peer traffic",
    4: "a drain of the GPU, then a reset",
}
# NVRM: Xid (PCI:0000:01:00): 154, GPU recovery action changed from 0x0 (None) to 0x1 (GPU Reset Required)
_CHANGED = re.compile(r"recovery action changed from 0x[0-9a-fA-F]+ \([^)]*\) to 0x([0-9a-fA-F]+)")


def action_in(line: str) -> int | None:
    """Return the action that a line of the kernel log says a GPU asks for from now on; None for any other line."""
    match = _CHANGED.search(line)
    return int(match[1], 16) if match else None


class RecoveryActions:
    """Hears of it from the samples, from NVML's events and from the kernel log, and tells each change once."""

    def __init__(self, tell: Tell) -> None:
        self._tell = tell
        self._lock = threading.Lock()
        self._known: dict[int, int] = {}
        self._sampled: dict[int, int] = {}

    def sampled(self, at: float, gpu: int, action: int) -> None:
        """Take in the value of a sample, which may be some seconds older than what an event has told since."""
        if self._sampled.get(gpu) != action:
            self._sampled[gpu] = action
            self.changed(at, gpu, action, "sample")

    def changed(self, at: float, gpu: int, action: int, source: str) -> None:
        """Take in that a GPU asks for this from now on (field 230's numbers)."""
        with self._lock:
            before = self._known.get(gpu, 0)
            self._known[gpu] = action
        if action != before:
            message = f"gpu {gpu}: the driver asks for {_WORDS.get(action, f'action {action}')}"
            evidence = {"action": action, "before": before, "source": source}
            self._tell(Event(at, EventKind.RECOVERY_ACTION, f"gpu {gpu}", message, evidence, gpu=gpu))
