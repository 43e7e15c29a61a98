"""Tells when a GPU stops to answer, is lost or comes back, and when the whole driver falls silent."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum

from dcdaemon.core.event import Event, EventKind, Tell

#: What a GPU says when it will not answer until it is reset.
LOST = frozenset({"lost", "reset required"})


@dataclass(frozen=True, slots=True)
class Answer:
    """The newest that a GPU said: how long ago, what is wrong with it, and for how long it has been lost.

    `said` is whether it has said anything; where it has not, `age_s` is how long it has been waited for.
    """

    age_s: float
    error: str | None = None
    lost_s: float | None = None
    said: bool = True


class _State(Enum):
    WELL = "well"
    STALE = "stale"
    LOST = "lost"


class GpuWatch:
    """Compares what each GPU said with what was told of it last.

    One GPU that is old while others answer is told of by itself, an interval after its values were withdrawn: they
    are never all equally old. Where none answers, that is one event about the driver.
    """

    def __init__(self, interval_s: float, fresh_s: float, tell: Tell) -> None:
        self._interval_s, self._fresh_s, self._tell = interval_s, fresh_s, tell
        self._states: dict[int, _State] = {}
        self._silent = False

    def look(self, at: float, answers: Mapping[int, Answer], trouble: str | None = None) -> None:
        """Tell what has changed; `answers` has every GPU that the driver knows, `trouble` what is known to be wrong."""
        if not answers:
            return
        quick = [answer for answer in answers.values() if answer.age_s <= self._fresh_s]
        # That a fresh child begins to wait is no answer yet.
        answering = any(answer.said for answer in quick) if self._silent else bool(quick)
        if answering == self._silent:
            self._silent = not answering
            self._say_driver(at, answers, trouble)
        if not answering:
            return
        first = not self._states
        for gpu in sorted(self._states.keys() - answers.keys()):
            del self._states[gpu]
            message = f"gpu {gpu} is gone: the driver has {len(answers)} GPUs now"
            self._tell(Event(at, EventKind.GPU_LOST, f"gpu {gpu}", message, gpu=gpu))
        for gpu, answer in answers.items():
            before = self._states.get(gpu, _State.WELL)
            now = self._state(answer, before)
            if now is not before or not (first or gpu in self._states):
                self._say_gpu(at, gpu, now, answer)
            self._states[gpu] = now

    def _state(self, answer: Answer, before: _State) -> _State:
        if answer.age_s <= self._fresh_s:
            if answer.error is None:
                return _State.WELL if answer.said else before
            return _State.LOST if answer.error in LOST else before
        return _State.STALE if answer.age_s > self._fresh_s + self._interval_s else before

    def _say_driver(self, at: float, answers: Mapping[int, Answer], trouble: str | None) -> None:
        age_s = min(answer.age_s for answer in answers.values())
        if self._silent:
            why = f" ({trouble})" if trouble else ""
            message = f"no GPU has answered for {age_s:.1f} s{why}: the values of all {len(answers)} are withdrawn"
            evidence: dict[str, object] = {"age_s": round(age_s, 3), "trouble": trouble}
            self._tell(Event(at, EventKind.DRIVER_SILENT, "driver", message, evidence))
        else:
            self._tell(Event(at, EventKind.DRIVER_RETURNED, "driver", "the driver answers again"))

    def _say_gpu(self, at: float, gpu: int, now: _State, answer: Answer) -> None:
        kind, message = {
            _State.WELL: (
                EventKind.GPU_FOUND,
                f"gpu {gpu} answers again" if gpu in self._states else f"gpu {gpu} is new",
            ),
            _State.STALE: (
                EventKind.GPU_STALE,
                f"gpu {gpu} has not answered for {answer.age_s:.1f} s, while others do: its values are withdrawn",
            ),
            _State.LOST: (EventKind.GPU_LOST, f"gpu {gpu} is lost to the driver ({answer.error})"),
        }[now]
        evidence: dict[str, object] = {"age_s": round(answer.age_s, 3), "error": answer.error}
        self._tell(Event(at, kind, f"gpu {gpu}", message, evidence, gpu=gpu))
