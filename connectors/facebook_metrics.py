"""Facebook's metrics as data: which wire metric becomes which key, which are asked for, and which are retired.

Reading and asking both go by these tables; the decisions behind them are in ``connectors.facebook``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import timedelta

from connectors.contract import Kind, Quality, SubjectType
from connectors.graph_rules import META_VIEWS, VIEWS
from connectors.rules import Answers, Rule, Rules, checked, left_out

ADS = ".ads"
"""What is added to the name of a metric for the part that ads brought."""
_ESTIMATED = (Quality.ESTIMATED,)
_RETIRED_2024 = "retired 2024-03 with the older page metrics"
_RETIRED_2025 = "retired 2025-11"
_RETIRED_2026 = "retired 2026-06"
_VIEWS_NOW = "; views by media view are their successor, and other numbers"
_MEAN = "a mean, which no sum can be made of"


def _retired(names: Iterable[str], note: str) -> dict[str, Rule]:
    return {name: left_out(note) for name in names}


def _reach(scope: str = "") -> Rule:
    return Rule(keys=("reach",), kind=Kind.UNIQUE, scope=scope, quality=_ESTIMATED, note="includes ads")


NODE: Rules = {
    "comments": Rule(keys=("comments",), note="top level; missing without pages_read_user_content"),
    "shares": Rule(keys=("shares",), note="missing when there is none: null and not zero"),
    "reactions": checked("likes", scope="node", note="missing without pages_read_user_content"),
}
"""Counts of a post itself: of reels the insights have them all."""
REEL_NODE: Rules = {
    name: checked(*rule.keys, scope="node", note="a reel counts by its insights") for name, rule in NODE.items()
}
POST: Rules = {
    "post_media_view": Rule(keys=VIEWS, paid=False, mapping=META_VIEWS, note="without ads where they are told apart"),
    f"post_media_view{ADS}": checked(*VIEWS, scope="ads", paid=True, mapping=META_VIEWS),
    "post_total_media_view_unique": _reach(),
    "post_clicks": Rule(keys=("clicks_all",)),
    "post_clicks_by_type.link_clicks": Rule(keys=("clicks_link",)),
    "post_clicks_by_type": left_out("of its kinds only clicks on links have a key"),
    "post_reactions_by_type_total": Rule(keys=("likes",), note="all kinds of reactions"),
    "post_video_views": Rule(keys=("video_views_3s",), only=(SubjectType.VIDEO,)),
    "post_video_view_time": Rule(keys=("watch_time",), only=(SubjectType.VIDEO,), note="milliseconds"),
    "post_video_avg_time_watched": left_out(_MEAN),
    "post_activity_by_action_type": left_out("likes, comments and shares once more, by another count"),
    "post_activity_by_action_type_unique": left_out("people by action, with no key of their own"),
    **{
        f"post_reactions_{kind}_total": left_out("a part of post_reactions_by_type_total")
        for kind in ("like", "love", "wow", "haha", "sorry", "anger")
    },
    **_retired(
        (
            "post_impressions",
            "post_impressions_unique",
            "post_impressions_paid",
            "post_impressions_paid_unique",
            "post_impressions_organic",
            "post_impressions_organic_unique",
            "post_impressions_viral",
            "post_impressions_nonviral",
            "post_impressions_fan",
            "post_video_views_10s",
            "post_video_views_unique",
        ),
        _RETIRED_2026 + _VIEWS_NOW,
    ),
    **_retired(("post_engaged_users", "post_engaged_fan", "post_negative_feedback"), _RETIRED_2024),
}
REEL: Rules = {
    "blue_reels_play_count": Rule(keys=("views",), note="plays without replays; no successor of impressions"),
    "post_total_media_view_unique": _reach(),
    "post_impressions_unique": Rule(
        keys=("reach",), kind=Kind.UNIQUE, quality=_ESTIMATED, note="retired 2026-06, in older answers only"
    ),
    "post_video_likes_by_reaction_type": Rule(keys=("likes",), note="all kinds of reactions"),
    "post_video_social_actions.comment": Rule(keys=("comments",)),
    "post_video_social_actions.share": Rule(keys=("shares",)),
    "post_video_social_actions": left_out("of its kinds only comments and shares have a key"),
    "post_video_view_time": Rule(keys=("watch_time",), note="milliseconds"),
    "post_video_avg_time_watched": left_out(_MEAN),
    "post_video_followers": left_out("the page's days count new followers"),
    "fb_reels_total_plays": left_out("plays and replays; the plays count"),
    "fb_reels_replay_count": left_out("replays; the plays count"),
    "post_video_retention_graph": left_out("a curve, which no sum can be made of"),
}
PAGE: Rules = {
    "followers_count": Rule(keys=("followers",), kind=Kind.LEVEL),
    "fan_count": left_out("likes of the page; who follows counts"),
}
DAYS: Rules = {
    "page_media_view": checked(*VIEWS, scope="account", kind=Kind.PERIOD, paid=False, mapping=META_VIEWS),
    f"page_media_view{ADS}": checked(*VIEWS, scope="account_ads", kind=Kind.PERIOD, paid=True, mapping=META_VIEWS),
    "page_total_media_view_unique": _reach("account"),
    "page_post_engagements": Rule(keys=("engagements_platform",), kind=Kind.PERIOD, note="no post has such a total"),
    "page_views_total": Rule(keys=("profile_views",), kind=Kind.PERIOD),
    "page_video_views": checked("video_views_3s", scope="account", kind=Kind.PERIOD),
    "page_daily_follows_unique": Rule(keys=("followers_gained",), kind=Kind.PERIOD),
    "page_daily_unfollows_unique": Rule(keys=("followers_lost",), kind=Kind.PERIOD),
    "page_follows": checked("followers", scope="page_follows", kind=Kind.LEVEL, note="as the day ended"),
    "page_daily_follows": left_out("counts who follows again; people count once"),
    "page_daily_unfollows": left_out("counts who leaves again; people count once"),
    "page_total_actions": left_out("taps of many kinds on the page's buttons"),
    "page_video_view_time": left_out("the watch time of the videos once more"),
    "page_actions_post_reactions_total": left_out("the reactions of the posts once more"),
    "page_fan_adds_by_paid_non_paid_unique": left_out("likes of the page; who follows counts"),
    "page_lifetime_engaged_followers_unique": left_out("distinct people, with no key of their own"),
    **_retired(
        (
            "page_impressions",
            "page_fans",
            "page_fan_adds",
            "page_fan_removes",
            "page_fans_city",
            "page_fans_country",
            "page_fans_locale",
        ),
        _RETIRED_2025,
    ),
    **_retired(
        (
            "page_impressions_unique",
            "page_impressions_paid",
            "page_impressions_viral",
            "page_impressions_nonviral",
            "page_posts_impressions",
            "page_posts_impressions_unique",
            "page_posts_impressions_paid",
            "page_posts_impressions_organic",
            "page_video_views_10s",
            "page_video_views_unique",
        ),
        _RETIRED_2026 + _VIEWS_NOW,
    ),
    **_retired(("page_engaged_users", "page_consumptions", "page_negative_feedback"), _RETIRED_2024),
}

_POSTS = (SubjectType.POST, SubjectType.VIDEO)
_REELS = (SubjectType.REEL,)
_PROFILE = (SubjectType.PROFILE,)
ANSWERS: Answers = (
    ("posts", NODE, _POSTS),
    ("reel_posts", REEL_NODE, _REELS),
    ("insights", POST, _POSTS),
    ("video_insights", REEL, _REELS),
    ("profile", PAGE, _PROFILE),
    ("page_days", DAYS, _PROFILE),
)

# Metrics that are summed over the kinds in their value, or of which some kinds have a rule of their own.
SUMMED = frozenset({"post_reactions_by_type_total", "post_video_likes_by_reaction_type"})
KINDS_OF: Mapping[str, Mapping[str, str]] = {
    "post_clicks_by_type": {"link clicks": "link_clicks"},
    "post_video_social_actions": {
        "comment": "comment",
        "comments": "comment",
        "share": "share",
        "shares": "share",
    },
}
SPLIT = frozenset({"post_media_view", "page_media_view"})
"""Metrics asked for by whether ads brought them."""

SPLIT_BY = "is_from_ads"
VIEWS_SET = ("post_media_view",)
POST_SET = ("post_total_media_view_unique", "post_clicks", "post_clicks_by_type", "post_reactions_by_type_total")
VIDEO_SET = (*POST_SET, "post_video_views", "post_video_view_time")
PAGE_VIEWS_SET = ("page_media_view",)
DAYS_SET = (
    "page_total_media_view_unique",
    "page_post_engagements",
    "page_views_total",
    "page_video_views",
    "page_daily_follows_unique",
    "page_daily_unfollows_unique",
    "page_follows",
)
MOST_DAYS = 90
"""The longest window of one call."""
LOOK_BACK = timedelta(days=7)
"""How long the numbers of a day may still be restated."""
