"""What each route asks of its caller; a route without a line here keeps the application from being made at all."""

from collections.abc import Iterable
from enum import StrEnum

from fastapi import Request
from fastapi.routing import APIRoute
from starlette.routing import BaseRoute

from dcdaemon.api.identity import ActorOf
from dcdaemon.core.errors import Forbidden

#: Methods that change nothing by their meaning (RFC 9110, section 9.2.1).
SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})


class Need(StrEnum):
    """The least that opens a route: whose job it is about, the use case checks on top."""

    READ = "viewer"
    CHANGE = "submitter"
    OPERATE = "operator"


NEEDS: dict[tuple[str, str], Need] = {
    ("GET", "/v1/jobs"): Need.READ,
    ("POST", "/v1/jobs"): Need.CHANGE,
    ("GET", "/v1/jobs/{job_id}"): Need.READ,
    ("GET", "/v1/jobs/{job_id}/why"): Need.READ,
    ("GET", "/v1/jobs/{job_id}/reports"): Need.READ,
    ("GET", "/v1/jobs/{job_id}/log"): Need.READ,
    ("POST", "/v1/jobs/cancel"): Need.CHANGE,
    ("POST", "/v1/jobs/hold"): Need.CHANGE,
    ("POST", "/v1/jobs/release"): Need.CHANGE,
    ("POST", "/v1/jobs/requeue"): Need.CHANGE,
    ("POST", "/v1/jobs/update"): Need.CHANGE,
    ("GET", "/v1/wait"): Need.READ,
    ("GET", "/v1/gpus"): Need.READ,
    ("POST", "/v1/gpus/{index}/drain"): Need.OPERATE,
    ("POST", "/v1/gpus/{index}/undrain"): Need.OPERATE,
    ("POST", "/v1/gpus/release"): Need.OPERATE,
    ("GET", "/v1/bookings"): Need.READ,
    ("POST", "/v1/bookings"): Need.OPERATE,
    ("POST", "/v1/bookings/{booking_id}/unbook"): Need.OPERATE,
    ("GET", "/v1/queues"): Need.READ,
    ("GET", "/v1/shares"): Need.READ,
    ("GET", "/v1/events"): Need.READ,
    ("GET", "/v1/history"): Need.READ,
    ("GET", "/v1/energy"): Need.READ,
    ("GET", "/v1/anomalies"): Need.READ,
    ("POST", "/v1/anomalies/{anomaly_id}/ack"): Need.CHANGE,
    ("GET", "/v1/status"): Need.READ,
    ("GET", "/v1/audit"): Need.READ,
    ("GET", "/v1/tokens"): Need.READ,
    ("POST", "/v1/tokens"): Need.CHANGE,
    ("POST", "/v1/tokens/revoke"): Need.CHANGE,
}


#: What an operator's route is for, in the error of whoever is none.
_WORDS: dict[tuple[str, str], str] = {
    ("POST", "/v1/gpus/{index}/drain"): "drain GPUs",
    ("POST", "/v1/gpus/{index}/undrain"): "drain GPUs",
    ("POST", "/v1/gpus/release"): "release the driver",
    ("POST", "/v1/bookings"): "book GPUs",
    ("POST", "/v1/bookings/{booking_id}/unbook"): "book GPUs",
}


async def meet_need(request: Request, actor: ActorOf) -> None:
    """Raise Forbidden unless the caller may use this route; what is not in the table is for operators."""
    route = request.scope.get("route")
    path = route.path if isinstance(route, APIRoute) else ""
    asked = (request.method, path)
    need = NEEDS.get(asked, Need.OPERATE)
    if need is Need.OPERATE and not actor.operator:
        raise Forbidden(f"{actor.user} may not {_WORDS.get(asked, 'do this')}", "ask an operator of this node")
    if need is not Need.READ and actor.read_only:
        raise refused_viewer()


def refused_viewer() -> Forbidden:
    """Return the error for a viewer who wants to change something."""
    return Forbidden("this token is a viewer's: it changes nothing", "use one of --role submitter")


def undeclared(routes: Iterable[BaseRoute]) -> list[str]:
    """Return the routes of which NEEDS says nothing, and those that only read by a method that is made for changes."""
    asked = [(method, route.path) for route in routes if isinstance(route, APIRoute) for method in route.methods or ()]
    return [f"{method} {path}" for method, path in sorted(asked) if not _is_declared(method, path)]


def _is_declared(method: str, path: str) -> bool:
    need = NEEDS.get((method, path))
    return need is not None and (need is Need.READ) == (method in SAFE_METHODS)
