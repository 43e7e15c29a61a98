"""A second telemetry child on trial, while the first one goes on."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field

from dcdaemon.telemetry.gpu_plan import Patience
from dcdaemon.telemetry.gpu_watch import Answer
from dcdaemon.telemetry.nvml_process import NvmlChild


def ailment(answers: Mapping[int, Answer], patience: Patience) -> str | None:
    """Return what a fresh session with the driver might mend: a GPU that has been silent or lost for long."""
    for gpu, answer in answers.items():
        if answer.age_s > patience.deadline_s:
            return f"gpu {gpu} was silent for {answer.age_s:.0f} s"
        if answer.lost_s is not None and answer.lost_s > patience.lost_s:
            return f"gpu {gpu} was lost for {answer.lost_s:.0f} s"
    return None


@dataclass(slots=True)
class Heir:
    """A child whose words are kept until it reaches more than the first one does; `why` it was born."""

    child: NvmlChild
    born_s: float
    why: str
    lines: list[bytes] = field(default_factory=list)
    _answered: set[int] = field(default_factory=set)

    def take(self, lines: list[bytes]) -> None:
        """Keep its lines, and note which GPUs answer it; raise ValueError or TypeError for nonsense."""
        self.lines += lines
        for line in lines:
            for gpu, _, _, hot, *_ in json.loads(line).get("gpus", ()):
                if hot is not None:
                    self._answered.add(gpu)

    def better(self, answers: Mapping[int, Answer], deadline_s: float) -> bool:
        """Tell whether it reaches a GPU that the first child does not, and all that this one does."""
        ailing = {gpu for gpu, answer in answers.items() if answer.error or answer.age_s > deadline_s}
        return bool(self._answered & ailing) and self._answered >= answers.keys() - ailing
