"""TikTok's metrics as data: which number of which answer becomes which key, and which are asked for.

Reading and asking both go by these tables; the decisions behind them are in ``connectors.tiktok``.
"""

from __future__ import annotations

from connectors.contract import MICRO, Kind, SubjectType
from connectors.rules import Answers, Rule, Rules, asked, checked, left_out

LEAD = "lead_submission"
_SECOND = 1000  # in milliseconds
_LINK = ("clicks_link", "clicks_all")
_BUTTON = ("clicks_all",)
_ACCOUNT = "account"
_BUSINESS = "of business accounts alone"


def _checked(*keys: str, kind: Kind = Kind.PERIOD, scope: str = _ACCOUNT, note: str = "") -> Rule:
    return checked(*keys, kind=kind, scope=scope, note=note)


VIDEO: Rules = {
    "video_views": Rule(keys=("views",), note="one or two days late; ends a year after publication"),
    "likes": Rule(keys=("likes",)),
    "comments": Rule(keys=("comments",)),
    "shares": Rule(keys=("shares",)),
    "favorites": Rule(keys=("saves",)),
    "reach": Rule(keys=("reach",), kind=Kind.UNIQUE, note="missing of posts without activity for a week"),
    "total_time_watched": Rule(keys=("watch_time",), factor=_SECOND, note="missing like reach"),
    "website_clicks": Rule(keys=_LINK, note=_BUSINESS),
    "phone_number_clicks": Rule(keys=_BUTTON, note=_BUSINESS),
    "email_clicks": Rule(keys=_BUTTON, note=_BUSINESS),
    "address_clicks": Rule(keys=_BUTTON, note=_BUSINESS),
    "app_download_clicks": Rule(keys=_BUTTON, note=_BUSINESS),
    "lead_submissions": Rule(keys=("conversions_platform",), factor=MICRO, goal=LEAD, note=_BUSINESS),
    "profile_views": _checked("profile_views", kind=Kind.LIFETIME, scope="video", note="part of the account's"),
    "new_followers": left_out("the account's days count new followers"),
    "average_time_watched": left_out("a mean, which no sum can be made of"),
    "full_video_watched_rate": left_out("a rate, which no sum can be made of"),
    "video_view_retention": left_out("rates by second of the video"),
    "impression_sources": left_out("shares of where views came from; TikTok has no impressions"),
    "engagement_likes": left_out("rates by second of the video"),
    "audience_types": left_out("who watched, no measure of a campaign"),
    "audience_genders": left_out("who watched, no measure of a campaign"),
    "audience_countries": left_out("who watched, no measure of a campaign"),
    "audience_cities": left_out("who watched, no measure of a campaign"),
}
PROFILE: Rules = {
    "followers_count": Rule(keys=("followers",), kind=Kind.LEVEL),
    "total_likes": _checked("likes", kind=Kind.LIFETIME, note="of all posts together"),
    "following_count": left_out("whom the account follows"),
    "videos_count": left_out("no measure of a campaign"),
}
DAYS: Rules = {
    "daily_new_followers": Rule(keys=("followers_gained",), kind=Kind.PERIOD, note=_BUSINESS),
    "daily_lost_followers": Rule(keys=("followers_lost",), kind=Kind.PERIOD, note=_BUSINESS),
    "profile_views": Rule(keys=("profile_views",), kind=Kind.PERIOD),
    "unique_video_views": Rule(keys=("reach",), kind=Kind.UNIQUE, scope=_ACCOUNT, note=_BUSINESS),
    "video_views": _checked("views"),
    "likes": _checked("likes", note="likes taken back are not subtracted"),
    "comments": _checked("comments"),
    "shares": _checked("shares"),
    "bio_link_clicks": _checked(*_LINK, note=_BUSINESS),
    "phone_number_clicks": _checked(*_BUTTON, note=_BUSINESS),
    "email_clicks": _checked(*_BUTTON, note=_BUSINESS),
    "address_clicks": _checked(*_BUTTON, note=_BUSINESS),
    "app_download_clicks": _checked(*_BUTTON, note=_BUSINESS),
    "lead_submissions": checked(
        "conversions_platform", kind=Kind.PERIOD, scope=_ACCOUNT, factor=MICRO, goal=LEAD, note=_BUSINESS
    ),
    "engaged_audience": left_out("distinct people, with no key of their own"),
    "daily_total_followers": left_out("the net change of the day, whatever its name says"),
    "followers_count": left_out("the account's own number counts; this one is that of the day once more"),
    "audience_activity": left_out("when followers are awake, no measure of a campaign"),
}

_POSTS = (SubjectType.VIDEO, SubjectType.POST)
ANSWERS: Answers = (
    ("videos", VIDEO, _POSTS),
    ("profile", PROFILE, (SubjectType.PROFILE,)),
    ("account_days", DAYS, (SubjectType.PROFILE,)),
)

FACTS = ("item_id", "create_time", "caption", "share_url", "media_type")
_PLAIN = ("video_views", "likes", "comments", "shares", "favorites", "reach")
VIDEO_FIELDS = (*FACTS, *asked(VIDEO))
INSIGHTS = frozenset(VIDEO_FIELDS) - {*FACTS, *_PLAIN}
"""The fields of a video that take a permission of their own."""
PROFILE_FIELDS = ("username", "display_name", *asked(PROFILE))
DAY_FIELDS = asked(DAYS)
LAST_RESORT = frozenset({"item_id", "create_time", "video_views", "likes", "comments", "shares"})
"""What is asked for where a refusal names no field."""
NEEDED = frozenset({"item_id", "create_time"})
"""Without these a list of videos cannot be read: they are never left out."""
