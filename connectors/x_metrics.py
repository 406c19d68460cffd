"""X's metrics as data: which wire metric becomes which key, in which part of an answer, counted or only checked.

Reading and declaring both go by these tables; the decisions behind them are in ``connectors.x``. Newer names of the
same field stand in :data:`NEWER_NAMES` and nowhere else.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

import msgspec

from connectors.contract import Kind, SubjectType
from connectors.rules import Answers, Rule, Rules, asked, left_out


class Part(msgspec.Struct, frozen=True, kw_only=True):
    """One object of numbers within an answer, and the series that its numbers belong to.

    ``kind`` and ``paid`` are those of the series; a checked number has the scope ``name``. Numbers of one part that
    share a key are its summands (retweets and quotes are both shares): the key is booked only when all were reported.
    """

    name: str
    rules: Rules
    types: tuple[SubjectType, ...]
    kind: Kind = Kind.LIFETIME
    paid: bool | None = None


def _all_checked(rules: Rules) -> Rules:
    checked = {name: msgspec.structs.replace(rule, check=bool(rule.keys)) for name, rule in rules.items()}
    return MappingProxyType(checked)


NEWER_NAMES: Mapping[str, str] = {
    "repost_count": "retweet_count",
    "reposts": "retweets",
    "quote_posts": "quote_tweets",
    "post_count": "tweet_count",
}
"""Newer names of the same numbers, as the newest description of the API has them, to the names still sent."""

_PROFILE_CLICKS = left_out("clicks on the author are one kind of click; no total of clicks is given")
_SPLIT: Rules = {
    "impression_count": Rule(keys=("impressions",)),
    "like_count": Rule(keys=("likes",)),
    "reply_count": Rule(keys=("comments",)),
    "retweet_count": Rule(keys=("shares",), note="without quotes"),
    "url_link_clicks": Rule(keys=("clicks_link",)),
    "user_profile_clicks": _PROFILE_CLICKS,
}
_PUBLIC: Rules = {
    "impression_count": Rule(keys=("impressions",), note="organic and promoted"),
    "like_count": Rule(keys=("likes",), note="organic and promoted"),
    "reply_count": Rule(keys=("comments",), note="organic and promoted"),
    "retweet_count": Rule(keys=("shares",), note="without quotes; organic and promoted"),
    "quote_count": Rule(keys=("shares",)),
    "bookmark_count": Rule(keys=("saves",)),
}
# With the private numbers at hand only what they lack is counted from the public ones.
_PUBLIC_BESIDE: Rules = {
    **{name: msgspec.structs.replace(rule, check=True) for name, rule in _PUBLIC.items()},
    "quote_count": Rule(keys=("shares",), note="quotes alone: they are told apart by nothing else"),
    "bookmark_count": _PUBLIC["bookmark_count"],
}
_POSTS = (SubjectType.POST,)
_VIDEOS = (SubjectType.VIDEO,)

PUBLIC = Part(name="public_metrics", rules=_PUBLIC, types=_POSTS)
"""A post as anyone may see it; counted where nothing else is to be had."""
PUBLIC_BESIDE = Part(name="public_metrics", rules=_PUBLIC_BESIDE, types=_POSTS)
NON_PUBLIC = Part(
    name="non_public_metrics",
    types=_POSTS,
    rules={
        "engagements": Rule(keys=("engagements_platform",), note="organic and promoted, which X does not part"),
        "url_link_clicks": Rule(keys=("clicks_link",), check=True, note="organic and promoted"),
        "impression_count": left_out("the public impressions again"),
        "user_profile_clicks": _PROFILE_CLICKS,
    },
)
ORGANIC = Part(name="organic_metrics", rules=_SPLIT, types=_POSTS, paid=False)
PROMOTED = Part(name="promoted_metrics", rules=_SPLIT, types=_POSTS, paid=True)

_PLAYBACK = left_out("starts and quarters of a play have no key")
_PLAYED: Rules = {
    "view_count": Rule(keys=("views",)),
    "playback_100_count": Rule(keys=("video_completions",)),
    "playback_0_count": _PLAYBACK,
    "playback_25_count": _PLAYBACK,
    "playback_50_count": _PLAYBACK,
    "playback_75_count": _PLAYBACK,
}
_SEEN: Rules = {"view_count": Rule(keys=("views",), note="over all posts that hold the video")}
MEDIA_PUBLIC = Part(name="public_metrics", rules=_SEEN, types=_VIDEOS)
MEDIA_PUBLIC_BESIDE = Part(name="public_metrics", rules=_all_checked(_SEEN), types=_VIDEOS)
MEDIA_NON_PUBLIC = Part(
    name="non_public_metrics",
    types=_VIDEOS,
    rules={
        **_PLAYED,
        "view_count": left_out("the public views again"),
        "playback_100_count": Rule(keys=("video_completions",), check=True, note="organic and promoted"),
    },
)
MEDIA_ORGANIC = Part(name="organic_metrics", rules=_PLAYED, types=_VIDEOS, paid=False)
MEDIA_PROMOTED = Part(name="promoted_metrics", rules=_PLAYED, types=_VIDEOS, paid=True)

USER = Part(
    name="public_metrics",
    types=(SubjectType.PROFILE,),
    kind=Kind.LEVEL,
    rules={
        "followers_count": Rule(keys=("followers",)),
        "following_count": left_out("whom the account follows"),
        "tweet_count": left_out("no measure of a campaign"),
        "listed_count": left_out("no measure of a campaign"),
        "like_count": left_out("what the account has liked itself"),
        "media_count": left_out("no measure of a campaign"),
    },
)
ANALYTICS = Part(
    name="analytics",
    types=_POSTS,
    kind=Kind.PERIOD,
    rules=_all_checked(
        {
            "impressions": Rule(keys=("impressions",)),
            "engagements": Rule(keys=("engagements_platform",)),
            "likes": Rule(keys=("likes",)),
            "replies": Rule(keys=("comments",)),
            "retweets": Rule(keys=("shares",)),
            "quote_tweets": Rule(keys=("shares",)),
            "bookmarks": Rule(keys=("saves",)),
            "url_clicks": Rule(keys=("clicks_link",)),
            "media_views": Rule(keys=("views",)),
            "follows": Rule(keys=("followers_gained",), note="those who came from the post, not all who came"),
            "shares": left_out("copied links and messages, which the counted shares do not hold"),
            "user_profile_clicks": _PROFILE_CLICKS,
        }
    ),
)

OWNER_POST = (ORGANIC, PROMOTED, NON_PUBLIC, PUBLIC_BESIDE)
OWNER_MEDIA = (MEDIA_ORGANIC, MEDIA_PROMOTED, MEDIA_NON_PUBLIC, MEDIA_PUBLIC_BESIDE)
_PARTS: tuple[tuple[str, Part], ...] = (
    *(("post", part) for part in (*OWNER_POST, PUBLIC)),
    *(("media", part) for part in (*OWNER_MEDIA, MEDIA_PUBLIC)),
    ("user", USER),
    ("post", ANALYTICS),
)


def _answer(owner: str, part: Part) -> tuple[str, Rules, tuple[SubjectType, ...]]:
    # Public numbers are declared twice: as they count with the private ones at hand, and as they count without.
    alone = " (access public)" if part is PUBLIC or part is MEDIA_PUBLIC else ""
    rules = {f"{name}{alone}": msgspec.structs.replace(rule, kind=part.kind) for name, rule in part.rules.items()}
    return f"{owner}/{part.name}", rules, part.types


ANSWERS: Answers = tuple(_answer(owner, part) for owner, part in _PARTS)
"""What is declared, named ``object/part/metric``."""

FACTS = "created_at,author_id,entities,attachments,referenced_tweets,edit_history_tweet_ids"
_MEDIA_FACTS = "media_key,type"
POST_FIELDS: Mapping[str, str] = {
    "owner": f"{FACTS},public_metrics,non_public_metrics,organic_metrics,promoted_metrics",
    "public": f"{FACTS},public_metrics",
}
"""The fields to ask for of posts by access; the names that are sent are the older ones, which every version takes."""
MEDIA_FIELDS: Mapping[str, str] = {
    "owner": f"{_MEDIA_FACTS},public_metrics,non_public_metrics,organic_metrics,promoted_metrics",
    "public": f"{_MEDIA_FACTS},public_metrics",
}
ANALYTICS_FIELDS = ",".join(asked(ANALYTICS.rules))
