"""One TikTok user as the Display API shows it: calls, error codes, and what is asked for.

Every answer has an ``error``, and only its code ``ok`` means success. Fields travel in the address even of a POST.
Texts of errors are never passed on.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

import msgspec

from connectors import pages, values
from connectors.contract import Http, Page, Response, Source, TryLater
from connectors.faults import STATUSES, Fault, Refusal, body_of, raise_refusal
from connectors.tiktok_faults import THROTTLED_WAIT

HOST = "https://open.tiktokapis.com"
BASIC, PROFILE, STATS, LIST = "user.info.basic", "user.info.profile", "user.info.stats", "video.list"
SCOPES = (BASIC, PROFILE, STATS, LIST)
_CODE = re.compile(r"[a-z_]{1,40}")
_JSON = {"content-type": "application/json"}


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
    **STATUSES,
}


def fault_of(body: Mapping[str, Any], status: int = HTTPStatus.OK) -> Fault | None:
    """Return the error of an answer, or None."""
    error = body.get("error")
    told = error if isinstance(error, str) else values.mapping(error).get("code")
    code = told if isinstance(told, str) and _CODE.fullmatch(told) else ""
    if code == "ok" and status == HTTPStatus.OK:
        return None
    default = Refusal.TEMPORARY if status >= HTTPStatus.INTERNAL_SERVER_ERROR else Refusal.BAD_REQUEST
    unnamed = _STATUSES.get(status, default) if not code or status != HTTPStatus.OK else Refusal.BAD_REQUEST
    return Fault(refusal=_CODES.get(code, unnamed), label=code or str(status))


def raise_fault(fault: Fault, needs: str) -> None:
    """Raise what a fault means for the whole account; ``needs`` names the permission that the call takes."""
    raise_refusal(fault.refusal, "TikTok", fault.label, needs, wait=THROTTLED_WAIT)


def examine(response: Response) -> tuple[dict[str, Any], Fault | None]:
    """Return the object named ``data`` of an answer and its fault.

    Raises :class:`TryLater` for a 200 that is no JSON object or has no data.
    """
    body = body_of(response, "TikTok")
    fault = fault_of(body, response.status)
    if fault is None and not isinstance(body.get("data"), dict):
        raise TryLater("TikTok answered without data")
    return values.mapping(body.get("data")), fault


class User:
    """The account of a source and a client that is authorised for it."""

    def __init__(self, http: Http, source: Source) -> None:
        self.http = http
        self.id = source.account

    async def info(self, fields: tuple[str, ...]) -> Response:
        """Ask for the user."""
        return await self.http.get("v2/user/info/", {"fields": ",".join(fields)})

    async def read(self, fields: tuple[str, ...], needs: str) -> dict[str, Any]:
        """Return what the user says. Raises every fault."""
        data, fault = examine(await self.info(fields))
        if fault is not None:
            raise_fault(fault, needs)
        return data

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
        """Return a page of this user."""
        return pages.page_of(response, cursor, last=last, account=self.id, **request)
