"""The error tree: each class knows its stable code, its exit code and its HTTP status."""

from typing import ClassVar


class DcdError(Exception):
    """Something the user can read and act on: what failed and why, and a hint what to do next."""

    code: ClassVar[str] = "internal"
    exit_code: ClassVar[int] = 1
    http_status: ClassVar[int] = 500

    def __init__(self, message: str, hint: str | None = None) -> None:
        """Keep the message (what failed, on which thing, why) and the hint (what to do next)."""
        super().__init__(message)
        self.message = message
        self.hint = hint

    def as_json(self) -> dict[str, object]:
        """Return the document that the API and `--json` print for this error."""
        return {"error": {"code": self.code, "message": self.message, "hint": self.hint}}


class BadInput(DcdError):
    """The request itself is wrong: a bad duration, selector, file or option."""

    code = "bad_input"
    exit_code = 2
    http_status = 422


class Unreachable(DcdError):
    """The daemon does not answer."""

    code = "daemon_unreachable"
    exit_code = 3
    http_status = 503


class NotFound(DcdError):
    """No such job, GPU or anomaly."""

    code = "not_found"
    exit_code = 4
    http_status = 404


class Refused(DcdError):
    """Understood, and refused: not yours, not in this state, can never fit."""

    code = "refused"
    exit_code = 5
    http_status = 409


class Forbidden(Refused):
    """The caller may not do this."""

    code = "forbidden"
    http_status = 403


class Unauthorized(Refused):
    """The caller did not say who it is, or its token is wrong."""

    code = "unauthorized"
    http_status = 401


class NeverFits(Refused):
    """The job asks for more than any node has, so it could wait for ever."""

    code = "never_fits"
    http_status = 422


class StoreUnavailable(DcdError):
    """The database cannot take a write now: read-only, full or gone; nothing was accepted."""

    code = "store_unavailable"
    exit_code = 1
    http_status = 503


class StartFailed(DcdError):
    """A job could not be started on this machine."""

    code = "start_failed"


class BadConfig(BadInput):
    """The configuration cannot be used."""

    code = "bad_config"
