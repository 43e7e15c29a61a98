"""The checks of `dcd doctor` on who uses the GPUs: processes that no job owns, and whether there can be any."""

from collections.abc import Iterator
from pathlib import Path

from dcdaemon.cli.check import OK, WARN, Check
from dcdaemon.cli.show.gpus import is_foreign, process_words
from dcdaemon.cli.show.words import count
from dcdaemon.client.answer import Document
from dcdaemon.client.http import Client
from dcdaemon.core.errors import DcdError


def gpu_checks(client: Client, root: Path = Path("/")) -> Iterator[Check]:
    """Judge who uses the GPUs; nothing is said of a daemon that does not tell."""
    try:
        document = client.get("/v1/gpus")
    except DcdError:
        return
    yield from foreign_checks(document)
    if not document["simulated"]:
        yield from node_checks(root)


def foreign_checks(document: Document) -> Iterator[Check]:
    """Name each process on a GPU that no job owns."""
    strangers = [
        (gpu["index"], process)
        for gpu in document["gpus"]
        if gpu["state"] == "foreign"
        for process in gpu["processes"]
        if is_foreign(process)
    ]
    for gpu, process in strangers:
        message = f"GPU {gpu} gets no job: {process_words(process)} is on it outside the queue"
        stop = (process.get("container") or {}).get("stop_command") or f"kill {process['pid']}"
        yield Check("foreign", WARN, message, f"ask {process['user'] or 'its user'}, or: {stop}; [gpus] foreign_ok")
    if not strangers and document["gpus"]:
        yield Check("foreign", OK, "no process outside the queue keeps a GPU from jobs")


def node_checks(root: Path) -> Iterator[Check]:
    """Tell whether the GPUs' device nodes are closed to all but jobs; nothing where there are none."""
    from dcdaemon.admin.gpu_nodes import look

    nodes = look(root)
    if not nodes.count:
        return
    if nodes.closed and nodes.firm:
        yield Check(
            "gpu nodes", OK, f"{count(nodes.count, 'device node')} of the GPUs, closed to all but jobs and root"
        )
    elif nodes.closed or nodes.option_set:
        message = "the GPUs' device nodes are closed until a program asks for CUDA: the loaded driver opens them again"
        yield Check("gpu nodes", WARN, message, "load the driver anew: reboot, or dcd gpus release and modprobe")
    else:
        message = "the GPUs' device nodes are open: everybody can use GPUs without a job"
        yield Check("gpu nodes", OK, message, "sudo dcd gpus close leaves them to jobs (docs/interactive.md)")
