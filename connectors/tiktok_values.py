"""What TikTok alone writes, read value by value: numbers as numbers or as text, ids of nineteen digits, Unix seconds.

Every function takes any value and answers with one, with *nothing said* or with the reason of a drop; what is read the
same everywhere is in ``connectors.values``.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from urllib.parse import urlsplit

from connectors import values
from connectors.contract import INT64_MAX, DropReason, Window
from connectors.hashtags import EMOJI, LETTERS, Hashtags
from connectors.values import Number

TAGS = Hashtags(letters=(*LETTERS, EMOJI), chained=True)
"""TikTok runs tags together (``#one#two``) and takes emoji for letters."""

_OLDEST = datetime(2014, 1, 1, tzinfo=UTC)  # older than the app and what it grew out of
_NUMERIC_ID = re.compile(r"[0-9]{1,20}")
_ID = re.compile(r"[A-Za-z0-9_.:-]{1,128}")
_NUMBER = re.compile(r"-?[0-9]{1,19}(\.[0-9]{1,9})?")
_DIGITS = re.compile(r"[0-9]{1,19}")
_MOST_DIGITS = 19


def post_id(value: Any) -> str | DropReason:
    """Return the id of a post as text, or why it is none. Webhooks write it as a number of nineteen digits."""
    return values.identifier(str(value) if type(value) is int and 0 < value <= 10**_MOST_DIGITS else value, _NUMERIC_ID)


def account_id(value: Any) -> str | DropReason:
    """Return the id of an account of one app, or why it is none."""
    return values.identifier(value, _ID)


def number(value: Any, factor: int = 1) -> Number:
    """Return a number in ``factor`` parts, or why it is none; None is *not reported*.

    A count is whole; what has smaller parts is rounded to the nearest.
    """
    if value is None:
        return None
    exact = _decimal(value)
    if exact is None or not exact.is_finite():
        return DropReason.BAD_NUMBER
    if exact.adjusted() >= _MOST_DIGITS:
        return DropReason.OUT_OF_RANGE
    scaled = exact * factor
    if factor == 1 and scaled != scaled.to_integral_value():
        return DropReason.BAD_NUMBER
    whole = int(scaled.to_integral_value())
    return whole if 0 <= whole <= INT64_MAX else DropReason.OUT_OF_RANGE


def _decimal(value: Any) -> Decimal | None:
    if isinstance(value, Decimal):
        return value
    if isinstance(value, str):
        return Decimal(value) if _NUMBER.fullmatch(value) else None
    return Decimal(value) if type(value) is int else None


def seconds(value: Any, received_at: datetime) -> datetime | DropReason:
    """Return the UTC instant of Unix seconds, a number or its digits, or why it is none."""
    return values.instant(None if value == "" else _whole(value), received_at, values.of_seconds, _OLDEST)


def position(value: Any) -> int | None:
    """Return the cursor of a listing, milliseconds as a number or its digits; None for anything else."""
    found = _whole(value)
    return found if type(found) is int and 0 < found <= INT64_MAX else None


def _whole(value: Any) -> Any:
    return int(value) if isinstance(value, str) and _DIGITS.fullmatch(value) else value


def utc_day(value: Any, received_at: datetime) -> Window | DropReason:
    """Return the window of the UTC day that a row names, or why it is none."""
    return values.day(value, "UTC", received_at, _OLDEST)


def address(value: Any) -> str | None:
    """Return the address of a post without its query, which names who shared it and ends; None for what is none."""
    found = values.text(value)
    try:
        parts = urlsplit(found or "")
    except ValueError:
        return None
    return parts._replace(query="", fragment="").geturl() if parts.scheme == "https" and parts.netloc else None
