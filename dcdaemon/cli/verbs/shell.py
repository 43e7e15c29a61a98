"""`dcd shell`: a terminal on GPUs of one's own, as a job in the queue."""

import signal
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import click

from dcdaemon.cli.ends import exit_code_of
from dcdaemon.cli.failure import BEFORE_START, INTERRUPTED, tell
from dcdaemon.cli.options import daemon, verb
from dcdaemon.cli.show.job import headline
from dcdaemon.cli.show.output import talk
from dcdaemon.cli.show.words import spans
from dcdaemon.cli.verbs.run import RunVerb
from dcdaemon.cli.wish import job_options
from dcdaemon.client.follow import ended_job, read_log
from dcdaemon.client.http import Client
from dcdaemon.client.terminal import Parting, is_terminal, show
from dcdaemon.client.terminal_door import TerminalDoor
from dcdaemon.core.errors import DcdError, Refused, Unreachable

_LOOK_EVERY_S = 1.0
_BY_SIGNAL = 128
_PROGRAM = Path(__file__).parents[2] / "runner" / "terminal.py"


class _Gone(BaseException):
    """Our own terminal went away, or somebody ends us, while the job waits; carries the signal."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


@verb(
    "shell",
    "dcd shell -g 1",
    "dcd shell -g 2 -t 2h -Q debug",
    "dcd shell -g 1 -- python -m pdb train.py",
    cls=RunVerb,
    context={"allow_interspersed_args": False},
)
@click.argument("argv", nargs=-1, metavar="[--] [CMD...]")
@job_options
@daemon
def command(client: Client, argv: Sequence[str], wish: Mapping[str, Any], env: Mapping[str, str]) -> int:
    """Open a terminal on GPUs of one's own: a job that waits in the queue, and whose GPUs are free when it ends.

    Without CMD it runs your login shell, here and with this environment. The exit code is the program's. Ctrl-C while
    it waits cancels it. Closing the terminal, or losing it, ends the job and everything it started.
    """
    _check(client, wish)
    with _hang_ups_raise(), TerminalDoor() as door:
        job_id, start = _submit(client, door, argv, wish, env)
        try:
            if start != "now":
                talk(f"Job {job_id} waits: {start}. Ctrl-C cancels it.")
            return _await(client, door, job_id, start)
        except KeyboardInterrupt:
            _cancel(client, job_id)
            talk(f"\nCancelled job {job_id}.")
            return INTERRUPTED
        except _Gone as gone:
            _cancel(client, job_id)  # without a word: there may be nowhere left to say it
            return _BY_SIGNAL + gone.number
        except DcdError as error:
            # The job has been queued: 125 would be a lie.
            tell(error, as_json=False)
            return error.exit_code


def _check(client: Client, wish: Mapping[str, Any]) -> None:
    if client.address.socket_path is None:
        raise Refused(
            f"a terminal needs the daemon's unix socket, and {client.address.url} is reached over TCP",
            "log in to the node and ask there: ssh -t NODE dcd shell -g 1",
        )
    if not is_terminal():
        raise Refused(
            "this is no terminal (stdin or stdout is a file or a pipe)",
            "dcd run follows a job's output without one; over ssh, ssh -t makes one",
        )
    if wish["requeue"]:
        raise click.UsageError("--requeue and a terminal exclude each other: nobody would sit at the second one")


def _submit(
    client: Client, door: TerminalDoor, argv: Sequence[str], wish: Mapping[str, Any], env: Mapping[str, str]
) -> tuple[int, str]:
    program = [sys.executable, "-I", "-S", "-B", "-X", "utf8", str(_PROGRAM), str(door.path), *argv]
    name = wish["name"] or (Path(argv[0]).name if argv else "shell")
    body = {"jobs": [{**wish, "name": name, "argv": program}], "env": env, "explain": True}
    answer = client.post("/v1/jobs", body)
    return int(answer["jobs"][0]["id"]), str((answer.get("starts") or ["now"])[0])


@contextmanager
def _hang_ups_raise() -> Iterator[None]:
    def leave(number: int, _: object) -> None:
        raise _Gone(number)

    before = {number: signal.signal(number, leave) for number in (signal.SIGHUP, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _await(client: Client, door: TerminalDoor, job_id: int, told: str) -> int:
    """Wait until the job calls, telling whenever the reason changes; then show its terminal."""
    while (link := door.wait(_LOOK_EVERY_S)) is None:
        with suppress(Unreachable):  # the job starts and calls whether or not the daemon answers us just now
            job = client.get(f"/v1/jobs/{job_id}")
            if job["ended_at"]:
                return _never_began(client, job_id)
            why = str((job.get("reason") or {}).get("short", told))
            if job["state"] == "waiting" and _cause(why) != _cause(told):
                told = why
                talk(f"Job {job_id} waits: {why}.")
    with suppress(Unreachable):
        gpus = client.get(f"/v1/jobs/{job_id}")["gpus"]
        on = f" on GPU{'s' * (len(gpus) > 1)} {spans(gpus)}" if gpus else ""
        talk(f"Job {job_id}{on}: it ends with this terminal, and with `exit`.")
    return _part(client, job_id, show(link))


def _cause(why: str) -> str:
    """Return the reason without its estimate, which changes all the time."""
    return why.partition(" (")[0]


def _part(client: Client, job_id: int, parting: Parting) -> int:
    if parting.signal is not None:
        return _BY_SIGNAL + parting.signal  # the job notices that the connection is gone
    if parting.code is not None:
        return parting.code
    job = ended_job(client, job_id)
    talk(f"Job {job_id}: {headline(job)}")
    return exit_code_of(job) or BEFORE_START


def _never_began(client: Client, job_id: int) -> int:
    job = ended_job(client, job_id)
    with suppress(DcdError):
        for chunk in read_log(client, job_id, 5):
            sys.stderr.write(chunk.decode("utf-8", "replace"))
    talk(f"Job {job_id}: {headline(job)}")
    return exit_code_of(job) or BEFORE_START


def _cancel(client: Client, job_id: int) -> None:
    """Cancel the job; one that cannot be reached ends by itself when it finds no terminal."""
    with suppress(DcdError):
        client.post("/v1/jobs/cancel", {"select": [str(job_id)]})
