"""Upload the boards to a Grafana server."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar
from urllib.parse import urljoin, urlsplit

from dcdaemon import __version__
from dcdaemon.core.errors import BadInput, DcdError, Forbidden, Refused, Unauthorized, Unreachable
from dcdaemon.grafana.board import Board
from dcdaemon.grafana.build import boards, export

__all__ = ["Pushed", "export", "push"]

_ADDRESS_HINT = "check the address, and that Grafana runs there"
_ACCESS_HINT = "make a service account with the role Editor in Grafana, and a token for it"
_Answer = TypeVar("_Answer", dict[str, Any], list[Any])


@dataclass(frozen=True, slots=True)
class Pushed:
    """A board that Grafana took, and where to see it."""

    title: str
    url: str


def push(url: str, token: str, folder: str = "dcdaemon", datasource_uid: str | None = None) -> list[Pushed]:
    """Upload the boards that fit the server's data sources, over earlier ones; make the folder if need be.

    With `datasource_uid` only the board for that data source is uploaded, and shows it from the start. Raises
    Unreachable when Grafana does not answer or fails, Refused (Unauthorized, Forbidden) when it says no.
    """
    base = _checked(url)
    grafana = _connect(base, token)
    with _faults_translated(base):
        fitting = _fitting_boards(grafana, datasource_uid)
        folder_uid = _folder_uid(grafana, folder)
        return [_upload(grafana, base, board, folder_uid, datasource_uid) for board in fitting]


def _checked(url: str) -> str:
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.hostname or parts.query or parts.fragment:
        msg = f"{url!r} is not the address of a Grafana server"
        raise BadInput(msg, "write it like https://grafana.example.org or http://localhost:3000")
    # grafana-client appends "api" to the path as it stands.
    return url.rstrip("/") + "/"


def _connect(base: str, token: str) -> Any:
    # Loaded here: it takes a third of a second and 36 MiB, which no other command should pay.
    try:
        from grafana_client.api import GrafanaApi  # noqa: PLC0415
    except ImportError as error:
        msg = "grafana-client, which uploads dashboards, is not installed"
        raise Refused(msg, "pip install 'dcdaemon[grafana]', or export the boards and import them by hand") from error
    return GrafanaApi.from_url(base, credential=token.strip())


@contextmanager
def _faults_translated(base: str) -> Iterator[None]:
    from grafana_client.client import GrafanaException  # noqa: PLC0415  see _connect
    from niquests.exceptions import JSONDecodeError, RequestException  # noqa: PLC0415

    try:
        yield
    except GrafanaException as error:
        said = error.response.get("message") if isinstance(error.response, dict) else None
        raise _said_no(base, error.status_code, said or error.message) from error
    except JSONDecodeError as error:
        raise _not_grafana() from error
    except RequestException as error:
        # grafana-client wraps timeouts, but lets a refused connection through as niquests raises it.
        raise Unreachable(f"Grafana at {base} cannot be reached: {error}", _ADDRESS_HINT) from error


def _said_no(base: str, status: int, reason: str) -> DcdError:
    if status == 401:
        return Unauthorized(f"Grafana at {base} does not know this token: {reason}", _ACCESS_HINT)
    if status == 403:
        return Forbidden(f"Grafana at {base} does not allow this to the token's owner: {reason}", _ACCESS_HINT)
    if 400 <= status < 500:
        return Refused(f"Grafana at {base} refused: {reason}", _ADDRESS_HINT)
    if status >= 500:
        return Unreachable(f"Grafana at {base} failed: {reason}", "look into Grafana's own log, then push again")
    return Unreachable(f"Grafana at {base} does not answer: {reason}", _ADDRESS_HINT)


def _not_grafana() -> Refused:
    hint = "give Grafana's final address: one that redirects, or asks for a login first, does not do"
    return Refused("the server answered, but not as Grafana does", hint)


def _expected(kind: type[_Answer], answer: object) -> _Answer:
    """Return what Grafana answered, or refuse what another program (a login page, a redirect) answered."""
    if not isinstance(answer, kind):
        raise _not_grafana()
    return answer


def _fitting_boards(grafana: Any, datasource_uid: str | None) -> list[Board]:
    plugins = _plugins(grafana, datasource_uid)
    fitting = [board for board in boards() if plugins is None or plugins & set(board.dialect.plugins)]
    if not fitting:
        which = f"the data source {datasource_uid!r} is" if datasource_uid else "Grafana has"
        msg = f"{which} no PostgreSQL or SQLite data source"
        raise Refused(msg, "add one to Grafana; dashboards/provisioning/datasources.yaml shows both kinds")
    return fitting


def _plugins(grafana: Any, datasource_uid: str | None) -> set[str] | None:
    """Return the kinds of data sources to choose boards by; None when the token may not list them."""
    from grafana_client.client import GrafanaClientError  # noqa: PLC0415  see _connect

    try:
        if datasource_uid:
            source = _expected(dict, grafana.datasource.get_datasource_by_uid(datasource_uid))
            return {str(source.get("type"))}
        return {str(source.get("type")) for source in _expected(list, grafana.datasource.list_datasources())}
    except GrafanaClientError as error:
        if error.status_code == 403 and not datasource_uid:
            return None
        if error.status_code == 404 and datasource_uid:
            msg = f"Grafana has no data source with the uid {datasource_uid!r}"
            raise Refused(msg, "its uid is the last part of the address of its settings page") from error
        raise


def _folder_uid(grafana: Any, folder: str) -> str:
    for known in _expected(list, grafana.folder.get_all_folders()):
        if folder in (known["title"], known["uid"]):
            return str(known["uid"])
    return str(_expected(dict, grafana.folder.create_folder(folder))["uid"])


def _upload(grafana: Any, base: str, board: Board, folder_uid: str, datasource_uid: str | None) -> Pushed:
    document = {
        "dashboard": board.build(datasource_uid),
        "folderUid": folder_uid,
        "overwrite": True,
        "message": f"dcdaemon {__version__}",
    }
    answer = _expected(dict, grafana.dashboard.update_dashboard(document))
    return Pushed(board.full_title, urljoin(base, str(answer["url"])))
