"""LinkedIn's metrics as data: which wire metric becomes which key, and where it counts.

Reading and declaring both go by these tables; the decisions behind them are in ``connectors.linkedin``.
"""

from __future__ import annotations

from connectors.contract import Kind, SubjectType
from connectors.rules import Answers, Rule, Rules, asked, checked, left_out

ORGANISATION = "organization"
"""The scope of numbers that are the whole organisation's."""


def _post(*keys: str, kind: Kind = Kind.LIFETIME, note: str = "") -> Rule:
    return Rule(keys=keys, kind=kind, paid=False, note=note)


def _day(*keys: str, note: str = "") -> Rule:
    """Return the rule of a day that holds the posts' numbers again."""
    return checked(*keys, kind=Kind.PERIOD, scope=ORGANISATION, paid=False, note=note)


_RATE = left_out("a rate, which no sum can be made of")
_MENTIONS = left_out("mentions elsewhere, which are not of the post")
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
_NET = ("followers_gained", "followers_lost")
FOLLOWER_DAY: Rules = {
    "organicFollowerGain": Rule(keys=_NET, kind=Kind.PERIOD, paid=False, note="net of those who left"),
    "paidFollowerGain": Rule(keys=_NET, kind=Kind.PERIOD, paid=True, note="net of those who left"),
}
"""A day is booked under the first key, one with a negative net under the second."""
PAGE_DAY: Rules = {
    "pageViews": Rule(keys=("profile_views",), kind=Kind.PERIOD, note="of all parts of the page"),
    "uniquePageViews": left_out("distinct visitors of the page, with no key of their own"),
}
SIZE: Rules = {"firstDegreeSize": Rule(keys=("followers",), kind=Kind.LEVEL)}
VIDEO: Rules = {
    "VIDEO_VIEW": _post("views", "video_views_3s", note="plays of three seconds and more; gone after six months"),
    "TIME_WATCHED": _post("watch_time", note="milliseconds"),
    "VIEWER": left_out("distinct viewers, which are fewer than those reached"),
    "TIME_WATCHED_FOR_VIDEO_VIEWS": left_out("a part of the time watched"),
}
VIDEO_SET = asked(VIDEO)

_SOCIAL = left_out("the statistics count the same")
_UNASKED: Rules = {
    "reactionSummaries": _SOCIAL,
    "commentSummary": _SOCIAL,
}
_FOLLOWER_FACETS: Rules = {
    "followerCountsBy*": left_out("who the followers are; the parts do not add up to the whole"),
}
_POSTS = (SubjectType.POST,)
_PROFILES = (SubjectType.PROFILE,)
ANSWERS: Answers = (
    ("share_statistics", SHARE, _POSTS),
    ("share_statistics_day", SHARE_DAY, _PROFILES),
    ("follower_statistics_day", FOLLOWER_DAY, _PROFILES),
    ("follower_statistics", _FOLLOWER_FACETS, _PROFILES),
    ("page_statistics_day", PAGE_DAY, _PROFILES),
    ("network_size", SIZE, _PROFILES),
    ("video_analytics", VIDEO, _POSTS),
    ("social_metadata", _UNASKED, _POSTS),
)
