"""Instagram's metrics as data: which wire metric becomes which key, and which may be asked of which media.

Reading and asking both go by these tables; the decisions behind them are in ``connectors.instagram``.
"""

from __future__ import annotations

from datetime import timedelta

from connectors.contract import Kind, Quality, SubjectType
from connectors.graph_rules import META_VIEWS, VIEWS
from connectors.rules import Answers, Rule, Rules, checked, left_out

_RETIRED = "retired, and other than its successor"
_WHO = "who the followers are, no measure of a campaign"
_ESTIMATED = (Quality.ESTIMATED,)


NODE: Rules = {
    "like_count": Rule(keys=("likes",), note="missing when the owner hides likes"),
    "comments_count": Rule(keys=("comments",)),
    "view_count": left_out("the insights' views count"),
    "saved_count": left_out("the insights' saved counts"),
    "shares_count": left_out("the insights' shares count"),
    "reposts_count": left_out("a newer metric beside shares"),
}
INSIGHTS: Rules = {
    "views": Rule(keys=VIEWS, mapping=META_VIEWS),
    "impressions": Rule(keys=("impressions",), note="retired 2025-04, in older answers only"),
    "reach": Rule(keys=("reach",), kind=Kind.UNIQUE, quality=_ESTIMATED),
    "shares": Rule(keys=("shares",)),
    "saved": Rule(keys=("saves",)),
    "replies": Rule(keys=("comments",), only=(SubjectType.STORY,), note="0 for creators in the EU and Japan"),
    "total_interactions": Rule(keys=("engagements_platform",)),
    "ig_reels_video_view_total_time": Rule(keys=("watch_time",), only=(SubjectType.REEL,), note="milliseconds"),
    "likes": checked("likes", scope="insights"),
    "comments": checked("comments", scope="insights"),
    "ig_reels_avg_watch_time": left_out("a mean, which no sum can be made of"),
    "navigation": left_out("taps inside the story player are no clicks"),
    "follows": left_out("the account's day series counts new followers"),
    "profile_visits": left_out("not offered for reels, so a sum over posts would miss them"),
    "profile_activity": left_out("taps of many kinds; those on links count with the profile"),
    "reposts": left_out("a newer metric beside shares"),
    "reels_skip_rate": left_out("a rate, which no sum can be made of"),
    "crossposted_views": left_out("holds views on another platform"),
    "facebook_views": left_out("views on another platform"),
    "total_views": left_out("holds views on another platform"),
    "plays": left_out(_RETIRED),
    "video_views": left_out(_RETIRED),
    "clips_replays_count": left_out(_RETIRED),
    "ig_reels_aggregated_all_plays_count": left_out(_RETIRED),
    "engagement": left_out(_RETIRED),
    "taps_forward": left_out(_RETIRED),
    "taps_back": left_out(_RETIRED),
    "exits": left_out(_RETIRED),
    "carousel_album_engagement": left_out(_RETIRED),
    "carousel_album_impressions": left_out(_RETIRED),
    "carousel_album_reach": left_out(_RETIRED),
    "carousel_album_saved": left_out(_RETIRED),
    "carousel_album_video_views": left_out(_RETIRED),
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
    "follows_count": left_out("whom the account follows"),
    "media_count": left_out("no measure of a campaign"),
}
SERIES: Rules = {
    "reach": Rule(keys=("reach",), kind=Kind.UNIQUE, scope="account", quality=_ESTIMATED, note="includes ads"),
    "follower_count": Rule(keys=("followers_gained",), kind=Kind.PERIOD, note="absent under 100 followers"),
    "impressions": checked("impressions", scope="account", kind=Kind.PERIOD),
    "profile_views": Rule(keys=("profile_views",), kind=Kind.PERIOD, note="retired 2025-01, in older answers only"),
    "email_contacts": left_out(_RETIRED),
    "get_direction_links": left_out(_RETIRED),
    "phone_call_clicks": left_out(_RETIRED),
    "text_message_clicks": left_out(_RETIRED),
    "website_clicks": left_out(_RETIRED),
    "online_followers": left_out("when followers are online, no measure of a campaign"),
}
TOTALS: Rules = {
    "views": checked(*VIEWS, scope="account", kind=Kind.PERIOD, mapping=META_VIEWS),
    "likes": checked("likes", scope="account", kind=Kind.PERIOD),
    "comments": checked("comments", scope="account", kind=Kind.PERIOD),
    "shares": checked("shares", scope="account", kind=Kind.PERIOD),
    "saves": checked("saves", scope="account", kind=Kind.PERIOD),
    "total_interactions": checked("engagements_platform", scope="account", kind=Kind.PERIOD),
    "profile_links_taps": Rule(keys=("clicks_all",), kind=Kind.PERIOD, note="taps on any link of the profile"),
    "reach": SERIES["reach"],
    "replies": left_out("the stories' own replies count as comments"),
    "accounts_engaged": left_out("distinct accounts, with no key of their own"),
    "profile_views": left_out(_RETIRED),
    "website_clicks": left_out(_RETIRED),
    "follower_demographics": left_out(_WHO),
    "engaged_audience_demographics": left_out(_WHO),
    "reached_audience_demographics": left_out(_WHO),
}
FOLLOWS: Rules = {
    "follows_and_unfollows.FOLLOWER": checked("followers_gained", scope="follows_and_unfollows", kind=Kind.PERIOD),
    "follows_and_unfollows.NON_FOLLOWER": Rule(keys=("followers_lost",), kind=Kind.PERIOD),
}

_MEDIA_TYPES = (SubjectType.POST, SubjectType.REEL, SubjectType.AD)
_ALL_MEDIA = (*_MEDIA_TYPES, SubjectType.STORY)
ANSWERS: Answers = (
    ("media", NODE, _MEDIA_TYPES),
    ("insights", INSIGHTS, _ALL_MEDIA),
    ("story_insights", STORY_PUSH, (SubjectType.STORY,)),
    ("profile", PROFILE, (SubjectType.PROFILE,)),
    ("account_series", SERIES, (SubjectType.PROFILE,)),
    ("account_totals", TOTALS, (SubjectType.PROFILE,)),
    ("account_follows", FOLLOWS, (SubjectType.PROFILE,)),
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
