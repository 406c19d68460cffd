"""Single JSON values of the item language: instants, counts, amounts, zones, names.

Each function gives a checked value or a :class:`Refused` with a reason of the closed set and the name of the field,
never its value. Every instant is aware UTC and every amount exact. It knows no items: see ``connectors.items_fields``.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from decimal import Decimal, InvalidOperation
from functools import lru_cache
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec

from connectors.contract import INT64_MAX, MICRO, DropReason, Metric, Unit

AHEAD = timedelta(minutes=5)
"""How far a time may lie after the delivery: clocks differ by that much, more is a mistake."""
EARLIEST = datetime(1990, 1, 1, tzinfo=UTC)

MONEY_PATTERN = r"-?[0-9]{1,13}(\.[0-9]{1,6})?"
_MONEY = re.compile(MONEY_PATTERN)
_CURRENCY = re.compile(r"[A-Z]{3}")
_ZONE = re.compile(r"[A-Za-z][A-Za-z0-9_+-]{0,31}(/[A-Za-z0-9_+-]{1,31}){0,2}")
_LONGEST_ZONE = 3 * 33
_NAME = re.compile(r"[A-Za-z0-9_.-]{1,64}")
_LARGEST_EXPONENT = 12  # an amount of 10^13 has no room in 64 bits of millionths
_SMALLEST_EXPONENT = -6
_MOST_DIGITS = 28  # beyond the precision of Decimal arithmetic a product would be rounded


class Refused(Exception):  # noqa: N818 - reads as a verdict
    """A field or an item that is not taken; ``detail`` names the field, never its value."""

    def __init__(self, reason: DropReason, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason
        self.detail = detail


def _exact(text: str) -> Decimal:
    try:
        return Decimal(text)
    except InvalidOperation:  # an exponent that no Decimal holds
        return Decimal("NaN")


_OBJECT = msgspec.json.Decoder(dict[str, Any], float_hook=_exact)


def decode_object(raw: bytes | msgspec.Raw) -> dict[str, Any] | None:
    """Return a JSON object with its fractions as exact decimals; None for anything else."""
    try:
        return _OBJECT.decode(raw)
    except (ValueError, RecursionError):  # not an object, not UTF-8, a number out of range, nested without end
        return None


def shown(name: str) -> str:
    """Return a field name fit for a drop: a name in the body may be anything."""
    return name if _NAME.fullmatch(name) else "a name that is none"


def instant(value: object, name: str, latest: datetime) -> datetime:
    """Return an RFC 3339 instant (``+0000`` too) in UTC, from 1990 to ``latest``."""
    if not isinstance(value, str):
        raise Refused(DropReason.BAD_TIME, name)
    try:
        read = msgspec.convert(value, datetime)
        at = read.astimezone(UTC) if read.tzinfo else None
    except (ValueError, OverflowError):
        at = None
    if at is None or at < EARLIEST:
        raise Refused(DropReason.BAD_TIME, name)
    if at > latest:
        raise Refused(DropReason.FUTURE_TIME, name)
    return at


def whole(value: object, name: str) -> int:
    """Return a count: a JSON number without a fraction, not negative, within 64 bits."""
    if isinstance(value, Decimal) and value.is_finite() and value.adjusted() <= len(str(INT64_MAX)):
        value = int(value) if value == value.to_integral_value() else None
    if not isinstance(value, int) or isinstance(value, bool):
        raise Refused(DropReason.BAD_NUMBER, name)
    if not 0 <= value <= INT64_MAX:
        raise Refused(DropReason.OUT_OF_RANGE, name)
    return value


def amount(value: object, name: str) -> int:
    """Return an exact decimal, a text or a JSON number, in millionths."""
    if isinstance(value, str) and _MONEY.fullmatch(value):
        value = Decimal(value)
    if isinstance(value, int) and not isinstance(value, bool):
        value = Decimal(value)
    if not isinstance(value, Decimal) or not value.is_finite() or len(value.as_tuple().digits) > _MOST_DIGITS:
        raise Refused(DropReason.BAD_NUMBER, name)
    if not value:
        return 0
    if value.adjusted() > _LARGEST_EXPONENT:
        raise Refused(DropReason.OUT_OF_RANGE, name)
    scaled = value * MICRO if value.adjusted() >= _SMALLEST_EXPONENT else Decimal("NaN")
    if scaled != scaled.to_integral_value():
        raise Refused(DropReason.BAD_NUMBER, name)
    if abs(scaled) > INT64_MAX:
        raise Refused(DropReason.OUT_OF_RANGE, name)
    return int(scaled)


def whole_or_money(value: object, metric: Metric) -> int:
    """Return the integer that the ledger holds for a wire number of ``metric``. Only money may be negative."""
    if metric.unit not in (Unit.MONEY, Unit.MILLIONTHS):
        return whole(value, metric.key)
    number = amount(value, metric.key)
    if number < 0 and metric.unit is Unit.MILLIONTHS:
        raise Refused(DropReason.OUT_OF_RANGE, metric.key)
    return number


def is_currency(value: object) -> bool:
    """Whether it has the form of an ISO 4217 code; which codes there are is not for a connector to say."""
    return isinstance(value, str) and _CURRENCY.fullmatch(value) is not None


def zone_info(name: str) -> ZoneInfo | None:
    """Return an IANA zone; None for what is none, ``localtime`` included: it differs between machines."""
    # What is remembered is short, whatever a sender says.
    return _zone_info(name) if len(name) <= _LONGEST_ZONE and name != "localtime" else None


@lru_cache(maxsize=1024)
def _zone_info(name: str) -> ZoneInfo | None:
    if not _ZONE.fullmatch(name):
        return None
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):  # a folder of the zone database raises the last
        return None
