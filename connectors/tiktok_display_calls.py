"""One TikTok user as the Display API shows it: calls, error codes, and what is asked for.

Every answer has an ``error``, and only its code ``ok`` means success. Fields travel in the address even of a POST.
Texts of errors are never passed on.
"""

from __future__ import annotations

import enum
import re
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

import msgspec

from connectors.contract import (
    BadPayload,
    ConnectorError,
    Http,
    NeedsReauth,
    NotPermitted,
    Page,
    Response,
    Source,
    TryLater,
)
from connectors.tiktok_values import document, mapping

HOST = "https://open.tiktokapis.com"
BASIC, PROFILE, STATS, LIST = "user.info.basic", "user.info.profile", "user.info.stats", "video.list"
SCOPES = (BASIC, PROFILE, STATS, LIST)
_WAIT = 60.0  # the windows of the limits are minutes
_CODE = re.compile(r"[a-z_]{1,40}")
_JSON = {"content-type": "application/json"}


class Refusal(enum.StrEnum):
    """What an error asks for."""

    THROTTLED = "throttled"
    TEMPORARY = "temporary"
    DEAD_TOKEN = "dead_token"  # noqa: S105 - a class of errors
    PERMISSION = "permission"
    BAD_REQUEST = "bad_request"


_CODES: Mapping[str, Refusal] = {
    "access_token_invalid": Refusal.DEAD_TOKEN,
    "invalid_grant": Refusal.DEAD_TOKEN,
    "scope_not_authorized": Refusal.PERMISSION,  # comes with 401, and no new token helps
    "scope_permission_missed": Refusal.PERMISSION,
    "rate_limit_exceeded": Refusal.THROTTLED,
    "internal_error": Refusal.TEMPORARY,
}
_STATUSES: Mapping[int, Refusal] = {
    HTTPStatus.OK: Refusal.TEMPORARY,  # without an error object it is no answer of this API
    HTTPStatus.UNAUTHORIZED: Refusal.DEAD_TOKEN,
    HTTPStatus.FORBIDDEN: Refusal.PERMISSION,
    HTTPStatus.TOO_MANY_REQUESTS: Refusal.THROTTLED,
}


class Fault(msgspec.Struct, frozen=True, kw_only=True):
    """An error, classed, with the code as people look it up."""

    refusal: Refusal
    code: str


def fault_of(body: Mapping[str, Any], status: int = HTTPStatus.OK) -> Fault | None:
    """Return the error of an answer, or None."""
    error = body.get("error")
    told = error if isinstance(error, str) else mapping(error).get("code")
    code = told if isinstance(told, str) and _CODE.fullmatch(told) else ""
    if code == "ok" and status == HTTPStatus.OK:
        return None
    default = Refusal.TEMPORARY if status >= HTTPStatus.INTERNAL_SERVER_ERROR else Refusal.BAD_REQUEST
    unnamed = _STATUSES.get(status, default) if not code or status != HTTPStatus.OK else Refusal.BAD_REQUEST
    return Fault(refusal=_CODES.get(code, unnamed), code=code or str(status))


def raise_fault(fault: Fault, needs: str) -> None:
    """Raise what a fault means for the whole account; ``needs`` names the permission that the call takes."""
    match fault.refusal:
        case Refusal.THROTTLED:
            raise TryLater(f"TikTok throttles ({fault.code})", _WAIT)
        case Refusal.TEMPORARY:
            raise TryLater(f"TikTok has a temporary fault ({fault.code})")
        case Refusal.DEAD_TOKEN:
            raise NeedsReauth(f"the access token is no longer valid ({fault.code}): connect the account again")
        case Refusal.PERMISSION:
            raise NotPermitted(f"the token lacks a permission: {needs} ({fault.code})")
    raise ConnectorError(f"TikTok refuses a request ({fault.code})")


def examine(response: Response) -> tuple[dict[str, Any], Fault | None]:
    """Return the object named ``data`` of an answer and its fault.

    Raises :class:`TryLater` for a 200 that is no JSON object or has no data.
    """
    try:
        body = document(response.body)
    except BadPayload:
        if response.status == HTTPStatus.OK:
            raise TryLater("TikTok answered with something that is not JSON") from None
        body = {}
    fault = fault_of(body, response.status)
    if fault is None and not isinstance(body.get("data"), dict):
        raise TryLater("TikTok answered without data")
    return mapping(body.get("data")), fault


class User:
    """The account of a source and a client that is authorised for it."""

    def __init__(self, http: Http, source: Source) -> None:
        self.http = http
        self.id = source.account

    async def info(self, fields: tuple[str, ...]) -> Response:
        """Ask for the user."""
        return await self.http.get("v2/user/info/", {"fields": ",".join(fields)})

    async def videos(self, what: str, fields: tuple[str, ...], **body: Any) -> tuple[Response, dict[str, Any]]:
        """Ask for videos (``list`` or ``query``) and return the answer and its data. Raises every fault."""
        sent = msgspec.json.encode(body)
        query = {"fields": ",".join(fields)}
        response = await self.http.post(f"v2/video/{what}/", query, sent, headers=_JSON, reads=True)
        data, fault = examine(response)
        if fault is not None:
            raise_fault(fault, LIST)
        return response, data

    def page(self, response: Response, cursor: Mapping[str, str], *, last: bool, **request: str) -> Page:
        """Return a page whose request says all that reading it takes; a last page leaves no cursor."""
        said = {name: value for name, value in {"account": self.id, **request}.items() if value}
        after = {} if last else dict(cursor)
        return Page(body=response.body, request=said, cursor=after, received_at=response.received_at, last=last)
