"""Backups encrypted as age files (https://age-encryption.org), which the program `age` opens, too."""

import os
import stat
from pathlib import Path
from typing import IO, Any

from dcdaemon.core.backup import Progress
from dcdaemon.core.errors import BadInput, Refused

MAGIC = b"age-encryption.org/v1"
_SECRET = "AGE-SECRET-KEY-"  # noqa: S105  how such a key begins
_PUBLIC = "age1"
_LONGEST_BYTES = 4096


class _Watched:
    """A file whose progress is told, and whose trouble is kept: the library would tell it in words of its own."""

    def __init__(self, file: IO[bytes], progress: Progress | None = None, step: str = "") -> None:
        self._file, self._progress, self._step = file, progress, step
        self._all, self._done = os.fstat(file.fileno()).st_size, 0
        self.trouble: BaseException | None = None

    def read(self, size: int = -1) -> bytes:
        """Read on."""
        try:
            block = self._file.read(size)
            self._done += len(block)
            if self._progress:
                self._progress(self._step, self._done, self._all)
        except BaseException as error:
            self.trouble = error
            raise
        return block

    def write(self, block: bytes) -> int:
        """Write on."""
        try:
            return self._file.write(block)
        except BaseException as error:
            self.trouble = error
            raise

    def flush(self) -> None:
        """Hand everything to the kernel."""
        self._file.flush()


def make_key(path: Path) -> str:
    """Write a new key to a new 0600 file, as age-keygen does, and return its public half; raise Refused, OSError."""
    identity = _library().x25519.Identity.generate()
    public = str(identity.to_public())
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    except FileExistsError as error:
        raise Refused(f"{path} is already there", "a key is never replaced: name another file") from error
    with os.fdopen(descriptor, "w", encoding="ascii") as file:
        file.write(f"# public key: {public}\n{identity}\n")
        file.flush()
        os.fsync(file.fileno())
    return public


def is_sealed(path: Path) -> bool:
    """Tell whether a file is encrypted; raise OSError."""
    with path.open("rb") as file:
        return file.read(len(MAGIC)) == MAGIC


def check_key(key_file: Path) -> None:
    """Raise BadInput for a key that nothing could be encrypted with."""
    _recipients(key_file)


def seal(plain: Path, sealed: Path, key_file: Path, progress: Progress) -> None:
    """Encrypt a file for the key into another one that is there; raise BadInput for a wrong key, OSError."""
    recipients = _recipients(key_file)
    with plain.open("rb") as source, sealed.open("wb") as target:
        _pass_through(_library().encrypt_io, (source, target), recipients, (progress, "encrypting"))


def unseal(sealed: Path, plain: Path, key_file: Path | None, progress: Progress) -> None:
    """Decrypt a file with the secret key; raise Refused without a key, for a wrong one and for a damaged file."""
    if key_file is None:
        raise Refused(f"{sealed} is encrypted", "name the key it was made with: --key-file FILE")
    identities = _identities(key_file)
    library = _library()
    try:
        with sealed.open("rb") as source, plain.open("wb") as target:
            _pass_through(library.decrypt_io, (source, target), identities, (progress, "decrypting"))
    except library.DecryptError as error:
        why = f"{key_file} does not open {sealed}" if "key" in str(error) else f"{sealed} is cut short or damaged"
        raise Refused(why, "the key is the one it was made with; a backup is opened whole or not at all") from error


def _pass_through(work: Any, files: tuple[IO[bytes], IO[bytes]], keys: list[Any], told: tuple[Progress, str]) -> None:
    source, target = _Watched(files[0], *told), _Watched(files[1])
    library = _library()
    try:
        work(source, target, keys)
    except Exception as error:
        trouble = source.trouble or target.trouble
        if trouble is not None:
            raise trouble from error
        if isinstance(error, OSError) and error.errno is None:  # a block that was changed
            raise library.DecryptError(str(error)) from error
        raise
    target.flush()


def _recipients(key_file: Path) -> list[Any]:
    """Return whom to encrypt for: the public halves of secret keys, or public keys on their own."""
    library = _library()
    lines = _lines(key_file)
    try:
        found = [library.x25519.Identity.from_str(line).to_public() for line in lines if line.startswith(_SECRET)]
        found += [library.x25519.Recipient.from_str(line) for line in lines if line.startswith(_PUBLIC)]
    except (library.IdentityError, library.RecipientError) as error:
        raise _no_key(key_file) from error
    if not found:
        raise _no_key(key_file)
    return found


def _identities(key_file: Path) -> list[Any]:
    library = _library()
    try:
        found = [library.x25519.Identity.from_str(line) for line in _lines(key_file) if line.startswith(_SECRET)]
    except library.IdentityError as error:
        raise _no_key(key_file) from error
    if not found:
        raise BadInput(f"{key_file} holds no secret key", "a public key encrypts; the secret one is needed to decrypt")
    return found


def _lines(key_file: Path) -> list[str]:
    try:
        descriptor = os.open(key_file, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        with os.fdopen(descriptor, "rb") as file:
            status = os.fstat(descriptor)
            text = file.read(_LONGEST_BYTES) if stat.S_ISREG(status.st_mode) else b""
    except OSError as error:
        message = f"the key file {key_file} cannot be read: {error.strerror}"
        raise BadInput(message, "dcd db key FILE makes one") from error
    if _SECRET.encode() in text and status.st_mode & 0o077:
        raise Refused(f"the key in {key_file} may be read by others", f"chmod 600 {key_file}")
    return [line.strip() for line in text.decode("ascii", "replace").splitlines()]


def _no_key(key_file: Path) -> BadInput:
    return BadInput(f"{key_file} holds no age key", "make one with dcd db key FILE, or with age-keygen")


def _library() -> Any:
    try:
        import pyrage  # noqa: PLC0415  an extra that few need
    except ImportError as error:
        raise Refused("encryption needs a package that is not installed", "pip install 'dcdaemon[backup]'") from error
    return pyrage
