"""`dcd simulate`: what recorded jobs would have waited under other policies, or on another machine."""

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from dcdaemon.cli.connect import connect
from dcdaemon.cli.options import Duration, output, verb
from dcdaemon.cli.show.output import Output, emit
from dcdaemon.client.http import Client
from dcdaemon.core.errors import BadInput

if TYPE_CHECKING:
    from dcdaemon.simulator.cluster import Cluster
    from dcdaemon.simulator.study import Study
    from dcdaemon.simulator.workload import Workload

_MOST_NODES, _MOST_GPUS = 10_000, 1_000_000
#: The most that the daemon tells of its history in one answer.
_MOST_JOBS = 100_000
_QUARTER_S = 90 * 86400.0
_FILE = click.Path(path_type=Path)


@dataclass(frozen=True, slots=True)
class Asked:
    """The options, as they were given."""

    traces: Sequence[Path]
    from_history: bool
    since: float | None
    loads: Sequence[Path]
    nodes: int | None
    gpus: int | None
    gpus_per_node: int | None
    policy: str | None
    compare: str | None
    predict: str
    sigma: float
    seed: int
    patience: float | None
    picture: Path | None
    url: str | None
    token_file: str | None


@verb(
    "simulate",
    "dcd simulate trace.csv --nodes 4 --compare fifo,easy,default",
    "dcd simulate --from-history --gpus 64 --picture what-if.svg",
)
@click.argument("traces", nargs=-1, type=_FILE, metavar="[TRACE...]")
@click.option("--from-history", is_flag=True, help="Play the jobs that ended on this node.")
@click.option("--since", type=Duration(), metavar="AGE", help="History: ended at most so long ago.  [default: 90d]")
@click.option("--load", "loads", type=_FILE, multiple=True, metavar="TRACE",
              help="Add this trace's jobs to each one played; may be repeated.")  # fmt: skip
@click.option("--nodes", type=click.IntRange(1, _MOST_NODES), metavar="N", help="How many nodes.")
@click.option("--gpus", type=click.IntRange(1, _MOST_GPUS), metavar="N",
              help="How many GPUs, instead of --nodes.  [default for the history: this node's]")  # fmt: skip
@click.option("--gpus-per-node", type=click.IntRange(1, 1024), metavar="N", help="[default: 8]")
@click.option("--policy", metavar="NAME", help="Play under this policy only.")
@click.option("--compare", metavar="A,B", help="Play under each of these.  [default: fifo,easy,default]")
@click.option("--predict", type=click.Choice(["noise", "history"]), default="noise", show_default=True,
              help="Estimates: the truth with an error of --sigma, or learned from jobs that have ended.")  # fmt: skip
@click.option("--sigma", type=click.FloatRange(0, 5), default=0.0, show_default=True, metavar="S",
              help="How wrong estimates are: 0 not at all, 1 like people's.")  # fmt: skip
@click.option("--seed", type=int, default=1, show_default=True, metavar="N",
              help="Which errors of that size, or which made-up users.")  # fmt: skip
@click.option("--patience", type=click.FloatRange(0, 100, min_open=True), metavar="N",
              help="As [scheduler] patience.  [default: the policy's own]")  # fmt: skip
@click.option("--picture", type=_FILE, metavar="FILE", help="Draw it, too: FILE.svg or FILE.png.")
@click.option("--url", metavar="URL", help="History: the daemon.  [env: DCD_URL]")
@click.option("--token-file", metavar="FILE", help="History: the token that TCP needs.  [env: DCD_TOKEN_FILE]")
@output
def command(out: Output, **options: Any) -> None:
    """Play recorded jobs through the scheduler in virtual time, and compare what people would have waited."""
    from dcdaemon.cli.show.simulation import progress_bar, simulation_page
    from dcdaemon.simulator.picture import draw
    from dcdaemon.simulator.picture_file import write
    from dcdaemon.simulator.study import carry_out

    asked = Asked(**options)
    study = _study(asked)
    began = time.monotonic()
    with progress_bar(study.plays) as progress:
        runs = carry_out(study, progress)
    elapsed_s = time.monotonic() - began
    if asked.picture is not None:
        write(asked.picture, draw(runs))
    emit(simulation_page(study, runs, elapsed_s, out), out)


def _study(asked: Asked) -> "Study":
    """Return what is to be played; everything that can be wrong is looked at before the first job is."""
    from dcdaemon.simulator.choices import chosen
    from dcdaemon.simulator.picture_file import check
    from dcdaemon.simulator.study import Study, prepared

    choices = [choice.with_patience(asked.patience) for choice in chosen(_names(asked))]
    if asked.patience is not None and math.isnan(asked.patience):
        raise BadInput("--patience is not a number", "write a number like 0.9")
    if math.isnan(asked.sigma):
        raise BadInput("--sigma is not a number", "0 for exact estimates, 1 for those of people")
    if asked.sigma and asked.predict == "history":
        raise BadInput("--sigma is the error of estimates, and --predict history makes them", "leave one of them out")
    if asked.picture is not None:
        check(asked.picture)
    if asked.since is not None and not asked.from_history:
        raise BadInput("--since goes with --from-history", "a trace is played from its beginning to its end")
    client = connect(asked.url, asked.token_file) if asked.from_history else None
    cluster = _cluster(asked, client)
    learns = asked.predict == "history"
    return prepared(Study(_workloads(asked, client), cluster, choices, asked.sigma, asked.seed, learns))


def _names(asked: Asked) -> list[str]:
    from dcdaemon.simulator.choices import CHOICES

    if asked.policy is not None and asked.compare is not None:
        raise BadInput("--policy plays one policy, --compare several", "leave one of them out")
    if asked.policy is not None:
        return [asked.policy]
    return list(CHOICES) if asked.compare is None else [name.strip() for name in asked.compare.split(",")]


def _cluster(asked: Asked, client: Client | None) -> "Cluster":
    from dcdaemon.simulator.cluster import sized

    gpus = asked.gpus
    if client is not None and gpus is None and asked.nodes is None:
        # A job on a MIG instance is in the history as one of one GPU.
        gpus = sum(len(gpu["migs"]) if gpu.get("cut") else 1 for gpu in client.get("/v1/gpus")["gpus"])
        if not gpus:
            raise BadInput("this node has no GPU", "say on how many to play: --gpus 8")
        if asked.gpus_per_node is None:
            return sized(1, None, gpus)
    return sized(asked.nodes, gpus, asked.gpus_per_node)


def _workloads(asked: Asked, client: Client | None) -> "list[Workload]":
    from dcdaemon.simulator.traces import read_trace

    workloads = [read_trace(path) for path in asked.traces]
    if client is not None:
        workloads.append(_history(client, _QUARTER_S if asked.since is None else asked.since))
    if not workloads:
        raise BadInput("there is nothing to play", "name a trace, or add --from-history: dcd simulate -h")
    loads = [read_trace(path) for path in asked.loads]
    return [workload.with_load(loads) for workload in workloads] if loads else workloads


def _history(client: Client, since_s: float) -> "Workload":
    from dcdaemon.simulator.history import read_history

    with client.stream("/v1/history", {"since_s": since_s, "limit": _MOST_JOBS}) as stream:
        return read_history(stream)
