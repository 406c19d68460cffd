"""LinkedIn's metrics as data: which wire metric becomes which key, and where it counts.

Reading and declaring both go by these tables; the decisions behind them are in ``connectors.linkedin``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import msgspec

from connectors.contract import Kind, MetricMapping, SubjectType

ORGANISATION = "organization"
"""The scope of numbers that are the whole organisation's."""


class Rule(msgspec.Struct, frozen=True, kw_only=True):
    """What becomes of one wire metric of one answer: the keys it is booked under, none with the reason in ``note``."""

    keys: tuple[str, ...] = ()
    kind: Kind = Kind.LIFETIME
    scope: str = ""
    check: bool = False
    paid: bool | None = None
    note: str = ""


Rules = Mapping[str, Rule]


def _left_out(note: str) -> Rule:
    return Rule(note=note)


def _post(*keys: str, kind: Kind = Kind.LIFETIME, note: str = "") -> Rule:
    return Rule(keys=keys, kind=kind, paid=False, note=note)


def _day(*keys: str, note: str = "") -> Rule:
    """Return the rule of a day that holds the posts' numbers again."""
    return Rule(keys=keys, kind=Kind.PERIOD, scope=ORGANISATION, check=True, paid=False, note=note)


_RATE = _left_out("a rate, which no sum can be made of")
_MENTIONS = _left_out("mentions elsewhere, which are not of the post")
SHARE: Rules = {
    "impressionCount": _post("impressions"),
    "uniqueImpressionsCount": _post("reach", kind=Kind.UNIQUE),
    "clickCount": _post("clicks_all", note="every click: on the link, the logo, see more"),
    "likeCount": _post("likes", note="all reactions"),
    "commentCount": _post("comments"),
    "shareCount": _post("shares"),
    "engagement": _RATE,
    "shareMentionsCount": _MENTIONS,
    "commentMentionsCount": _MENTIONS,
}
SHARE_DAY: Rules = {
    "impressionCount": _day("impressions"),
    "uniqueImpressionsCount": Rule(keys=("reach",), kind=Kind.UNIQUE, scope=ORGANISATION, paid=False),
    "clickCount": _day("clicks_all"),
    "likeCount": _day("likes", note="negative when more were taken back than given; then left out"),
    "commentCount": _day("comments"),
    "shareCount": _day("shares"),
    "engagement": _RATE,
    "shareMentionsCount": _MENTIONS,
    "commentMentionsCount": _MENTIONS,
}
FOLLOWER_DAY: Rules = {
    "organicFollowerGain": Rule(keys=("followers_gained",), kind=Kind.PERIOD, paid=False, note="net of those who left"),
    "paidFollowerGain": Rule(keys=("followers_gained",), kind=Kind.PERIOD, paid=True, note="net of those who left"),
}
"""A day with a negative net is booked under :data:`LOST`."""
LOST: Mapping[str, str] = {"followers_gained": "followers_lost"}
PAGE_DAY: Rules = {
    "pageViews": Rule(keys=("profile_views",), kind=Kind.PERIOD, note="of all parts of the page"),
    "uniquePageViews": _left_out("distinct visitors of the page, with no key of their own"),
}
SIZE: Rules = {"firstDegreeSize": Rule(keys=("followers",), kind=Kind.LEVEL)}
VIDEO: Rules = {
    "VIDEO_VIEW": _post("views", "video_views_3s", note="plays of three seconds and more; gone after six months"),
    "TIME_WATCHED": _post("watch_time", note="milliseconds"),
    "VIEWER": _left_out("distinct viewers, which are fewer than those reached"),
    "TIME_WATCHED_FOR_VIDEO_VIEWS": _left_out("a part of the time watched"),
}
VIDEO_SET = tuple(name for name, rule in VIDEO.items() if rule.keys)

_SOCIAL = _left_out("the statistics count the same")
_UNASKED: Rules = {
    "reactionSummaries": _SOCIAL,
    "commentSummary": _SOCIAL,
}
_FOLLOWER_FACETS: Rules = {
    "followerCountsBy*": _left_out("who the followers are; the parts do not add up to the whole"),
}
_POSTS = (SubjectType.POST,)
_PROFILES = (SubjectType.PROFILE,)
_ANSWERS: tuple[tuple[str, Rules, tuple[SubjectType, ...]], ...] = (
    ("share_statistics", SHARE, _POSTS),
    ("share_statistics_day", SHARE_DAY, _PROFILES),
    ("follower_statistics_day", FOLLOWER_DAY, _PROFILES),
    ("follower_statistics", _FOLLOWER_FACETS, _PROFILES),
    ("page_statistics_day", PAGE_DAY, _PROFILES),
    ("network_size", SIZE, _PROFILES),
    ("video_analytics", VIDEO, _POSTS),
    ("social_metadata", _UNASKED, _POSTS),
)


def declared() -> Iterator[MetricMapping]:
    """Yield what each wire metric becomes, named ``answer/metric``."""
    for answer, rules, types in _ANSWERS:
        for name, rule in rules.items():
            wire = f"{answer}/{name}"
            if not rule.keys:
                yield MetricMapping(wire=wire, metric=None, counting=False, note=rule.note)
            lost = [LOST[key] for key in rule.keys if key in LOST]
            for key in (*rule.keys, *lost):
                yield MetricMapping(
                    wire=wire,
                    metric=key,
                    kind=rule.kind,
                    subject_types=types,
                    counting=not rule.check,
                    note=rule.note,
                )
