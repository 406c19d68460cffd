"""What Meta's Graph API alone writes, read value by value: ids, counts, instants, Pacific days.

What is read the same everywhere is in ``connectors.values``. It knows no error, no page and no platform: see
``connectors.graph``.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from connectors import values
from connectors.contract import DropReason, Window, day_window
from connectors.hashtags import EMOJI, EMOJI_JOINERS, LETTERS, Hashtags
from connectors.values import Number

PACIFIC = "America/Los_Angeles"
"""The zone whose days Meta's daily buckets are."""
TAGS = Hashtags(letters=(*LETTERS, EMOJI), joiners=EMOJI_JOINERS, shut="&", chained=True)
"""Emoji of every make belong to a tag, and a sign right after a tag opens the next."""

_ZONE = ZoneInfo(PACIFIC)
_HOUR = timedelta(hours=1)
_MILLISECONDS_FROM = 10**11  # as seconds this is the year 5138
_ID = re.compile(r"[A-Za-z0-9_:-]{1,256}")


def identifier(value: Any) -> str | DropReason:
    """Return an id as the text it came as, or why it is none."""
    return values.identifier(value, _ID)


def count(value: Any, factor: int = 1) -> Number:
    """Return a count, or why it is none; None is *not reported*, which Meta also writes as -1."""
    return None if type(value) is int and value == -1 else values.count(value, factor)


def summed(parts: Iterable[Any], whole: Any) -> Any:
    """Return the sum of counts, None where none is reported; ``whole``, which is no count, where one is none."""
    numbers = [count(part) for part in parts]
    if any(isinstance(number, DropReason) for number in numbers):
        return whole
    known = [number for number in numbers if isinstance(number, int)]
    return sum(known) if known else None


def instant(value: Any, received_at: datetime) -> datetime | DropReason:
    """Return the UTC instant of ``2026-07-04T19:50:58+0000``, of Unix seconds or of Unix milliseconds, or why not."""
    return values.instant(value, received_at, _moment)


def _moment(value: Any) -> datetime | None:
    if type(value) is int:
        return values.of_milliseconds(value if value >= _MILLISECONDS_FROM else value * 1000)
    return values.zoned(value)


# ------------------------------------------------------------------------------------------------ Pacific days


def pacific(day: date) -> Window:
    """Return the window of a Pacific day."""
    return day_window(day, PACIFIC)


def pacific_day(end_time: datetime) -> date | None:
    """Return the day of a bucket that ends at ``end_time``: the Pacific date of its end, minus one.

    A bucket ends at Pacific midnight, 07:00Z in summer and 08:00Z in winter. An end one hour beside it (the other
    season's midnight, as it may come around the change of the clocks) is the same midnight; any other end is None.
    """
    local = (end_time.astimezone(UTC) + _HOUR).astimezone(_ZONE)
    midnight = datetime.combine(local.date(), time(), _ZONE).astimezone(UTC)
    return local.date() - timedelta(days=1) if abs(end_time - midnight) <= _HOUR else None
