"""YouTube's metrics as data: which number of which answer becomes which key, and which are asked for.

Reading and asking both go by these tables; the decisions behind them are in ``connectors.youtube``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import msgspec

from connectors.contract import Kind, MetricMapping, Quality, SubjectType


class Rule(msgspec.Struct, frozen=True, kw_only=True):
    """What becomes of one number of one answer: its key, none with the reason in ``note``.

    ``factor`` is what one unit on the wire is in units of the key.
    """

    key: str | None = None
    kind: Kind = Kind.PERIOD
    scope: str = ""
    check: bool = False
    factor: int = 1
    quality: tuple[Quality, ...] = ()
    note: str = ""


Rules = Mapping[str, Rule]
_MINUTE = 60_000  # in milliseconds
_ESTIMATED = (Quality.ESTIMATED,)
_REPORTS = "analytics"
_CHANNEL = "channel"


def _left_out(note: str) -> Rule:
    return Rule(note=note)


def _checked(key: str, scope: str, note: str = "") -> Rule:
    return Rule(key=key, scope=scope, check=True, note=note)


VIDEO: Rules = {
    "viewCount": Rule(
        key="views",
        kind=Kind.LIFETIME,
        note="from 2026-08-24 on every format counts as playback begins: a step; spam audits take views back",
    ),
    "likeCount": Rule(key="likes", kind=Kind.LIFETIME, note="missing where ratings are hidden"),
    "commentCount": Rule(key="comments", kind=Kind.LIFETIME, note="missing where comments are off"),
    "dislikeCount": _left_out("shown to nobody since 2021"),
    "favoriteCount": _left_out("retired, always 0"),
}
CHANNEL: Rules = {
    "subscriberCount": Rule(key="followers", kind=Kind.LEVEL, note="rounded to three digits from 1,000 on"),
    "viewCount": Rule(key="views", kind=Kind.LIFETIME, scope=_CHANNEL, check=True, note="of all videos together"),
    "videoCount": _left_out("no measure of a campaign"),
}
_UNASKED: Rules = {
    "engagedViews": _left_out("the views of a Short by the rule before 2025-03-31, beside those of today"),
    "averageViewDuration": _left_out("a mean, which no sum can be made of"),
    "averageViewPercentage": _left_out("a mean, which no sum can be made of"),
    "dislikes": _left_out("no key: a dislike is no engagement of the four"),
    "annotationClicks": _left_out("annotations ended in 2019"),
    "estimatedRevenue": _left_out("what the channel earns, no value of a conversion"),
    "videoThumbnailImpressions": _left_out("thumbnails shown are not the content: impressions stay unknown"),
    "videoThumbnailImpressionsClickRate": _left_out("a rate of thumbnails, which no sum can be made of"),
}
VIDEO_DAYS: Rules = {
    "views": _checked("views", _REPORTS, "counted and filtered another way than the counter"),
    "likes": _checked("likes", _REPORTS, "net of those taken back; a negative day is left out"),
    "comments": _checked("comments", _REPORTS),
    "shares": Rule(key="shares"),
    "estimatedMinutesWatched": Rule(key="watch_time", factor=_MINUTE, quality=_ESTIMATED, note="whole minutes"),
    "videosAddedToPlaylists": Rule(key="saves", note="into any playlist, Watch later among them"),
    "cardClicks": Rule(key="clicks_all", note="a card may lead to another video"),
    "subscribersGained": _left_out("the channel's days count new subscribers"),
    "subscribersLost": _left_out("the channel's days count lost subscribers"),
    **_UNASKED,
}
CHANNEL_DAYS: Rules = {
    "subscribersGained": Rule(key="followers_gained"),
    "subscribersLost": Rule(key="followers_lost"),
    "views": _checked("views", _CHANNEL),
    "likes": _checked("likes", _CHANNEL),
    "comments": _checked("comments", _CHANNEL),
    "shares": _checked("shares", _CHANNEL),
    "estimatedMinutesWatched": Rule(
        key="watch_time", scope=_CHANNEL, check=True, factor=_MINUTE, quality=_ESTIMATED, note="whole minutes"
    ),
    "videosAddedToPlaylists": _checked("saves", _CHANNEL),
    "cardClicks": _checked("clicks_all", _CHANNEL),
    **_UNASKED,
}

_ANSWERS: tuple[tuple[str, Rules, SubjectType], ...] = (
    ("videos", VIDEO, SubjectType.VIDEO),
    ("channel", CHANNEL, SubjectType.PROFILE),
    ("video_days", VIDEO_DAYS, SubjectType.VIDEO),
    ("channel_days", CHANNEL_DAYS, SubjectType.PROFILE),
)


def declared() -> Iterator[MetricMapping]:
    """Yield what each number on the wire becomes, named ``answer/number``."""
    for answer, rules, subject in _ANSWERS:
        for name, rule in rules.items():
            yield MetricMapping(
                wire=f"{answer}/{name}",
                metric=rule.key,
                kind=rule.kind if rule.key else None,
                subject_types=(subject,),
                counting=rule.key is not None and not rule.check,
                note=rule.note,
            )


def asked_of(rules: Rules) -> tuple[str, ...]:
    """Return the metrics to ask a report for: those that become something."""
    return tuple(name for name, rule in rules.items() if rule.key is not None)


LAST_RESORT = frozenset(
    {"views", "likes", "comments", "shares", "estimatedMinutesWatched", "subscribersGained", "subscribersLost"}
)
"""What every report of days has answered since there are reports: asked for where a refusal names no metric."""
