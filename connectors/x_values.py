"""What X alone writes, read value by value: ids with a twin in text, times in ids, two generations of everything.

Posts and tweets, reposts and retweets, numbers with and without a twin in text (``like_count_str``): both are read.
What is read the same everywhere is in ``connectors.values``.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any

from connectors import hashtags, origin, values
from connectors.contract import DropReason
from connectors.hashtags import Hashtags

_TAGS = Hashtags(joiners="", numbers=False)

_FIRST_MILLISECOND = 1_288_834_974_657  # the time within an id counts from here
_SEQUENCE_BITS = 22
_SMALLEST_TIMED_ID = 1 << 40  # ids from before 2010-11 were counted and hold no time
_MOST_EXACT = 2**53  # above this a JSON number has been rounded somewhere on its way
_ID = re.compile(r"[0-9]{1,20}")
_MEDIA_KEY = re.compile(r"[0-9]{1,3}_[0-9]{1,20}")
_DIGITS = re.compile(r"[0-9]{1,19}")
_V1_TIME = re.compile(r"[A-Z][a-z]{2} ([A-Z][a-z]{2}) ([0-9]{2}) ([0-9:]{8}) \+0000 ([0-9]{4})")
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


# ------------------------------------------------------------------------------------------------ ids and times


def identifier(fields: Mapping[str, Any], name: str = "id") -> str | DropReason:
    """Return an id as text, or why it is none. The twin in text goes first; a number that was rounded is no id."""
    value = fields.get(f"{name}_str", fields.get(name))
    if type(value) is int:
        return str(value) if 0 < value < _MOST_EXACT else DropReason.MALFORMED
    return values.identifier(value, _ID)


def known_id(fields: Mapping[str, Any], *names: str) -> str | None:
    """Return the first of the named ids (``id`` where none is named) that is one; None where none is."""
    found = (values.known(identifier(fields, name)) for name in names or ("id",))
    return next((one for one in found if one is not None), None)


def media_key(value: Any) -> str | DropReason:
    """Return the key of a media, or why it is none."""
    return values.identifier(value, _MEDIA_KEY)


def time_in(identifier_text: str, received_at: datetime) -> datetime | None:
    """Return the instant that an id (or the id within a media key) was made at; None where it holds none."""
    number = int(identifier_text.rpartition("_")[2])
    if number < _SMALLEST_TIMED_ID:
        return None
    found = values.EPOCH + timedelta(milliseconds=(number >> _SEQUENCE_BITS) + _FIRST_MILLISECOND)
    return found if found <= received_at + values.SKEW else None


def instant(value: Any, received_at: datetime) -> datetime | DropReason:
    """Return the UTC instant of an ISO 8601 time, of the older form or of milliseconds in text, or why not."""
    return values.instant(value, received_at, _moment)


def _moment(value: Any) -> datetime | None:
    if not isinstance(value, str):
        return None
    if _DIGITS.fullmatch(value):
        return values.of_milliseconds(int(value))
    older = _V1_TIME.fullmatch(value)
    if older is not None:
        month, day, clock, year = older.groups()
        value = f"{year}-{_MONTHS.index(month) + 1:02}-{day}T{clock}+00:00"
    return values.zoned(value)


# ------------------------------------------------------------------------------------------------ what a text says


def named_tags(tags: Iterable[Any]) -> tuple[str, ...]:
    """Return the distinct hashtags that the platform itself has found."""
    told = (values.mapping(tag) for tag in tags)
    texts = (values.text(tag.get("tag", tag.get("text")), hashtags.LONGEST) for tag in told)
    return hashtags.named(one for one in texts if one)


def tags_in(said: str) -> tuple[str, ...]:
    """Return the distinct hashtags of a text, where the platform names none itself."""
    return _TAGS.within(said)


def campaign_of(urls: Iterable[Any]) -> dict[str, str | None]:
    """Return the marks of the first link that names a campaign; links that cannot be read name none."""
    for url in map(values.mapping, urls):
        place = origin.of_link(url.get("unwound_url", url.get("expanded_url")))
        if "utm_campaign" in place:
            return origin.marks(place)
    return {}
