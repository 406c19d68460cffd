"""What LinkedIn writes, read value by value: URNs, counts, milliseconds, and the little markup of its texts.

Whatever is read here was written by a stranger, so every function takes any JSON value and answers with a value, with
*nothing said* or with the reason of a drop.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from urllib.parse import quote

import msgspec

from connectors.contract import INT64_MAX, BadPayload, DropReason

SKEW = timedelta(minutes=5)
"""How far a sender's clock may be ahead of the receipt."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_OLDEST = datetime(1990, 1, 1, tzinfo=UTC)
_POST = re.compile(r"urn:li:(share|ugcPost):[0-9]{1,25}")
_ORGANISATION = re.compile(r"urn:li:organization(?:Brand)?:[0-9]{1,25}")
_NAME = re.compile(r"[A-Za-z0-9_.-]{1,64}")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
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


# ------------------------------------------------------------------------------------------------ names of things


def post_urn(value: Any) -> str | DropReason:
    """Return the URN of a post, a share or a ugcPost, or why it is none."""
    if value is None or value == "":
        return DropReason.MISSING_ID
    return value if isinstance(value, str) and _POST.fullmatch(value) else DropReason.MALFORMED


def is_post(urn: str) -> bool:
    """Whether a text is the URN of a post."""
    return _POST.fullmatch(urn) is not None


def kind_of(urn: str) -> str:
    """Return ``share`` or ``ugcPost``: statistics are asked for one kind at a time."""
    return urn.split(":")[2]


def organisation(account: str) -> str | None:
    """Return the URN of an organisation that is named by its number or its URN; None for anything else."""
    urn = account if account.startswith("urn:") else f"urn:li:organization:{account}"
    return urn if _ORGANISATION.fullmatch(urn) else None


def encoded(urn: str) -> str:
    """Return a URN as it stands in an address: everything but letters and digits is escaped."""
    return quote(urn, safe="")


def listed(urns: Iterable[str]) -> str:
    """Return URNs as a list of the query language: its parentheses and commas stay as they are."""
    return f"List({','.join(map(encoded, urns))})"


# ------------------------------------------------------------------------------------------------ numbers and times


def count(value: Any) -> int | DropReason | None:
    """Return a count, or why it is none; None is *not reported*."""
    if value is None:
        return None
    if type(value) is not int:
        return DropReason.BAD_NUMBER
    return value if 0 <= value <= INT64_MAX else DropReason.OUT_OF_RANGE


def instant(value: Any, received_at: datetime) -> datetime | DropReason:
    """Return the UTC instant of milliseconds since 1970, or why not."""
    if value is None:
        return DropReason.MISSING_TIME
    try:
        found = _EPOCH + timedelta(milliseconds=value) if type(value) is int else None
    except OverflowError:
        found = None
    if found is None or found < _OLDEST:
        return DropReason.BAD_TIME
    return found if found <= received_at + SKEW else DropReason.FUTURE_TIME


def utc_day(within: Any, received_at: datetime) -> date | DropReason:
    """Return the UTC day that a ``timeRange`` is, or why it is none: from one midnight to the next."""
    fields = mapping(within)
    start = instant(fields.get("start"), received_at)
    end = instant(fields.get("end"), received_at + timedelta(days=1))
    if isinstance(start, DropReason) or isinstance(end, DropReason):
        return start if isinstance(start, DropReason) else DropReason.BAD_TIME
    is_day = start.time() == time() and end - start == timedelta(days=1)
    return start.date() if is_day else DropReason.BAD_TIME


def milliseconds(at: datetime) -> int:
    """Return an instant as LinkedIn writes it."""
    return (at - _EPOCH) // timedelta(milliseconds=1)


# ------------------------------------------------------------------------------------------------ texts

_LONGEST_TAG = 100
_MOST_TAGS = 60
_LONGEST_TEXT = 5000
_HASHTAG = re.compile(r"\{hashtag\|\\?[#\uff03]\|([^{}|]{1,100})\}")
_MENTION = re.compile(r"@\[([^\[\]]{1,300})\]\([^()\s]{1,200}\)")
_ESCAPED = re.compile(r"\\([|{}@\[\]()<>#\\*_~])")
_TAG = re.compile(r"(?<![\w&/\\])[#\uff03]([\w\u200c\u200d]{1,100})")


def hashtags(commentary: str) -> tuple[str, ...]:
    """Return the distinct hashtags of a commentary, composed and lower-case; an escaped sign opens none."""
    plain = unicodedata.normalize("NFC", _HASHTAG.sub(r"#\1 ", commentary[:_LONGEST_TEXT]))
    tags = (tag.lower() for tag in _TAG.findall(plain) if not tag.isdecimal())
    return tuple(dict.fromkeys(tag for tag in tags if len(tag) <= _LONGEST_TAG))[:_MOST_TAGS]


def plain(commentary: str) -> str:
    """Return a commentary as it is read: markup of hashtags and mentions resolved, escapes taken back."""
    without = _MENTION.sub(r"\1", _HASHTAG.sub(r"#\1", commentary[:_LONGEST_TEXT]))
    return _ESCAPED.sub(r"\1", without)
