"""What every part of MemoryStore stands on: its lock, and the tables that more than one of them reads."""

import threading

from dcdaemon.core.audit import AuditRow, Change
from dcdaemon.core.gpu import GpuInfo
from dcdaemon.core.job import Job
from dcdaemon.core.ports import Actor
from dcdaemon.fakes.gpu_time import MemoryGpuTime
from dcdaemon.fakes.ledger import MemoryLedger


class Memory:
    """The memory of one node."""

    def __init__(self, node: str) -> None:
        self.node = node
        self._lock = threading.RLock()
        self._jobs: dict[int, Job] = {}
        self._gpus: dict[int, GpuInfo] = {}
        self._ledger = MemoryLedger()
        self._gpu_time = MemoryGpuTime()
        self._audit: list[AuditRow] = []

    def _note(self, at: float, actor: Actor, change: Change) -> None:
        row = AuditRow(
            at, actor.uid, actor.user, actor.via, change.action, change.job_id, change.detail, len(self._audit) + 1,
            actor.peer, actor.token, change.subject, change.before, change.after,
        )  # fmt: skip
        self._audit.append(row)
