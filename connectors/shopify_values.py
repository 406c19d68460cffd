"""What Shopify writes, read value by value: ids, amounts, instants, and what it parsed of visits.

Whatever is read here was written by a stranger, so a value is given, *nothing said* (None), or :class:`Refused` with
the reason of a drop and the name of the field, never its value. It knows no order and no page: see
``connectors.shopify_orders``.
"""

from __future__ import annotations

import re
from datetime import datetime
from decimal import Decimal
from typing import Any
from urllib.parse import unquote_plus

from connectors import origin, values
from connectors.contract import INT64_MAX, DropReason, micros
from connectors.values import Refused

_DIGITS = re.compile(r"[0-9]{1,20}")
_GLOBAL_ID = re.compile(r"gid://shopify/[A-Za-z]{1,64}/([0-9]{1,20})")
_AMOUNT = re.compile(r"-?[0-9]{1,12}(\.[0-9]{1,6})?")
_DISCOUNT_LINK = re.compile(r"/discount/([^/?#]+)")


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
    return values.needed(values.instant(value, received_at), field)


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
    return values.needed(values.currency(value), field)


def is_said(value: Any) -> bool:
    """Whether a field that holds a time says one: ``cancelled_at`` is null, or an instant."""
    return isinstance(value, str) and value != ""


# ------------------------------------------------------------------------------------------------ visits


def of_parameters(parameters: Any) -> origin.Place:
    """Return what Shopify parsed of a visit: ``source``, ``medium``, ``campaign``, ``content``."""
    return origin.of_pairs((f"utm_{name}", value) for name, value in values.mapping(parameters).items())


def linked_code(address: Any) -> str | None:
    """Return the code of a discount link."""
    path = address[: origin.LONGEST_ADDRESS].partition("?")[0] if isinstance(address, str) else ""
    found = _DISCOUNT_LINK.search(path)
    return unquote_plus(found[1]) if found else None
