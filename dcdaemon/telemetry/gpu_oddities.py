"""What the values of a GPU show to be odd: nonsense that was dropped, counters that ran back, a call for recovery."""

from collections.abc import Sequence
from dataclasses import replace

from dcdaemon.core.event import Event, EventKind, Tell
from dcdaemon.core.samples import GpuSample
from dcdaemon.telemetry.recovery_action import RecoveryActions
from dcdaemon.telemetry.resets import Resets

#: Counters of 32 bits that each telemetry child lengthens by itself: they begin anew with it, which is no news.
_LENGTHENED = frozenset({"pcie_tx_bytes", "pcie_rx_bytes"})


class GpuOddities:
    """Tells of each oddity once, when it begins."""

    def __init__(self, tell: Tell) -> None:
        self._tell = tell
        self._resets: dict[int, Resets] = {}
        self.recovery = RecoveryActions(tell)
        #: How often a value began to be nonsense.
        self.dropped = 0

    def notice(self, sample: GpuSample, dropped: Sequence[tuple[str, float]]) -> None:
        """Look at a new sample, and at the values that began to be nonsense with it."""
        for name, value in dropped:
            self.dropped += 1
            subject = f"gpu {sample.gpu}"
            message = f"{subject}: {name} would be {value:g}, which no GPU can mean: the value is dropped"
            evidence: dict[str, object] = {"metric": name, "value": value}
            self._tell(Event(sample.at, EventKind.IMPLAUSIBLE_VALUE, subject, message, evidence, gpu=sample.gpu))
        if sample.error is not None:
            return
        if sample.gpu not in self._resets:
            self._resets[sample.gpu] = Resets(self._tell_of_reset)
        self._resets[sample.gpu].check((sample,))
        if sample.recovery_action is not None:
            self.recovery.sampled(sample.at, sample.gpu, sample.recovery_action)

    def _tell_of_reset(self, event: Event) -> None:
        fell = event.evidence.get("fell")
        if isinstance(fell, dict) and fell.keys() <= _LENGTHENED:
            return
        gpu = int(event.subject)
        self._tell(replace(event, subject=f"gpu {gpu}", message=f"gpu {event.message}", gpu=gpu))
