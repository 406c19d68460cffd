"""A fake Graph server for Instagram: an account with media, stories and days, by either login.

It refuses what the platform refuses: a metric that a media does not know, a window that is too long, a wrong token.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Any

from tests.fakes import graph
from tests.fakes.graph import GONE, PACIFIC, GraphServer, Refused, envelope, fields_of, stamp
from tests.fakes.wire import Call

ACCOUNT = "17841405309211844"
PAGE = "102030405060708"
TOO_FEW = envelope(10, "(#10) Not enough viewers for the media to show insights")
BEFORE_BUSINESS = envelope(100, "Invalid parameter", 2108006, error_user_title="Posted before business conversion")
BUSINESS_USAGE = graph.business_usage("instagram", ACCOUNT)

_REELS = {
    "views",
    "reach",
    "likes",
    "comments",
    "shares",
    "saved",
    "total_interactions",
    "ig_reels_avg_watch_time",
    "ig_reels_video_view_total_time",
}
_FEED = {"views", "reach", "likes", "comments", "shares", "saved", "total_interactions", "follows", "profile_visits"}
_ALBUM = {"reach", "saved", "shares", "follows", "profile_visits", "views"}
_STORY = {
    "views",
    "reach",
    "replies",
    "shares",
    "follows",
    "profile_visits",
    "total_interactions",
    "navigation",
}
_TIME_SERIES = {"reach", "follower_count"}
_TOTALS = {
    "views",
    "reach",
    "accounts_engaged",
    "total_interactions",
    "likes",
    "comments",
    "shares",
    "saves",
    "replies",
    "profile_links_taps",
    "follows_and_unfollows",
}
_RETIRED = {"impressions", "plays", "clips_replays_count", "ig_reels_aggregated_all_plays_count", "video_views"}
_LONGEST_WINDOW = 30 * 86_400 + 3600  # thirty days, one of them possibly of 25 hours
_FEWEST_FOLLOWERS = 100
_STORY_LIFE = timedelta(hours=24)


@dataclass
class Media:
    """One media: what its node says and its insights. ``like_count`` None is a hidden count."""

    id: str
    media_type: str = "IMAGE"
    product: str = "FEED"
    published: datetime = datetime(2026, 8, 13, 8, 25, 28, tzinfo=UTC)
    caption: str | None = None
    like_count: int | None = 0
    comments_count: int = 0
    insights: dict[str, int] = field(default_factory=dict)
    old_video: bool = False
    before_business: bool = False
    too_few_viewers: bool = False
    gone: bool = False
    silent: bool = False

    def known(self) -> set[str]:
        """Return the metrics that this media answers."""
        if self.old_video:
            return {"reach", "saved"}
        if self.product in {"REELS", "STORY"}:
            return _REELS if self.product == "REELS" else _STORY
        return _ALBUM if self.media_type == "CAROUSEL_ALBUM" else _FEED

    def node(self, names: list[str]) -> dict[str, Any]:
        """Return the fields asked for, absent ones left out as the platform does."""
        all_fields = {
            "id": self.id,
            "media_type": self.media_type,
            "media_product_type": self.product,
            "permalink": f"https://www.instagram.com/p/{self.id}/",
            "timestamp": stamp(self.published),
            "caption": self.caption,
            "like_count": self.like_count,
            "comments_count": self.comments_count,
            "shortcode": f"S{self.id}",
        }
        return {name: all_fields[name] for name in names if all_fields.get(name) is not None}


@dataclass
class FakeInstagram(GraphServer):
    """The server. Set its fields, add to ``failures``, read ``calls``."""

    username: str = "brand"
    followers: int = 4321
    media: list[Media] = field(default_factory=list)
    stories: list[Media] = field(default_factory=list)
    days: dict[date, dict[str, int]] = field(default_factory=dict)
    permissions: dict[str, str] = field(default_factory=dict)
    subscribed: list[str] = field(default_factory=list)
    allowed_by_list: bool = False

    def route(self, call: Call) -> dict[str, Any]:
        self.require_token(call)
        if call.method == "POST":
            self.subscribed = call.query["subscribed_fields"].split(",")
            return {"success": True}
        _, _, owner, *edge = call.path.split("/")
        if owner == "me" or edge == ["subscribed_apps"]:
            return self._of_token([owner, *edge])
        if owner == ACCOUNT:
            return self._of_account(edge, call)
        media = self._find(owner)
        return self._media_insights(call, media) if edge else media.node(fields_of(call))

    def _of_token(self, parts: list[str]) -> dict[str, Any]:
        if parts == ["me", "accounts"]:
            return self._pages()
        if parts == ["me", "permissions"]:
            return {"data": [{"permission": name, "status": status} for name, status in self.permissions.items()]}
        if parts[-1] == "subscribed_apps":
            return {"data": [{"id": "1", "subscribed_fields": self.subscribed}] if self.subscribed else []}
        raise Refused(envelope(2500, "Unknown path components"))

    def _of_account(self, edge: list[str], call: Call) -> dict[str, Any]:
        if edge == ["insights"]:
            return self._account_insights(call)
        if edge in (["media"], ["stories"]):
            return self.listing(call, self.media if edge == ["media"] else self._living(), Media.node)
        return self._profile(call)

    def _pages(self) -> dict[str, Any]:
        # The first page belongs to no professional account.
        linked = {"id": PAGE, "instagram_business_account": {"id": ACCOUNT}}
        return {"data": [{"id": "90807060504030201"}, linked], "paging": {"cursors": {"before": "a", "after": "b"}}}

    def _profile(self, call: Call) -> dict[str, Any]:
        known = {
            "id": ACCOUNT,
            "username": self.username,
            "followers_count": self.followers,
            "follows_count": 12,
            "media_count": len(self.media),
        }
        return {name: known[name] for name in call.query["fields"].split(",") if name in known}

    def _living(self) -> list[Media]:
        return [story for story in self.stories if self.now - story.published < _STORY_LIFE]

    def _find(self, media: str) -> Media:
        found = next((one for one in (*self.media, *self._living()) if one.id == media and not one.gone), None)
        if found is None:
            raise Refused(GONE)
        return found

    def _media_insights(self, call: Call, media: Media) -> dict[str, Any]:
        asked = call.query.get("metric", "").split(",")
        if media.before_business:
            raise Refused(BEFORE_BUSINESS)
        for position, name in enumerate(asked):
            self._refuse_unknown(name, position, media)
        if media.too_few_viewers:
            raise Refused(TOO_FEW)
        if media.silent:
            return {"data": []}
        return {"data": [_lifetime(media.id, name, media.insights[name]) for name in asked if name in media.insights]}

    def _refuse_unknown(self, name: str, position: int, media: Media) -> None:
        if name in _RETIRED:
            raise Refused(envelope(100, f"(#100) Starting from version v22.0 the {name} metric is no longer supported"))
        if name in media.known():
            return
        if self.allowed_by_list:
            allowed = ", ".join(sorted(media.known()))
            raise Refused(envelope(100, f"(#100) metric[{position}] must be one of the following values: {allowed}"))
        raise Refused(
            envelope(
                100, f"(#100) The Media Insights API does not support the {name} metric for this media product type."
            )
        )

    def _account_insights(self, call: Call) -> dict[str, Any]:
        asked = call.query["metric"].split(",")
        since, until = int(call.query["since"]), int(call.query["until"])
        if until - since > _LONGEST_WINDOW:
            raise Refused(envelope(100, "(#100) There cannot be more than 30 days between since and until"))
        total = call.query.get("metric_type") == "total_value"
        wrong = [name for name in asked if name not in (_TOTALS if total else _TIME_SERIES)]
        if wrong and not total:
            names = ", ".join(wrong)
            raise Refused(
                envelope(
                    100, f"(#100) The following metrics ({names}) should be specified with metric_type=total_value"
                )
            )
        if wrong:
            raise Refused(envelope(100, f"(#100) The metric {wrong[0]} is not supported"))
        if "follower_count" in asked and self.followers < _FEWEST_FOLLOWERS:
            raise Refused(envelope(100, "(#100) The metric follower_count needs an account of 100 or more followers"))
        first = datetime.fromtimestamp(since, tz=PACIFIC).date()
        if total:
            data = [self._total(name, self.days.get(first, {}), call) for name in asked]
        else:
            data = [self.series(ACCOUNT, name, self.days, call) for name in asked]
        return {"data": data, "paging": self.window_links(call, since, until)}

    def _total(self, name: str, day: Mapping[str, int], call: Call) -> dict[str, Any]:
        entry: dict[str, Any] = {"name": name, "period": "day", "id": f"{ACCOUNT}/insights/{name}/day"}
        if call.query.get("breakdown") == "follow_type":
            results = [
                {"dimension_values": [label], "value": day[key]}
                for label, key in (("FOLLOWER", "gained"), ("NON_FOLLOWER", "lost"))
                if key in day
            ]
            return {**entry, "total_value": {"breakdowns": [{"dimension_keys": ["follow_type"], "results": results}]}}
        return {**entry, "total_value": {"value": day[name]} if name in day else {}}


def _lifetime(media: str, name: str, value: int) -> dict[str, Any]:
    # Newer metrics have their value in a total as well.
    newer = {"total_value": {"value": value}} if name in {"views", "total_interactions"} else {}
    return {**graph.lifetime(media, name, value), **newer}


# ------------------------------------------------------------------------------------------------ webhooks


def push(*entries: Mapping[str, Any]) -> dict[str, Any]:
    """Return the body around entries."""
    return {"object": "instagram", "entry": list(entries)}


def change(
    field_name: str, value: Mapping[str, Any], at: int | None = 1_547_687_043, account: str = ACCOUNT
) -> dict[str, Any]:
    """Return an entry with one change in ``changes``."""
    sent = {} if at is None else {"time": at}
    return {"id": account, **sent, "changes": [{"field": field_name, "value": dict(value)}]}


def flat(field_name: str, value: Mapping[str, Any], at: int = 1_547_687_043) -> dict[str, Any]:
    """Return an entry of the Instagram login, the change in itself."""
    return {"id": ACCOUNT, "time": at, "field": field_name, "value": dict(value)}


def messaging(at: int = 1_547_687_043_123) -> dict[str, Any]:
    """Return an entry of a message, its time in milliseconds."""
    message = {"sender": {"id": "1"}, "recipient": {"id": ACCOUNT}, "timestamp": at, "message": {"text": "hello"}}
    return {"id": ACCOUNT, "time": at, "messaging": [message]}


STORY: Mapping[str, Any] = {
    "media_id": "18023345989012587",
    "impressions": 28,
    "reach": 17,
    "taps_forward": 12,
    "taps_back": 0,
    "exits": 1,
    "replies": 0,
}
"""The totals of a story as they are pushed when it has run out."""
