"""The request bodies, checked for type and size before any use case sees them."""

from datetime import datetime
from typing import Annotated

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, FailFast, Field, model_validator

from dcdaemon.control.booking_wish import BookingWish
from dcdaemon.control.submit import MAX_JOBS
from dcdaemon.control.update import Update
from dcdaemon.control.wish import DEFAULT_PRIORITY, Wish


def _utf8(text: str) -> str:
    """Refuse half characters and zeros, which JSON can name, and no database or command line keeps."""
    if "\0" in text:
        raise ValueError("a text with a zero byte")
    try:
        text.encode()
    except UnicodeEncodeError:
        raise ValueError("not UTF-8 text") from None
    return text


Amount = Annotated[int, Field(ge=0, le=2**62)]
Text = Annotated[str, AfterValidator(_utf8)]
#: Only the first wrong item is told: a million errors would take gigabytes, and minutes in which nobody is served.
Texts = Annotated[list[Text], FailFast()]
_LISTS = ("argv", "after", "after_any", "after_not_ok")
_MOST_KEYS = 100
_MOST_VARIABLES = 20_000


def _few_variables(env: object) -> object:
    """Refuse before each entry becomes an error of its own."""
    if isinstance(env, dict) and len(env) > _MOST_VARIABLES:
        raise ValueError(f"{len(env)} variables, at most {_MOST_VARIABLES} are kept")
    return env


def _few_jobs(jobs: object) -> object:
    """Refuse before each is parsed: while that goes on nobody else is served."""
    if isinstance(jobs, list) and len(jobs) > MAX_JOBS:
        raise ValueError(f"{len(jobs)} jobs in one request, at most {MAX_JOBS} are taken")
    return jobs


def _moment(at: object) -> object:
    """Return epoch seconds of an ISO-8601 time; it must name its offset, since the zone of its writer is not known."""
    if not isinstance(at, str):
        return at
    try:
        moment = datetime.fromisoformat(at)
    except ValueError:
        raise ValueError("not an ISO-8601 time, like 2026-12-01T08:00:00+01:00") from None
    if moment.tzinfo is None:
        raise ValueError("no offset: write it like 2026-12-01T08:00:00+01:00, or as epoch seconds")
    return moment.timestamp()


#: Epoch seconds, or ISO-8601 with an offset.
Moment = Annotated[float, BeforeValidator(_moment)]
Env = Annotated[dict[str, str], BeforeValidator(_few_variables)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    @model_validator(mode="before")
    @classmethod
    def _has_few_keys(cls, document: object) -> object:
        if isinstance(document, dict) and len(document) > _MOST_KEYS:
            raise ValueError(f"{len(document)} keys, at most {_MOST_KEYS} make sense")
        return document


class JobBody(_Strict):
    """One job as a client asks for it."""

    argv: Texts = Field(min_length=1)
    cwd: Text
    name: Text | None = None
    gpus: Amount = 0
    cpus: Amount = 1
    mem_bytes: Amount = 0
    limit_s: float | None = None
    grace_s: float | None = None
    priority: int = DEFAULT_PRIORITY
    after: Texts = Field(default=[], max_length=1000)
    log_path: Text | None = None
    requeue: bool = False
    held: bool = False
    queue: Text = ""
    account: Text = ""
    begin_at: Moment | None = None
    deadline_at: Moment | None = None
    array: Text | None = None
    after_any: Texts = Field(default=[], max_length=1000)
    after_not_ok: Texts = Field(default=[], max_length=1000)
    gpu_mem_bytes: Amount | None = None
    gpu_mem_auto: bool = False
    checkpoint_signal: Text | None = None
    checkpoint_s: float | None = None
    launcher: Text | None = None
    ranks: Amount | None = None
    hang_after_s: float | None = None

    def wish(self) -> Wish:
        """Return it as the use case takes it."""
        fields = self.model_dump()
        return Wish(**{**fields, **{name: tuple(fields[name]) for name in _LISTS}})


class SubmitBody(_Strict):
    """Jobs that share one environment; `explain` asks for when each will start."""

    jobs: Annotated[list[JobBody], FailFast(), BeforeValidator(_few_jobs)] = Field(min_length=1, max_length=MAX_JOBS)
    env: Env = {}
    dry_run: bool = False
    explain: bool = False


class ChangeBody(_Strict):
    """Which jobs a verb is for, and how to stop them."""

    select: Texts = Field(default=[], max_length=10_000)
    name: Text | None = None
    signal: Text | None = None
    grace_s: float | None = Field(default=None, ge=0, le=86400)


class UpdateBody(_Strict):
    """Which waiting jobs are changed, and what is different; what is left out stays as it is."""

    select: Texts = Field(default=[], max_length=10_000)
    name: Text | None = None
    priority: int | None = None
    limit_s: float | None = None
    queue: Text | None = None
    account: Text | None = None
    begin_at: Moment | None = None
    deadline_at: Moment | None = None
    new_name: Text | None = None
    first: bool = False

    def update(self) -> Update:
        """Return it as the use case takes it."""
        changes = self.model_dump(exclude={"select", "name", "new_name"})
        return Update(**changes, name=self.new_name)


class ReleaseBody(_Strict):
    """For how long the driver is let go of, 0 to take it back; `force` even while jobs hold GPUs."""

    for_s: float = Field(ge=0, le=86400)
    force: bool = False


class DrainBody(_Strict):
    """Why a GPU is taken out."""

    reason: Text = Field(min_length=1, max_length=500)


class BookingBody(_Strict):
    """GPUs to set aside: how many or which, from when (null: now), for how long or until when, and for whom."""

    count: Amount | None = None
    gpus: Annotated[list[Amount], FailFast()] = Field(default=[], max_length=1000)
    from_at: Moment | None = None
    until_at: Moment | None = None
    for_s: float | None = None
    users: Texts = Field(default=[], max_length=1000)
    accounts: Texts = Field(default=[], max_length=1000)
    name: Text = ""
    reason: Text = ""
    force: bool = False

    def wish(self) -> BookingWish:
        """Return it as the use case takes it."""
        fields = self.model_dump()
        return BookingWish(**{**fields, **{name: tuple(fields[name]) for name in ("gpus", "users", "accounts")}})
