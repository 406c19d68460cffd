"""A fake TikTok Business API: an ASGI application that answers as the platform does, its traps included.

It holds an account with posts and days, refuses what the platform refuses with HTTP 200 and a code, and can be told to
fail in each way the platform fails. It is no copy of the platform: numbers are what a test puts in.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Any

from tests.fakes.wire import Answer, Call, Failure, Receive, Scope, Send, failing, served

ACCOUNT = "_000Qm1XbtFqUH9iDv4xBnM5LbY1sFzQX6Pm"
TOKEN = "act.fake-token-of-the-account"
HOST = "https://business-api.tiktok.com"
APP_ID = "7012345678901234567"

_FACTS = {"item_id", "create_time", "caption", "share_url", "media_type", "thumbnail_url", "embed_url"}
_PLAIN = {"video_views", "likes", "comments", "shares", "favorites", "reach"}
_INSIGHTS = {
    "total_time_watched",
    "average_time_watched",
    "full_video_watched_rate",
    "new_followers",
    "profile_views",
    "website_clicks",
    "phone_number_clicks",
    "email_clicks",
    "address_clicks",
    "app_download_clicks",
    "lead_submissions",
    "impression_sources",
}
_FADING = {"reach", "total_time_watched", "average_time_watched", "full_video_watched_rate", "impression_sources"}
_PROFILE = {"username", "display_name", "followers_count", "total_likes", "following_count", "videos_count"}
_DAYS = {
    "video_views",
    "unique_video_views",
    "profile_views",
    "likes",
    "comments",
    "shares",
    "daily_new_followers",
    "daily_lost_followers",
    "daily_total_followers",
    "bio_link_clicks",
    "phone_number_clicks",
    "email_clicks",
    "address_clicks",
    "app_download_clicks",
    "lead_submissions",
    "engaged_audience",
}
_MOST = 20
_LOOK_BACK = timedelta(days=60)


@dataclass
class Post:
    """One post and its totals; ``idle`` is one that nobody watched for a week, some of its numbers are gone."""

    id: str
    published: datetime = datetime(2026, 8, 13, 11, 1, 46, tzinfo=UTC)
    caption: str = ""
    media_type: str = "VIDEO"
    numbers: dict[str, Any] = field(default_factory=dict)
    idle: bool = False
    gone: bool = False

    def shown(self, names: list[str]) -> dict[str, Any]:
        """Return the fields asked for; the time is text, as it comes."""
        facts = {
            "item_id": self.id,
            "create_time": str(int(self.published.timestamp())),
            "caption": self.caption,
            "share_url": f"https://www.tiktok.com/@brand/video/{self.id}?utm_campaign=tt4d_open_api&x-expires=1",
            "media_type": self.media_type,
        }
        known = {**facts, **{name: one for name, one in self.numbers.items() if not (self.idle and name in _FADING)}}
        return {name: known[name] for name in names if name in known}


def envelope(code: int, message: str, data: Any = None) -> bytes:
    """Return an answer as the platform writes it; errors have data too, an empty one."""
    body = {"code": code, "message": message, "request_id": "202608201200", "data": {} if data is None else data}
    return json.dumps(body).encode()


DEAD_TOKEN = envelope(40105, "Access token is incorrect or has been revoked.")
EXPIRED = envelope(40110, "Access token has expired")
THROTTLED = envelope(40100, "Too many requests. Please retry in some time.")
NO_PERMISSION = envelope(40001, "No permission to operate")
BAD_PARAMETER = envelope(40002, "Invalid parameter")
MISSING = envelope(40007, "The object does not exist")
SERVER = envelope(50000, "Internal service error")
TIMED_OUT = envelope(51010, "Upstream timed out")


class Refused(Exception):  # noqa: N818 - the fake's own word for an error answer
    """An error answer on its way out."""

    def __init__(self, body: bytes) -> None:
        super().__init__()
        self.body = body


@dataclass
class FakeTiktok:
    """The platform. Set its fields, add to ``failures``, read ``calls``."""

    now: datetime = datetime(2026, 8, 20, 12, tzinfo=UTC)
    token: str = TOKEN
    username: str = "brand"
    followers: int = 1200
    posts: list[Post] = field(default_factory=list)
    days: dict[date, dict[str, Any]] = field(default_factory=dict)
    lag: int = 2
    page_size: int = _MOST
    empty_page_before_last: bool = False
    repeating_cursor: bool = False
    insights: bool = True
    unknown_fields: set[str] = field(default_factory=set)
    vague: bool = False
    missing_spoils: bool = False
    failures: list[Failure] = field(default_factory=list)
    webhooks: dict[str, str] = field(default_factory=dict)
    calls: list[Call] = field(default_factory=list)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await served(scope, receive, send, self._heard)

    def _heard(self, call: Call) -> Answer:
        self.calls.append(call)
        status, headers, body = self._answer(call)
        return status, {"x-tt-logid": "202608201200", **headers}, body

    def _answer(self, call: Call) -> Answer:
        failed = failing(self.failures, call.path)
        if failed is not None:
            return failed
        try:
            # Whatever it is, it comes with 200.
            return 200, {}, envelope(0, "OK", self._route(call))
        except Refused as refused:
            return 200, {}, refused.body

    def _route(self, call: Call) -> dict[str, Any]:
        path = call.path.removeprefix("/open_api/v1.3/")
        if path == "business/webhook/update/" and call.method == "POST":
            asked = json.loads(call.body)
            self.webhooks[asked["event_type"]] = asked["callback_url"]
            return {}
        if call.headers.get("access-token") != self.token or "authorization" in call.headers:
            raise Refused(DEAD_TOKEN)
        routes = {"business/get/": self._account, "business/video/list/": self._videos}
        if path not in routes or call.query.get("business_id") != ACCOUNT:
            raise Refused(BAD_PARAMETER)
        return routes[path](call.query)

    def _fields(self, query: Mapping[str, str], known: set[str]) -> list[str]:
        try:
            asked = json.loads(query["fields"])
        except (KeyError, ValueError):
            raise Refused(BAD_PARAMETER) from None
        wrong = [name for name in asked if name not in known or name in self.unknown_fields]
        if wrong:
            told = "Invalid value for fields" if self.vague else f"fields: {wrong[0]} is not one of the allowed values"
            raise Refused(envelope(40002, told))
        return [str(name) for name in asked]

    # -------------------------------------------------------------------------------------------- posts

    def _videos(self, query: Mapping[str, str]) -> dict[str, Any]:
        names = self._fields(query, _FACTS | _PLAIN | _INSIGHTS)
        if "item_id" not in names or not 1 <= int(query.get("max_count", "10")) <= _MOST:
            raise Refused(BAD_PARAMETER)
        if not self.insights and _INSIGHTS & set(names):
            raise Refused(NO_PERMISSION)
        if "filters" in query:
            return self._by_id(json.loads(query["filters"])["video_ids"], names)
        return self._listing(query, names)

    def _by_id(self, wanted: list[str], names: list[str]) -> dict[str, Any]:
        found = [one for one in self.posts if one.id in wanted and not one.gone]
        if len(wanted) > _MOST:
            raise Refused(BAD_PARAMETER)
        if self.missing_spoils and len(found) < len(wanted):
            raise Refused(MISSING)
        return {"videos": [one.shown(names) for one in found], "has_more": False, "cursor": 0}

    def _listing(self, query: Mapping[str, str], names: list[str]) -> dict[str, Any]:
        before = int(query.get("cursor", str(_milliseconds(self.now) + 1)))
        listed = sorted((one for one in self.posts if not one.gone), key=lambda one: one.published, reverse=True)
        rest = [one for one in listed if _milliseconds(one.published) < before]
        size = min(int(query.get("max_count", "10")), self.page_size)
        if self.empty_page_before_last and "cursor" in query and 0 < len(rest) <= size and before % 10 != 1:
            return {"videos": [], "has_more": True, "cursor": before // 10 * 10 - 9}
        shown, more = rest[:size], len(rest) > size or self.repeating_cursor
        at = (
            before
            if self.repeating_cursor and "cursor" in query
            else _milliseconds(shown[-1].published)
            if shown
            else 0
        )
        return {"videos": [one.shown(names) for one in shown], "has_more": more, "cursor": at}

    # -------------------------------------------------------------------------------------------- the account

    def _account(self, query: Mapping[str, str]) -> dict[str, Any]:
        names = self._fields(query, _PROFILE | _DAYS)
        known = {"username": self.username, "display_name": self.username.title(), "followers_count": self.followers}
        known |= {"total_likes": 99, "following_count": 3, "videos_count": len(self.posts)}
        today = self.now.astimezone(UTC).date()
        first = date.fromisoformat(query.get("start_date", (today - timedelta(days=7)).isoformat()))
        last = date.fromisoformat(query.get("end_date", (today - timedelta(days=1)).isoformat()))
        if first < today - _LOOK_BACK or first > last:
            raise Refused(BAD_PARAMETER)
        answer: dict[str, Any] = {name: known[name] for name in names if name in known}
        # The number of followers comes a second time with the days.
        daily = [name for name in names if name in _DAYS or name == "followers_count"]
        if daily:
            answer["metrics"] = [
                {"date": day.isoformat(), **{name: numbers[name] for name in daily if name in numbers}}
                for day, numbers in sorted(self.days.items())
                if first <= day <= min(last, today - timedelta(days=self.lag))
            ]
        return answer


def _milliseconds(at: datetime) -> int:
    return int(at.timestamp()) * 1000


# ------------------------------------------------------------------------------------------------ webhooks


def event(name: str, content: str = "{}", at: int = 1_787_227_200, **more: Any) -> bytes:
    """Return the body of an event; its content is JSON inside a text."""
    fields = {"client_key": "bwo2m45353a6k85", "event": name, "create_time": at, "user_openid": ACCOUNT}
    return json.dumps({**fields, "content": content, **more}).encode()


def comment(video: int, action: str = "insert") -> bytes:
    """Return the event of a comment; ids are numbers of nineteen digits."""
    told = f'{{"comment_id":7109065174526479001,"video_id":{video},"comment_action":"{action}","timestamp":1787227199}}'
    return event("comment.update", told)


def signed(body: bytes, secret: str, at: datetime) -> dict[str, str]:
    """Return the headers of a push of this body at this time."""
    seconds = int(at.timestamp())
    digest = hmac.digest(secret.encode(), f"{seconds}.".encode() + body, hashlib.sha256).hex()
    return {"content-type": "application/json", "tiktok-signature": f"t={seconds},s={digest}"}
