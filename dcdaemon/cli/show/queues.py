"""Queues and shares as tables."""

from dcdaemon.cli.show.output import Column, Page
from dcdaemon.cli.show.words import UNKNOWN, count, duration, gpu_hours, percent, spans
from dcdaemon.client.answer import Document


def queues_page(document: Document) -> Page:
    """Return the page of `dcd queues`."""
    return Page(document, document["queues"], QUEUES, id_key="name", talk=_yours(document["you"]))


def shares_page(document: Document) -> Page:
    """Return the page of `dcd share`: accounts, each followed by its users."""
    return Page(document, document["shares"], SHARES, id_key="user", talk=_about(document))


def _yours(you: Document) -> str:
    """Return what the caller uses and may use, in a line."""
    parts = [f"{you['user']}: {count(you['gpus'], 'GPU')} in use"]
    if you["lent_gpus"]:
        parts[0] += f", {you['lent_gpus']} of them lent"
    parts += [_limit(limit) for limit in you["limits"] if limit["used"] or limit["kind"] == "quota"]
    if you["accounts"]:
        parts.append(f"account {' or '.join(you['accounts'])}")
    return " · ".join(parts)


def _limit(limit: Document) -> str:
    used = f"{limit['used']:g} of {limit['most']}"
    if limit["kind"] == "quota":
        return f"quota of {limit['owner']}: {used} GPUs"
    return f"{limit['owner']}: {used} {'GPUs' if limit['counts'] == 'gpus' else 'jobs'}"


def _about(document: Document) -> str:
    half = f"GPU time of {duration(document['half_life_s'])} ago counts half"
    if not document["shares"]:
        return "nobody has used a GPU yet"
    if not document["queues"]:
        return f'{half} · no queue goes by it: order = "fair-share" in [queues.NAME] makes one do'
    return f"{half} · decides in queue {', '.join(document['queues'])}"


def _name(queue: Document) -> str:
    return f"{queue['name']}{'*' if queue['default'] else ''}"


def _most(queue: Document) -> str:
    """Return the limits of a queue in few words."""
    parts = [
        f"{count(queue[key], noun)} {of}"
        for key, noun, of in (
            ("max_gpus_per_job", "GPU", "a job"), ("max_gpus_per_user", "GPU", "a user"), ("max_gpus", "GPU", "in all"),
            ("max_jobs_per_user", "job", "a user"),
        )
        if queue[key] is not None
    ]  # fmt: skip
    return ", ".join(parts) or UNKNOWN


def _traits(queue: Document) -> str:
    parts = [
        f"GPU {spans(queue['gpus_missing'])} is not there" if queue["gpus_missing"] else "",
        "" if queue["admits_you"] else "not for you",
        "urgent" if queue["urgent"] else "",
        "preemptible" if queue["preemptible"] else "",
        f"runs {duration(queue['min_run_s'])} at least" if queue["min_run_s"] else "",
        f"for {', '.join([*queue['users'], *queue['accounts']])}" if queue["users"] or queue["accounts"] else "",
    ]
    return ", ".join(part for part in parts if part)


def _who(line: Document) -> str:
    return "" if line["user"] is None else str(line["user"])


def _account(line: Document) -> str:
    return (str(line["account"]) or "(none)") if line["user"] is None else ""


QUEUES = (
    Column("QUEUE", _name, whole=True),
    Column("GPUS", lambda queue: spans(queue["gpus"]) or "none", whole=True),
    Column("IN USE", lambda queue: str(queue["running_gpus"]), right=True, whole=True),
    Column("YOURS", lambda queue: str(queue["yours"]["running_gpus"]), right=True, whole=True),
    Column("RUNNING", lambda queue: str(queue["running_jobs"]), right=True, whole=True),
    Column("WAITING", lambda queue: str(queue["waiting_jobs"]), right=True, whole=True),
    Column("ORDER", lambda queue: str(queue["order"]), whole=True),
    Column("TIER", lambda queue: str(queue["priority_tier"]), right=True, wide=True),
    Column("DEFAULT", lambda queue: duration(queue["default_limit_s"]), right=True, wide=True),
    Column("LONGEST", lambda queue: duration(queue["max_limit_s"]), right=True, whole=True),
    Column("AT MOST", _most, wide=True),
    Column("NOTE", _traits),
)

SHARES = (
    Column("ACCOUNT", _account, whole=True),
    Column("USER", _who, whole=True),
    Column("SHARES", lambda line: f"{line['shares']:g}", right=True, whole=True),
    Column("OF ALL", lambda line: percent(line["share_ratio"]), right=True, whole=True),
    Column("GPU-H", lambda line: gpu_hours(line["usage_gpu_s"]), right=True, whole=True),
    Column("USED", lambda line: percent(line["usage_ratio"]), right=True, whole=True),
    Column("FACTOR", lambda line: f"{line['factor']:.2f}", right=True, whole=True),
    Column("GPUS", lambda line: str(line["running_gpus"]), right=True, whole=True),
    Column("WAITING", lambda line: str(line["waiting_jobs"]), right=True, whole=True),
    Column("NEXT", lambda line: UNKNOWN if line["next"] is None else str(line["next"]), right=True, whole=True),
)
