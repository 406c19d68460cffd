"""What Shopify writes, read value by value: ids, amounts, instants and texts.

Whatever is read here was written by a stranger, so a value is given, *nothing said* (None), or :class:`Refused` with
the reason of a drop and the name of the field, never its value. It knows no order and no page: see
``connectors.shopify_orders``.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from decimal import Decimal, InvalidOperation
from typing import Any

import msgspec

from connectors.contract import INT64_MAX, BadPayload, DropReason, micros

SKEW = timedelta(minutes=5)
"""How far a sender's clock may be ahead of the receipt."""

_OLDEST = datetime(1990, 1, 1, tzinfo=UTC)
_DIGITS = re.compile(r"[0-9]{1,20}")
_GLOBAL_ID = re.compile(r"gid://shopify/[A-Za-z]{1,64}/([0-9]{1,20})")
_AMOUNT = re.compile(r"-?[0-9]{1,12}(\.[0-9]{1,6})?")
_CURRENCY = re.compile(r"[A-Z]{3}")
_CONTROL = re.compile(r"[\x00-\x1f\x7f\ud800-\udfff]")
_NAME = re.compile(r"[A-Za-z0-9_./-]{1,64}")


class Refused(Exception):  # noqa: N818 - reads as a verdict
    """A field that makes its entry unreadable; ``detail`` names the field."""

    def __init__(self, reason: DropReason, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason
        self.detail = detail


def _exact(text: str) -> Decimal:
    try:
        return Decimal(text)
    except InvalidOperation:  # an exponent that no Decimal holds
        return Decimal("NaN")


# Lines of refunds come with JSON numbers for money: decimals, so that no float is ever an amount.
_DECODER = msgspec.json.Decoder(float_hook=_exact)


def document(body: bytes) -> dict[str, Any]:
    """Return the JSON object of a body. Raises :class:`BadPayload` for anything else, deep nesting included."""
    try:
        value = _DECODER.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        raise BadPayload("the body is not readable JSON") from None
    if not isinstance(value, dict):
        raise BadPayload("the body is not a JSON object")
    return value


def items(value: Any) -> list[Any]:
    """Return a JSON array, or an empty list for anything else."""
    return value if isinstance(value, list) else []


def mapping(value: Any) -> dict[str, Any]:
    """Return a JSON object, or an empty one for anything else."""
    return value if isinstance(value, dict) else {}


def text(value: Any, longest: int = 255) -> str | None:
    """Return a trimmed text without control characters, cut at ``longest``; None for an empty one or anything else."""
    found = _CONTROL.sub(" ", value).strip()[:longest] if isinstance(value, str) else ""
    return found or None


def shown(name: Any) -> str:
    """Return a name fit for a drop: a name in a body may be anything."""
    return name if isinstance(name, str) and _NAME.fullmatch(name) else "a name that is none"


def identifier(value: Any, field: str) -> str:
    """Return an id as text: of a whole number (above 2**53 as often as not), of digits or of a global id."""
    if value is None or value == "":
        raise Refused(DropReason.MISSING_ID, field)
    if type(value) is int and 0 < value <= INT64_MAX:
        return str(value)
    if isinstance(value, str):
        within = _GLOBAL_ID.fullmatch(value)
        found = within[1] if within else value
        if _DIGITS.fullmatch(found):
            return found
    raise Refused(DropReason.MALFORMED, field)


def optional_identifier(value: Any) -> str | None:
    """Return an id, or None for what is none."""
    try:
        return identifier(value, "")
    except Refused:
        return None


def instant(value: Any, field: str, received_at: datetime) -> datetime:
    """Return the UTC instant of an ISO 8601 text with an offset."""
    if value is None:
        raise Refused(DropReason.MISSING_TIME, field)
    try:
        found = datetime.fromisoformat(value).astimezone(UTC) if isinstance(value, str) and _is_zoned(value) else None
    except (ValueError, OverflowError):
        found = None
    if found is None or found < _OLDEST:
        raise Refused(DropReason.BAD_TIME, field)
    if found > received_at + SKEW:
        raise Refused(DropReason.FUTURE_TIME, field)
    return found


def _is_zoned(value: str) -> bool:
    return datetime.fromisoformat(value).tzinfo is not None


def amount(value: Any, field: str) -> int:
    """Return an exact amount, a text or a JSON number, in millionths."""
    written = str(value) if isinstance(value, str | Decimal) or type(value) is int else ""
    if not _AMOUNT.fullmatch(written):
        raise Refused(DropReason.BAD_NUMBER, field)
    return micros(written)


def total(value: Any, field: str) -> int:
    """Return an amount that cannot be negative."""
    found = amount(value, field)
    if found < 0:
        raise Refused(DropReason.OUT_OF_RANGE, field)
    return found


def optional_amount(value: Any) -> int | None:
    """Return an amount, or None for what is none."""
    try:
        return amount(value, "")
    except Refused:
        return None


def currency(value: Any, field: str) -> str:
    """Return an ISO 4217 code."""
    if not isinstance(value, str) or not _CURRENCY.fullmatch(value):
        raise Refused(DropReason.BAD_CURRENCY, field)
    return value


def is_said(value: Any) -> bool:
    """Whether a field that holds a time says one: ``cancelled_at`` is null, or an instant."""
    return isinstance(value, str) and value != ""
