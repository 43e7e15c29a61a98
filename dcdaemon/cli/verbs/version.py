"""`dcd version`: which version this is."""

import platform

from dcdaemon import __version__
from dcdaemon.cli.options import output, verb
from dcdaemon.cli.show.output import Output, Page, emit


@verb("version", "dcd version", "dcd version --json")
@output
def command(out: Output) -> None:
    """Print the version of this program; `dcd status` tells the daemon's."""
    document = {"schema": 1, "version": __version__, "python": platform.python_version()}
    emit(Page(document, [document], id_key="version", text=f"dcdaemon {__version__}"), out)
