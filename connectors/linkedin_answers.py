"""What an answer of LinkedIn asks for: its errors classed, its quota read. No endpoint and no metric is known here."""

from __future__ import annotations

import enum
from collections.abc import Mapping, Sequence
from datetime import timedelta
from http import HTTPStatus
from typing import Any

from connectors import values
from connectors.contract import ConnectorError, NeedsReauth, NotPermitted, Response, TryLater, Usage
from connectors.faults import body_of

DAY = "day"
"""The bucket of the quotas, which are counted by the UTC day."""
_REVOKED = 65_601
_REVOKED_CODE = "REVOKED_ACCESS_TOKEN"
_EXPIRED_CODES = frozenset({"EXPIRED_ACCESS_TOKEN", "INVALID_ACCESS_TOKEN"})
_VERSION_CODES = frozenset({"NONEXISTENT_VERSION", "VERSION_MISSING"})


class Lack(enum.StrEnum):
    """Why an answer about single posts has nothing."""

    GONE = "gone"
    REFUSED = "refused"


def is_young_token(response: Response) -> bool:
    """Whether a token is called revoked: one that was made seconds ago is, until all of LinkedIn knows it."""
    body = values.readable(response.body)
    return body.get("serviceErrorCode") == _REVOKED or body.get("code") == _REVOKED_CODE


def examine(response: Response, needs: str) -> tuple[dict[str, Any], Lack | None]:
    """Return the object of an answer and what it lacks, where that is about what was asked for alone.

    Raises what concerns the whole task; ``needs`` names the permission that the call takes. An answer cut short comes
    whole the next time.
    """
    body = body_of(response, "LinkedIn")
    if response.status == HTTPStatus.OK:
        return body, None
    if response.status == HTTPStatus.NOT_FOUND and body:
        return body, Lack.GONE
    if response.status == HTTPStatus.BAD_REQUEST and body and body.get("code") not in _VERSION_CODES:
        return body, Lack.REFUSED
    _raise(response.status, body, needs)
    return body, None


def require(response: Response, needs: str) -> dict[str, Any]:
    """Return the object of an answer. Raises for every error."""
    body, lack = examine(response, needs)
    if lack is not None:
        raise ConnectorError(f"LinkedIn refuses a request ({_label(response.status, body)})")
    return body


def _raise(status: int, body: Mapping[str, Any], needs: str) -> None:
    label = _label(status, body)
    if status == HTTPStatus.UNAUTHORIZED or body.get("code") in _EXPIRED_CODES:
        raise NeedsReauth(f"the access token is no longer accepted ({label}): connect the account again")
    if status == HTTPStatus.FORBIDDEN:
        raise NotPermitted(f"the permission {needs} is missing, or the member is no administrator any more ({label})")
    if status == HTTPStatus.UPGRADE_REQUIRED or body.get("code") in _VERSION_CODES:
        raise ConnectorError(f"the API version is no longer spoken ({label}): set a newer month in the option version")
    if status == HTTPStatus.TOO_MANY_REQUESTS or status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        raise TryLater(f"LinkedIn throttles or is down ({label})")
    raise ConnectorError(f"LinkedIn refuses a request ({label})")


def _label(status: int, body: Mapping[str, Any]) -> str:
    code = body.get("code", body.get("serviceErrorCode"))
    told = values.shown(str(code)) if isinstance(code, str | int) else ""
    return f"status {status}, {told}" if told else f"status {status}"


def usage_of(response: Response) -> Sequence[Usage]:
    """Return the wait that a used-up quota asks for: quotas begin anew at midnight UTC, and no header tells them.

    Other overload passes sooner and is left to the backoff.
    """
    if response.status != HTTPStatus.TOO_MANY_REQUESTS:
        return ()
    told = values.text(values.readable(response.body).get("message")) or ""
    if "throttle limit" not in told.lower():
        return ()
    midnight = values.midnight(response.received_at) + timedelta(days=1)
    return (Usage(bucket=DAY, remaining=0.0, wait=(midnight - response.received_at).total_seconds()),)
