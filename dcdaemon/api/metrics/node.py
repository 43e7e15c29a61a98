"""GET /metrics/node: the node under node_exporter's names, so that the boards made for it work here."""

from collections.abc import Callable, Iterable, Iterator

from dcdaemon.api.metrics.sheet import device_labels
from dcdaemon.api.metrics.text import Page, header, labels
from dcdaemon.control.desk import Desk
from dcdaemon.core.exposed import Exposed
from dcdaemon.core.samples import FilesystemSample

ReadNode = Callable[[], Iterable[Exposed]]
#: What is told of a filesystem, and how node_exporter reckons it: what root alone may use counts there.
_FILESYSTEM: dict[str, tuple[str, Callable[[FilesystemSample], float | None]]] = {
    "avail_bytes": ("Space left to an unprivileged user.", lambda of: of.available_bytes),
    "size_bytes": ("Size.", lambda of: _with_reserved(of.size_bytes, of)),
    "free_bytes": ("Space left to root.", lambda of: _with_reserved(of.available_bytes, of)),
    "files": ("Files there can be.", lambda of: of.files),
    "files_free": ("Files that can still be made.", lambda of: of.files_free),
    "readonly": ("1 where nothing can be written.", lambda of: None if of.read_only is None else int(of.read_only)),
    "device_error": ("1 while it does not answer.", lambda of: int(of.error is not None)),
}


class NodePage:
    """Written anew for each scrape; filesystems are those that the daemon asked last, within their deadline."""

    def __init__(self, desk: Desk, read: ReadNode) -> None:
        self._desk = desk
        self._read = read

    def __call__(self) -> bytes:
        """Return the page."""
        page = Page()
        for family in self._read():
            if family.rows:
                page.lines.append(header(family.name, family.kind, family.meaning))
                page.lines += _lines(family)
        fresh = self._desk.board.newest.fresh(self._desk.clock.monotonic())
        _write_filesystems(page, [sample for sample, _ in fresh if type(sample) is FilesystemSample])
        return page.encoded()


def _lines(family: Exposed) -> Iterator[str]:
    before = family.name + ("{" if family.labels else "")
    for values, number in family.rows:
        yield f"{before}{device_labels(family.labels, values)}{number}\n"


def _write_filesystems(page: Page, samples: list[FilesystemSample]) -> None:
    given = [(labels(device=of.device, fstype=of.fstype, mountpoint=of.mount), of) for of in samples]
    for name, (meaning, value) in _FILESYSTEM.items():
        page.gauge(f"node_filesystem_{name}", meaning, ((named, value(of)) for named, of in given))


def _with_reserved(count: int | None, of: FilesystemSample) -> int | None:
    return None if count is None or of.reserved_bytes is None else count + of.reserved_bytes
