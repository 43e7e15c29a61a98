"""Completion of words on the command line, by Click's own scripts."""

from click.shell_completion import get_completion_class

from dcdaemon.cli.main import dcd

SHELLS = ("bash", "zsh", "fish")
#: Click derives this from the name of the program.
_VARIABLE = "_DCD_COMPLETE"


def scripts() -> dict[str, str]:
    """Return the script of each shell, by its name."""
    return {shell: _script(shell) for shell in SHELLS}


def _script(shell: str) -> str:
    made = get_completion_class(shell)
    assert made is not None  # noqa: S101  Click knows these three
    completion = made(dcd, {}, "dcd", _VARIABLE)
    # `source` would first look for a bash of this machine that is new enough; any that is used is.
    return completion.source_template % completion.source_vars()
