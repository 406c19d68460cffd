"""What TikTok writes, read value by value: numbers that come as numbers or as text, ids of nineteen digits, UTC days.

Every function takes any value and answers with one, with *nothing said* or with the reason of a drop. It knows no
page and no error: see ``connectors.tiktok_reading`` and ``connectors.tiktok_faults``.
"""

from __future__ import annotations

import re
import unicodedata
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal, InvalidOperation
from typing import Any
from urllib.parse import urlsplit

import msgspec

from connectors.contract import INT64_MAX, BadPayload, DropReason, Window, day_window

SKEW = timedelta(minutes=5)
"""How far a sender's clock may be ahead of the receipt."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_OLDEST = datetime(2014, 1, 1, tzinfo=UTC)  # older than the app and what it grew out of
_LONGEST_SECONDS = 12
_NUMERIC_ID = re.compile(r"[0-9]{1,20}")
_ID = re.compile(r"[A-Za-z0-9_.:-]{1,128}")
_NAME = re.compile(r"[A-Za-z0-9_.-]{1,64}")
_NUMBER = re.compile(r"-?[0-9]{1,19}(\.[0-9]{1,9})?")
_DIGITS = re.compile(r"[0-9]{1,19}")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_LETTERS = ("L", "M", "N", "So")
_MOST_DIGITS = 19


def _exact(text: str) -> Decimal:
    try:
        return Decimal(text)
    except InvalidOperation:  # an exponent that no Decimal holds
        return Decimal("NaN")


# Integers of any length stay exact: a float would change the last digits of an id.
_DECODER = msgspec.json.Decoder(float_hook=_exact)


def document(body: bytes | str) -> dict[str, Any]:
    """Return the JSON object of a body. Raises :class:`BadPayload` for anything else, deep nesting included."""
    try:
        value = _DECODER.decode(body)
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        value = None
    if not isinstance(value, dict):
        raise BadPayload("the body is not a readable JSON object")
    return value


def items(value: Any) -> list[Any]:
    """Return a JSON array, or an empty list for anything else."""
    return value if isinstance(value, list) else []


def mapping(value: Any) -> dict[str, Any]:
    """Return a JSON object, or an empty one for anything else."""
    return value if isinstance(value, dict) else {}


def text(value: Any, longest: int = 1000) -> str | None:
    """Return a text without control characters, cut at ``longest``; None for anything else."""
    return _CONTROL.sub(" ", value)[:longest] if isinstance(value, str) else None


def shown(name: Any) -> str:
    """Return a name fit for a drop or an error: a name in a body may be anything."""
    return name if isinstance(name, str) and _NAME.fullmatch(name) else "a name that is none"


def post_id(value: Any) -> str | DropReason:
    """Return the id of a post as text, or why it is none. Webhooks write it as a number of nineteen digits."""
    if value is None or value == "":
        return DropReason.MISSING_ID
    found = str(value) if type(value) is int and 0 < value <= 10**_MOST_DIGITS else value
    return found if isinstance(found, str) and _NUMERIC_ID.fullmatch(found) else DropReason.MALFORMED


def account_id(value: Any) -> str | DropReason:
    """Return the id of an account of one app, or why it is none."""
    if value is None or value == "":
        return DropReason.MISSING_ID
    return value if isinstance(value, str) and _ID.fullmatch(value) else DropReason.MALFORMED


def number(value: Any, factor: int = 1) -> int | DropReason | None:
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
    if value is None or value == "":
        return DropReason.MISSING_TIME
    found = int(value) if isinstance(value, str) and _DIGITS.fullmatch(value) else value
    if type(found) is not int or not 0 <= found < 10**_LONGEST_SECONDS:
        return DropReason.BAD_TIME
    try:
        at = _EPOCH + timedelta(seconds=found)
    except OverflowError:
        return DropReason.BAD_TIME
    if at < _OLDEST:
        return DropReason.BAD_TIME
    return at if at <= received_at + SKEW else DropReason.FUTURE_TIME


def position(value: Any) -> int | None:
    """Return the cursor of a listing, milliseconds as a number or its digits; None for anything else."""
    found = int(value) if isinstance(value, str) and _DIGITS.fullmatch(value) else value
    return found if type(found) is int and 0 < found <= INT64_MAX else None


def utc_day(value: Any, received_at: datetime) -> Window | DropReason:
    """Return the window of the UTC day that a row names, or why it is none."""
    if value is None:
        return DropReason.MISSING_TIME
    try:
        day = date.fromisoformat(value) if isinstance(value, str) else None
    except ValueError:
        day = None
    if day is None or day < _OLDEST.date():
        return DropReason.BAD_TIME
    return day_window(day, "UTC") if day <= received_at.astimezone(UTC).date() else DropReason.FUTURE_TIME


def address(value: Any) -> str | None:
    """Return the address of a post without its query, which names who shared it and ends; None for what is none."""
    found = text(value)
    try:
        parts = urlsplit(found or "")
    except ValueError:
        return None
    return parts._replace(query="", fragment="").geturl() if parts.scheme == "https" and parts.netloc else None


# ------------------------------------------------------------------------------------------------ hashtags

_TAG = re.compile(r"[#\uff03]([^\s#\uff03]+)")
_JOINERS = "\u200c\u200d"
_LONGEST_TAG = 100
_MOST_TAGS = 60


def hashtags(caption: str) -> tuple[str, ...]:
    """Return the distinct hashtags of a caption in their order, composed (NFC) and lower-case, without the sign.

    A sign inside a word or an address, or after ``&``, opens none.
    """
    composed = unicodedata.normalize("NFC", caption)
    found: dict[str, None] = {}
    for match in _TAG.finditer(composed):
        before = composed[match.start() - 1] if match.start() else " "
        tag = _leading(match.group(1))
        # TikTok runs tags together (#one#two), so a tag may begin where another one ends.
        inside = before in "&/" or (_is_letter(before) and not _ends_tag(composed, match.start()))
        if tag and len(tag) <= _LONGEST_TAG and not inside:
            found[tag.lower()] = None
    return tuple(found)[:_MOST_TAGS]


def _ends_tag(caption: str, end: int) -> bool:
    """Whether the word that stands before ``end`` is a hashtag itself."""
    begin = end
    while begin and _is_letter(caption[begin - 1]):
        begin -= 1
    return begin > 0 and caption[begin - 1] in "#\uff03"


def _leading(word: str) -> str:
    end = next((index for index, letter in enumerate(word) if not _is_letter(letter)), len(word))
    return word[:end]


def _is_letter(letter: str) -> bool:
    return letter in _JOINERS or unicodedata.category(letter).startswith(_LETTERS) or letter == "_"
