"""What LinkedIn alone writes, read value by value: URNs, its query language, and the little markup of its texts.

What is read the same everywhere is in ``connectors.values``.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import date, datetime, time, timedelta
from typing import Any
from urllib.parse import quote

from connectors import values
from connectors.contract import DropReason
from connectors.hashtags import Hashtags

_POST = re.compile(r"urn:li:(share|ugcPost):[0-9]{1,25}")
_ORGANISATION = re.compile(r"urn:li:organization(?:Brand)?:[0-9]{1,25}")


# ------------------------------------------------------------------------------------------------ names of things


def post_urn(value: Any) -> str | DropReason:
    """Return the URN of a post, a share or a ugcPost, or why it is none."""
    return values.identifier(value, _POST)


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


# ------------------------------------------------------------------------------------------------ times


def instant(value: Any, received_at: datetime) -> datetime | DropReason:
    """Return the UTC instant of milliseconds since 1970, or why not."""
    return values.instant(value, received_at, values.of_milliseconds)


def utc_day(within: Any, received_at: datetime) -> date | DropReason:
    """Return the UTC day that a ``timeRange`` is, or why it is none: from one midnight to the next."""
    fields = values.mapping(within)
    start = instant(fields.get("start"), received_at)
    end = instant(fields.get("end"), received_at + timedelta(days=1))
    if isinstance(start, DropReason) or isinstance(end, DropReason):
        return start if isinstance(start, DropReason) else DropReason.BAD_TIME
    is_day = start.time() == time() and end - start == timedelta(days=1)
    return start.date() if is_day else DropReason.BAD_TIME


def milliseconds(at: datetime) -> int:
    """Return an instant as LinkedIn writes it."""
    return (at - values.EPOCH) // timedelta(milliseconds=1)


# ------------------------------------------------------------------------------------------------ texts

_TAGS = Hashtags(shut="&/\\", numbers=False)
_LONGEST_TEXT = 5000
_HASHTAG = re.compile(r"\{hashtag\|\\?[#\uff03]\|([^{}|]{1,100})\}")
_MENTION = re.compile(r"@\[([^\[\]]{1,300})\]\([^()\s]{1,200}\)")
_ESCAPED = re.compile(r"\\([|{}@\[\]()<>#\\*_~])")


def hashtags(commentary: str) -> tuple[str, ...]:
    """Return the hashtags of a commentary; an escaped sign opens none."""
    return _TAGS.within(_HASHTAG.sub(r"#\1 ", commentary[:_LONGEST_TEXT]))


def plain(commentary: str) -> str:
    """Return a commentary as it is read: markup of hashtags and mentions resolved, escapes taken back."""
    without = _MENTION.sub(r"\1", _HASHTAG.sub(r"#\1", commentary[:_LONGEST_TEXT]))
    return _ESCAPED.sub(r"\1", without)
