"""`dcd dashboards`: the Grafana boards."""

from pathlib import Path

import click

from dcdaemon.cli.connect import read_token
from dcdaemon.cli.options import verb
from dcdaemon.cli.show.output import say
from dcdaemon.core.errors import BadInput


@click.group("dashboards", context_settings={"help_option_names": ["-h", "--help"]})
def command() -> None:
    """Push or export the Grafana boards."""


@verb(
    "push",
    "dcd dashboards push --url http://localhost:3000 --token-file ~/.grafana-token",
    "dcd dashboards push --url http://grafana:3000 --token-file token --folder GPUs",
)
@click.option("--url", required=True, metavar="URL", help="Grafana's address.")
@click.option("--token-file", required=True, metavar="FILE", help="A file with a service account token of Grafana.")
@click.option("--folder", default="dcdaemon", show_default=True, metavar="NAME", help="Made if it is not there.")
@click.option("--datasource-uid", metavar="UID", help="The data source to use.  [default: the board asks]")
def push(url: str, token_file: str, folder: str, datasource_uid: str | None) -> None:
    """Put the boards into Grafana, over older ones of the same name."""
    token = read_token(token_file)
    if token is None:
        raise BadInput("Grafana needs a token", "make a service account there and keep its token in a file")
    from dcdaemon.grafana.push import push as push_boards

    for board in push_boards(url, token, folder, datasource_uid):
        say(f"{board.title}  {board.url}")


@verb("export", "dcd dashboards export", "dcd dashboards export boards/")
@click.argument("directory", type=click.Path(file_okay=False, path_type=Path), default=Path("dashboards"))
def export(directory: Path) -> None:
    """Write the boards as JSON files, for Grafana's provisioning or for import by hand."""
    from dcdaemon.grafana.push import export as export_boards

    for path in export_boards(directory):
        say(str(path))


command.add_command(push)
command.add_command(export)
