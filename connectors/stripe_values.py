"""What Stripe writes, read value by value: ids, instants in seconds, amounts in the smallest unit, and origins.

Whatever is read here was written by a stranger, so a value is given, *nothing said* (None), or :class:`Refused` with
the reason of a drop and the name of the field, never its value. It knows no event: see ``connectors.stripe_events``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any

import msgspec

from connectors import origin as origins
from connectors import values
from connectors.contract import INT64_MAX, DropReason
from connectors.origin import Origin
from connectors.values import Refused

_ID = re.compile(r"[A-Za-z0-9_]{1,128}")
_CURRENCY = re.compile(r"[a-z]{3}")

# The smallest unit is the whole one, or a thousandth; of all others a hundredth, even where daily life knows none.
_WHOLE = frozenset(
    ["bif", "clp", "djf", "gnf", "jpy", "kmf", "krw", "mga", "pyg", "rwf", "vnd", "vuv", "xaf", "xof", "xpf"]
)
_THOUSANDTHS = frozenset(["bhd", "jod", "kwd", "omr", "tnd"])


def identifier(value: Any, field: str) -> str:
    """Return an id, of an object as well where one was expanded."""
    found = values.mapping(value).get("id") if isinstance(value, dict) else value
    if found is None or found == "":
        raise Refused(DropReason.MISSING_ID, field)
    if not isinstance(found, str) or not _ID.fullmatch(found):
        raise Refused(DropReason.MALFORMED, field)
    return found


def optional_identifier(value: Any) -> str | None:
    """Return an id, or None for what is none."""
    try:
        return identifier(value, "")
    except Refused:
        return None


def instant(value: Any, field: str, received_at: datetime) -> datetime:
    """Return the instant of Unix seconds."""
    return values.needed(values.instant(value, received_at, values.of_seconds), field)


def currency(value: Any) -> str:
    """Return an ISO 4217 code; Stripe writes it in lower case."""
    if not isinstance(value, str) or not _CURRENCY.fullmatch(value):
        raise Refused(DropReason.BAD_CURRENCY, "currency")
    return value.upper()


def amount(value: Any, code: str, field: str) -> int:
    """Return an amount in the smallest unit of a currency in millionths of the currency."""
    if type(value) is not int:
        raise Refused(DropReason.BAD_NUMBER, field)
    lower = code.lower()
    each = 1_000_000 if lower in _WHOLE else 1_000 if lower in _THOUSANDTHS else 10_000
    if not 0 <= value <= INT64_MAX // each:
        raise Refused(DropReason.OUT_OF_RANGE, field)
    return value * each


# ------------------------------------------------------------------------------------------------ origins


def origin(fields: Mapping[str, Any]) -> Origin:
    """Return what the metadata, the reference and the discounts of an object say.

    The shop has to put UTM parameters and click ids into the metadata itself. ``client_reference_id`` is the shop's own
    id of a click where it sent no other. A promotion code stands there only where it was expanded.
    """
    metadata = values.mapping(fields.get("metadata"))
    found = origins.origin([origins.of_pairs(metadata.items())], _codes(fields, metadata))
    reference = origins.opaque_in(fields.get("client_reference_id"))
    if found.click_id is not None or reference is None:
        return found
    return msgspec.structs.replace(found, click_id=f"client_reference_id:{reference}")


def _codes(fields: Mapping[str, Any], metadata: Mapping[str, Any]) -> list[Any]:
    discounts = map(values.mapping, values.items(fields.get("discounts")))
    expanded = [values.mapping(one.get("promotion_code")).get("code") for one in discounts]
    return [*expanded, *origins.codes_among(metadata.items())]


def hidden_code(fields: Mapping[str, Any]) -> bool:
    """Whether a promotion code was used whose text is not told: only its id is."""
    discounts = [values.mapping(one).get("promotion_code") for one in values.items(fields.get("discounts"))]
    return any(isinstance(one, str) and one for one in discounts)
