"""What YouTube alone writes, read value by value: ids of videos and channels, Pacific days.

Every function takes any value and answers with one, with *nothing said* or with the reason of a drop; what is read the
same everywhere is in ``connectors.values``.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Any

from connectors import values
from connectors.contract import DropReason, Window, day_window
from connectors.hashtags import Hashtags

PACIFIC = "America/Los_Angeles"
"""The zone of YouTube's days, of its reports and of its quota."""
TAGS = Hashtags()

_OLDEST = datetime(2005, 2, 14, tzinfo=UTC)  # nothing on YouTube is older than YouTube
_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")
_VIDEO = re.compile(r"[A-Za-z0-9_-]{11}")


def identifier(value: Any) -> str | DropReason:
    """Return an id as the text it came as, or why it is none."""
    return values.identifier(value, _ID)


def is_video_id(value: str) -> bool:
    """Whether this can be the id of a video: what cannot is never asked for."""
    return _VIDEO.fullmatch(value) is not None


def instant(value: Any, received_at: datetime) -> datetime | DropReason:
    """Return the UTC instant of an RFC 3339 text, which may have nine decimals, or why it is none."""
    return values.instant(value, received_at, oldest=_OLDEST)


def pacific_day(value: Any, received_at: datetime) -> Window | DropReason:
    """Return the window of the Pacific day that a row names, or why it is none."""
    return values.day(value, PACIFIC, received_at, _OLDEST)


def until_midnight(at: datetime) -> float:
    """Return the seconds until the next Pacific midnight, when the quota of a project begins anew."""
    return max((day_window(values.date_in(PACIFIC, at), PACIFIC).end - at).total_seconds(), 1.0)
