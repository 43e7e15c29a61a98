"""The table of verbs, and the group that imports a verb only when it is called."""

from collections.abc import Sequence
from importlib import import_module
from typing import Any

import click

from dcdaemon.cli.failure import ReaderGone

#: verb -> (heading in the help, one line); its module is dcdaemon.cli.verbs.<verb>.
VERBS: dict[str, tuple[str, str]] = {
    "submit": ("Jobs", "Queue a job, or many from a file"),
    "run": ("Jobs", "Submit and follow; the exit code is the job's"),
    "shell": ("Jobs", "A terminal on GPUs of your own, free again when it ends"),
    "ps": ("Jobs", "What runs, what waits and why"),
    "why": ("Jobs", "Why a job waits, and what would start it"),
    "show": ("Jobs", "Everything about a job"),
    "logs": ("Jobs", "A job's output"),
    "wait": ("Jobs", "Block until jobs have ended"),
    "cancel": ("Jobs", "End jobs"),
    "hold": ("Jobs", "Keep waiting jobs from starting"),
    "release": ("Jobs", "Let held jobs start"),
    "requeue": ("Jobs", "Run jobs again"),
    "update": ("Jobs", "Change what waiting jobs asked for, and their order"),
    "gpus": ("Machine", "Each GPU, who uses it and how it is"),
    "queues": ("Machine", "The queues, what runs and waits in them, and your limits"),
    "status": ("Machine", "The daemon: duties, queue, database"),
    "anomalies": ("Machine", "What looked wrong"),
    "events": ("Machine", "What happened to the hardware"),
    "drain": ("Machine", "Take a GPU out of use"),
    "undrain": ("Machine", "Give a GPU back"),
    "bookings": ("Machine", "GPUs that are set aside, for whom and when"),
    "book": ("Machine", "Set GPUs aside for users over a window of time"),
    "unbook": ("Machine", "Call a booking off"),
    "history": ("Ledger", "Jobs that have ended: wait, run, GPU-hours, energy"),
    "energy": ("Ledger", "Energy, cost and carbon by user, job, GPU or day"),
    "share": ("Ledger", "Who has had what of the GPUs, and who comes next"),
    "simulate": ("Ledger", "What recorded jobs would have waited under other policies or with more GPUs"),
    "daemon": ("Admin", "The daemon itself"),
    "service": ("Admin", "Install the daemon under systemd, or remove it"),
    "doctor": ("Admin", "Check this machine and the daemon, with fixes"),
    "db": ("Admin", "Back the database up, restore, check or migrate it"),
    "token": ("Admin", "Tokens for TCP: make, list, revoke"),
    "audit": ("Admin", "Who changed what, and from where"),
    "config": ("Admin", "Show, check or write the configuration"),
    "dashboards": ("Admin", "Grafana boards"),
    "version": ("Admin", "Which version this is"),
}

#: Other names for the same verbs; those of Slurm work where they mean the same thing.
ALIASES = {
    "queue": "ps", "kill": "cancel", "squeue": "ps", "scancel": "cancel", "srun": "run", "sinfo": "gpus",
    "sacct": "history", "sshare": "share",
}  # fmt: skip


class Verbs(click.Group):
    """A group that knows its verbs by name and imports the module of the one that is called."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002  Click's signature
        """Return the verbs in the order of the table."""
        return list(VERBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002  Click's signature
        """Import and return the verb's command, or None when there is no such verb."""
        name = ALIASES.get(cmd_name, cmd_name)
        if name not in VERBS:
            return None
        command: click.Command = import_module(f"dcdaemon.cli.verbs.{name}").command
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the verb; raise UsageError with what was probably meant."""
        command = self.get_command(ctx, args[0])
        if command is not None:
            return command.name, command, args[1:]
        raise click.UsageError(f"there is no verb {args[0]!r}{did_you_mean(args[0], [*VERBS, *ALIASES])}", ctx)

    def invoke(self, ctx: click.Context) -> Any:
        """Run the verb; Click would turn a closed pipe into exit code 1."""
        try:
            return super().invoke(ctx)
        except BrokenPipeError as error:
            raise ReaderGone from error

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        """Write the table of verbs without importing any of them."""
        for heading in dict.fromkeys(heading for heading, _ in VERBS.values()):
            with formatter.section(heading):
                formatter.write_dl([(verb, line) for verb, (under, line) in VERBS.items() if under == heading])


def did_you_mean(word: str, known: Sequence[str]) -> str:
    """Return `; did you mean 'x'?` for the nearest known word, or nothing."""
    # Imported here: only a mistake pays for it.
    from difflib import get_close_matches

    near = get_close_matches(word, known, n=1, cutoff=0.6)
    return f"; did you mean {near[0]!r}?" if near else ""
