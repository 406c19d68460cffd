"""Google's error envelopes as YouTube uses them: what each asks for, and what is an error of one object alone.

The reason decides before the status where both are said, but for one: 403 stands for throttling, for an exhausted
quota and for a missing permission alike, and a reason that is not known leaves it a missing permission. Texts of
errors are read for classing only and never passed on; they may hold markup.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from connectors import values
from connectors.contract import NotPermitted, Response, TryLater
from connectors.faults import Fault, Refusal, body_of, by_status, raise_refusal
from connectors.youtube_values import until_midnight

_REASON = re.compile(r"[A-Za-z_]{1,40}")
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
_OF_ONE_OBJECT = frozenset({Refusal.GONE, Refusal.STALE_PAGE, Refusal.BAD_REQUEST})


def fault_of(body: Mapping[str, Any], status: int = HTTPStatus.OK) -> Fault | None:
    """Return the error of an answer, or None. A 200 with an error envelope is an error too."""
    error = body.get("error")
    if error is None and status == HTTPStatus.OK:
        return None
    fields = values.mapping(error)
    code = fields["code"] if type(fields.get("code")) is int and status == HTTPStatus.OK else status
    first = values.first(fields.get("errors"))
    # The token endpoint writes its reason in place of the object.
    said = [error, first.get("reason"), fields.get("status")]
    reasons = [one for one in said if isinstance(one, str) and _REASON.fullmatch(one)]
    refusal = next((_REASONS[one] for one in reasons if one in _REASONS), by_status(code))
    reason = next((one for one in reasons if one in _REASONS), reasons[0] if reasons else "")
    told = values.text(fields.get("message"), 2000) or ""
    return Fault(refusal=refusal, label=f"{code} {reason}".strip(), told=told)


def raise_fault(fault: Fault, response: Response, needs: str) -> None:
    """Raise what a fault means for the whole channel; ``needs`` names the permission that the call takes."""
    if fault.refusal is Refusal.QUOTA:
        raise TryLater("the day's quota of the Google project is used up", until_midnight(response.received_at))
    if fault.refusal is Refusal.SWITCHED_OFF:
        raise NotPermitted(f"the API is not enabled in the Google project ({fault.label})")
    raise_refusal(fault.refusal, "YouTube", fault.label, needs, owner="channel")


def examine(response: Response, needs: str) -> tuple[dict[str, Any], Fault | None]:
    """Return the object of an answer and the fault that concerns one object alone, if any.

    Raises what concerns the whole channel, and :class:`TryLater` for a 200 that is no JSON object: a body cut short
    comes whole the next time.
    """
    body = body_of(response, "YouTube")
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
