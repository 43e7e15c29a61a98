"""What a user asks for: the options that submit and run share, turned into the request the API takes."""

import functools
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from dcdaemon.cli.options import BeginTime, Callback, Count, Duration, Memory
from dcdaemon.cli.show.output import talk
from dcdaemon.core.errors import BadInput
from dcdaemon.core.launcher import LAUNCHERS
from dcdaemon.core.units import parse_duration

DEFAULT_PRIORITY = 50
#: Instead of a size: what earlier runs of the command held.
AUTO = "auto"


class Share(click.ParamType[int | str]):
    """Bytes of a GPU's memory, written like 10G; or that they are learned from earlier runs."""

    name = "share"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int | str:
        """Return bytes, or AUTO."""
        return AUTO if value == AUTO else Memory().convert(value, param, ctx)


def job_options(function: Callback) -> Callback:
    """Add the options that describe a job, and pass `wish` (one job of the API) and `env` instead of them."""

    @click.option("-g", "--gpus", type=Count(), default=0, metavar="N", help="Whole GPUs, all at once.")
    @click.option("-t", "--time", "limit_s", type=Duration(), metavar="TIME", help="End it after this: 90s, 2h30m, 1d.")
    @click.option("-m", "--mem", "mem_bytes", type=Memory(), default=0, metavar="SIZE", help="Memory it needs: 32G.")
    @click.option("-c", "--cpus", type=Count(), default=1, show_default=True, metavar="N", help="CPU cores.")
    @click.option("-n", "--name", metavar="NAME", help="[default: the script's name]")
    @click.option(
        "-p", "--priority", type=Count(0, 100), default=DEFAULT_PRIORITY, metavar="N",
        show_default=True, help="Higher goes first; above 50 for operators only.",
    )  # fmt: skip
    @click.option("--log", metavar="PATH", help="Where its output goes; %j = its id.  [default: kept by the daemon]")
    @click.option("--after", multiple=True, metavar="SEL", help="Only when these have succeeded; may be repeated.")
    @click.option("--after-any", multiple=True, metavar="SEL", help="Only when these have ended, however.")
    @click.option("--after-not-ok", multiple=True, metavar="SEL", help="Only when these have failed.")
    @click.option("--begin", "begin_at", type=BeginTime(), metavar="TIME", help="Not before: +2h, 22:00, 2026-12-01.")
    @click.option("--deadline", "deadline_at", type=BeginTime(), metavar="TIME", help="Done by then: 18:00, +6h.")
    @click.option("-Q", "--queue", metavar="NAME", help="The queue to wait in.  [default: the daemon's]")
    @click.option("-A", "--account", metavar="NAME", help="Whose share it counts against.")
    @click.option(
        "--gpu-mem", "share", type=Share(), metavar="SIZE", help="A share of one GPU: 10G of it; auto = as runs before."
    )
    @click.option("--grace", "grace_s", type=Duration(), metavar="TIME", help="From TERM to KILL when it must end.")
    @click.option(
        "--signal", "ask", type=Ask(), metavar="SIG[@TIME]", help="To save its work: USR1@60s; @5m = no signal."
    )
    @click.option("--requeue", is_flag=True, help="Run it again if the node goes down under it.")
    @click.option("--launcher", type=click.Choice(LAUNCHERS), help="Run it once a GPU, as the ranks of one training.")
    @click.option("--nproc", "ranks", type=Count(1), metavar="N", help="So many ranks, not one a GPU.")
    @click.option("--hang-after", "hang_after_s", type=Duration(), metavar="TIME", help="End it if it hangs so long.")
    @click.option("--env", "pairs", multiple=True, metavar="K=V", help="On top of this environment; may be repeated.")
    @functools.wraps(function)
    def wrapper(*args: Any, pairs: Sequence[str], log: str | None, after: Sequence[str], **kwargs: Any) -> int | None:
        signal, ahead_s = kwargs.pop("ask") or (None, None)
        kwargs |= {"checkpoint_signal": signal, "checkpoint_s": ahead_s}
        share = kwargs.pop("share")
        kwargs |= {"gpu_mem_bytes": None if share == AUTO else share, "gpu_mem_auto": True if share == AUTO else None}
        wish = {key: kwargs.pop(key) for key in _AS_GIVEN}
        wish |= {key: given for key in _IF_GIVEN if (given := kwargs.pop(key)) not in _NOT_GIVEN}
        wish |= {
            "cwd": str(Path.cwd()),
            "after": list(after),
            "log_path": None if log is None else str(Path(log).absolute()),
        }
        return function(*args, wish=wish, env=environment(os.environ, pairs), **kwargs)

    return wrapper


_AS_GIVEN = ("name", "gpus", "cpus", "mem_bytes", "limit_s", "grace_s", "priority", "requeue")
_NOT_GIVEN = (None, ())
#: Left out where it was not asked for: a daemon of before does not know these.
_IF_GIVEN = (
    "queue", "account", "gpu_mem_bytes", "gpu_mem_auto", "after_any", "after_not_ok", "begin_at", "deadline_at",
    "checkpoint_signal", "checkpoint_s", "launcher", "ranks", "hang_after_s",
)  # fmt: skip


class Ask(click.ParamType[tuple[str | None, float | None]]):
    """How a job is asked to save its work: a signal, and how long before its time limit."""

    name = "signal"

    def convert(
        self,
        value: Any,
        param: click.Parameter | None,  # noqa: ARG002
        ctx: click.Context | None,  # noqa: ARG002
    ) -> tuple[str | None, float | None]:
        """Return the signal without SIG, and seconds; None for what was not said."""
        if isinstance(value, tuple):
            return value
        word, at, ahead = value.partition("@")
        return word.upper().removeprefix("SIG") or None, parse_duration(ahead) if at else None


def environment(inherited: Mapping[str, str], pairs: Sequence[str]) -> dict[str, str]:
    """Return the job's environment; raise BadInput for a pair that is none."""
    added = {}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not key or not equals:
            raise BadInput(f"--env {pair!r} is not NAME=VALUE", f"write it like --env {key or 'NAME'}=value")
        added[key] = value
    env = {**inherited, **added}
    broken = [key for key, value in env.items() if not _is_text(key + value)]
    if broken:
        talk(f"note: not valid UTF-8, left out of the job's environment: {', '.join(map(repr, broken))}")
    return {key: value for key, value in env.items() if key not in broken}


def _is_text(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
