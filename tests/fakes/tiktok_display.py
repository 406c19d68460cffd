"""A fake Display API of TikTok: an ASGI application with one user and their public videos, its traps included."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from tests.fakes.wire import Answer, Call, Failure, Receive, Scope, Send, failing, served

ACCOUNT = "723f24d7-e717-40f8-a2b6-cb8464cd23b4"
TOKEN = "act.fake-token-of-the-creator"
HOST = "https://open.tiktokapis.com"

_VIDEO = {"id", "create_time", "title", "video_description", "duration", "share_url", "cover_image_url"}
_COUNTS = {"view_count", "like_count", "comment_count", "share_count"}
_USER = {
    "open_id": "user.info.basic",
    "display_name": "user.info.basic",
    "username": "user.info.profile",
    "follower_count": "user.info.stats",
    "following_count": "user.info.stats",
    "likes_count": "user.info.stats",
    "video_count": "user.info.stats",
}
_MOST = 20


@dataclass
class Clip:
    """One public video and its counters."""

    id: str
    published: datetime = datetime(2026, 8, 13, 11, 1, 46, tzinfo=UTC)
    description: str = ""
    numbers: dict[str, Any] = field(default_factory=dict)
    gone: bool = False

    def shown(self, names: list[str]) -> dict[str, Any]:
        """Return the fields asked for; the time is in seconds."""
        facts = {
            "id": self.id,
            "create_time": int(self.published.timestamp()),
            "title": "",
            "video_description": self.description,
            "share_url": f"https://www.tiktok.com/@creator/video/{self.id}?utm_campaign=client_share",
        }
        known = {**facts, **dict.fromkeys(_COUNTS, 0), **self.numbers}
        return {name: known[name] for name in names if name in known}


def envelope(code: str, data: Any = None, message: str = "") -> bytes:
    """Return an answer as the platform writes it: every one has an error."""
    error = {"code": code, "message": message, "log_id": "20260820120000"}
    return json.dumps({"data": {} if data is None else data, "error": error}).encode()


DEAD_TOKEN = envelope("access_token_invalid", message="The access token is invalid or not found in the request.")
NOT_AUTHORISED = envelope("scope_not_authorized", message="The user did not authorize the scope")
NO_SCOPE = envelope("scope_permission_missed", message="missing")
THROTTLED = envelope("rate_limit_exceeded")
INVALID = envelope("invalid_params", message="<b>secret text</b>")
INTERNAL = envelope("internal_error")


class Refused(Exception):  # noqa: N818 - the fake's own word for an error answer
    """An error answer on its way out."""

    def __init__(self, status: int, body: bytes) -> None:
        super().__init__()
        self.status = status
        self.body = body


@dataclass
class FakeDisplay:
    """The platform. Set its fields, add to ``failures``, read ``calls``."""

    now: datetime = datetime(2026, 8, 20, 12, tzinfo=UTC)
    token: str = TOKEN
    followers: int = 87
    clips: list[Clip] = field(default_factory=list)
    scopes: set[str] = field(
        default_factory=lambda: {"user.info.basic", "user.info.profile", "user.info.stats", "video.list"}
    )
    page_size: int = _MOST
    short_page: bool = False
    repeating_cursor: bool = False
    failures: list[Failure] = field(default_factory=list)
    calls: list[Call] = field(default_factory=list)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await served(scope, receive, send, self._heard)

    def _heard(self, call: Call) -> Answer:
        self.calls.append(call)
        return self._answer(call)

    def asked(self, number: int) -> Any:
        """Return the document of a call."""
        return json.loads(self.calls[number].body)

    def _answer(self, call: Call) -> Answer:
        failed = failing(self.failures, call.path)
        if failed is not None:
            return failed
        try:
            return 200, {}, envelope("ok", self._route(call))
        except Refused as refused:
            return refused.status, {}, refused.body

    def _route(self, call: Call) -> dict[str, Any]:
        if call.headers.get("authorization") != f"Bearer {self.token}":
            raise Refused(401, DEAD_TOKEN)
        names = call.query.get("fields", "").split(",")
        if (call.method, call.path) == ("GET", "/v2/user/info/"):
            return self._user(names)
        if call.method != "POST" or call.path not in {"/v2/video/list/", "/v2/video/query/"}:
            raise Refused(404, b"Unsupported path")
        if "video.list" not in self.scopes:
            raise Refused(401, NOT_AUTHORISED)
        if not set(names) <= _VIDEO | _COUNTS or call.headers.get("content-type") != "application/json":
            raise Refused(400, INVALID)
        asked = json.loads(call.body or b"{}")
        return self._query(asked, names) if call.path.endswith("query/") else self._list(asked, names)

    def _user(self, names: list[str]) -> dict[str, Any]:
        if not set(names) <= set(_USER):
            raise Refused(400, INVALID)
        if not {_USER[name] for name in names} <= self.scopes:
            raise Refused(400, NO_SCOPE)
        known = {
            "open_id": ACCOUNT,
            "display_name": "Creator",
            "username": "creator",
            "follower_count": self.followers,
            "following_count": 4,
            "likes_count": 500,
            "video_count": len(self.clips),
        }
        return {"user": {name: known[name] for name in names}}

    def _query(self, body: Any, names: list[str]) -> dict[str, Any]:
        wanted = body["filters"]["video_ids"]
        if len(wanted) > _MOST:
            raise Refused(400, INVALID)
        return {"videos": [one.shown(names) for one in self.clips if one.id in wanted and not one.gone]}

    def _list(self, body: Any, names: list[str]) -> dict[str, Any]:
        size = body.get("max_count", 10)
        if not 1 <= size <= _MOST:
            raise Refused(400, INVALID)
        before = body.get("cursor", 2**53)
        listed = sorted((one for one in self.clips if not one.gone), key=lambda one: one.published, reverse=True)
        rest = [one for one in listed if int(one.published.timestamp()) * 1000 < before]
        shown = rest[: min(size, self.page_size)]
        if self.short_page and "cursor" not in body:
            return {"videos": [], "cursor": before - 1, "has_more": True}
        more = len(rest) > len(shown) or self.repeating_cursor
        at = int(shown[-1].published.timestamp()) * 1000 if shown else 0
        at = before if self.repeating_cursor and "cursor" in body else at
        return {"videos": [one.shown(names) for one in shown], "cursor": at, "has_more": more}
