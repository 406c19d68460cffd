"""Single values of JSON documents, as strangers write them: documents, texts, ids, counts, amounts, instants, days.

Every function takes any value and answers with a checked one, with None for *not said*, or with the reason of a drop.
A connector that would rather stop at the first bad field asks for it by :func:`needed`, which raises :class:`Refused`.
What only one platform writes (its ids, its markup, its errors) stands in that platform's own modules; how rows of
values become items is told in ``connectors.rules`` and ``connectors.pages``.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, date, datetime, time, timedelta
from decimal import ROUND_HALF_EVEN, Decimal, InvalidOperation
from typing import Any, TypeVar
from zoneinfo import ZoneInfo, available_timezones

import msgspec

from connectors.contract import INT64_MAX, MICRO, BadPayload, DropReason, Window, day_window, micros

SKEW = timedelta(minutes=5)
"""How far a sender's clock may be ahead of the receipt."""
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
OLDEST = datetime(1990, 1, 1, tzinfo=UTC)
"""Nothing that is counted here is older; a platform that knows better says its own."""
ZONES = available_timezones()
"""The names of the zones that days may be placed in."""

Number = int | DropReason | None
"""A number that can be booked, why it is none, or *not reported*."""

_NAME = re.compile(r"[A-Za-z0-9_.-]{1,64}")
_DIGITS = re.compile(r"-?[0-9]{1,19}")
_CONTROL = re.compile(r"[\x00-\x1f\x7f\ud800-\udfff]")
_CURRENCY = re.compile(r"[A-Z]{3}")
_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_SIX_PLACES = Decimal("0.000001")

T = TypeVar("T")


class Refused(Exception):  # noqa: N818 - reads as a verdict
    """A value that is not taken. ``detail`` names the field, never its value."""

    def __init__(self, reason: DropReason, detail: str = "") -> None:
        super().__init__(detail)
        self.reason = reason
        self.detail = detail


def known(value: T | DropReason) -> T | None:
    """Return a value, or None where there is only a reason why it is none."""
    return None if isinstance(value, DropReason) else value


def needed(value: T | DropReason, field: str) -> T:
    """Return a value. Raises :class:`Refused`, naming the field, where there is only a reason why it is none."""
    if isinstance(value, DropReason):
        raise Refused(value, field)
    return value


# ------------------------------------------------------------------------------------------------ documents


def exact(literal: str) -> Decimal:
    """Return a JSON number as a decimal, so that no float is ever an amount; NaN for an exponent that none holds."""
    try:
        return Decimal(literal)
    except InvalidOperation:
        return Decimal("NaN")


# Integers of any length stay exact as well: a float would change the last digits of an id.
_DECODER = msgspec.json.Decoder(float_hook=exact)


def decode(body: bytes | str | msgspec.Raw) -> Any:
    """Return the JSON value of a body. Raises :class:`BadPayload` for anything else, deep nesting included."""
    try:
        return _DECODER.decode(body)
    except (ValueError, RecursionError):  # neither JSON nor UTF-8, a number out of range, nested without end
        problem = "the body is not readable JSON"
    raise BadPayload(problem)


def document(body: bytes | str | msgspec.Raw) -> dict[str, Any]:
    """Return the JSON object of a body. Raises :class:`BadPayload` for anything else."""
    value = decode(body)
    if not isinstance(value, dict):
        raise BadPayload("the body is not a JSON object")
    return value


def readable(body: bytes | str | msgspec.Raw) -> dict[str, Any]:
    """Return the JSON object of a body; an empty one where there is none to read."""
    try:
        return document(body)
    except BadPayload:
        return {}


def items(value: Any) -> list[Any]:
    """Return a JSON array, or an empty list for anything else."""
    return value if isinstance(value, list) else []


def mapping(value: Any) -> dict[str, Any]:
    """Return a JSON object, or an empty one for anything else."""
    return value if isinstance(value, dict) else {}


def first(value: Any) -> dict[str, Any]:
    """Return the first object of a JSON array; an empty one where there is none."""
    return mapping(next(iter(items(value)), None))


# ------------------------------------------------------------------------------------------------ texts


def text(value: Any, longest: int = 1000) -> str | None:
    """Return a text without control characters, cut at ``longest``; None for anything else."""
    return _CONTROL.sub(" ", value)[:longest] if isinstance(value, str) else None


def trimmed(value: Any, longest: int = 1000) -> str | None:
    """Return the same without blanks around it; None for an empty one as well."""
    found = _CONTROL.sub(" ", value).strip()[:longest] if isinstance(value, str) else ""
    return found or None


def first_line(value: Any, longest: int = 200) -> str | None:
    """Return the first line of a text, which is what a post without a title is called; None where there is none."""
    lines = value.strip().splitlines() if isinstance(value, str) else []
    return text(lines[0], longest) if lines else None


def printable(value: Any, longest: int = 100) -> str:
    """Return what of a text may be shown to a person at a terminal; empty for what is none."""
    return "".join(letter for letter in value if letter.isprintable())[:longest] if isinstance(value, str) else ""


def shown(name: Any, allowed: re.Pattern[str] = _NAME) -> str:
    """Return a name fit for a drop or an error: a name in a body may be anything."""
    return name if isinstance(name, str) and allowed.fullmatch(name) else "a name that is none"


def identifier(value: Any, allowed: re.Pattern[str]) -> str | DropReason:
    """Return an id as the text it came as, or why it is none. Never a number: leading zeros are part of an id."""
    if value is None or value == "":
        return DropReason.MISSING_ID
    return value if isinstance(value, str) and allowed.fullmatch(value) else DropReason.MALFORMED


def currency(value: Any) -> str | DropReason:
    """Return an ISO 4217 code. Which codes there are is not for a connector to say."""
    return value if isinstance(value, str) and _CURRENCY.fullmatch(value) else DropReason.BAD_CURRENCY


# ------------------------------------------------------------------------------------------------ numbers


def count(value: Any, factor: int = 1) -> Number:
    """Return a count in ``factor`` parts, or why it is none; None is *not reported*. A number in quotes is none."""
    if value is None:
        return None
    if type(value) is not int:
        return DropReason.BAD_NUMBER
    return value * factor if 0 <= value <= INT64_MAX // factor else DropReason.OUT_OF_RANGE


def written_count(value: Any, factor: int = 1) -> Number:
    """Return the same where a number may come as its digits."""
    return count(int(value) if isinstance(value, str) and _DIGITS.fullmatch(value) else value, factor)


def millionths(amount: Decimal, *, rounded: bool = False) -> int | DropReason:
    """Return a finite decimal in millionths, or why not: it does not fit in 64 bits, or has more than six places.

    What a model has shared out (thirds of a conversion, converted money) has endless places and is ``rounded``.
    """
    try:
        return micros(amount.quantize(_SIX_PLACES, rounding=ROUND_HALF_EVEN) if rounded else amount)
    except (ArithmeticError, BadPayload):
        return DropReason.OUT_OF_RANGE if rounded or amount.copy_abs() > INT64_MAX // MICRO else DropReason.BAD_NUMBER


def figure(value: Any, largest: float = 10**9) -> float:
    """Return a figure of a rate limit, from 0 to ``largest``; 0 for anything else."""
    is_number = type(value) is int or (isinstance(value, Decimal) and value.is_finite())
    return float(value) if is_number and 0 <= value <= largest else 0.0


# ------------------------------------------------------------------------------------------------ instants

Moment = Callable[[Any], datetime | None]
"""Reads an instant the way a platform writes it; None, ValueError or OverflowError for what is none."""


def zoned(value: Any) -> datetime | None:
    """Read an ISO 8601 text with an offset; without one it names no instant. Decimals beyond the sixth are cut off."""
    found = datetime.fromisoformat(value) if isinstance(value, str) else None
    return found.astimezone(UTC) if found is not None and found.tzinfo is not None else None


def of_seconds(value: Any) -> datetime | None:
    """Read seconds since 1970."""
    return EPOCH + timedelta(seconds=value) if type(value) is int else None


def of_milliseconds(value: Any) -> datetime | None:
    """Read milliseconds since 1970."""
    return EPOCH + timedelta(milliseconds=value) if type(value) is int else None


def instant(
    value: Any, received_at: datetime, moment: Moment = zoned, oldest: datetime = OLDEST
) -> datetime | DropReason:
    """Return the UTC instant that ``moment`` reads, or why it is none."""
    if value is None:
        return DropReason.MISSING_TIME
    try:
        found = moment(value)
    except (ValueError, OverflowError):
        found = None
    if found is None or found < oldest:
        return DropReason.BAD_TIME
    return found if found <= received_at + SKEW else DropReason.FUTURE_TIME


# ------------------------------------------------------------------------------------------------ days


def date_in(zone: str, at: datetime) -> date:
    """Return the day that an instant lies in."""
    return at.astimezone(ZoneInfo(zone)).date()


def midnight(at: datetime) -> datetime:
    """Return the beginning of the UTC day that an instant lies in."""
    return datetime.combine(at.astimezone(UTC).date(), time(), UTC)


def day(value: Any, zone: str, received_at: datetime, oldest: datetime = OLDEST) -> Window | DropReason:
    """Return the window of the local day that ``2026-08-03`` names, or why it is none."""
    if value is None:
        return DropReason.MISSING_TIME
    try:
        found = date.fromisoformat(value) if isinstance(value, str) and _DAY.fullmatch(value) else None
    except ValueError:
        found = None
    if found is None or found < oldest.date():
        return DropReason.BAD_TIME
    return day_window(found, zone) if found <= date_in(zone, received_at) else DropReason.FUTURE_TIME
