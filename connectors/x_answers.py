"""What an answer of X asks for: its problems classed, its rate limit read. No endpoint and no metric is known here.

A problem is told by a type that ends in a word; hosts and prefixes before the word have changed over time. Older
answers have a list of codes instead. A 200 may hold errors beside the data or instead of them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from http import HTTPStatus
from typing import Any

from connectors import values
from connectors.contract import (
    Budget,
    ConnectorError,
    NeedsReauth,
    NotPermitted,
    Response,
    TryLater,
    Usage,
)
from connectors.faults import body_of

QUARTER = timedelta(minutes=15)
BUDGETS = (
    Budget(bucket="timeline", calls=900, window=QUARTER),
    Budget(bucket="me", calls=75, window=QUARTER),
)
"""The limits per user and endpoint that are documented; those of an app are higher."""

OTHERS = "posts"
"""The bucket of calls whose limits are documented as far away: lookups by id, days, the account itself."""

_LONGEST_WAIT = 86_400.0
_CAPPED_WAIT = 86_400.0  # the cap is a month's: a day is the longest that a task waits
_OUT_OF_CREDITS_WAIT = 6 * 3600.0
_LIMITED = "rate-limit-exceeded"
_CAPPED = "usage-capped"
_CREDITS = "creditsdepleted"
_OLD_LIMIT = 88
_OLD_TOKENS = frozenset({32, 89, 135})
_TEMPORARY = frozenset({"field-hydration-failure", "operational-disconnect", "service-unavailable"})
_FORBIDDEN = frozenset({"client-forbidden", "unsupported-authentication", "not-authorized-for-resource"})


def slug_of(problem: Mapping[str, Any]) -> str:
    """Return the word that names a problem; empty where there is none."""
    return (values.text(problem.get("type"), 300) or "").rstrip("/").rpartition("/")[2]


def examine(response: Response, needs: str) -> dict[str, Any]:
    """Return the object of an answer, errors about single things within it included.

    Raises what concerns the whole task; ``needs`` says what the call takes. An answer cut short comes whole the next
    time.
    """
    body = body_of(response, "X")
    if response.status != HTTPStatus.OK:
        _raise(response, body, needs)
    return body


def require(response: Response, needs: str) -> dict[str, Any]:
    """Return the object of an answer that must have data or say that there is none. Raises for errors alone."""
    body = examine(response, needs)
    errors = [values.mapping(error) for error in values.items(body.get("errors"))]
    if errors and "data" not in body and "meta" not in body:
        slug = slug_of(errors[0])
        if slug in _TEMPORARY:
            raise TryLater(f"X has a temporary fault ({slug})")
        if slug in _FORBIDDEN:
            raise NotPermitted(f"X does not let this token read it: {needs} ({slug})")
        raise ConnectorError(f"X has nothing to give ({values.shown(slug)})")
    return body


def _raise(response: Response, body: Mapping[str, Any], needs: str) -> None:
    slug, status = slug_of(body), response.status
    codes = [values.mapping(error).get("code") for error in values.items(body.get("errors"))]
    if slug == _CAPPED:
        raise TryLater("the month's cap of posts that may be read is used up (usage-capped)", _CAPPED_WAIT)
    if _is_out_of_credits(status, body):
        raise TryLater("the account is out of API credits: add some (CreditsDepleted)", _OUT_OF_CREDITS_WAIT)
    if status == HTTPStatus.TOO_MANY_REQUESTS or _OLD_LIMIT in codes or slug == _LIMITED:
        raise TryLater("X throttles", reset_of(response))
    if status == HTTPStatus.UNAUTHORIZED or any(code in codes for code in _OLD_TOKENS):
        raise NeedsReauth("the access token is no longer accepted: connect the account again")
    if status == HTTPStatus.FORBIDDEN:
        raise NotPermitted(f"the plan or the token does not allow it: {needs} ({_label(slug, status)})")
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR or slug in _TEMPORARY:
        raise TryLater(f"X has a temporary fault ({_label(slug, status)})")
    raise ConnectorError(f"X refuses a request ({_label(slug, status)})")


def _is_out_of_credits(status: int, body: Mapping[str, Any]) -> bool:
    title = values.text(body.get("title"), 100) or ""
    return status == HTTPStatus.PAYMENT_REQUIRED or title.lower() == _CREDITS


def _label(slug: str, status: int) -> str:
    return values.shown(slug) if slug else f"status {status}"


# ------------------------------------------------------------------------------------------------ limits


def reset_of(response: Response) -> float | None:
    """Return the seconds until the window of an answer's limit begins anew; None where it does not say."""
    at = values.written_count(response.headers.get("x-rate-limit-reset", "").strip())
    if type(at) is not int:
        return None
    return min(max(at - response.received_at.timestamp(), 0.0), _LONGEST_WAIT)


def usage_of(response: Response) -> Sequence[Usage]:
    """Return what the headers say of a limit, and the wait that a body asks for.

    An answer does not say which call it was for: its limit tells the documented ones apart. Credits and the month's
    cap are those of all calls.
    """
    limit, remaining = (_header(response, f"x-rate-limit-{name}") for name in ("limit", "remaining"))
    wait = _asked_wait(response)
    if limit is None and remaining is None and wait is None:
        return []
    named = [one.bucket for one in BUDGETS]
    if wait is not None and response.status != HTTPStatus.TOO_MANY_REQUESTS:
        return [Usage(bucket=bucket, wait=wait) for bucket in (*named, OTHERS)]
    bucket = next((one.bucket for one in BUDGETS if one.calls == limit), OTHERS)
    return [Usage(bucket=bucket, limit=limit, remaining=remaining, reset=reset_of(response), wait=wait)]


def _header(response: Response, name: str) -> float | None:
    found = values.written_count(response.headers.get(name, "").strip())
    return float(found) if type(found) is int else None


def _asked_wait(response: Response) -> float | None:
    if response.status < HTTPStatus.BAD_REQUEST:
        return None
    body = values.readable(response.body)
    if slug_of(body) == _CAPPED:
        return _CAPPED_WAIT
    if _is_out_of_credits(response.status, body):
        return _OUT_OF_CREDITS_WAIT
    return reset_of(response) if response.status == HTTPStatus.TOO_MANY_REQUESTS else None
