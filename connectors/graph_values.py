"""What Meta's Graph API writes, read value by value: ids, counts, instants, hashtags and Pacific days.

Whatever is read here was written by a stranger, so every function takes any JSON value and answers with a value, with
*nothing said* or with the reason of a drop. It knows no error, no page and no platform: see ``connectors.graph``.
"""

from __future__ import annotations

import re
import unicodedata
from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from urllib.parse import parse_qsl, urlsplit
from zoneinfo import ZoneInfo

import msgspec

from connectors.contract import INT64_MAX, BadPayload, DropReason

PACIFIC = "America/Los_Angeles"
"""The zone whose days Meta's daily buckets are."""
SKEW = timedelta(minutes=5)
"""How far a sender's clock may be ahead of the receipt."""

_ZONE = ZoneInfo(PACIFIC)
_HOUR = timedelta(hours=1)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_OLDEST = datetime(1990, 1, 1, tzinfo=UTC)
_MILLISECONDS_FROM = 10**11  # as seconds this is the year 5138
_ID = re.compile(r"[A-Za-z0-9_:-]{1,256}")
_NAME = re.compile(r"[A-Za-z0-9_.-]{1,64}")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
# A float keeps what is no integer recognisable (1e400 is infinity) where the default would refuse the whole body.
_DECODER = msgspec.json.Decoder(float_hook=float)


def decode(body: bytes) -> Any:
    """Return the JSON value of a body. Raises :class:`BadPayload` for anything else, deep nesting included."""
    try:
        return _DECODER.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        problem = "the body is not readable JSON"
    raise BadPayload(problem)


def document(body: bytes) -> dict[str, Any]:
    """Return the JSON object of a body. Raises :class:`BadPayload`."""
    value = decode(body)
    if not isinstance(value, dict):
        raise BadPayload("the body is not a JSON object")
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
    """Return a name of a field or metric fit for a drop: a name in a body may be anything."""
    return name if isinstance(name, str) and _NAME.fullmatch(name) else "a name that is none"


def identifier(value: Any) -> str | DropReason:
    """Return an id as the text it came as, or why it is none. Never a number: leading zeros are part of an id."""
    if value is None or value == "":
        return DropReason.MISSING_ID
    return value if isinstance(value, str) and _ID.fullmatch(value) else DropReason.MALFORMED


def count(value: Any) -> int | DropReason | None:
    """Return a count, or why it is none; None is *not reported*, which Meta also writes as -1."""
    if value is None or (type(value) is int and value == -1):
        return None
    if type(value) is not int:
        return DropReason.BAD_NUMBER
    return value if 0 <= value <= INT64_MAX else DropReason.OUT_OF_RANGE


def instant(value: Any, received_at: datetime) -> datetime | DropReason:
    """Return the UTC instant of ``2026-07-04T19:50:58+0000``, of Unix seconds or of Unix milliseconds, or why not."""
    if value is None:
        return DropReason.MISSING_TIME
    try:
        found = _moment(value)
    except (ValueError, OverflowError):
        found = None
    if found is None or found < _OLDEST:
        return DropReason.BAD_TIME
    return found if found <= received_at + SKEW else DropReason.FUTURE_TIME


def _moment(value: Any) -> datetime | None:
    if type(value) is int:
        return _EPOCH + timedelta(milliseconds=value if value >= _MILLISECONDS_FROM else value * 1000)
    if not isinstance(value, str):
        return None
    found = datetime.fromisoformat(value)
    return found.astimezone(UTC) if found.tzinfo is not None else None


def link_marks(url: Any) -> dict[str, str]:
    """Return what a link says of its campaign: its ``utm_*`` parameters; empty for anything else."""
    try:
        query = parse_qsl(urlsplit(url).query, max_num_fields=_MOST_PARAMETERS) if isinstance(url, str) else []
    except ValueError:
        return {}
    found = {name: (text(value, 200) or "").strip() for name, value in query if name in _MARKS}
    return {name: value for name, value in found.items() if value and value.isprintable()}


_MARKS = frozenset({"utm_campaign", "utm_source", "utm_medium"})
_MOST_PARAMETERS = 100

_TAG_CATEGORIES = frozenset({"Ll", "Lu", "Lt", "Lm", "Lo", "Mn", "Mc", "Me", "Nd", "Nl", "No", "Pc", "So"})
_JOINERS = "\u200c\u200d\U0001f3fb\U0001f3fc\U0001f3fd\U0001f3fe\U0001f3ff"  # inside scripts and emoji
_HASHES = "#\uff03"
_LONGEST_TAG = 100
_MOST_TAGS = 60


def hashtags(caption: str) -> tuple[str, ...]:
    """Return the distinct hashtags of a caption in their order, composed (NFC) and lower-case, without the sign.

    Letters, marks, digits, connectors and emoji of every script belong to a tag. A sign inside a word or after ``&``
    opens none (addresses, entities), a sign right after a tag opens the next.
    """
    found: dict[str, None] = {}
    for word in re.split(r"\s+", unicodedata.normalize("NFC", caption)):
        rest = word
        while rest:
            before, tag, rest = _next_tag(rest)
            inside = before != "" and (_is_tag_character(before[-1]) or before[-1] == "&")
            if tag and not inside and len(tag) <= _LONGEST_TAG:
                found[tag.lower()] = None
    return tuple(found)[:_MOST_TAGS]


def _next_tag(word: str) -> tuple[str, str, str]:
    """Split a word into what stands before its first hash sign, the tag after it and the rest."""
    start = next((index for index, character in enumerate(word) if character in _HASHES), len(word))
    end = start + 1
    while end < len(word) and _is_tag_character(word[end]):
        end += 1
    return word[:start], word[start + 1 : end], word[end:]


def _is_tag_character(character: str) -> bool:
    return unicodedata.category(character) in _TAG_CATEGORIES or character in _JOINERS


# ------------------------------------------------------------------------------------------------ Pacific days


def pacific_date(at: datetime) -> date:
    """Return the Pacific day that an instant lies in."""
    return at.astimezone(_ZONE).date()


def pacific_day(end_time: datetime) -> date | None:
    """Return the day of a bucket that ends at ``end_time``: the Pacific date of its end, minus one.

    A bucket ends at Pacific midnight, 07:00Z in summer and 08:00Z in winter. An end one hour beside it (the other
    season's midnight, as it may come around the change of the clocks) is the same midnight; any other end is None.
    """
    local = (end_time.astimezone(UTC) + _HOUR).astimezone(_ZONE)
    midnight = datetime.combine(local.date(), time(), _ZONE).astimezone(UTC)
    return local.date() - timedelta(days=1) if abs(end_time - midnight) <= _HOUR else None
