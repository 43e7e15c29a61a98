"""Puts files in place and takes them away, or only says so; everything below one root."""

import contextlib
import os
import shutil
from collections.abc import Callable
from pathlib import Path

from dcdaemon.admin.layout import Piece
from dcdaemon.admin.manifest import Manifest, fingerprint, fingerprint_of
from dcdaemon.core.errors import Refused

#: A file that was ours and that somebody has edited is kept beside its place under this ending.
EDITED = ".edited"


class Hands:
    """What is done to the files of one machine or image; `say` gets a line for each change, also for one only shown."""

    def __init__(self, say: Callable[[str], None], *, root: Path = Path("/"), dry_run: bool = False) -> None:
        self.dry_run = dry_run
        self.changes = 0
        self._say, self._root = say, root

    def at(self, path: Path) -> Path:
        """Return where a path is below the root."""
        return self._root / path.relative_to("/")

    def tell(self, line: str) -> None:
        """Note one change."""
        self.changes += 1
        self._say(f"would {line}" if self.dry_run else line)

    def put(self, piece: Piece, manifest: Manifest) -> bool:
        """Put one file in place and into the record; True when that changed something."""
        place, wanted = self.at(piece.path), fingerprint(piece.text, link=piece.link)
        there, ours = fingerprint_of(place), manifest.files.get(str(piece.path))
        if piece.example and there is not None:
            return False
        if there == wanted:
            # A record that was lost is made good so; a link may be how somebody else finds the program.
            if not piece.link:
                manifest.files[str(piece.path)] = wanted
            return False
        if piece.link and there is not None and there != ours:
            self._say(f"keep {piece.path}, which is not of this installation; {piece.text} is the command")
            return False
        if there is not None and there != ours:
            self._set_aside(piece.path)
        self.tell(f"{'write' if there is None else 'replace'} {piece.path}{f' -> {piece.text}' if piece.link else ''}")
        if not self.dry_run:
            self._make_folders(place.parent, manifest)
            _write(place, piece)
        manifest.files[str(piece.path)] = wanted
        if piece.example:
            manifest.examples.append(str(piece.path))
        return True

    def take_away(self, path: str, manifest: Manifest) -> bool:
        """Remove a file of the record, setting aside what somebody has made of it; True when it was there."""
        place, ours = self.at(Path(path)), manifest.files.pop(path)
        there = fingerprint_of(place)
        if there is None:
            return False
        if there != ours and path in manifest.examples:
            self._say(f"keep {path}: it is the operator's")
            return False
        if there != ours:
            self._set_aside(Path(path))
            return True
        self.tell(f"remove {path}")
        if not self.dry_run:
            place.unlink()
        return True

    def take_folders(self, manifest: Manifest) -> None:
        """Remove the folders that were made for the files, where nothing else has come into them."""
        for folder in sorted(manifest.folders, reverse=True):
            place = self.at(Path(folder))
            if not self.dry_run:
                with contextlib.suppress(OSError):
                    place.rmdir()

    def purge(self, path: Path) -> None:
        """Remove a file or a folder with all that is in it."""
        place = self.at(path)
        if not place.is_symlink() and not place.exists():
            return
        self.tell(f"remove {path}{' and all that is in it' if place.is_dir() else ''}")
        if self.dry_run:
            return
        if place.is_dir() and not place.is_symlink():
            shutil.rmtree(place)
        else:
            place.unlink()

    def write_record(self, path: Path, manifest: Manifest) -> None:
        """Keep the record, when it says something new."""
        place = self.at(path)
        if not self.dry_run and (not place.exists() or place.read_text() != manifest.text()):
            # The state directory is passable and lists nothing (systemd/dcdaemon.tmpfiles).
            place.parent.mkdir(parents=True, exist_ok=True, mode=0o711)
            _write(place, Piece(path, manifest.text()))

    def _set_aside(self, path: Path) -> None:
        self.tell(f"move {path}, which somebody has edited, to {path.name}{EDITED}")
        if not self.dry_run:
            self.at(path).rename(self.at(path.with_name(path.name + EDITED)))

    def _make_folders(self, folder: Path, manifest: Manifest) -> None:
        missing = [one for one in (folder, *folder.parents) if not one.exists()]
        for one in reversed(missing):
            try:
                one.mkdir(mode=0o755)
                _open_to_all(one)
            except OSError as error:
                raise Refused(f"{one} cannot be made: {error.strerror}", "make room for it, then go on") from error
            manifest.folders.append("/" + str(one.relative_to(self._root)))


def _open_to_all(folder: Path) -> None:
    """Give it mode 0755, whatever the umask took away; not to what has been put in its place meanwhile."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_NOFOLLOW | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fchmod(descriptor, 0o755)
    finally:
        os.close(descriptor)


def _write(place: Path, piece: Piece) -> None:
    """Replace the file at once: systemd or a shell may be reading it."""
    fresh = place.with_name(f".{place.name}.new")
    try:
        fresh.unlink(missing_ok=True)
        if piece.link:
            fresh.symlink_to(piece.text)
        else:
            descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
            with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                file.write(piece.text)
                os.fchmod(file.fileno(), piece.mode)
        fresh.replace(place)
    except OSError as error:
        raise Refused(
            f"{piece.path} cannot be written: {error.strerror}", "is it on a read-only filesystem, or is that full?"
        ) from error
