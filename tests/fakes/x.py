"""A fake of X's API v2: an ASGI application that answers as the platform does, its traps included.

It holds an account with posts, videos and days, gives private numbers to the owner's token alone and for thirty days,
drops whole posts where it may not give them, names things in either generation's words, and can be told to fail in each
way the platform fails. It is no copy of the platform: numbers are what a test puts in.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Any
from urllib.parse import parse_qsl

from tests.fakes.wire import Answer, Call, Failure, Receive, Scope, Send, failing, served

ACCOUNT = "2244994945"
OTHER = "783214"
TOKEN = "fake-user-token-of-x"
APP_TOKEN = "fake-app-token-of-x"
HOST = "https://api.x.com"
WEBHOOK = "1146654567674912769"
CONSUMER_SECRET = "consumer-secret-0123456789"

_FIRST_MILLISECOND = 1_288_834_974_657
_PRIVATE_DAYS = timedelta(days=30)
_PRIVATE = ("non_public_metrics", "organic_metrics", "promoted_metrics")
_MOST_IDS = 100
_NEWER = {
    "retweet_count": "repost_count",
    "tweet_count": "post_count",
    "edit_history_tweet_ids": "edit_history_post_ids",
    "referenced_tweets": "referenced_posts",
}
_FEWEST_RESULTS = 5


def snowflake(at: datetime, sequence: int = 0) -> str:
    """Return an id that was made at an instant."""
    return str((int(at.timestamp() * 1000) - _FIRST_MILLISECOND) << 22 | sequence)


def stamp(at: datetime) -> str:
    """Return an instant as X writes it."""
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.000Z")


@dataclass
class Media:
    """A media of a post: its key, its type and its numbers by part."""

    key: str
    type: str = "video"
    parts: dict[str, dict[str, int]] = field(default_factory=dict)


@dataclass
class Post:
    """A post and its numbers by part; ``versions`` are older ids of an edited one, from the first on."""

    id: str
    text: str = "Good morning #Coffee"
    published: datetime = datetime(2026, 8, 15, 9, tzinfo=UTC)
    parts: dict[str, dict[str, int]] = field(default_factory=dict)
    days: dict[date, dict[str, int | None]] = field(default_factory=dict)
    media: list[Media] = field(default_factory=list)
    versions: list[str] = field(default_factory=list)
    references: list[dict[str, str]] = field(default_factory=list)
    links: list[str] = field(default_factory=list)
    gone: bool = False
    protected: bool = False

    def shown(self, names: list[str], at: str = "") -> dict[str, Any]:
        """Return the fields asked for, empty ones left out as the platform does; ``at`` names an older version."""
        chain = [*self.versions, self.id]
        found: dict[str, Any] = {"id": at or self.id, "text": self.text, "edit_history_tweet_ids": chain}
        links = [{"url": "https://t.co/x", "expanded_url": link} for link in self.links]
        whole = {
            "created_at": stamp(self.published),
            "author_id": ACCOUNT,
            "attachments": {"media_keys": [one.key for one in self.media]} if self.media else None,
            "referenced_tweets": self.references or None,
            "entities": {"urls": links, "hashtags": self._tags()} if links else None,
            **self.parts,
        }
        return {**found, **{name: whole[name] for name in names if whole.get(name) is not None}}

    def _tags(self) -> list[dict[str, Any]]:
        return [{"start": 0, "end": 1, "tag": word[1:]} for word in self.text.split() if word.startswith("#")]


def problem(slug: str, title: str = "Problem", status: int | None = None, host: str = HOST) -> bytes:
    """Return a problem as X writes it; some hold their status, and the host has changed over time."""
    told: dict[str, Any] = {"title": title, "detail": "what went wrong", "type": f"{host}/2/problems/{slug}"}
    return json.dumps(told if status is None else {**told, "status": status}).encode()


THROTTLED = json.dumps({"title": "Too Many Requests", "detail": "slow down", "type": "about:blank", "status": 429})
THROTTLED_OLD = json.dumps({"errors": [{"code": 88, "message": "Rate limit exceeded"}]})
CREDITS = json.dumps({"title": "CreditsDepleted", "detail": "no credits", "type": f"{HOST}/2/problems/credits"})
CAPPED = problem("usage-capped", "UsageCapExceeded")
UNAUTHORIZED = json.dumps({"title": "Unauthorized", "type": "about:blank", "status": 401, "detail": "Unauthorized"})
FORBIDDEN = problem("client-forbidden", "Client Forbidden", 403, "https://api.twitter.com")
HYDRATION = problem("field-hydration-failure")


class Refused(Exception):  # noqa: N818 - the fake's own word for an error answer
    """An error answer on its way out."""

    def __init__(self, body: bytes, status: int = 400) -> None:
        super().__init__()
        self.body = body
        self.status = status


@dataclass
class FakeX:
    """The server. Set its fields, add to ``failures``, read ``calls``."""

    now: datetime = datetime(2026, 8, 20, 12, tzinfo=UTC)
    token: str = TOKEN
    user: str = ACCOUNT
    username: str = "brand"
    followers: int = 5502
    posts: list[Post] = field(default_factory=list)
    page_size: int = 100
    empty_page_before_last: bool = False
    repeating_token: bool = False
    newer_names: bool = False
    dead_tokens: set[str] = field(default_factory=set)
    refresh_tokens: list[str] = field(default_factory=lambda: ["refresh-1"])
    cap: tuple[int, int] = (11_174_038, 50_000_000)
    webhook_valid: bool = True
    subscribed: list[dict[str, Any]] = field(default_factory=list)
    failures: list[Failure] = field(default_factory=list)
    headers: dict[str, str] = field(default_factory=dict)
    calls: list[Call] = field(default_factory=list)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await served(scope, receive, send, self._heard)

    def _heard(self, call: Call) -> Answer:
        self.calls.append(call)
        status, headers, body = self._answer(call)
        return status, {**self._limits(call), **headers}, body

    def paths(self) -> list[str]:
        """Return the paths called so far, without the version."""
        return [call.path.removeprefix("/2/") for call in self.calls]

    def _limits(self, call: Call) -> dict[str, str]:
        limit = 75 if call.path.endswith("/me") else 900
        reset = int((self.now + timedelta(minutes=7)).timestamp())
        return {
            "x-rate-limit-limit": str(limit),
            "x-rate-limit-remaining": str(limit - 1),
            "x-rate-limit-reset": str(reset),
        }

    def _answer(self, call: Call) -> Answer:
        failed = failing(self.failures, call.path)
        if failed is not None:
            return failed
        try:
            answer = self._route(call)
        except Refused as refused:
            return refused.status, self.headers, refused.body
        return 200, self.headers, json.dumps(_renamed(answer) if self.newer_names else answer).encode()

    def _route(self, call: Call) -> dict[str, Any]:
        if call.path == "/2/oauth2/token":
            return self._renew(dict(parse_qsl(call.body.decode())))
        offered = call.headers.get("authorization", "").removeprefix("Bearer ")
        if offered not in {self.token, APP_TOKEN} or offered in self.dead_tokens:
            raise Refused(UNAUTHORIZED.encode(), 401)
        owner, parts = offered == self.token, call.path.removeprefix("/2/").split("/")
        if parts[0] == "users":
            return self._timeline(call, owner=owner) if parts[-1] == "tweets" else self._user(parts[1], owner=owner)
        if parts[0] == "tweets":
            return self._analytics(call, owner=owner) if parts[-1] == "analytics" else self._lookup(call, owner=owner)
        return self._of_app(call, parts, owner=owner)

    def _of_app(self, call: Call, parts: list[str], *, owner: bool) -> dict[str, Any]:
        if parts == ["activity", "subscriptions"]:
            self.subscribed.append(json.loads(call.body))
            return {"data": {"subscription_id": str(len(self.subscribed))}}
        if owner:
            raise Refused(problem("unsupported-authentication", "Unsupported Authentication", 403), 403)
        if parts == ["usage", "tweets"]:
            used, cap = self.cap
            return {"data": {"cap_reset_day": 28, "project_cap": str(cap), "project_usage": str(used)}}
        return {"data": [{"id": WEBHOOK, "valid": self.webhook_valid, "url": "https://example.com/hook"}]}

    def _renew(self, form: Mapping[str, str]) -> dict[str, Any]:
        """Take a refresh token once: its second use is refused."""
        if form.get("refresh_token") != self.refresh_tokens[-1]:
            told = {"error": "invalid_request", "error_description": "Value passed for the token was invalid."}
            raise Refused(json.dumps(told).encode())
        self.refresh_tokens.append(f"refresh-{len(self.refresh_tokens) + 1}")
        self.dead_tokens.add(self.token)
        self.token = f"{TOKEN}-{len(self.refresh_tokens)}"
        renewed = {"access_token": self.token, "refresh_token": self.refresh_tokens[-1]}
        return {"token_type": "bearer", "expires_in": 7200, "scope": "tweet.read users.read offline.access", **renewed}

    def _user(self, named: str, *, owner: bool) -> dict[str, Any]:
        if named == "me" and not owner:
            raise Refused(problem("unsupported-authentication", "Unsupported Authentication", 403), 403)
        if named not in {"me", self.user}:
            return {"errors": [_error("user", named, "resource-not-found", "Not Found Error")]}
        counts = {"followers_count": self.followers, "following_count": 652, "tweet_count": 790, "listed_count": 47}
        data = {"id": self.user, "username": self.username, "name": "Brand", "public_metrics": counts}
        return {"data": data}

    def _timeline(self, call: Call, *, owner: bool) -> dict[str, Any]:
        if int(call.query.get("max_results", "10")) < _FEWEST_RESULTS or "/2/users/" + self.user not in call.path:
            raise Refused(problem("invalid-request", "Invalid Request"))
        start = self._position(call.query.get("pagination_token", "t0"))
        listed = [post for post in self.posts if not post.gone and self._is_wanted(post, call.query)]
        size = min(int(call.query.get("max_results", "10")), self.page_size)
        if start < 0:  # the empty page stands for the rest of the timeline
            start = -start
        elif self.empty_page_before_last and start and start + size >= len(listed):
            return {"meta": {"result_count": 0, "next_token": f"t{-start}"}}
        shown = listed[start : start + size]
        more = start + size < len(listed) or self.repeating_token
        return self._sheet(shown, call, start if self.repeating_token else start + size, owner=owner, more=more)

    def _position(self, token: str) -> int:
        if not token.startswith("t"):
            raise Refused(problem("invalid-request", "Invalid Request"))
        return int(token[1:])

    def _is_wanted(self, post: Post, query: Mapping[str, str]) -> bool:
        kinds = {reference["type"] for reference in post.references}
        excluded = query.get("exclude", "").split(",")
        if ("retweets" in excluded and "retweeted" in kinds) or ("replies" in excluded and "replied_to" in kinds):
            return False
        start = query.get("start_time")
        return start is None or post.published >= datetime.fromisoformat(start)

    def _sheet(self, shown: list[Post], call: Call, after: int, *, owner: bool, more: bool) -> dict[str, Any]:
        body = self._of_posts([(post, post.id) for post in shown], call, owner=owner)
        meta = {"result_count": len(shown), **({"next_token": f"t{after}"} if more else {})}
        return {**body, "meta": meta}

    def _of_posts(self, shown: list[tuple[Post, str]], call: Call, *, owner: bool) -> dict[str, Any]:
        """Return posts with the numbers that the token may see, and errors about those that it may not."""
        names = call.query.get("tweet.fields", "").split(",")
        wanted = [name for name in names if name in _PRIVATE]
        data, errors, media = [], [], {}
        for post, at in shown:
            private = owner and self.now - post.published <= _PRIVATE_DAYS
            allowed = [name for name in names if private or name not in _PRIVATE]
            data.append(post.shown(allowed, at))
            missing = [] if private else wanted
            errors += [
                _error("tweet", at, "not-authorized-for-field", "Field Authorization Error", f"tweet.{name}")
                for name in missing
            ]
            media.update({one.key: self._media(one, call, owner=private) for one in post.media})
        body: dict[str, Any] = {"data": data} if data else {}
        if media and "attachments.media_keys" in call.query.get("expansions", ""):
            body["includes"] = {"media": list(media.values())}
        return {**body, "errors": errors} if errors else body

    def _media(self, media: Media, call: Call, *, owner: bool) -> dict[str, Any]:
        names = call.query.get("media.fields", "").split(",")
        allowed = [name for name in names if name in media.parts and (owner or name not in _PRIVATE)]
        return {"media_key": media.key, "type": media.type, **{name: media.parts[name] for name in allowed}}

    def _lookup(self, call: Call, *, owner: bool) -> dict[str, Any]:
        ids = call.query["ids"].split(",")
        if len(ids) > _MOST_IDS:
            raise Refused(problem("invalid-request", "Invalid Request"))
        by_id = {at: post for post in self.posts for at in (*post.versions, post.id)}
        found = [(by_id[one], one) for one in ids if one in by_id and not by_id[one].gone and not by_id[one].protected]
        body = self._of_posts(found, call, owner=owner)
        lost = [one for one in ids if one not in by_id or by_id[one].gone or by_id[one].protected]
        return {**body, "errors": [*body.get("errors", []), *map(self._lost, lost)]} if lost else body

    def _lost(self, identifier: str) -> dict[str, Any]:
        if any(post.protected for post in self.posts if post.id == identifier):
            return _error("tweet", identifier, "not-authorized-for-resource", "Authorization Error")
        return _error("tweet", identifier, "resource-not-found", "Not Found Error")

    def _analytics(self, call: Call, *, owner: bool) -> dict[str, Any]:
        if not owner:
            raise Refused(FORBIDDEN, 403)
        start, end = (datetime.fromisoformat(call.query[name]).date() for name in ("start_time", "end_time"))
        ids, fields = call.query["ids"].split(","), call.query["analytics.fields"].split(",")
        data = [self._buckets(post, start, end, fields) for post in self.posts if post.id in ids and post.days]
        return {"data": data} if data else {"meta": {"result_count": 0}}

    def _buckets(self, post: Post, start: date, end: date, fields: list[str]) -> dict[str, Any]:
        buckets = [
            {
                "timestamp": f"{day.isoformat()}T00:00:00.000Z",
                "metrics": {name: value for name, value in numbers.items() if name in fields},
            }
            for day, numbers in sorted(post.days.items())
            if start <= day < end
        ]
        return {"id": post.id, "timestamped_metrics": buckets}


def _error(kind: str, identifier: str, slug: str, title: str, parameter: str = "ids") -> dict[str, Any]:
    told = {"resource_type": kind, "resource_id": identifier, "parameter": parameter, "title": title}
    return {**told, "detail": "what went wrong", "type": f"{HOST}/2/problems/{slug}"}


def _renamed(value: Any) -> Any:
    """Return an answer in the words of the newest description."""
    if isinstance(value, dict):
        return {_NEWER.get(name, name): _renamed(part) for name, part in value.items()}
    return [_renamed(part) for part in value] if isinstance(value, list) else value


# ------------------------------------------------------------------------------------------------ webhooks


def signed(body: bytes, secret: str = CONSUMER_SECRET) -> dict[str, str]:
    """Return the headers of a push of this body."""
    digest = base64.b64encode(hmac.digest(secret.encode(), body, hashlib.sha256)).decode()
    return {"content-type": "application/json", "x-twitter-webhooks-signature": f"sha256={digest}"}


def event(name: str, payload: Mapping[str, Any], uuid: str = "2080761390344937796", **more: Any) -> bytes:
    """Return the body of one activity event of the account."""
    data = {"event_uuid": uuid, "filter": {"user_id": ACCOUNT}, "event_type": name, "tag": "t", "payload": payload}
    return json.dumps({"data": {**data, **more}}, ensure_ascii=False).encode()


def batch(**arrays: Any) -> bytes:
    """Return the body of an older batch of the account."""
    return json.dumps({"for_user_id": ACCOUNT, **arrays}).encode()
