"""How the daemon talks to whoever supervises it: sd_notify, signals, log lines."""

import json
import logging
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable

from dcdaemon.core.secrecy import mask_facts, mask_text

#: syslog(3) priorities, which journald reads from the start of a line (sd-daemon(3)).
_PRIORITY = {logging.DEBUG: 7, logging.INFO: 6, logging.WARNING: 4, logging.ERROR: 3, logging.CRITICAL: 2}
_PLAIN = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


def notify(*lines: str) -> bool:
    """Send lines to systemd (sd_notify(3)); False where nobody listens."""
    address = os.environ.get("NOTIFY_SOCKET")
    if not address:
        return False
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sender:
        try:
            sender.connect("\0" + address[1:] if address.startswith("@") else address)
            sender.sendall("\n".join(lines).encode())
        except OSError:
            return False
    return True


class Stop:
    """Why and when the daemon should end; the first reason counts."""

    def __init__(self) -> None:
        self._event = threading.Event()
        self.exit_code = 0
        self.reason = ""

    def ask(self, reason: str, exit_code: int = 0) -> None:
        """Ask the daemon to end, from any thread."""
        if not self._event.is_set():
            self.reason, self.exit_code = reason, exit_code
        self._event.set()

    def failed(self, part: str, error: BaseException) -> None:
        """Bring the daemon down because a part of it failed; jobs live on and the next daemon adopts them."""
        logging.getLogger(__name__).critical(
            "%s failed; the daemon stops, jobs go on",
            part,
            exc_info=error,
            extra={"action": "part_failed", "part": part},
        )
        self.ask(f"{part} failed: {error}", exit_code=1)

    def wait(self) -> None:
        """Sleep until asked."""
        self._event.wait()

    @property
    def asked(self) -> bool:
        """Whether the end was asked for."""
        return self._event.is_set()


def on_signals(stop: Stop, reload: Callable[[], None]) -> None:
    """Let TERM and INT end the daemon and HUP re-read its configuration."""

    def end(number: int, _frame: object) -> None:
        stop.ask(signal.Signals(number).name)

    signal.signal(signal.SIGTERM, end)
    signal.signal(signal.SIGINT, end)
    signal.signal(signal.SIGHUP, lambda _number, _frame: threading.Thread(target=reload, name="reload").start())


def set_up_logging(level: str, form: str) -> None:
    """Log to stderr: priorities for journald where it listens, times elsewhere, or JSON."""
    handler = logging.StreamHandler(sys.stderr)
    if form == "json":
        handler.setFormatter(JsonLines())
    else:
        handler.setFormatter(TextLines(journal="JOURNAL_STREAM" in os.environ))
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    for noisy in ("apscheduler", "uvicorn", "alembic", "asyncio"):
        logging.getLogger(noisy).setLevel(logging.WARNING)


class TextLines(logging.Formatter):
    """`2026-01-02 03:04:05 info job started action=job_started job=42`; for journald a priority and no time."""

    def __init__(self, *, journal: bool) -> None:
        super().__init__()
        self._journal = journal

    def format(self, record: logging.LogRecord) -> str:
        """Return one line, and the traceback below it."""
        words = " ".join(f"{key}={value}" for key, value in mask_facts(facts(record)).items() if value is not None)
        text = _one_line(f"{mask_text(record.getMessage())} {words}".rstrip())
        if record.exc_info:
            text += "\n" + mask_text(self.formatException(record.exc_info))
        if self._journal:
            # journald takes every line for a message of its own.
            priority = f"<{_PRIORITY.get(record.levelno, 6)}>"
            return priority + text.replace("\n", f"\n{priority}")
        at = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(record.created))
        return f"{at} {record.levelname.lower()} {text}"


def _one_line(text: str) -> str:
    """Escape what would begin a line of its own or move the cursor: a job's cause can hold anything."""
    return "".join(sign if sign.isprintable() else sign.encode("unicode_escape").decode() for sign in text)


class JsonLines(logging.Formatter):
    """One JSON object a line."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the record as JSON."""
        document = {
            "at": record.created,
            "level": record.levelname.lower(),
            "message": mask_text(record.getMessage()),
            **mask_facts(facts(record)),
        }
        if record.exc_info:
            document["traceback"] = mask_text(self.formatException(record.exc_info))
        return json.dumps(document, default=str)


def facts(record: logging.LogRecord) -> dict[str, object]:
    """Return what a log call gave as `extra`."""
    return {key: value for key, value in vars(record).items() if key not in _PLAIN}
