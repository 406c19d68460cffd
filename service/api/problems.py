"""Every error as ``application/problem+json`` (RFC 9457). The only place where an HTTP status is chosen for one.

A problem names its kind by ``type``, an address below ``/problems`` that explains it; ``instance`` is the request by
its id, which the answer's header and the log line carry too. No stack, no SQL, no value of the request is repeated.
"""

from __future__ import annotations

import math
import traceback
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

import msgspec
import structlog
from fastapi import APIRouter, FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.routing import iter_route_contexts
from pydantic import Field
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from service import errors, telemetry
from service.access.secrets import SealBroken
from service.api.mistakes import Mistake, mistakes_in
from service.api.models import Output
from service.db.faults import DATABASE_ERRORS, is_away, is_passing

_log = structlog.get_logger(__name__)
MEDIA_TYPE = "application/problem+json"
REQUEST_ID = "tallybook.request_id"
"""Where the edge keeps the id of a request in its ASGI scope."""
_AWAY_SECONDS = 2.0


class Problem(Output):
    """What went wrong, for programs and for people."""

    type: str = Field(description="a relative address that explains this kind of problem")
    title: str
    status: int
    detail: str
    instance: str = Field(description="the request, as `urn:uuid:` and its id")
    code: str = Field(description="the last part of `type`")
    request_id: str
    retryable: bool = Field(description="whether the same request may succeed later")
    errors: list[Mistake]


class Kind(msgspec.Struct, frozen=True, kw_only=True):
    """One kind of problem."""

    code: str
    status: int
    title: str
    text: str
    retryable: bool = False


_ENTRIES = (
    Kind(code="malformed", status=400, title="Malformed request", text="The body or the request line cannot be read."),
    Kind(
        code="unauthorised",
        status=401,
        title="No valid key",
        text="Send `Authorization: Bearer tbk_live_...` with a key that is neither revoked nor expired.",
    ),
    Kind(
        code="forbidden", status=403, title="Not allowed", text="The key is valid and lacks the scope that is named."
    ),
    Kind(code="not-found", status=404, title="Not found", text="There is no such thing, or not in this workspace."),
    Kind(code="method-not-allowed", status=405, title="Method not allowed", text="The `Allow` header names those."),
    Kind(
        code="timeout", status=408, title="Too slow", text="The body did not arrive in time.", retryable=True
    ),
    Kind(code="conflict", status=409, title="Conflict", text="It exists already, or something else stands in the way."),
    Kind(code="gone", status=410, title="Gone", text="What was asked for was taken by retention or erasure."),
    Kind(code="too-large", status=413, title="Too large", text="More bytes, rows or buckets than allowed."),
    Kind(code="unsupported-media-type", status=415, title="Unsupported media type", text="Send `application/json`."),
    Kind(
        code="invalid",
        status=422,
        title="Invalid",
        text="The request is readable and means nothing here; `errors` says where and what would be right.",
    ),
    Kind(
        code="too-many-requests",
        status=429,
        title="Too many requests",
        text="`RateLimit` says what is left for the key, `Retry-After` when there is more.",
        retryable=True,
    ),
    Kind(
        code="internal",
        status=500,
        title="Internal error",
        text="Something is wrong on this side. The log has a line with the request id.",
    ),
    Kind(
        code="unavailable",
        status=503,
        title="Try again",
        text="Overload, a database that is away, or an instant that is not settled; `Retry-After` says when.",
        retryable=True,
    ),
)  # fmt: skip
KINDS: Mapping[str, Kind] = {kind.code: kind for kind in _ENTRIES}
_BY_STATUS: Mapping[int, Kind] = {kind.status: kind for kind in _ENTRIES}
_BY_ERROR: Mapping[type[errors.TallybookError], str] = {
    errors.NotFound: "not-found",
    errors.Invalid: "invalid",
    errors.Conflict: "conflict",
    errors.Unauthorised: "unauthorised",
    errors.Forbidden: "forbidden",
    errors.TooLarge: "too-large",
    errors.Gone: "gone",
    errors.TooMany: "too-many-requests",
    errors.Busy: "unavailable",
    errors.Misconfigured: "internal",
    SealBroken: "internal",
}

DECLARED: dict[int | str, dict[str, Any]] = {
    kind.status: {
        "description": kind.title,
        "content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}},
    }
    for kind in _ENTRIES
    if kind.status != HTTPStatus.METHOD_NOT_ALLOWED
}
"""The ``responses`` of every route."""


def problem(
    scope: Mapping[str, Any],
    code: str,
    detail: str,
    *,
    mistakes: list[Mistake] | None = None,
    headers: Mapping[str, str] | None = None,
) -> Response:
    """Return the answer for one problem of the request whose ASGI scope is given."""
    kind = KINDS[code]
    request_id = scope.get(REQUEST_ID, "")
    document = Problem(
        type=f"/problems/{kind.code}",
        title=kind.title,
        status=kind.status,
        detail=detail,
        instance=f"urn:uuid:{request_id}",
        code=kind.code,
        request_id=request_id,
        retryable=kind.retryable,
        errors=mistakes or [],
    )
    telemetry.PROBLEMS.labels(code).inc()
    return Response(
        document.model_dump_json(), status_code=kind.status, media_type=MEDIA_TYPE, headers=dict(headers or {})
    )


def example(status: int) -> dict[str, Any]:
    """Return a problem of a status, for the OpenAPI document."""
    kind, request_id = _BY_STATUS[status], "0197a3c2-7b5e-7d10-8a3f-1c9e5b7d2f40"
    mistake = Mistake(pointer="?metrics/0", code="unknown_metric", detail="no such KPI", allowed=[], did_you_mean="ctr")
    return Problem(
        type=f"/problems/{kind.code}",
        title=kind.title,
        status=status,
        detail=kind.text,
        instance=f"urn:uuid:{request_id}",
        code=kind.code,
        request_id=request_id,
        retryable=kind.retryable,
        errors=[mistake] if kind.code == "invalid" else [],
    ).model_dump()


def install(app: FastAPI) -> None:
    """Answer every error of ``app`` with a problem."""
    app.add_exception_handler(errors.TallybookError, _on_own)
    app.add_exception_handler(RequestValidationError, _on_validation)
    app.add_exception_handler(HTTPException, _on_http)
    app.add_exception_handler(ClientDisconnect, _on_disconnect)
    for family in DATABASE_ERRORS:
        app.add_exception_handler(family, _on_database)
    # Raised again after its answer, for the server to see; the log bridge leaves out what a traceback would quote.
    app.add_exception_handler(Exception, _on_unexpected)


async def _on_own(request: Request, error: Exception) -> Response:
    return own(request.scope, error)


def own(scope: Mapping[str, Any], error: Exception) -> Response:
    """Return the answer to an error of our own."""
    code = next((_BY_ERROR[kind] for kind in type(error).__mro__ if kind in _BY_ERROR), "internal")
    if code == "internal":
        # What is wrong with the set-up is for the log, not for a caller.
        _log.error("request.misconfigured", request_id=scope.get(REQUEST_ID), detail=str(error))
        return problem(scope, code, "the service is not set up right")
    mistakes = [_mistake(error)] if isinstance(error, errors.Invalid) else None
    return problem(scope, code, str(error), mistakes=mistakes, headers=_headers(error))


def _mistake(error: errors.Invalid) -> Mistake:
    return Mistake(
        pointer=error.pointer,
        code=error.code,
        detail=str(error),
        allowed=list(error.allowed),
        did_you_mean=error.nearest,
    )


def _headers(error: Exception) -> dict[str, str]:
    if isinstance(error, errors.Busy):
        return {"Retry-After": str(max(1, math.ceil(error.seconds)))}
    if isinstance(error, errors.Unauthorised):
        return {"WWW-Authenticate": "Bearer"}
    return {}


async def _on_validation(request: Request, error: Exception) -> Response:
    found = error.errors() if isinstance(error, RequestValidationError) else []
    if any(one["type"] == "json_invalid" for one in found):
        return problem(request.scope, "malformed", "the body is not JSON")
    if any(one["loc"][0] == "path" for one in found):
        # What cannot be the name of a thing names none.
        return problem(request.scope, "not-found", KINDS["not-found"].text)
    if any(one["loc"] == ("body",) for one in found) and not _says_json(request):
        return problem(request.scope, "unsupported-media-type", "the body must come as application/json")
    mistakes = mistakes_in(request, found)
    first = ": ".join(part for part in (mistakes[0].pointer, mistakes[0].detail) if part) if mistakes else "not valid"
    return problem(request.scope, "invalid", first, mistakes=mistakes)


def _says_json(request: Request) -> bool:
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    return media_type == "application/json" or media_type.endswith("+json")


async def _on_http(request: Request, error: Exception) -> Response:
    status = error.status_code if isinstance(error, HTTPException) else 500
    headers = error.headers if isinstance(error, HTTPException) else None
    if status == HTTPStatus.METHOD_NOT_ALLOWED:
        headers = {"Allow": ", ".join(_methods_beside(request))}
    kind = _BY_STATUS.get(status, KINDS["internal" if status >= HTTPStatus.INTERNAL_SERVER_ERROR else "malformed"])
    return problem(request.scope, kind.code, kind.text, headers=headers)


def _methods_beside(request: Request) -> list[str]:
    """Return the methods of all routes with the path of the one that was met: each route knows its own alone."""
    path = getattr(request.scope.get("route"), "path", None)
    routes = [context for context in iter_route_contexts(request.app.routes) if context.path == path]
    return sorted({method for context in routes for method in context.methods or ()})


async def _on_database(request: Request, error: Exception) -> Response:
    if not (is_away(error) or is_passing(error)):
        return await _on_unexpected(request, error)
    _log.warning("request.database", request_id=request.scope.get(REQUEST_ID), error=type(error).__name__)
    seconds = {"Retry-After": str(math.ceil(_AWAY_SECONDS))}
    return problem(request.scope, "unavailable", "the database does not answer at the moment", headers=seconds)


async def _on_disconnect(request: Request, _error: Exception) -> Response:
    return problem(request.scope, "malformed", "the body ended early")


async def _on_unexpected(request: Request, error: Exception) -> Response:
    return unexpected(request.scope, error)


def unexpected(scope: Mapping[str, Any], error: BaseException) -> Response:
    """Return the answer to an error that nobody reckoned with, and log where it happened."""
    places = [
        f"{frame.filename.rpartition('/')[2]}:{frame.lineno}" for frame in traceback.extract_tb(error.__traceback__)
    ]
    _log.error("request.failed", request_id=scope.get(REQUEST_ID), error=type(error).__name__, places=places[-8:])
    return problem(scope, "internal", "something went wrong; the log has a line with this request id")


# ------------------------------------------------------------------------------------------------ explained


class Explanation(Output):
    """What a kind of problem means."""

    type: str
    title: str
    status: int
    detail: str
    retryable: bool


router = APIRouter(prefix="/problems", tags=["problems"])


@router.get("")
async def list_problems() -> list[Explanation]:
    """Explain every kind of problem."""
    return [_explained(kind) for kind in _ENTRIES]


@router.get("/{code}")
async def explain_problem(code: str) -> Explanation:
    """Explain one kind of problem: where `type` points."""
    if code not in KINDS:
        raise errors.NotFound("no such kind of problem")
    return _explained(KINDS[code])


def _explained(kind: Kind) -> Explanation:
    return Explanation(
        type=f"/problems/{kind.code}",
        title=kind.title,
        status=kind.status,
        detail=kind.text,
        retryable=kind.retryable,
    )
