"""What X writes, read value by value: ids, counts, instants, hashtags, campaign parameters of links, times in ids.

Whatever is read here was written by a stranger, so every function takes any JSON value and answers with a value, with
*nothing said* or with the reason of a drop. Two generations of the API are in use: posts and tweets, reposts and
retweets, numbers with and without a twin in text (``like_count_str``). Both are read.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import msgspec

from connectors.contract import INT64_MAX, BadPayload, DropReason

SKEW = timedelta(minutes=5)
"""How far a sender's clock may be ahead of the receipt."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_OLDEST = datetime(1990, 1, 1, tzinfo=UTC)
_FIRST_MILLISECOND = 1_288_834_974_657  # the time within an id counts from here
_SEQUENCE_BITS = 22
_SMALLEST_TIMED_ID = 1 << 40  # ids from before 2010-11 were counted and hold no time
_MOST_EXACT = 2**53  # above this a JSON number has been rounded somewhere on its way
_ID = re.compile(r"[0-9]{1,20}")
_MEDIA_KEY = re.compile(r"[0-9]{1,3}_[0-9]{1,20}")
_NAME = re.compile(r"[A-Za-z0-9_.-]{1,64}")
_DIGITS = re.compile(r"[0-9]{1,19}")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_V1_TIME = re.compile(r"[A-Z][a-z]{2} ([A-Z][a-z]{2}) ([0-9]{2}) ([0-9:]{8}) \+0000 ([0-9]{4})")
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_DECODER = msgspec.json.Decoder(float_hook=float)


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


# ------------------------------------------------------------------------------------------------ ids and times


def identifier(fields: Mapping[str, Any], name: str = "id") -> str | DropReason:
    """Return an id as text, or why it is none. The twin in text goes first; a number that was rounded is no id."""
    value = fields.get(f"{name}_str", fields.get(name))
    if value is None or value == "":
        return DropReason.MISSING_ID
    if type(value) is int:
        return str(value) if 0 < value < _MOST_EXACT else DropReason.MALFORMED
    return value if isinstance(value, str) and _ID.fullmatch(value) else DropReason.MALFORMED


def known_id(fields: Mapping[str, Any], *names: str) -> str | None:
    """Return the first of the named ids (``id`` where none is named) that is one; None where none is."""
    found = (identifier(fields, name) for name in names or ("id",))
    return next((one for one in found if not isinstance(one, DropReason)), None)


def media_key(value: Any) -> str | DropReason:
    """Return the key of a media, or why it is none."""
    if value is None or value == "":
        return DropReason.MISSING_ID
    return value if isinstance(value, str) and _MEDIA_KEY.fullmatch(value) else DropReason.MALFORMED


def time_in(identifier_text: str, received_at: datetime) -> datetime | None:
    """Return the instant that an id (or the id within a media key) was made at; None where it holds none."""
    number = int(identifier_text.rpartition("_")[2])
    if number < _SMALLEST_TIMED_ID:
        return None
    found = _EPOCH + timedelta(milliseconds=(number >> _SEQUENCE_BITS) + _FIRST_MILLISECOND)
    return found if found <= received_at + SKEW else None


def instant(value: Any, received_at: datetime) -> datetime | DropReason:
    """Return the UTC instant of an ISO 8601 time, of the older form or of milliseconds in text, or why not."""
    if value is None:
        return DropReason.MISSING_TIME
    try:
        found = _moment(value) if isinstance(value, str) else None
    except (ValueError, OverflowError):
        found = None
    if found is None or found < _OLDEST:
        return DropReason.BAD_TIME
    return found if found <= received_at + SKEW else DropReason.FUTURE_TIME


def _moment(value: str) -> datetime | None:
    if _DIGITS.fullmatch(value):
        return _EPOCH + timedelta(milliseconds=int(value))
    older = _V1_TIME.fullmatch(value)
    if older is not None:
        month, day, clock, year = older.groups()
        value = f"{year}-{_MONTHS.index(month) + 1:02}-{day}T{clock}+00:00"
    found = datetime.fromisoformat(value)
    return found.astimezone(UTC) if found.tzinfo is not None else None


def count(value: Any) -> int | DropReason | None:
    """Return a count, given as a number or in text, or why it is none; None is *not reported*."""
    if value is None:
        return None
    if isinstance(value, str) and _DIGITS.fullmatch(value):
        value = int(value)
    if type(value) is not int:
        return DropReason.BAD_NUMBER
    return value if 0 <= value <= INT64_MAX else DropReason.OUT_OF_RANGE


# ------------------------------------------------------------------------------------------------ what a text says

_TAG_CATEGORIES = frozenset({"Ll", "Lu", "Lt", "Lm", "Lo", "Mn", "Mc", "Me", "Nd", "Nl", "No", "Pc"})
_TAG = re.compile(r"[#\uff03]([^\s#\uff03]+)")
_LONGEST_TAG = 100
_MOST_TAGS = 60


def named_tags(tags: Iterable[Any]) -> tuple[str, ...]:
    """Return the distinct hashtags that the platform itself has found, composed and lower-case."""
    told = (mapping(tag) for tag in tags)
    texts = (text(tag.get("tag", tag.get("text")), _LONGEST_TAG) for tag in told)
    return tuple(dict.fromkeys(unicodedata.normalize("NFC", one).lower() for one in texts if one))[:_MOST_TAGS]


def tags_in(said: str) -> tuple[str, ...]:
    """Return the distinct hashtags of a text, where the platform names none itself.

    A sign inside a word or after ``&`` or ``/`` opens none, and digits alone are none, as on X.
    """
    found: dict[str, None] = {}
    composed = unicodedata.normalize("NFC", said)
    for match in _TAG.finditer(composed):
        before = composed[match.start() - 1] if match.start() else " "
        tag = _leading(match.group(1))
        if tag and not tag.isdecimal() and len(tag) <= _LONGEST_TAG and not _is_inside(before):
            found[tag.lower()] = None
    return tuple(found)[:_MOST_TAGS]


def _leading(word: str) -> str:
    end = next((index for index, letter in enumerate(word) if not _is_tag_letter(letter)), len(word))
    return word[:end]


def _is_tag_letter(letter: str) -> bool:
    return unicodedata.category(letter) in _TAG_CATEGORIES


def _is_inside(before: str) -> bool:
    return before in "&/" or _is_tag_letter(before)


_UTM = ("utm_campaign", "utm_source", "utm_medium")
_LONGEST_UTM = 200


def campaign_of(urls: Iterable[Any]) -> dict[str, str]:
    """Return the UTM parameters of the first link that names a campaign; links that cannot be read are none."""
    for url in map(mapping, urls):
        address = url.get("unwound_url", url.get("expanded_url"))
        named = _parameters(address) if isinstance(address, str) else {}
        if "utm_campaign" in named:
            return named
    return {}


def _parameters(address: str) -> dict[str, str]:
    try:
        pairs = parse_qsl(urlsplit(address).query, max_num_fields=100)
    except ValueError:
        return {}
    return {name: cut for name, value in pairs if name in _UTM and (cut := text(value, _LONGEST_UTM))}
