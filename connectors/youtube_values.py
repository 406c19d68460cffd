"""What YouTube writes, read value by value: counts that come as text, instants with nine decimals, Pacific days.

Every function takes any value and answers with one, with *nothing said* or with the reason of a drop. It knows no
page and no error: see ``connectors.youtube_reading`` and ``connectors.youtube_faults``.
"""

from __future__ import annotations

import re
import unicodedata
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal, InvalidOperation
from typing import Any
from zoneinfo import ZoneInfo

import msgspec

from connectors.contract import INT64_MAX, BadPayload, DropReason, Window, day_window

PACIFIC = "America/Los_Angeles"
"""The zone of YouTube's days, of its reports and of its quota."""
SKEW = timedelta(minutes=5)
"""How far a sender's clock may be ahead of the receipt."""

_ZONE = ZoneInfo(PACIFIC)
_OLDEST = datetime(2005, 2, 14, tzinfo=UTC)  # nothing on YouTube is older than YouTube
_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")
_VIDEO = re.compile(r"[A-Za-z0-9_-]{11}")
_NAME = re.compile(r"[A-Za-z0-9_.-]{1,64}")
_DIGITS = re.compile(r"-?[0-9]{1,19}")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_LETTERS = ("L", "M", "N")


def _exact(text: str) -> Decimal:
    try:
        return Decimal(text)
    except InvalidOperation:  # an exponent that no Decimal holds
        return Decimal("NaN")


_DECODER = msgspec.json.Decoder(float_hook=_exact)


def document(body: bytes) -> dict[str, Any]:
    """Return the JSON object of a body. Raises :class:`BadPayload` for anything else, deep nesting included."""
    try:
        value = _DECODER.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        value = None
    if not isinstance(value, dict):
        raise BadPayload("the body is not a readable JSON object")
    return value


def items(value: Any) -> list[Any]:
    """Return a JSON array, or an empty list for anything else: YouTube leaves an empty one out."""
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


def identifier(value: Any) -> str | DropReason:
    """Return an id as the text it came as, or why it is none. Never a number: ids may look like numbers."""
    if value is None or value == "":
        return DropReason.MISSING_ID
    return value if isinstance(value, str) and _ID.fullmatch(value) else DropReason.MALFORMED


def is_video_id(value: str) -> bool:
    """Whether this can be the id of a video: what cannot is never asked for."""
    return _VIDEO.fullmatch(value) is not None


def count(value: Any) -> int | DropReason | None:
    """Return a count from a number or its digits, or why it is none; None is *not reported*.

    Likes of a day are net of those taken back, so a day may be negative: no count that can be booked.
    """
    if value is None:
        return None
    number = int(value) if isinstance(value, str) and _DIGITS.fullmatch(value) else value
    if type(number) is not int:
        return DropReason.BAD_NUMBER
    return number if 0 <= number <= INT64_MAX else DropReason.OUT_OF_RANGE


def instant(value: Any, received_at: datetime) -> datetime | DropReason:
    """Return the UTC instant of an RFC 3339 text, decimals beyond the sixth cut off, or why it is none."""
    if value is None:
        return DropReason.MISSING_TIME
    try:
        found = datetime.fromisoformat(value) if isinstance(value, str) else None
        found = found.astimezone(UTC) if found is not None and found.tzinfo is not None else None
    except (ValueError, OverflowError):
        found = None
    if found is None or found < _OLDEST:
        return DropReason.BAD_TIME
    return found if found <= received_at + SKEW else DropReason.FUTURE_TIME


# ------------------------------------------------------------------------------------------------ Pacific days


def pacific_date(at: datetime) -> date:
    """Return the Pacific day that an instant lies in."""
    return at.astimezone(_ZONE).date()


def pacific_day(value: Any, received_at: datetime) -> Window | DropReason:
    """Return the window of the Pacific day that a row names, or why it is none."""
    if value is None:
        return DropReason.MISSING_TIME
    try:
        day = date.fromisoformat(value) if isinstance(value, str) else None
    except ValueError:
        day = None
    if day is None or day < _OLDEST.date():
        return DropReason.BAD_TIME
    return day_window(day, PACIFIC) if day <= pacific_date(received_at) else DropReason.FUTURE_TIME


def until_midnight(at: datetime) -> float:
    """Return the seconds until the next Pacific midnight, when the quota of a project begins anew."""
    return max((day_window(pacific_date(at), PACIFIC).end - at).total_seconds(), 1.0)


# ------------------------------------------------------------------------------------------------ hashtags

_TAG = re.compile(r"[#\uff03]([^\s#\uff03]+)")
_JOINERS = "\u200c\u200d"
_LONGEST_TAG = 100
_MOST_TAGS = 60


def hashtags(*texts: str) -> tuple[str, ...]:
    """Return the distinct hashtags of texts in their order, composed (NFC) and lower-case, without the sign.

    A sign inside a word or an address, or after ``&``, opens none.
    """
    found: dict[str, None] = {}
    for one in texts:
        composed = unicodedata.normalize("NFC", one)
        for match in _TAG.finditer(composed):
            before = composed[match.start() - 1] if match.start() else " "
            tag = _leading(match.group(1))
            if tag and len(tag) <= _LONGEST_TAG and not (_is_letter(before) or before in "&/"):
                found[tag.lower()] = None
    return tuple(found)[:_MOST_TAGS]


def _leading(word: str) -> str:
    end = next((index for index, letter in enumerate(word) if not _is_letter(letter)), len(word))
    return word[:end]


def _is_letter(letter: str) -> bool:
    return letter in _JOINERS or unicodedata.category(letter).startswith(_LETTERS) or letter == "_"
