"""Instagram's metrics as data: which wire metric becomes which key, and which may be asked of which media.

Reading and asking both go by these tables; the decisions behind them are in ``connectors.instagram``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import timedelta

import msgspec

from connectors.contract import Kind, MetricMapping, SubjectType


class Rule(msgspec.Struct, frozen=True, kw_only=True):
    """What becomes of one wire metric of one answer: the keys it is booked under, none with the reason in ``note``.

    ``only`` names the subject types that have it where not all of the answer's have.
    """

    keys: tuple[str, ...] = ()
    kind: Kind = Kind.LIFETIME
    scope: str = ""
    check: bool = False
    mapping: str = ""
    only: tuple[SubjectType, ...] = ()
    note: str = ""


Rules = Mapping[str, Rule]
_VIEWS = ("views", "impressions")
_META_VIEWS = "meta_views@1"
_RETIRED = "retired, and other than its successor"


def _left_out(note: str) -> Rule:
    return Rule(note=note)


def _checked(*keys: str, scope: str, kind: Kind = Kind.LIFETIME, mapping: str = "") -> Rule:
    return Rule(keys=keys, kind=kind, scope=scope, check=True, mapping=mapping)


NODE: Rules = {
    "like_count": Rule(keys=("likes",), note="missing when the owner hides likes"),
    "comments_count": Rule(keys=("comments",)),
    "view_count": _left_out("the insights' views count"),
    "saved_count": _left_out("the insights' saved counts"),
    "shares_count": _left_out("the insights' shares count"),
    "reposts_count": _left_out("a newer metric beside shares"),
}
INSIGHTS: Rules = {
    "views": Rule(keys=_VIEWS, mapping=_META_VIEWS),
    "impressions": Rule(keys=("impressions",), note="retired 2025-04, in older answers only"),
    "reach": Rule(keys=("reach",), kind=Kind.UNIQUE, note="estimated"),
    "shares": Rule(keys=("shares",)),
    "saved": Rule(keys=("saves",)),
    "replies": Rule(keys=("comments",), only=(SubjectType.STORY,), note="0 for creators in the EU and Japan"),
    "total_interactions": Rule(keys=("engagements_platform",)),
    "ig_reels_video_view_total_time": Rule(keys=("watch_time",), only=(SubjectType.REEL,), note="milliseconds"),
    "likes": _checked("likes", scope="insights"),
    "comments": _checked("comments", scope="insights"),
    "ig_reels_avg_watch_time": _left_out("a mean, which no sum can be made of"),
    "navigation": _left_out("taps inside the story player are no clicks"),
    "follows": _left_out("the account's day series counts new followers"),
    "profile_visits": _left_out("not offered for reels, so a sum over posts would miss them"),
    "profile_activity": _left_out("mixes taps of many kinds"),
    "reposts": _left_out("a newer metric beside shares"),
    "reels_skip_rate": _left_out("a rate, which no sum can be made of"),
    "crossposted_views": _left_out("holds views on another platform"),
    "facebook_views": _left_out("views on another platform"),
    "total_views": _left_out("holds views on another platform"),
    "plays": _left_out(_RETIRED),
    "video_views": _left_out(_RETIRED),
    "clips_replays_count": _left_out(_RETIRED),
    "ig_reels_aggregated_all_plays_count": _left_out(_RETIRED),
    "engagement": _left_out(_RETIRED),
}
STORY_PUSH: Rules = {
    "views": INSIGHTS["views"],
    "impressions": Rule(keys=("impressions",)),
    "reach": INSIGHTS["reach"],
    "shares": INSIGHTS["shares"],
    "replies": INSIGHTS["replies"],
    "taps_forward": INSIGHTS["navigation"],
    "taps_back": INSIGHTS["navigation"],
    "exits": INSIGHTS["navigation"],
}
PROFILE: Rules = {
    "followers_count": Rule(keys=("followers",), kind=Kind.LEVEL),
    "follows_count": _left_out("whom the account follows"),
    "media_count": _left_out("no measure of a campaign"),
}
SERIES: Rules = {
    "reach": Rule(keys=("reach",), kind=Kind.UNIQUE, scope="account", note="estimated, includes ads"),
    "follower_count": Rule(keys=("followers_gained",), kind=Kind.PERIOD, note="absent under 100 followers"),
    "impressions": _checked("impressions", scope="account", kind=Kind.PERIOD),
    "profile_views": Rule(keys=("profile_views",), kind=Kind.PERIOD, note="retired 2025-01, in older answers only"),
}
TOTALS: Rules = {
    "views": _checked(*_VIEWS, scope="account", kind=Kind.PERIOD, mapping=_META_VIEWS),
    "likes": _checked("likes", scope="account", kind=Kind.PERIOD),
    "comments": _checked("comments", scope="account", kind=Kind.PERIOD),
    "shares": _checked("shares", scope="account", kind=Kind.PERIOD),
    "saves": _checked("saves", scope="account", kind=Kind.PERIOD),
    "total_interactions": _checked("engagements_platform", scope="account", kind=Kind.PERIOD),
    "profile_links_taps": Rule(keys=("clicks_all",), kind=Kind.PERIOD, note="taps on any link of the profile"),
    "reach": SERIES["reach"],
    "replies": _left_out("the stories' own replies count as comments"),
    "accounts_engaged": _left_out("distinct accounts, with no key of their own"),
    "profile_views": _left_out(_RETIRED),
    "website_clicks": _left_out(_RETIRED),
    "follower_demographics": _left_out("who the followers are, no measure of a campaign"),
}
FOLLOWS: Rules = {
    "follows_and_unfollows.FOLLOWER": _checked("followers_gained", scope="follows_and_unfollows", kind=Kind.PERIOD),
    "follows_and_unfollows.NON_FOLLOWER": Rule(keys=("followers_lost",), kind=Kind.PERIOD),
}

_MEDIA_TYPES = (SubjectType.POST, SubjectType.REEL, SubjectType.AD)
_ALL_MEDIA = (*_MEDIA_TYPES, SubjectType.STORY)
_ANSWERS: tuple[tuple[str, Rules, tuple[SubjectType, ...]], ...] = (
    ("media", NODE, _MEDIA_TYPES),
    ("insights", INSIGHTS, _ALL_MEDIA),
    ("story_insights", STORY_PUSH, (SubjectType.STORY,)),
    ("profile", PROFILE, (SubjectType.PROFILE,)),
    ("account_series", SERIES, (SubjectType.PROFILE,)),
    ("account_totals", TOTALS, (SubjectType.PROFILE,)),
    ("account_follows", FOLLOWS, (SubjectType.PROFILE,)),
)


def declared() -> Iterator[MetricMapping]:
    """Yield what each wire metric becomes, named ``answer/metric``."""
    for answer, rules, types in _ANSWERS:
        for name, rule in rules.items():
            wire = f"{answer}/{name}"
            if not rule.keys:
                yield MetricMapping(wire=wire, metric=None, counting=False, note=rule.note)
            for key in rule.keys:
                yield MetricMapping(
                    wire=wire,
                    metric=key,
                    kind=rule.kind,
                    subject_types=rule.only or types,
                    counting=not rule.check,
                    mapping=rule.mapping,
                    note=rule.note,
                )


# Safe sets: one metric that a media does not know fails the whole call.
_FEED_SET = ("views", "reach", "saved", "shares", "total_interactions", "likes", "comments")
_REELS_SET = (*_FEED_SET, "ig_reels_video_view_total_time")
_ALBUM_SET = ("views", "reach", "saved", "shares")
_STORY_SET = ("views", "reach", "replies", "shares", "total_interactions")
LAST_RESORT = ("reach", "saved")  # what the oldest videos in the feed still answer
SERIES_SET = ("reach", "follower_count")
TOTALS_SET = ("views", "total_interactions", "likes", "comments", "shares", "saves", "profile_links_taps")
FOLLOWS_SET = ("follows_and_unfollows",)
FOLLOWER_DAYS = timedelta(days=29)  # how far back follower_count reaches
SERIES_DAYS = 30  # the longest window of one call


def metric_set(media_type: str, product: str) -> tuple[str, ...]:
    """Return the insights that a media of this type and product answers; an unknown one is taken for a post."""
    if product == "STORY":
        return _STORY_SET
    if product == "REELS":
        return _REELS_SET
    return _ALBUM_SET if media_type == "CAROUSEL_ALBUM" else _FEED_SET
