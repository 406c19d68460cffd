"""Google's error envelopes as YouTube uses them: what each asks for, and what is an error of one object alone.

The reason decides before the status where both are said, but for one: 403 stands for throttling, for an exhausted
quota and for a missing permission alike, and a reason that is not known leaves it a missing permission. Texts of
errors are read for classing only and never passed on; they may hold markup.
"""

from __future__ import annotations

import enum
import re
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

import msgspec

from connectors.contract import BadPayload, ConnectorError, NeedsReauth, NotPermitted, Response, TryLater
from connectors.youtube_values import document, items, mapping, text, until_midnight

_WORD = re.compile(r"[A-Za-z_]+")
_REASON = re.compile(r"[A-Za-z_]{1,40}")


class Refusal(enum.StrEnum):
    """What an error asks for."""

    QUOTA = "quota"  # until midnight in California
    THROTTLED = "throttled"
    TEMPORARY = "temporary"
    DEAD_TOKEN = "dead_token"  # noqa: S105 - a class of errors
    PERMISSION = "permission"
    SWITCHED_OFF = "switched_off"  # the API is not enabled in the Google project
    GONE = "gone"
    STALE_PAGE = "stale_page"  # a page token that is no longer known: the listing begins anew
    BAD_REQUEST = "bad_request"


class Fault(msgspec.Struct, frozen=True, kw_only=True):
    """An error, classed. ``told`` is its text, for classing only."""

    refusal: Refusal
    status: int
    reason: str = ""
    told: str = ""

    def __repr__(self) -> str:
        """Leave out what the platform told."""
        return f"Fault({self.refusal}, {self.label})"

    @property
    def label(self) -> str:
        """Status and reason as people look them up."""
        return f"{self.status} {self.reason}".strip()


_REASONS: Mapping[str, Refusal] = {
    "quotaExceeded": Refusal.QUOTA,
    "dailyLimitExceeded": Refusal.QUOTA,
    "rateLimitExceeded": Refusal.THROTTLED,
    "userRateLimitExceeded": Refusal.THROTTLED,
    "RESOURCE_EXHAUSTED": Refusal.THROTTLED,
    "authError": Refusal.DEAD_TOKEN,
    "UNAUTHENTICATED": Refusal.DEAD_TOKEN,
    "invalid_grant": Refusal.DEAD_TOKEN,
    "accessNotConfigured": Refusal.SWITCHED_OFF,
    "SERVICE_DISABLED": Refusal.SWITCHED_OFF,
    "invalidPageToken": Refusal.STALE_PAGE,
    "backendError": Refusal.TEMPORARY,
}
_STATUSES: Mapping[int, Refusal] = {
    HTTPStatus.UNAUTHORIZED: Refusal.DEAD_TOKEN,
    HTTPStatus.FORBIDDEN: Refusal.PERMISSION,
    HTTPStatus.NOT_FOUND: Refusal.GONE,
    HTTPStatus.TOO_MANY_REQUESTS: Refusal.THROTTLED,
}
_OF_ONE_OBJECT = frozenset({Refusal.GONE, Refusal.STALE_PAGE, Refusal.BAD_REQUEST})


def fault_of(body: Mapping[str, Any], status: int = HTTPStatus.OK) -> Fault | None:
    """Return the error of an answer, or None. A 200 with an error envelope is an error too."""
    error = body.get("error")
    if error is None and status == HTTPStatus.OK:
        return None
    fields = mapping(error)
    code = fields["code"] if type(fields.get("code")) is int and status == HTTPStatus.OK else status
    first = mapping(next(iter(items(fields.get("errors"))), None))
    # The token endpoint writes its reason in place of the object.
    said = [error, first.get("reason"), fields.get("status")]
    reasons = [one for one in said if isinstance(one, str) and _REASON.fullmatch(one)]
    refusal = next((_REASONS[one] for one in reasons if one in _REASONS), _by_status(code))
    reason = next((one for one in reasons if one in _REASONS), reasons[0] if reasons else "")
    told = text(fields.get("message"), 2000) or ""
    return Fault(refusal=refusal, status=code, reason=reason, told=told)


def _by_status(status: int) -> Refusal:
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return Refusal.TEMPORARY
    return _STATUSES.get(status, Refusal.BAD_REQUEST)


def raise_fault(fault: Fault, response: Response, needs: str) -> None:
    """Raise what a fault means for the whole channel; ``needs`` names the permission that the call takes."""
    if fault.refusal is Refusal.QUOTA:
        raise TryLater("the day's quota of the Google project is used up", until_midnight(response.received_at))
    if fault.refusal is Refusal.THROTTLED:
        raise TryLater(f"YouTube throttles ({fault.label})")
    if fault.refusal is Refusal.TEMPORARY:
        raise TryLater(f"YouTube has a temporary fault ({fault.label})")
    if fault.refusal is Refusal.DEAD_TOKEN:
        raise NeedsReauth(f"the access token is no longer valid ({fault.label}): connect the channel again")
    if fault.refusal is Refusal.SWITCHED_OFF:
        raise NotPermitted(f"the API is not enabled in the Google project ({fault.label})")
    if fault.refusal is Refusal.PERMISSION:
        raise NotPermitted(f"the token may not do this; it takes {needs} ({fault.label})")
    raise ConnectorError(f"YouTube refuses a request: {fault.refusal.value} ({fault.label})")


def examine(response: Response, needs: str) -> tuple[dict[str, Any], Fault | None]:
    """Return the object of an answer and the fault that concerns one object alone, if any.

    Raises what concerns the whole channel, and :class:`TryLater` for a 200 that is no JSON object: a body cut short
    comes whole the next time.
    """
    try:
        body = document(response.body)
    except BadPayload:
        if response.status == HTTPStatus.OK:
            raise TryLater("YouTube answered with something that is not JSON") from None
        body = {}
    fault = fault_of(body, response.status)
    # What answers without an envelope is not YouTube: nothing about one object can be learnt from it.
    if fault is not None and (fault.refusal not in _OF_ONE_OBJECT or "error" not in body):
        raise_fault(fault, response, needs)
    return body, fault


def require(response: Response, needs: str) -> dict[str, Any]:
    """Return the object of an answer. Raises for every fault."""
    body, fault = examine(response, needs)
    if fault is not None:
        raise_fault(fault, response, needs)
    return body


def named_in(fault: Fault, asked: tuple[str, ...]) -> tuple[str, ...]:
    """Return which of the asked metrics the text of an error names."""
    words = set(_WORD.findall(fault.told))
    return tuple(name for name in asked if name in words)
