"""Listings in the shape of squeue, sinfo and sacct, for the scripts that read those."""

from collections.abc import Sequence
from collections.abc import Set as AbstractSet

from dcdaemon.cli.show.output import Output, say
from dcdaemon.cli.show.slurm_words import ENDINGS, MAIN, STATES, Field, elapsed, job_id, line, reason
from dcdaemon.client.answer import Document
from dcdaemon.core.errors import BadInput

_SHOWN_FIRST = ("waiting", "starting", "running", "stopping")
_OUT_OF_USE = ("drained", "unhealthy")
_NARROWEST = 9


def emit_slurm(text: str, out: Output) -> None:
    """Print a listing of this kind; raise BadInput where other columns are asked for."""
    if out.columns:
        raise BadInput("the columns of -o slurm are those of Slurm", "use --columns with -o table or -o csv")
    say(text)


def squeue(document: Document) -> str:
    """Return the jobs as squeue lists them: by queue, waiting ones first, a line for each task of an array."""
    jobs = sorted(document["jobs"], key=lambda job: (_queue(job), _rank(job["state"]), -job["priority"]))
    return _table(_QUEUE, jobs)


def sacct(document: Document) -> str:
    """Return the ended jobs as sacct lists them, oldest first; jobs have no steps."""
    header = [line(_HISTORY, [field.title for field in _HISTORY])]
    ruler = [line(_HISTORY, ["-" * field.width for field in _HISTORY])]
    jobs = sorted(document["jobs"], key=lambda job: job["id"])
    return "\n".join([*header, *ruler, *(_row(_HISTORY, job) for job in jobs)])


def sinfo(gpus: Document, queues: Document) -> str:
    """Return the queues with this one node as sinfo lists partitions, the default one marked with a star."""
    rows = [_partition(queue, gpus) for queue in queues["queues"]]
    width = max(_NARROWEST, *(len(row["partition"]) for row in rows))
    return _table((_PARTITION._replace(width=width), *_NODES), rows)


def _table(fields: tuple[Field, ...], rows: Sequence[Document]) -> str:
    return "\n".join([line(fields, [field.title for field in fields]), *(_row(fields, row) for row in rows)])


def _row(fields: tuple[Field, ...], row: Document) -> str:
    return line(fields, [field.cell(row) for field in fields])


def _queue(job: Document) -> str:
    return str(job.get("queue") or MAIN)


def _rank(state: str) -> int:
    return _SHOWN_FIRST.index(state) if state in _SHOWN_FIRST else len(_SHOWN_FIRST)


def _place_or_reason(job: Document) -> str:
    if job["state"] == "waiting":
        return f"({reason(job)})"
    if job["state"] in ENDINGS:
        return f"({ENDINGS[job['state']]})"
    return str(job["node"])


def _cpus(job: Document) -> str:
    return str(job["cpus"] if job["started_at"] else 0)


def _partition(queue: Document, document: Document) -> Document:
    gpus = [gpu for gpu in document["gpus"] if gpu["index"] in queue["gpus"]]
    limit = "infinite" if queue["max_limit_s"] is None else elapsed(queue["max_limit_s"])
    name = queue["name"] + ("*" if queue["default"] else "")
    return {"partition": name, "limit": limit, "state": _node_state(gpus), "node": document["node"]}


def _node_state(gpus: Sequence[Document]) -> str:
    """Return Slurm's word for a node with these GPUs; foreign processes count as allocated."""
    usable = [gpu["state"] for gpu in gpus if gpu["state"] not in _OUT_OF_USE and gpu.get("drained_reason") is None]
    if gpus and not usable:
        return _unusable({gpu["state"] for gpu in gpus})
    taken = [state for state in usable if state != "free"]
    return "idle" if not taken else "alloc" if len(taken) == len(usable) else "mix"


def _unusable(states: AbstractSet[str]) -> str:
    if "busy" in states:
        return "drng"
    return "down" if states == {"unhealthy"} else "drain"


_QUEUE = (
    Field("JOBID", 18, job_id),
    Field("PARTITION", 9, _queue),
    Field("NAME", 8, lambda job: str(job["name"])),
    Field("USER", 8, lambda job: str(job["user"])),
    Field("ST", 2, lambda job: STATES[job["state"]][0]),
    Field("TIME", 10, lambda job: elapsed(None if job["state"] == "waiting" else job["run_s"])),
    Field("NODES", 6, lambda _: "1"),
    Field("NODELIST(REASON)", 0, _place_or_reason, right=False),
)

_HISTORY = (
    Field("JobID", 12, job_id, right=False, cut_mark="+"),
    Field("JobName", 10, lambda job: str(job["name"]), cut_mark="+"),
    Field("Partition", 10, _queue, cut_mark="+"),
    Field("Account", 10, lambda job: str(job.get("account") or ""), cut_mark="+"),
    Field("AllocCPUS", 10, _cpus, cut_mark="+"),
    Field("State", 10, lambda job: STATES[job["state"]][1], cut_mark="+"),
    Field("ExitCode", 8, lambda job: f"{job['exit_code'] or 0}:{job['signal'] or 0}", cut_mark="+"),
)

_PARTITION = Field("PARTITION", _NARROWEST, lambda row: str(row["partition"]), right=False)
_NODES = (
    Field("AVAIL", 5, lambda _: "up"),
    Field("TIMELIMIT", 10, lambda row: str(row["limit"])),
    Field("NODES", 6, lambda _: "1"),
    Field("STATE", 6, lambda row: str(row["state"])),
    Field("NODELIST", 0, lambda row: str(row["node"]), right=False),
)
