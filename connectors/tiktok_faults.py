"""TikTok's error codes, which come with HTTP 200: what each asks for, and what is an error of one object alone.

Texts of errors are read for classing only and never passed on.
"""

from __future__ import annotations

import enum
import re
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

import msgspec

from connectors.contract import BadPayload, ConnectorError, NeedsReauth, NotPermitted, Response, TryLater
from connectors.tiktok_values import document, mapping, text

THROTTLED_WAIT = 60.0
"""The windows of the limits are minutes."""
_WORD = re.compile(r"[a-z0-9_]+")
_SERVER_CODES = range(50_000, 60_000)


class Refusal(enum.StrEnum):
    """What an error asks for."""

    THROTTLED = "throttled"
    TEMPORARY = "temporary"
    DEAD_TOKEN = "dead_token"  # noqa: S105 - a class of errors
    PERMISSION = "permission"
    GONE = "gone"
    BAD_REQUEST = "bad_request"


class Fault(msgspec.Struct, frozen=True, kw_only=True):
    """An error, classed. ``told`` is its lower-case text, for classing only."""

    refusal: Refusal
    code: int = 0
    told: str = ""

    def __repr__(self) -> str:
        """Leave out what the platform told."""
        return f"Fault({self.refusal}, {self.label})"

    @property
    def label(self) -> str:
        """The code as people look it up."""
        return f"code {self.code}"


_CODES: Mapping[int, Refusal] = {
    40001: Refusal.PERMISSION,
    40002: Refusal.BAD_REQUEST,
    40007: Refusal.GONE,
    40100: Refusal.THROTTLED,
    40105: Refusal.DEAD_TOKEN,
    HTTPStatus.UNAUTHORIZED: Refusal.DEAD_TOKEN,
    HTTPStatus.FORBIDDEN: Refusal.PERMISSION,
    HTTPStatus.TOO_MANY_REQUESTS: Refusal.THROTTLED,
}
_EXPIRED = re.compile(r"access.token (has |is )?(been )?(expired|revoked|invalid|incorrect)")
_OF_ONE_OBJECT = frozenset({Refusal.PERMISSION, Refusal.GONE, Refusal.BAD_REQUEST})


def fault_of(body: Mapping[str, Any], status: int = HTTPStatus.OK) -> Fault | None:
    """Return the error of an answer, or None: success is code 0 and nothing else."""
    code = body.get("code")
    if type(code) is not int:
        code = status if status != HTTPStatus.OK else -1
    if code == 0 and status == HTTPStatus.OK:
        return None
    told = (text(body.get("message"), 2000) or "").lower()
    return Fault(refusal=_refusal(code or status, told), code=code or status, told=told)


def _refusal(code: int, told: str) -> Refusal:
    if code in _CODES:
        return _CODES[code]
    if _EXPIRED.search(told):
        return Refusal.DEAD_TOKEN
    # Without a code it is no answer of this API: something between here and there cut it short.
    is_server = code in _SERVER_CODES or code < 0 or HTTPStatus.INTERNAL_SERVER_ERROR <= code < 600  # noqa: PLR2004
    return Refusal.TEMPORARY if is_server else Refusal.BAD_REQUEST


def raise_fault(fault: Fault, needs: str) -> None:
    """Raise what a fault means for the whole account; ``needs`` names the permission that the call takes."""
    if fault.refusal is Refusal.THROTTLED:
        raise TryLater(f"TikTok throttles ({fault.label})", THROTTLED_WAIT)
    if fault.refusal is Refusal.TEMPORARY:
        raise TryLater(f"TikTok has a temporary fault ({fault.label})")
    if fault.refusal is Refusal.DEAD_TOKEN:
        raise NeedsReauth(f"the access token is no longer valid ({fault.label}): connect the account again")
    if fault.refusal is Refusal.PERMISSION:
        raise NotPermitted(f"the token lacks a permission: {needs} ({fault.label})")
    raise ConnectorError(f"TikTok refuses a request: {fault.refusal.value} ({fault.label})")


def examine(response: Response, needs: str, *, tells: bool = True) -> tuple[dict[str, Any], Fault | None]:
    """Return the object named ``data`` of an answer and the fault that the caller may work around, if any.

    Raises every other fault, and :class:`TryLater` for a 200 that is no JSON object, or has no data where it ``tells``
    something.
    """
    try:
        body = document(response.body)
    except BadPayload:
        if response.status == HTTPStatus.OK:
            raise TryLater("TikTok answered with something that is not JSON") from None
        body = {}
    fault = fault_of(body, response.status)
    if fault is not None and (fault.refusal not in _OF_ONE_OBJECT or "code" not in body):
        raise_fault(fault, needs)
    if tells and fault is None and not isinstance(body.get("data"), dict):
        raise TryLater("TikTok answered without data")
    return mapping(body.get("data")), fault


def named_in(fault: Fault, asked: tuple[str, ...]) -> tuple[str, ...]:
    """Return which of the asked fields the text of an error names."""
    words = set(_WORD.findall(fault.told))
    return tuple(name for name in asked if name in words)
