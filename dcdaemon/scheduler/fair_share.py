"""Who is owed GPU time: what each account and user has had, where the past counts less the longer ago it is."""

import math
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from dcdaemon.scheduler.policy import Weights

#: Account ("" for none) and user.
Payer = tuple[str, str]

#: What runs is counted this much ahead, so that GPUs that become free together are shared as well.
AHEAD_S = 3600.0


class Use(NamedTuple):
    """GPUs (a share of one is a fraction) that are in use since a time, epoch seconds."""

    payer: Payer
    gpus: float
    from_at: float


class FairShare:
    """Decayed GPU seconds of each payer.

    A GPU that was in use a half-life ago counts half. It counts from when it was used, not from when its job ended, so
    that long and short jobs weigh alike: n GPUs from s to e are the integral of n x 2^(-(now - t) / half_life).
    """

    def __init__(self, half_life_s: float) -> None:
        self.half_life_s = half_life_s
        self._sums: dict[Payer, tuple[float, float]] = {}  # GPU seconds, as they count at a time

    def __iter__(self) -> Iterator[Payer]:
        return iter(self._sums)

    def charge(self, payer: Payer, gpus: float, from_at: float, to_at: float) -> None:
        """Count the GPUs that were in use from one time to another, epoch seconds, in whatever order."""
        self.add(payer, self.accrued(gpus, to_at - from_at), to_at)

    def add(self, payer: Payer, gpu_s: float, at: float) -> None:
        """Count GPU seconds that were used at about this time."""
        sum_s, then = self._sums.get(payer, (0.0, at))
        newest = max(at, then)
        total_s = self._decayed(sum_s, newest - then) + self._decayed(gpu_s, newest - at)
        self._sums[payer] = total_s, newest

    def usage_s(self, payer: Payer, now: float) -> float:
        """Return what the payer has used of what has ended, as it counts now."""
        sum_s, then = self._sums.get(payer, (0.0, now))
        return self._decayed(sum_s, now - then)

    def accrued(self, gpus: float, run_s: float) -> float:
        """Return what GPUs that have been in use for so long count at the end of that time."""
        return gpus * self.half_life_s / math.log(2) * -math.expm1(-max(run_s, 0.0) * math.log(2) / self.half_life_s)

    def _decayed(self, gpu_s: float, age_s: float) -> float:
        # A clock that was set back makes nothing grow.
        return gpu_s * math.exp2(-max(age_s, 0.0) / self.half_life_s)


class Claims:
    """Who comes next in one pass; what starts is counted, and made anew for the next pass."""

    def __init__(self, used: Mapping[Payer, float], weights: Weights) -> None:
        """Begin with the decayed GPU seconds of each payer."""
        self._weights = weights
        self._payers = dict(used)
        self._one_account = False
        self._accounts: defaultdict[str, float] = defaultdict(float)
        for (account, _), gpu_s in used.items():
            self._accounts[account] += gpu_s

    def line_up(self, waiting: Iterable[Payer]) -> None:
        """Learn whose jobs wait: where all are of one account, what that one has had says nothing."""
        self._one_account = len({account for account, _ in waiting}) <= 1

    def key(self, payer: Payer) -> tuple[float, float]:
        """Return the place of a payer's jobs, the lowest goes first: the account's use by its weight, then the user's.

        Within a pass it only grows.
        """
        account, user = payer
        own = self._payers.get(payer, 0.0) / self._weights.users.get(user, 1.0)
        if self._one_account:
            return 0.0, own
        return self._accounts.get(account, 0.0) / self._weights.accounts.get(account, 1.0), own

    def start(self, payer: Payer, gpus: float) -> None:
        """Count a job that starts now."""
        self._accounts[payer[0]] += gpus * AHEAD_S
        self._payers[payer] = self._payers.get(payer, 0.0) + gpus * AHEAD_S


def used_now(shares: FairShare, running: Sequence[Use], now: float, ahead_s: float = 0.0) -> dict[Payer, float]:
    """Return the decayed GPU seconds of each payer, what runs counted up to now and so much ahead.

    A decision counts AHEAD_S ahead, so that those who have just begun do not seem to have nothing.
    """
    used = {payer: shares.usage_s(payer, now) for payer in shares}
    for use in running:
        so_far = shares.accrued(use.gpus, now - use.from_at) + use.gpus * ahead_s
        used[use.payer] = used.get(use.payer, 0.0) + so_far
    return used
