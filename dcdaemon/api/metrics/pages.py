"""Which pages the listener for scrapes knows: /metrics, and the others where they are asked for."""

from dcdaemon.api.metrics.daemon import EndedJobs
from dcdaemon.api.metrics.native import Duties, NativePage
from dcdaemon.api.metrics.node import NodePage, ReadNode
from dcdaemon.api.metrics.server import PageMaker
from dcdaemon.control.desk import Desk


def make_pages(desk: Desk, duties: Duties, *, dcgm: bool, node: ReadNode | None = None) -> dict[str, PageMaker]:
    """Return what makes each page; from here on jobs that end are counted. `node` reads what /metrics/node shows."""
    ended = EndedJobs()
    desk.listeners.append(ended)
    pages: dict[str, PageMaker] = {"/metrics": NativePage(desk, duties, ended)}
    if dcgm:
        from dcdaemon.api.metrics.dcgm import DcgmPage  # noqa: PLC0415  loaded only where it is asked for

        pages["/metrics/dcgm"] = DcgmPage(desk)
    if node is not None:
        pages["/metrics/node"] = NodePage(desk, node)
    return pages
