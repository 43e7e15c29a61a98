"""A table that stays on the screen and is drawn again every two seconds."""

import sys
import time
from collections.abc import Callable

from dcdaemon.cli.show.output import Output, Page, chosen
from dcdaemon.core.errors import BadInput

REFRESH_S = 2.0


def watch(look: Callable[[], Page], out: Output) -> None:
    """Draw the page until Ctrl-C; raise BadInput where there is no terminal to draw on."""
    if not sys.stdout.isatty() or out.form not in (None, "table", "wide"):
        raise BadInput("watching needs a terminal and a table", "leave -w out; `watch dcd ps` works too")
    # Imported here: nothing else needs Rich's live display.
    from rich.console import Console, Group
    from rich.live import Live
    from rich.text import Text

    from dcdaemon.cli.show.table import build

    def draw() -> Group:
        page = look()
        return Group(build(chosen(page, out), page.lines), Text(page.talk, style="bright_black"))

    console = Console(color_system="standard" if out.color else None, markup=False, highlight=False, emoji=False)
    with Live(draw(), console=console, screen=True, auto_refresh=False) as live:
        while True:
            time.sleep(REFRESH_S)
            live.update(draw(), refresh=True)
