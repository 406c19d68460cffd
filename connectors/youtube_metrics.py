"""YouTube's metrics as data: which number of which answer becomes which key, and which are asked for.

Reading and asking both go by these tables; the decisions behind them are in ``connectors.youtube``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from connectors import values
from connectors.contract import Kind, Quality, SubjectType
from connectors.rules import Answers, Rule, Rules, checked, left_out

_MINUTE = 60_000  # in milliseconds
_ESTIMATED = (Quality.ESTIMATED,)
_REPORTS = "analytics"
_CHANNEL = "channel"


def _checked(key: str, scope: str, note: str = "") -> Rule:
    return checked(key, scope=scope, kind=Kind.PERIOD, note=note)


def _of_day(key: str, **more: Any) -> Rule:
    return Rule(keys=(key,), kind=Kind.PERIOD, **more)


VIDEO: Rules = {
    "viewCount": Rule(
        keys=("views",),
        note="from 2026-08-24 on every format counts as playback begins: a step; spam audits take views back",
    ),
    "likeCount": Rule(keys=("likes",), note="missing where ratings are hidden"),
    "commentCount": Rule(keys=("comments",), note="missing where comments are off"),
    "dislikeCount": left_out("shown to nobody since 2021"),
    "favoriteCount": left_out("retired, always 0"),
}
SUBSCRIBERS = "subscriberCount"
CHANNEL: Rules = {
    SUBSCRIBERS: Rule(keys=("followers",), kind=Kind.LEVEL, note="rounded to three digits from 1,000 on"),
    "viewCount": checked("views", scope=_CHANNEL, note="of all videos together"),
    "videoCount": left_out("no measure of a campaign"),
}
_ROUNDED: Rules = {**CHANNEL, SUBSCRIBERS: msgspec.structs.replace(CHANNEL[SUBSCRIBERS], quality=_ESTIMATED)}
_EXACT_BELOW = 1000  # from here on the number of subscribers is rounded to three digits


def channel_of(counters: Mapping[str, Any]) -> Rules:
    """Return the rules of a channel with these numbers."""
    subscribers = values.written_count(counters.get(SUBSCRIBERS))
    return _ROUNDED if isinstance(subscribers, int) and subscribers >= _EXACT_BELOW else CHANNEL


_UNASKED: Rules = {
    "engagedViews": left_out("the views of a Short by the rule before 2025-03-31, beside those of today"),
    "averageViewDuration": left_out("a mean, which no sum can be made of"),
    "averageViewPercentage": left_out("a mean, which no sum can be made of"),
    "dislikes": left_out("no key: a dislike is no engagement of the four"),
    "annotationClicks": left_out("annotations ended in 2019"),
    "estimatedRevenue": left_out("what the channel earns, no value of a conversion"),
    "videoThumbnailImpressions": left_out("thumbnails shown are not the content: impressions stay unknown"),
    "videoThumbnailImpressionsClickRate": left_out("a rate of thumbnails, which no sum can be made of"),
}
VIDEO_DAYS: Rules = {
    "views": _checked("views", _REPORTS, "counted and filtered another way than the counter"),
    "likes": _checked("likes", _REPORTS, "net of those taken back; a negative day is left out"),
    "comments": _checked("comments", _REPORTS),
    "shares": _of_day("shares"),
    "estimatedMinutesWatched": _of_day("watch_time", factor=_MINUTE, quality=_ESTIMATED, note="whole minutes"),
    "videosAddedToPlaylists": _of_day("saves", note="into any playlist, Watch later among them"),
    "cardClicks": _of_day("clicks_all", note="a card may lead to another video"),
    "subscribersGained": left_out("the channel's days count new subscribers"),
    "subscribersLost": left_out("the channel's days count lost subscribers"),
    **_UNASKED,
}
CHANNEL_DAYS: Rules = {
    "subscribersGained": _of_day("followers_gained"),
    "subscribersLost": _of_day("followers_lost"),
    "views": _checked("views", _CHANNEL),
    "likes": _checked("likes", _CHANNEL),
    "comments": _checked("comments", _CHANNEL),
    "shares": _checked("shares", _CHANNEL),
    "estimatedMinutesWatched": _of_day(
        "watch_time", scope=_CHANNEL, check=True, factor=_MINUTE, quality=_ESTIMATED, note="whole minutes"
    ),
    "videosAddedToPlaylists": _checked("saves", _CHANNEL),
    "cardClicks": _checked("clicks_all", _CHANNEL),
    **_UNASKED,
}

_VIDEOS = (SubjectType.VIDEO,)
_PROFILE = (SubjectType.PROFILE,)
ANSWERS: Answers = (
    ("videos", VIDEO, _VIDEOS),
    ("channel", _ROUNDED, _PROFILE),
    ("video_days", VIDEO_DAYS, _VIDEOS),
    ("channel_days", CHANNEL_DAYS, _PROFILE),
)

LAST_RESORT = frozenset(
    {"views", "likes", "comments", "shares", "estimatedMinutesWatched", "subscribersGained", "subscribersLost"}
)
"""What every report of days has answered since there are reports: asked for where a refusal names no metric."""
