"""What Stripe writes, read value by value: ids, instants in seconds, amounts in the smallest unit, and origins.

Whatever is read here was written by a stranger, so a value is given, *nothing said* (None), or :class:`Refused` with
the reason of a drop and the name of the field, never its value. It knows no event: see ``connectors.stripe_events``.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from connectors.contract import INT64_MAX, BadPayload, DropReason

SKEW = timedelta(minutes=5)
"""How far a sender's clock may be ahead of the receipt."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_OLDEST = datetime(1990, 1, 1, tzinfo=UTC)
_ID = re.compile(r"[A-Za-z0-9_]{1,128}")
_CURRENCY = re.compile(r"[a-z]{3}")
_CONTROL = re.compile(r"[\x00-\x1f\x7f\ud800-\udfff]")
_MACRO = re.compile(r"\{.*\}|__[A-Z0-9_]+__|%%.*%%")
_LONGEST_NAME = 200  # of a campaign or a code: they become ids of subjects, which have 256 characters with their kind
_LONGEST_CLICK_ID = 500  # as long as a value of metadata may be

# The smallest unit is the whole one, or a thousandth; of all others a hundredth, even where daily life knows none.
_WHOLE = frozenset(
    ["bif", "clp", "djf", "gnf", "jpy", "kmf", "krw", "mga", "pyg", "rwf", "vnd", "vuv", "xaf", "xof", "xpf"]
)
_THOUSANDTHS = frozenset(["bhd", "jod", "kwd", "omr", "tnd"])

CLICK_IDS = (
    "gclid",
    "wbraid",
    "gbraid",
    "dclid",
    "ttclid",
    "li_fat_id",
    "twclid",
    "ScCid",
    "rdt_cid",
    "epik",
    "msclkid",
    "fbclid",  # last: Meta adds it to organic links too
)
_PROMO_NAMES = ("promo_code", "discount_code", "coupon_code")

# A float keeps what is no integer recognisable, where the default would refuse the whole body.
_DECODER = msgspec.json.Decoder(float_hook=float)


class Refused(Exception):  # noqa: N818 - reads as a verdict
    """A field that makes its entry unreadable; ``detail`` names the field."""

    def __init__(self, reason: DropReason, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason
        self.detail = detail


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


def text(value: Any, longest: int = 200) -> str | None:
    """Return a trimmed text without control characters, cut at ``longest``; None for an empty one or anything else."""
    found = _CONTROL.sub(" ", value).strip()[:longest] if isinstance(value, str) else ""
    return found or None


def identifier(value: Any, field: str) -> str:
    """Return an id, of an object as well where one was expanded."""
    found = mapping(value).get("id") if isinstance(value, dict) else value
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
    if value is None:
        raise Refused(DropReason.MISSING_TIME, field)
    try:
        found = _EPOCH + timedelta(seconds=value) if type(value) is int else None
    except OverflowError:
        found = None
    if found is None or found < _OLDEST:
        raise Refused(DropReason.BAD_TIME, field)
    if found > received_at + SKEW:
        raise Refused(DropReason.FUTURE_TIME, field)
    return found


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


class Origin(msgspec.Struct, frozen=True, kw_only=True):
    """What an object says of where it came from, in the words of a conversion. None is *not said*."""

    promo_code: str | None = None
    click_id: str | None = None
    utm_campaign: str | None = None
    utm_source: str | None = None
    utm_medium: str | None = None
    utm_content: str | None = None
    platform_campaign: str | None = None


def origin(fields: Mapping[str, Any]) -> Origin:
    """Return what the metadata, the reference and the discounts of an object say.

    The shop has to put UTM parameters and click ids into the metadata itself. ``client_reference_id`` is the shop's own
    id of a click where it sent no other. A promotion code stands there only where it was expanded.
    """
    metadata = mapping(fields.get("metadata"))
    return Origin(
        promo_code=next((code for code in map(_code, _codes(fields, metadata)) if code), None),
        click_id=_click_id(fields, metadata),
        utm_campaign=_plain(metadata, "utm_campaign"),
        utm_source=_plain(metadata, "utm_source"),
        utm_medium=_plain(metadata, "utm_medium"),
        utm_content=_plain(metadata, "utm_content"),
        platform_campaign=_plain(metadata, "utm_id"),
    )


def _plain(metadata: Mapping[str, Any], name: str) -> str | None:
    value = metadata.get(name)
    said = text(unicodedata.normalize("NFKC", value), _LONGEST_NAME) if isinstance(value, str) else None
    return None if said is None or _MACRO.fullmatch(said) else said


def _click_id(fields: Mapping[str, Any], metadata: Mapping[str, Any]) -> str | None:
    """Return a click id with its name; its value is opaque."""
    told = {**metadata, "client_reference_id": fields.get("client_reference_id")}
    if "ScCid" not in told and "sccid" in told:
        told["ScCid"] = told["sccid"]
    for name in (*CLICK_IDS, "client_reference_id"):
        value = text(told.get(name), _LONGEST_CLICK_ID)
        if value is not None and not _MACRO.fullmatch(value):
            return f"{name}:{value}"
    return None


def _codes(fields: Mapping[str, Any], metadata: Mapping[str, Any]) -> list[Any]:
    expanded = [mapping(mapping(one).get("promotion_code")).get("code") for one in items(fields.get("discounts"))]
    return [*expanded, *(metadata.get(name) for name in _PROMO_NAMES)]


def _code(value: Any) -> str | None:
    """Return a code as codes are compared: composed, trimmed and upper-case."""
    said = text(unicodedata.normalize("NFKC", value)) if isinstance(value, str) else None
    return None if said is None or _MACRO.fullmatch(said) else said.upper()[:_LONGEST_NAME]


def hidden_code(fields: Mapping[str, Any]) -> bool:
    """Whether a promotion code was used whose text is not told: only its id is."""
    discounts = [mapping(one).get("promotion_code") for one in items(fields.get("discounts"))]
    return any(isinstance(one, str) and one for one in discounts)
