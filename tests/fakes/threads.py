"""A fake Graph server for Threads: posts, replies and account days, with the platform's three shapes of numbers.

A page names no next page, only the place after it, and the last one names none. Days before Threads had insights are
refused, and a token renews itself only when it is a day old and alive.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Any

from tests.fakes import graph
from tests.fakes.graph import DEAD_TOKEN, GONE, PACIFIC, GraphServer, Refused, envelope, fields_of, stamp
from tests.fakes.wire import Call

ACCOUNT = "24059876543210987"
HOST = "https://graph.threads.net"
TOKEN = "THQVJ-fake-token-of-the-account"
FIRST_SECOND = 1_712_991_600
BUSINESS_USAGE = graph.business_usage("threads", ACCOUNT)
TOO_OLD = envelope(100, "(#100) The since parameter must be later than 1712991600")
TOO_YOUNG = envelope(100, "(#100) The access token is less than 24 hours old")

_POST_METRICS = ("views", "likes", "replies", "reposts", "quotes", "shares")
_ACCOUNT_METRICS = {"views", "likes", "replies", "reposts", "quotes", "clicks", "followers_count"}
_LIFE = timedelta(days=60)


@dataclass
class Thread:
    """One post or reply; ``without`` are metrics that its kind refuses."""

    id: str
    published: datetime = datetime(2026, 8, 13, 8, 25, 28, tzinfo=UTC)
    text: str | None = None
    media_type: str = "TEXT_POST"
    link: str | None = None
    root: str | None = None
    insights: dict[str, int] = field(default_factory=dict)
    without: tuple[str, ...] = ()
    gone: bool = False

    def node(self, names: list[str]) -> dict[str, Any]:
        """Return the fields asked for, absent ones left out."""
        known = {
            "id": self.id,
            "media_product_type": "THREADS",
            "media_type": self.media_type,
            "permalink": f"https://www.threads.net/@brand/post/{self.id}",
            "username": "brand",
            "text": self.text,
            "timestamp": stamp(self.published),
            "shortcode": f"S{self.id}",
            "is_quote_post": False,
            "link_attachment_url": self.link,
            "root_post": None if self.root is None else {"id": self.root},
        }
        return {name: known[name] for name in names if known.get(name) is not None}


@dataclass
class FakeThreads(GraphServer):
    """The server. Set its fields, add to ``failures``, read ``calls``."""

    token: str = TOKEN
    made: datetime = datetime(2026, 8, 1, tzinfo=UTC)
    username: str = "brand"
    followers: int = 987
    posts: list[Thread] = field(default_factory=list)
    replies: list[Thread] = field(default_factory=list)
    days: dict[date, dict[str, int]] = field(default_factory=dict)
    links: dict[date, dict[str, int]] = field(default_factory=dict)

    def route(self, call: Call) -> dict[str, Any]:
        _, first, *rest = call.path.split("/")
        if first == "refresh_access_token":
            return self._renew()
        self.require_token(call)
        owner, edge = rest[0], rest[1:]
        if owner in {ACCOUNT, "me"}:
            return self._of_account(edge, call)
        found = self._find(owner)
        return self._post_insights(found, call) if edge else found.node(fields_of(call))

    def _renew(self) -> dict[str, Any]:
        age = self.now - self.made
        if age < timedelta(hours=24) or age >= _LIFE:
            raise Refused(TOO_YOUNG if age < _LIFE else DEAD_TOKEN)
        return {"access_token": self.token, "token_type": "bearer", "expires_in": 5_183_944}

    def _of_account(self, edge: list[str], call: Call) -> dict[str, Any]:
        if edge == ["threads_insights"]:
            return self._account_insights(call)
        if edge in (["threads"], ["replies"]):
            listed = self.posts if edge == ["threads"] else self.replies
            return self._without_next(self.listing(call, [one for one in listed if not one.gone], Thread.node))
        known = {"id": ACCOUNT, "username": self.username, "name": "The Brand"}
        return {name: known[name] for name in fields_of(call) if name in known}

    @staticmethod
    def _without_next(page: dict[str, Any]) -> dict[str, Any]:
        more = page["paging"].pop("next", None) is not None
        if not more:
            del page["paging"]["cursors"]["after"]
        return page

    def _find(self, wanted: str) -> Thread:
        found = next((one for one in (*self.posts, *self.replies) if one.id == wanted and not one.gone), None)
        if found is None:
            raise Refused(GONE)
        return found

    def _post_insights(self, post: Thread, call: Call) -> dict[str, Any]:
        asked = call.query["metric"].split(",")
        if not set(asked) <= set(_POST_METRICS) - set(post.without):
            raise Refused(envelope(100, "(#100) An unknown error occurred with a parameter"))
        if post.media_type == "REPOST_FACADE":
            return {"data": []}
        return {"data": [graph.lifetime(post.id, name, post.insights[name]) for name in asked if name in post.insights]}

    def _account_insights(self, call: Call) -> dict[str, Any]:
        asked = call.query["metric"].split(",")
        if not set(asked) <= _ACCOUNT_METRICS:
            raise Refused(envelope(100, "(#100) metric must be one of the following values: views, likes"))
        if int(call.query.get("since", FIRST_SECOND)) < FIRST_SECOND:
            raise Refused(TOO_OLD)
        return {"data": [self._account_metric(name, call) for name in asked]}

    def _account_metric(self, name: str, call: Call) -> dict[str, Any]:
        entry: dict[str, Any] = {"name": name, "period": "day", "id": f"{ACCOUNT}/threads_insights/{name}/day"}
        if name == "followers_count":
            return {**entry, "total_value": {"value": self.followers}}
        if name == "views":
            return self.series(ACCOUNT, name, self.days, call)
        inside = self._inside(call)
        if name == "clicks":
            links = [(url, clicks) for day in inside for url, clicks in self.links.get(day, {}).items()]
            return {**entry, "link_total_values": [{"value": clicks, "link_url": url} for url, clicks in links]}
        return {**entry, "total_value": {"value": sum(self.days[day].get(name, 0) for day in inside)}}

    def _inside(self, call: Call) -> list[date]:
        since, until = (datetime.fromtimestamp(int(call.query[name]), tz=PACIFIC) for name in ("since", "until"))
        return [day for day in sorted(self.days) if since.date() <= day < until.date()]


# ------------------------------------------------------------------------------------------------ webhooks


def push(
    field_name: str, value: Mapping[str, Any], at: int | None = 1_786_000_000, *, target: str = "", listed: bool = False
) -> dict[str, Any]:
    """Return a body: flat, its ``values`` an object or, ``listed``, an array."""
    sent = {} if at is None else {"time": at}
    change = {"value": dict(value), "field": field_name}
    body = {"app_id": "1", "topic": "moderate", "target_id": target or str(value.get("id", "1")), **sent}
    return {**body, "subscription_id": "2", "has_uid_field": False, "values": [change] if listed else change}
