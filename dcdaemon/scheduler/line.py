"""The turns of one pass in their order, while what the pass starts moves some of them back."""

import heapq
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from dcdaemon.core.view import QueuedJob
from dcdaemon.scheduler.group import Group
from dcdaemon.scheduler.order import Rank, Ranking

#: Where the jobs of one owner stand that have the same claim to fair-share.
Claim = tuple[tuple[int, ...], str, str]


class Turn(NamedTuple):
    """Whose turn it is, and where in its group."""

    rank: Rank
    sequence: int
    job_id: int
    place: int
    group: Group


class Line:
    """Turns, of which the first one always stands where it belongs by now.

    Where fair-share decides, each start moves back all that its owner has waiting. So of the turns with one claim only
    the oldest stands in the line, and the others behind it.
    """

    def __init__(self, jobs: Mapping[int, QueuedJob], ranking: Ranking) -> None:
        self._jobs = jobs
        self._ranking = ranking
        self._turns: list[Turn] = []
        self._behind: dict[Claim, list[tuple[int, int, Turn]]] = {}
        #: Nothing that starts moves anybody back, as where neither quotas nor shares count: the usual case.
        self._fixed = not ranking.has_movers

    def fill(self, turns: Iterable[Turn]) -> None:
        """Line up turns, in whatever order they come."""
        if self._fixed:
            self._turns = list(turns)
            heapq.heapify(self._turns)
            return
        for turn in turns:
            claim = self._claim(turn)
            if claim is None:
                self._turns.append(turn)
            else:
                heapq.heappush(self._behind.setdefault(claim, []), (turn.sequence, turn.job_id, turn))
        self._turns += [heapq.heappop(waiting)[2] for waiting in self._behind.values()]
        heapq.heapify(self._turns)

    def first(self) -> Turn | None:
        """Return whose turn it is; None when everybody had theirs."""
        if self._fixed:
            return self._turns[0] if self._turns else None
        while self._turns:
            turn = self._turns[0]
            job = self._jobs[turn.job_id]
            if not self._ranking.moves(job):
                return turn
            now = turn._replace(rank=self._ranking.rank(job, turn.group.key.length))
            if self._stays(turn, now):
                if now.rank == turn.rank:
                    return turn
                heapq.heapreplace(self._turns, now)
            else:
                self.follow(now)
        return None

    def follow(self, turn: Turn | None) -> None:
        """Put this turn, if any, where it belongs, instead of the first one."""
        if self._fixed:
            if turn is None:
                heapq.heappop(self._turns)
            else:
                heapq.heapreplace(self._turns, turn)
            return
        claim = self._claim(heapq.heappop(self._turns))
        if turn is not None:
            self._add(turn)
        if claim is not None:
            self._call(claim)

    def _stays(self, turn: Turn, now: Turn) -> bool:
        """Say whether the turn keeps its claim, and nobody older has come behind it."""
        claim = self._claim(turn)
        if claim is None:
            return True
        waiting = self._behind[claim]
        return self._claim(now) == claim and not (waiting and waiting[0][0] < turn.sequence)

    def _add(self, turn: Turn) -> None:
        claim = self._claim(turn)
        if claim is not None and claim in self._behind:
            heapq.heappush(self._behind[claim], (turn.sequence, turn.job_id, turn))
            return
        if claim is not None:
            self._behind[claim] = []
        heapq.heappush(self._turns, turn)

    def _call(self, claim: Claim) -> None:
        """Let the oldest of those behind into the line; those whose claim has changed go where they belong now."""
        waiting = self._behind[claim]
        while waiting:
            turn = heapq.heappop(waiting)[2]
            now = turn._replace(rank=self._ranking.rank(self._jobs[turn.job_id], turn.group.key.length))
            if self._claim(now) == claim:
                heapq.heappush(self._turns, now)
                return
            self._add(now)
        del self._behind[claim]

    def _claim(self, turn: Turn) -> Claim | None:
        job = self._jobs[turn.job_id]
        return (turn.rank.before_share, job.account, job.user) if self._ranking.goes_by_share(job, turn.rank) else None
