"""GPU time by account, user and hour of MemoryStore, in a dictionary."""

from collections import defaultdict
from collections.abc import Mapping

from dcdaemon.core.gpu import GpuInfo
from dcdaemon.core.gpu_time import HOUR_S, GpuTime, attempt_span, by_hour, weight
from dcdaemon.core.job import Job

Hour = tuple[str, str, str, int]  # node, account, user, hour


class MemoryGpuTime:
    """What attempts used; its owner sees to it that one thread uses it at a time."""

    def __init__(self) -> None:
        self._used: defaultdict[Hour, float] = defaultdict(float)

    def charge(self, before: Job, after: Job, gpus: Mapping[int, GpuInfo]) -> None:
        """Count what the attempt used that this change ends, if it ends one."""
        span = attempt_span(before, after)
        if span is None:
            return
        known = gpus.get(after.gpus[0])
        counted = weight(len(after.gpus), after.spec.gpu_mem_bytes, known.mem_total_bytes if known else None)
        for hour, gpu_s in by_hour(*span, counted):
            self._used[after.node, after.spec.account, after.spec.user, hour] += gpu_s

    def used_since(self, node: str, since: float, step_s: int) -> list[GpuTime]:
        """Sum what each payer used on this node since then, in steps of time."""
        sums: defaultdict[tuple[str, str, int], list[tuple[int, float]]] = defaultdict(list)
        for (where, account, user, hour), gpu_s in self._used.items():
            if where == node and hour >= int(since) - HOUR_S:
                sums[account, user, hour // max(step_s, HOUR_S)].append((hour, gpu_s))
        return [_summed(account, user, used) for (account, user, _), used in sums.items()]

    def forget(self, before: float) -> int:
        """Forget the hours before this time; return how many rows those were."""
        past = [place for place in self._used if place[3] < before]
        for place in past:
            del self._used[place]
        return len(past)


def _summed(account: str, user: str, used: list[tuple[int, float]]) -> GpuTime:
    gpu_s = sum(each for _, each in used)
    return GpuTime(account, user, sum(hour * each for hour, each in used) / gpu_s + HOUR_S / 2, gpu_s)
