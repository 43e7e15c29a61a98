"""`--gpu-mem auto`: the share of a GPU that earlier runs of the same command held at most, and a fifth more."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from dcdaemon.control.desk import Desk
from dcdaemon.control.wish import Wish
from dcdaemon.core.errors import Refused
from dcdaemon.core.ports import Actor
from dcdaemon.core.prediction import PastPeak
from dcdaemon.scheduler.grammar import counted
from dcdaemon.scheduler.predict_command import fingerprint

#: Of the runs of one command that ended well, so many of the last count, and so many have to be known.
LAST_RUNS, LEAST_RUNS = 10, 2
#: How many of a user's last jobs are looked through.
LOOKED_THROUGH = 10_000
_GIB = 2**30


def with_learned_memory(desk: Desk, actor: Actor, wishes: Sequence[Wish]) -> list[Wish]:
    """Return the wishes with the share filled in where it is to be learned; raise Refused where too little is known."""
    wanted = {fingerprint(wish.argv) for wish in wishes if wish.gpu_mem_auto}
    known = peaks_of(desk.store.past_peaks(actor.user, LOOKED_THROUGH), wanted) if wanted else {}
    return [_learned(wish, known[fingerprint(wish.argv)]) if wish.gpu_mem_auto else wish for wish in wishes]


def peaks_of(past: Iterable[PastPeak], wanted: Iterable[str]) -> Mapping[str, Sequence[int]]:
    """Return the peaks of the last runs of each command, bytes; `past` has the newest first."""
    found: dict[str, list[int]] = {command: [] for command in wanted}
    for run in past:
        peaks = found.get(fingerprint(run.argv))
        if peaks is not None and len(peaks) < LAST_RUNS:
            peaks.append(run.mem_peak_bytes)
    return found


def share_bytes(peaks: Iterable[int]) -> int:
    """Return what to ask for: the highest peak and a fifth of it, up to the next GiB."""
    return max(1, -(-max(peaks) * 6 // (5 * _GIB))) * _GIB


def _learned(wish: Wish, peaks: Sequence[int]) -> Wish:
    if len(peaks) < LEAST_RUNS:
        runs = counted(len(peaks), "run") if peaks else "no run"
        raise Refused(
            f"--gpu-mem auto learns from {LEAST_RUNS} runs of this command on one GPU that ended well; {runs} is known",
            "run it once or twice with -g 1, or say how much it needs: --gpu-mem 10G",
        )
    return replace(wish, gpu_mem_bytes=share_bytes(peaks), gpu_mem_runs=len(peaks))
