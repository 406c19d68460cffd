"""A fake YouTube: Data API, Analytics API and WebSub hub in one ASGI application, their traps included.

It holds a channel with videos and days, refuses what the platform refuses (a metric that is none, a wrong token) and
can be told to fail in each way the platform fails. It is no copy of the platform: numbers are what a test puts in.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Any
from urllib.parse import parse_qsl
from xml.sax.saxutils import escape
from zoneinfo import ZoneInfo

from tests.fakes.wire import Answer, Call, Failure, Receive, Scope, Send, failing, served

PACIFIC = ZoneInfo("America/Los_Angeles")
CHANNEL = "UC_x5XG1OV2P6uZZ5FSM9Ttw"
UPLOADS = "UU_x5XG1OV2P6uZZ5FSM9Ttw"
TOKEN = "ya29.fake-token-of-the-channel"
HOST = "https://www.googleapis.com"
HOSTS = {
    "analytics": "https://youtubeanalytics.googleapis.com",
    "hub": "https://pubsubhubbub.appspot.com",
}
TOPIC = f"https://www.youtube.com/xml/feeds/videos.xml?channel_id={CHANNEL}"

_METRICS = {
    "views",
    "engagedViews",
    "likes",
    "comments",
    "shares",
    "estimatedMinutesWatched",
    "averageViewDuration",
    "subscribersGained",
    "subscribersLost",
    "videosAddedToPlaylists",
    "cardClicks",
}
_MOST = 50
_MOST_ROWS = 200


@dataclass
class Video:
    """One video: its counters, which go out as text, and its days. ``likes`` None is a hidden count."""

    id: str
    published: datetime = datetime(2026, 8, 13, 8, 25, 28, tzinfo=UTC)
    title: str = "A film"
    description: str = ""
    views: int = 0
    likes: int | None = 0
    comments: int | None = 0
    live: str = "none"
    gone: bool = False
    days: dict[date, dict[str, int]] = field(default_factory=dict)

    def resource(self) -> dict[str, Any]:
        """Return the video as the Data API shows it; what is hidden is absent."""
        counters = {"viewCount": self.views, "likeCount": self.likes, "commentCount": self.comments, "favoriteCount": 0}
        return {
            "kind": "youtube#video",
            "id": self.id,
            "snippet": {
                "publishedAt": stamp(self.published),
                "channelId": CHANNEL,
                "title": self.title,
                "description": self.description,
                "liveBroadcastContent": self.live,
            },
            "statistics": {name: str(value) for name, value in counters.items() if value is not None},
        }


def envelope(status: int, reason: str, message: str = "<b>no</b>", domain: str = "youtube.quota") -> bytes:
    """Return an error as the platform writes it, markup in its text included."""
    errors = [{"message": message, "domain": domain, "reason": reason}]
    return json.dumps({"error": {"code": status, "message": message, "errors": errors}}).encode()


QUOTA = envelope(403, "quotaExceeded")
RATE = envelope(403, "userRateLimitExceeded")
DEAD_TOKEN = envelope(401, "authError", "Invalid Credentials", "global")
FORBIDDEN = envelope(403, "forbidden", "Forbidden", "global")
NOT_ENABLED = envelope(403, "accessNotConfigured", "not been used in project 1 before", "usageLimits")
MISLEADING = envelope(403, "SERVICE_UNAVAILABLE", "Permission denied", "global")
NO_PLAYLIST = envelope(404, "playlistNotFound", "The playlist cannot be found.", "youtube.playlistItem")
STALE = envelope(400, "invalidPageToken", "The request specifies an invalid page token.", "youtube.parameter")
BACKEND = envelope(503, "backendError", "Backend Error", "global")


def stamp(at: datetime) -> str:
    """Return an instant without decimals."""
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


class Refused(Exception):  # noqa: N818 - the fake's own word for an error answer
    """An error answer on its way out."""

    def __init__(self, status: int, body: bytes) -> None:
        super().__init__()
        self.status = status
        self.body = body


@dataclass
class FakeYoutube:
    """The platform. Set its fields, add to ``failures``, read ``calls`` and ``asked_hub``."""

    now: datetime = datetime(2026, 8, 20, 12, tzinfo=UTC)
    token: str = TOKEN
    title: str = "Brand"
    handle: str = "@brand"
    subscribers: int = 4320
    hidden: bool = False
    videos: list[Video] = field(default_factory=list)
    days: dict[date, dict[str, int]] = field(default_factory=dict)
    lag: int = 3
    page_size: int = 50
    no_uploads: bool = False
    repeating_token: bool = False
    stale_tokens: set[str] = field(default_factory=set)
    vague: bool = False
    metrics: set[str] = field(default_factory=lambda: set(_METRICS))
    failures: list[Failure] = field(default_factory=list)
    calls: list[Call] = field(default_factory=list)
    asked_hub: list[dict[str, str]] = field(default_factory=list)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await served(scope, receive, send, self._heard)

    def _heard(self, call: Call) -> Answer:
        self.calls.append(call)
        return self._answer(call)

    def paths(self) -> list[str]:
        """Return what was called so far, by its last part."""
        return [call.path.rsplit("/", 1)[1] for call in self.calls]

    def _answer(self, call: Call) -> Answer:
        failed = failing(self.failures, call.path)
        if failed is not None:
            return failed
        if call.host == "pubsubhubbub.appspot.com":
            self.asked_hub.append(dict(parse_qsl(call.body.decode())))
            return 202, {}, b""
        try:
            return 200, {}, json.dumps(self._route(call)).encode()
        except Refused as refused:
            return refused.status, {}, refused.body

    def _route(self, call: Call) -> dict[str, Any]:
        if call.headers.get("authorization") != f"Bearer {self.token}":
            raise Refused(401, DEAD_TOKEN)
        routes = {
            ("www.googleapis.com", "/youtube/v3/channels"): self._channels,
            ("www.googleapis.com", "/youtube/v3/playlistItems"): self._playlist,
            ("www.googleapis.com", "/youtube/v3/videos"): self._videos,
            ("youtubeanalytics.googleapis.com", "/v2/reports"): self._reports,
        }
        if (call.host, call.path) not in routes:
            raise Refused(404, b"<html>Not Found</html>")
        return routes[call.host, call.path](call.query)

    # -------------------------------------------------------------------------------------------- Data API

    def _channels(self, query: Mapping[str, str]) -> dict[str, Any]:
        known = query.get("mine") == "true" or query.get("id") == CHANNEL
        statistics = {"viewCount": str(sum(one.views for one in self.videos)), "videoCount": str(len(self.videos))}
        counted = {} if self.hidden else {"subscriberCount": str(self.subscribers)}
        parts = {
            "snippet": {"title": self.title, "customUrl": self.handle, "publishedAt": "2007-08-23T00:34:43Z"},
            "statistics": {**statistics, **counted, "hiddenSubscriberCount": self.hidden},
            "contentDetails": {"relatedPlaylists": {"likes": "", "uploads": UPLOADS}},
        }
        shown = {name: parts[name] for name in query["part"].split(",")}
        found = [{"kind": "youtube#channel", "id": CHANNEL, **shown}]
        answer = {"kind": "youtube#channelListResponse", "pageInfo": {"totalResults": 1, "resultsPerPage": 5}}
        # An unknown channel is an answer without items.
        return {**answer, "items": found} if known else answer

    def _playlist(self, query: Mapping[str, str]) -> dict[str, Any]:
        if self.no_uploads or query.get("playlistId") != UPLOADS:
            raise Refused(404, NO_PLAYLIST)
        token = query.get("pageToken", "")
        if token in self.stale_tokens:
            raise Refused(400, STALE)
        size = min(int(query.get("maxResults", "5")), self.page_size)
        start = int(token.removeprefix("P") or "0")
        listed = sorted((one for one in self.videos if not one.gone), key=lambda one: one.published, reverse=True)
        entries = [
            {"contentDetails": {"videoId": one.id, "videoPublishedAt": stamp(one.published)}}
            for one in listed[start : start + size]
        ]
        after = f"P{start if self.repeating_token else start + size}"
        more = {"nextPageToken": after} if start + size < len(listed) or self.repeating_token else {}
        return {"kind": "youtube#playlistItemListResponse", "items": entries, **more}

    def _videos(self, query: Mapping[str, str]) -> dict[str, Any]:
        wanted = query["id"].split(",")
        if len(wanted) > _MOST:
            raise Refused(400, envelope(400, "invalidFilters"))
        # What is deleted or private is left out without a word.
        found = [one.resource() for one in self.videos if one.id in wanted and not one.gone]
        return {"kind": "youtube#videoListResponse", "items": found}

    # -------------------------------------------------------------------------------------------- Analytics API

    def _reports(self, query: Mapping[str, str]) -> dict[str, Any]:
        if query.get("ids") not in {f"channel=={CHANNEL}", "channel==MINE"}:
            raise Refused(403, FORBIDDEN)
        asked = query["metrics"].split(",")
        self._refuse_unknown(asked)
        first, last = date.fromisoformat(query["startDate"]), date.fromisoformat(query["endDate"])
        last = min(last, self.now.astimezone(PACIFIC).date() - timedelta(days=self.lag))
        days = self._days_of(query.get("filters", ""))
        rows = [
            [day.isoformat(), *(days[day].get(name, 0) for name in asked)]
            for day in sorted(days)
            if first <= day <= last
        ]
        start = int(query.get("startIndex", "1")) - 1
        shown = rows[start : start + min(int(query.get("maxResults", "500")), _MOST_ROWS)]
        headers = [{"name": "day", "columnType": "DIMENSION", "dataType": "STRING"}]
        headers += [{"name": name, "columnType": "METRIC", "dataType": "INTEGER"} for name in asked]
        table = {"kind": "youtubeAnalytics#resultTable", "columnHeaders": headers}
        return {**table, "rows": shown} if shown else table  # the rows are left out where there are none

    def _refuse_unknown(self, asked: list[str]) -> None:
        unknown = [name for name in asked if name not in self.metrics]
        if unknown and self.vague:
            raise Refused(400, envelope(400, "badRequest", "The query is not supported.", "global"))
        if unknown:
            told = f"Unknown identifier ({unknown[0]}) given in field parameters.metrics."
            raise Refused(400, envelope(400, "invalid", told, "global"))

    def _days_of(self, filters: str) -> dict[date, dict[str, int]]:
        if not filters:
            return self.days
        named = filters.removeprefix("video==").split(",")
        return next((one.days for one in self.videos if [one.id] == named), {})


# ------------------------------------------------------------------------------------------------ the hub


def signed(body: bytes, secret: str) -> dict[str, str]:
    """Return the headers of a push of this body."""
    digest = hmac.digest(secret.encode(), body, hashlib.sha1).hex()
    return {"content-type": "application/atom+xml", "x-hub-signature": f"sha1={digest}"}


def challenge(topic: str = TOPIC, mode: str = "subscribe", text: str = "13579") -> dict[str, str]:
    """Return the query of the hub's challenge, or of its refusal."""
    return {"hub.topic": topic, "hub.challenge": text, "hub.mode": mode, "hub.lease_seconds": "432000"}


def feed(*entries: str, more: str = "") -> bytes:
    """Return the body of a push around entries."""
    return (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        f'<feed xmlns:yt="http://www.youtube.com/xml/schemas/2015" xmlns="http://www.w3.org/2005/Atom"{more}>'
        f'<link rel="hub" href="{HOSTS["hub"]}"/><link rel="self" href="{TOPIC}"/><title>YouTube video feed</title>'
        f"<updated>2026-08-20T10:00:01.552394234+00:00</updated>{''.join(entries)}</feed>"
    ).encode()


def entry(
    video: str, title: str = "A film", published: str = "2026-08-20T09:59:00+00:00", updated: str | None = None
) -> str:
    """Return the entry of a new or changed video; its times have nine decimals, as the hub sends them."""
    changed = updated or "2026-08-20T10:00:01.552394234+00:00"
    return (
        f"<entry><id>yt:video:{video}</id><yt:videoId>{video}</yt:videoId><yt:channelId>{CHANNEL}</yt:channelId>"
        f'<title>{escape(title)}</title><link rel="alternate" href="https://www.youtube.com/watch?v={video}"/>'
        f"<author><name>Brand</name><uri>https://www.youtube.com/channel/{CHANNEL}</uri></author>"
        f"<published>{published}</published><updated>{changed}</updated></entry>"
    )


def tombstone(video: str, when: str = "2026-08-20T11:00:00.1+00:00") -> bytes:
    """Return the push of a video that was deleted or made private; no channel id is in it."""
    gone = (
        f'<at:deleted-entry ref="yt:video:{video}" when="{when}">'
        f'<link href="https://www.youtube.com/watch?v={video}"/>'
        f"<at:by><name>Brand</name><uri>https://www.youtube.com/channel/{CHANNEL}</uri></at:by></at:deleted-entry>"
    )
    return feed(gone, more=' xmlns:at="http://purl.org/atompub/tombstones/1.0"')
