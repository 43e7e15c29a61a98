"""Check what a script asks of the node itself: its name, and the model of its GPUs."""

import re
from collections.abc import Sequence

from dcdaemon.cli.sbatch.request import Request
from dcdaemon.client.answer import Document
from dcdaemon.client.http import Client
from dcdaemon.core.errors import Refused


def check_node(client: Client, request: Request, kinds: Sequence[str]) -> None:
    """Raise Refused where this node, or its GPUs, are not those that the script wants; asks only if it must."""
    if not (kinds or request.nodelist or request.exclude):
        return
    gpus = client.get("/v1/gpus")
    node = str(gpus["node"])
    if request.nodelist is not None and request.nodelist != node:
        raise Refused(f"--nodelist={request.nodelist} is not this node, {node}", "leave it out if this node will do")
    if request.exclude is not None and _may_name(request.exclude, node):
        raise Refused(f"--exclude={request.exclude} leaves out this node, {node}", "leave it out if this node will do")
    for kind in kinds:
        _check_kind(kind, node, gpus["gpus"])


def _may_name(nodes: str, node: str) -> bool:
    """Tell whether a list such as `gpu3,gpu[07-09]` may hold the node; a bracket stands for anything."""
    patterns = re.findall(r"(?:[^,\[]|\[[^\]]*\])+", nodes)
    wild = (r"\d+".join(map(re.escape, re.split(r"\[[^\]]*\]", pattern))) for pattern in patterns)
    return any(re.fullmatch(pattern, node) for pattern in wild)


def _check_kind(kind: str, node: str, gpus: Sequence[Document]) -> None:
    models = sorted({str(gpu["name"]) for gpu in gpus})
    if not models or not all(_is_kind(model, kind) for model in models):
        has = ", ".join(models) or "no GPUs"
        raise Refused(
            f"the script asks for GPUs of the kind {kind!r}, and {node} has {has}",
            "leave the kind out if these will do, or submit to a queue of the right GPUs",
        )


def _is_kind(model: str, kind: str) -> bool:
    """Tell whether every part of `a100_80gb` stands in `NVIDIA A100-SXM4-80GB`."""
    return all(part in model.lower() for part in re.findall(r"[a-z0-9]+", kind.lower()))
