"""What went on since a backup was made, brought into the database that it becomes; and what a restore did."""

import time
from dataclasses import dataclass
from pathlib import Path

from dcdaemon.admin.db_on_disk import behind
from dcdaemon.admin.db_place import Place, ServerPlace
from dcdaemon.core.audit import Change
from dcdaemon.core.ports import Actor
from dcdaemon.runner.on_disk import job_ids
from dcdaemon.store.carry_over import Carried
from dcdaemon.store.restored import RestoredDatabase


@dataclass(frozen=True, slots=True)
class Restored:
    """What a restore did: from which schema, where the database of before is now, and what came along from it.

    `on_disk` are the jobs that only their directories told of; `warnings` what the backup has wrong in it.
    """

    database: str
    backup: Path
    schema: str | None
    jobs: int
    environments: int
    kept_aside: str | None
    carried: Carried
    on_disk: tuple[int, ...]
    warnings: tuple[str, ...]

    def as_json(self) -> dict[str, object]:
        """Return the document that the command prints."""
        return {
            "database": self.database, "backup": str(self.backup), "backup_schema": self.schema,
            "jobs": self.jobs, "environments": self.environments, "kept_aside": self.kept_aside,
            "newer_jobs": list(self.carried.newer), "moved_jobs": list(self.carried.moved),
            "strangers": list(self.carried.strangers), "jobs_on_disk": list(self.on_disk),
            "warnings": list(self.warnings),
        }  # fmt: skip


def catch_up(
    database: RestoredDatabase, place: Place | ServerPlace, backup: Path, carried: Carried, actor: Actor
) -> tuple[int, ...]:
    """Bring in what lies on this node's disk, reserve its ids, and put the restore into the audit.

    `carried` is what has come along from the present database; return the jobs that only their directories tell of.
    """
    on_disk = behind(place.state_dir, place.node, database.known_jobs())
    database.put(on_disk)
    database.reserve_ids(max(job_ids(place.state_dir), default=0))
    now, ids = time.time(), tuple(sorted(job.id for job in on_disk))
    detail = {"backup": str(backup), "newer_jobs": len(carried.newer)}
    database.note(Change("restore", "database", detail=detail), now, actor)
    for job_id in ids:
        database.note(Change("restore", f"job {job_id}", job_id), now, actor)
    return ids
