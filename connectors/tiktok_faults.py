"""TikTok's error codes, which come with HTTP 200: what each asks for, and what is an error of one object alone."""

from __future__ import annotations

import re
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from connectors import values
from connectors.contract import Response, TryLater
from connectors.faults import STATUSES, Fault, Refusal, body_of, raise_refusal

THROTTLED_WAIT = 60.0
"""The windows of the limits are minutes."""
_SERVER_CODES = range(50_000, 60_000)
_CODES: Mapping[int, Refusal] = {
    40001: Refusal.PERMISSION,
    40002: Refusal.BAD_REQUEST,
    40007: Refusal.GONE,
    40100: Refusal.THROTTLED,
    40105: Refusal.DEAD_TOKEN,
    **STATUSES,
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
    told = (values.text(body.get("message"), 2000) or "").lower()
    return Fault(refusal=_refusal(code or status, told), label=f"code {code or status}", told=told)


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
    raise_refusal(fault.refusal, "TikTok", fault.label, needs, wait=THROTTLED_WAIT)


def examine(response: Response, needs: str, *, tells: bool = True) -> tuple[dict[str, Any], Fault | None]:
    """Return the object named ``data`` of an answer and the fault that the caller may work around, if any.

    Raises every other fault, and :class:`TryLater` for a 200 that is no JSON object, or has no data where it ``tells``
    something.
    """
    body = body_of(response, "TikTok")
    fault = fault_of(body, response.status)
    if fault is not None and (fault.refusal not in _OF_ONE_OBJECT or "code" not in body):
        raise_fault(fault, needs)
    if tells and fault is None and not isinstance(body.get("data"), dict):
        raise TryLater("TikTok answered without data")
    return values.mapping(body.get("data")), fault
