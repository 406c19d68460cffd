"""A fake Graph server for a Facebook page: posts, reels and page days, with the platform's refusals.

A retired metric empties the whole answer without being named, reels have no ``insights``, counts of comments are closed
without their permission, a person's token is no page's, and page insights link windows that never end.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from typing import Any

from tests.fakes import graph
from tests.fakes.graph import GONE, NO_PERMISSION, GraphServer, Refused, end_of, envelope, fields_of, stamp
from tests.fakes.wire import Call

ACCOUNT = "102030405060708"
PERSON = "998877665544332"
NO_METRIC = envelope(100, "(#100) The value must be a valid insights metric")
NO_EDGE = envelope(100, "(#100) Tried accessing nonexisting field (insights)")
TOO_LONG = envelope(100, "(#100) There cannot be more than 90 days between since and until")
NOT_A_PAGE = envelope(190, "(#190) This method must be called with a Page Access Token")
BUSINESS_USAGE = graph.business_usage("pages", ACCOUNT, minutes=2)

_POST_METRICS = {
    "post_media_view",
    "post_total_media_view_unique",
    "post_clicks",
    "post_clicks_by_type",
    "post_reactions_by_type_total",
    "post_video_views",
    "post_video_view_time",
}
_PAGE_METRICS = {
    "page_media_view",
    "page_total_media_view_unique",
    "page_post_engagements",
    "page_views_total",
    "page_video_views",
    "page_daily_follows_unique",
    "page_daily_unfollows_unique",
    "page_follows",
}
_LONGEST_WINDOW = 90 * 86_400 + 3600  # ninety days, one of them possibly of 25 hours


@dataclass
class Post:
    """One post: what its node says and its insights. ``by_ads`` are the views that ads brought."""

    id: str
    published: datetime = datetime(2026, 8, 13, 8, 25, 28, tzinfo=UTC)
    message: str | None = None
    shown: str = "photo"
    link: str | None = None
    permalink: str = ""
    comments: int = 0
    reactions: int = 0
    shares: int | None = None
    author: str = ACCOUNT
    insights: dict[str, Any] = field(default_factory=dict)
    by_ads: int = 0
    gone: bool = False

    def node(self, names: list[str]) -> dict[str, Any]:
        """Return the fields asked for, absent ones left out as the platform does."""
        attachment = {"media_type": self.shown, "target": {"id": "77"}}
        link = {} if self.link is None else {"unshimmed_url": self.link}
        known = {
            "id": self.id,
            "message": self.message,
            "created_time": stamp(self.published),
            "permalink_url": self.permalink or f"https://www.facebook.com/{self.id.replace('_', '/posts/')}",
            "status_type": "added_photos" if self.shown == "photo" else "shared_story",
            "shares": None if self.shares is None else {"count": self.shares},
            "attachments": {"data": [{**attachment, **link}]},
            "reactions": {"data": [], "summary": {"total_count": self.reactions}},
            "comments": {"data": [], "summary": {"total_count": self.comments}},
            "from": {"id": self.author, "name": "Somebody"},
        }
        return {name: known[name] for name in names if known.get(name) is not None}


@dataclass
class Reel:
    """One reel; a missing number is left out of its answer."""

    id: str
    published: datetime = datetime(2026, 8, 14, 9, tzinfo=UTC)
    description: str | None = None
    insights: dict[str, Any] = field(default_factory=dict)
    gone: bool = False

    def node(self, names: list[str]) -> dict[str, Any]:
        """Return the fields asked for; the address comes without the site."""
        known = {
            "id": self.id,
            "description": self.description,
            "created_time": stamp(self.published),
            "permalink_url": f"/reel/{self.id}/",
        }
        return {name: known[name] for name in names if known.get(name) is not None}


@dataclass
class FakeFacebook(GraphServer):
    """The server. Set its fields, add to ``failures``, read ``calls``.

    ``retired`` metrics are refused as Meta refuses them: without a name. ``has_breakdown`` off stands for a version
    that does not tell views apart; ``counts_allowed`` for the permission behind comments and reactions.
    """

    name: str = "Brand"
    followers: int = 1200
    posts: list[Post] = field(default_factory=list)
    reels: list[Reel] = field(default_factory=list)
    days: dict[date, dict[str, Any]] = field(default_factory=dict)
    ads_days: dict[date, int] = field(default_factory=dict)
    permissions: dict[str, str] = field(default_factory=dict)
    subscribed: list[str] = field(default_factory=list)
    retired: set[str] = field(default_factory=set)
    counts_allowed: bool = True
    has_breakdown: bool = True
    has_reels: bool = True
    persons_token: bool = False
    under_hundred_likes: bool = False

    def route(self, call: Call) -> dict[str, Any]:
        self.require_token(call)
        _, _, owner, *edge = call.path.split("/")
        if owner == "me":
            return self._of_token(edge)
        if owner == ACCOUNT:
            return self._of_page(edge, call)
        if edge and self.persons_token:
            raise Refused(NOT_A_PAGE)
        found = self._find(owner)
        self._require_counts(call)
        if edge == ["video_insights"] and isinstance(found, Reel):
            return {"data": [graph.lifetime(found.id, name, value) for name, value in found.insights.items()]}
        if edge == ["insights"] and isinstance(found, Post):
            return self._post_insights(found, call)
        if edge:
            raise Refused(NO_EDGE)
        return found.node(fields_of(call))

    def _of_token(self, edge: list[str]) -> dict[str, Any]:
        if edge == ["permissions"]:
            return {"data": [{"permission": name, "status": status} for name, status in self.permissions.items()]}
        return {"id": PERSON if self.persons_token else ACCOUNT}

    def _of_page(self, edge: list[str], call: Call) -> dict[str, Any]:
        if call.method == "POST":
            self.subscribed = call.query["subscribed_fields"].split(",")
            return {"success": True}
        if edge == ["subscribed_apps"]:
            return {"data": [{"id": "1", "subscribed_fields": self.subscribed}] if self.subscribed else []}
        if edge == ["insights"]:
            return self._page_insights(call)
        if edge == ["published_posts"]:
            self._require_counts(call)
            return self.listing(call, [post for post in self.posts if not post.gone], Post.node)
        if edge == ["video_reels"]:
            return self._listed_reels(call)
        known = {"id": ACCOUNT, "name": self.name, "followers_count": self.followers, "fan_count": self.followers - 9}
        return {name: known[name] for name in fields_of(call) if name in known}

    def _listed_reels(self, call: Call) -> dict[str, Any]:
        if not self.has_reels:
            raise Refused(envelope(100, "(#100) Tried accessing nonexisting field (video_reels)"))
        return self.listing(call, [reel for reel in self.reels if not reel.gone], Reel.node)

    def _require_counts(self, call: Call) -> None:
        if not self.counts_allowed and {"comments", "reactions"} & set(fields_of(call)):
            raise Refused(NO_PERMISSION)

    def _find(self, wanted: str) -> Post | Reel:
        everything: list[Post | Reel] = [*self.posts, *self.reels]
        found = next((one for one in everything if one.id == wanted and not one.gone), None)
        if found is None:
            raise Refused(GONE)
        return found

    def _require_metrics(self, call: Call, known: set[str]) -> list[str]:
        asked = call.query.get("metric", "").split(",")
        if not set(asked) <= known - self.retired:
            raise Refused(NO_METRIC)
        if "breakdown" in call.query and not self.has_breakdown:
            raise Refused(envelope(100, "(#100) The breakdown is_from_ads is not supported"))
        return asked

    def _post_insights(self, post: Post, call: Call) -> dict[str, Any]:
        asked = self._require_metrics(call, _POST_METRICS)
        if self.under_hundred_likes:
            return {"data": []}
        data = [graph.lifetime(post.id, name, post.insights[name]) for name in asked if name in post.insights]
        for entry in data:
            if entry["name"] == "post_media_view":
                entry["values"] = self._views(call, entry["values"][0]["value"], post.by_ads, {})
        return {"data": data}

    def _views(self, call: Call, organic: int, by_ads: int, more: Mapping[str, Any]) -> list[dict[str, Any]]:
        if "breakdown" not in call.query:
            return [{"value": organic + by_ads, **more}]
        return [{"value": organic, **more, "is_from_ads": "0"}, {"value": by_ads, **more, "is_from_ads": "1"}]

    def _page_insights(self, call: Call) -> dict[str, Any]:
        if self.persons_token:
            raise Refused(NOT_A_PAGE)
        since, until = int(call.query["since"]), int(call.query["until"])
        if until - since > _LONGEST_WINDOW:
            raise Refused(TOO_LONG)
        asked = self._require_metrics(call, _PAGE_METRICS)
        data = [self.series(ACCOUNT, name, self.days, call) for name in asked]
        for entry in data:
            if entry["name"] == "page_media_view":
                entry["values"] = [bucket for day in self._inside(since, until) for bucket in self._day(call, day)]
        empty = self.under_hundred_likes
        return {"data": [] if empty else data, "paging": self.window_links(call, since, until)}

    def _inside(self, since: int, until: int) -> list[date]:
        return [day for day in sorted(self.days) if since < end_of(day).timestamp() <= until]

    def _day(self, call: Call, day: date) -> list[dict[str, Any]]:
        organic = self.days[day].get("page_media_view", 0)
        return self._views(call, organic, self.ads_days.get(day, 0), {"end_time": stamp(end_of(day))})


# ------------------------------------------------------------------------------------------------ webhooks


def push(*entries: Mapping[str, Any]) -> dict[str, Any]:
    """Return the body around entries."""
    return {"object": "page", "entry": list(entries)}


def feed(at: int | None = 1_786_000_000, field_name: str = "feed", author: str = "", **value: Any) -> dict[str, Any]:
    """Return an entry with one change of the page's feed, by ``author`` where one is named."""
    sent = {} if at is None else {"time": at}
    by = {"from": {"id": author, "name": "Somebody"}} if author else {}
    return {"id": ACCOUNT, **sent, "changes": [{"field": field_name, "value": {**value, **by}}]}
