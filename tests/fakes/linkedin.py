"""A fake of LinkedIn's community API: an ASGI application that answers as the platform does, its traps included.

It gates on headers and on the form of an address (escaped URNs, raw parentheses), keeps quiet posts out of statistics
and the last two days out of days, and can be told to fail in each way the platform fails. It is no copy of the
platform: numbers are what a test puts in.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from urllib.parse import parse_qsl, unquote

from tests.fakes.wire import Answer, Failure, Receive, Scope, Send, answered, body_of, failing, headers_of, live

NUMBER = "96072893"
ORGANISATION = f"urn:li:organization:{NUMBER}"
TOKEN = "fake-member-token-of-linkedin"
REFRESH_TOKEN = "fake-refresh-token-of-linkedin"
HOST = "https://api.linkedin.com/rest"
CLIENT_SECRET = "client-secret-0123456789"
PERSON = "urn:li:person:zLqAbCdEf"
APPLICATION = "4711"
_SUBSCRIPTION = re.compile(
    r"/rest/eventSubscriptions/\(developerApplication:([^,]+),user:([^,]+),entity:([^,]+),"
    r"eventType:ORGANIZATION_SOCIAL_ACTION_NOTIFICATIONS\)"
)

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_LAG = timedelta(days=2)
_MOST_COUNT = 100
_MOST_URNS = 20
_ACTIVE_VERSIONS = ("202512", "202607")
_WITHIN = re.compile(r"\(timeRange:\(start:(\d+),end:(\d+)\),timeGranularityType:DAY\)")
_LISTED = re.compile(r"List\(([^()]*)\)")


def milliseconds(at: datetime) -> int:
    """Return an instant as LinkedIn writes it."""
    return (at - _EPOCH) // timedelta(milliseconds=1)


def midnight(day: date) -> datetime:
    """Return the beginning of a UTC day."""
    return datetime.combine(day, time(), UTC)


@dataclass
class Post:
    """A post with its lifetime statistics; one without numbers is quiet. ``video`` are the numbers of its video."""

    urn: str
    commentary: str = "Good morning {hashtag|\\#|Coffee}"
    published: datetime = datetime(2026, 8, 15, 9, tzinfo=UTC)
    modified: datetime | None = None
    state: str = "PUBLISHED"
    content: dict[str, Any] | None = None
    numbers: dict[str, int | float] = field(default_factory=dict)
    video: dict[str, int] = field(default_factory=dict)
    gone: bool = False
    spoils: bool = False

    def shown(self) -> dict[str, Any]:
        """Return the post as the platform writes it."""
        told: dict[str, Any] = {
            "id": self.urn,
            "author": ORGANISATION,
            "commentary": self.commentary,
            "visibility": "PUBLIC",
            "lifecycleState": self.state,
            "createdAt": milliseconds(self.published),
            "lastModifiedAt": milliseconds(self.modified or self.published),
        }
        if self.state == "PUBLISHED":
            told["publishedAt"] = milliseconds(self.published)
        return told if self.content is None else {**told, "content": self.content}


@dataclass
class Call:
    """One request as it came, its query not decoded."""

    method: str
    path: str
    query: str
    headers: dict[str, str]


def envelope(status: int, message: str, code: str = "", service: int | None = None) -> bytes:
    """Return an error as LinkedIn writes it."""
    told: dict[str, Any] = {"message": message, "status": status}
    told |= {"code": code} if code else {}
    return json.dumps(told if service is None else {**told, "serviceErrorCode": service}).encode()


EXPIRED = envelope(401, "The token has expired", "EXPIRED_ACCESS_TOKEN", 65602)
REVOKED = envelope(401, "The token used in the request has been revoked", "REVOKED_ACCESS_TOKEN", 65601)
DENIED = envelope(403, "Not enough permissions to access: GET /posts", "ACCESS_DENIED", 100)
QUOTA = envelope(429, "Resource level throttle limit for calls to this resource is reached.", service=101)
OVERLOAD = envelope(429, "Too many requests")
NO_VERSION = envelope(400, "A version must be present", "VERSION_MISSING")
OLD_VERSION = envelope(426, "Requested version 20240101 is not active", "NONEXISTENT_VERSION")
BAD_QUERY = envelope(400, "Invalid query parameters passed to request", "ILLEGAL_ARGUMENT")
NOT_FOUND = envelope(404, "Could not find entity", "NOT_FOUND")


class Refused(Exception):  # noqa: N818 - the fake's own word for an error answer
    """An error answer on its way out."""

    def __init__(self, body: bytes, status: int) -> None:
        super().__init__()
        self.body = body
        self.status = status


Days = dict[date, dict[str, int]]


@dataclass
class FakeLinkedIn:
    """The server. Set its fields, add to ``failures``, read ``calls``."""

    now: datetime = datetime(2026, 8, 20, 12, tzinfo=UTC)
    token: str = TOKEN
    is_token_young: bool = False
    gives_refresh_tokens: bool = True
    is_administrator: bool = True
    followers: int = 4420
    posts: list[Post] = field(default_factory=list)
    share_days: Days = field(default_factory=dict)
    follower_days: Days = field(default_factory=dict)
    page_days: Days = field(default_factory=dict)
    has_links: bool = True
    application: str = APPLICATION
    is_reviewed: bool = True
    subscribed: dict[str, str] = field(default_factory=dict)
    failures: list[Failure] = field(default_factory=list)
    calls: list[Call] = field(default_factory=list)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await live(receive, send)
            return
        call = Call(
            method=scope["method"],
            path=scope["raw_path"].decode(),
            query=scope["query_string"].decode(),
            headers=headers_of(scope),
        )
        self.calls.append(call)
        asked = await body_of(receive)
        if call.path.endswith("/oauth/v2/accessToken"):
            status, headers, body = self._renew(dict(parse_qsl(asked.decode())))
        elif call.method == "PUT":
            status, headers, body = self._subscribe(call, asked)
        else:
            status, headers, body = self._answer(call)
        told = {"content-type": "application/json", "x-li-uuid": "AAYH", "x-li-fabric": "prod-lor1", **headers}
        await answered(send, status, told, body)

    def paths(self) -> list[str]:
        """Return the resources called so far."""
        return [call.path.partition("/rest/")[2].partition("?")[0] for call in self.calls]

    def _answer(self, call: Call) -> Answer:
        failed = failing(self.failures, call.path)
        if failed is not None:
            return failed
        try:
            self._gate(call)
            return 200, {}, json.dumps(self._route(call)).encode()
        except Refused as refused:
            return refused.status, {}, refused.body

    def _subscribe(self, call: Call, body: bytes) -> Answer:
        """Take a subscription: made anew it answers with nothing. Addresses of tunnels are refused."""
        try:
            self._gate(call)
        except Refused as refused:
            return refused.status, {}, refused.body
        found = _SUBSCRIPTION.fullmatch(call.path)
        address = json.loads(body)["webhook"]
        if found is None or not address.startswith("https://") or "ngrok" in address:
            return 400, {}, BAD_QUERY
        named = (f"urn:li:developerApplication:{self.application}", PERSON, ORGANISATION)
        if tuple(map(unquote, found.groups())) != named or not self.is_reviewed:
            return 403, {}, DENIED
        self.subscribed[call.path] = address
        return 200, {}, b""

    def _renew(self, form: Mapping[str, str]) -> Answer:
        """Give a new access token; most apps are given no refresh token with it."""
        if form.get("refresh_token") != REFRESH_TOKEN:
            told = {"error": "invalid_grant", "error_description": "The provided refresh token is not valid"}
            return 400, {}, json.dumps(told).encode()
        self.token, self.is_token_young = f"{TOKEN}-renewed", True
        renewed: dict[str, Any] = {
            "access_token": self.token,
            "expires_in": 5_184_000,
            "scope": "r_organization_social",
        }
        if self.gives_refresh_tokens:
            renewed |= {"refresh_token": REFRESH_TOKEN, "refresh_token_expires_in": 31_000_000}
        return 200, {}, json.dumps(renewed).encode()

    def _gate(self, call: Call) -> None:
        """Refuse what LinkedIn refuses before it looks at the question."""
        if call.headers.get("authorization") != f"Bearer {self.token}":
            raise Refused(EXPIRED, 401)
        if self.is_token_young:
            self.is_token_young = False
            raise Refused(REVOKED, 401)
        version = call.headers.get("linkedin-version", "")
        if not version:
            raise Refused(NO_VERSION, 400)
        if not _ACTIVE_VERSIONS[0] <= version <= _ACTIVE_VERSIONS[1]:
            raise Refused(OLD_VERSION, 426)
        has_lists = "(" in call.query
        if has_lists and call.headers.get("x-restli-protocol-version") != "2.0.0":
            raise Refused(BAD_QUERY, 400)
        # A colon of a URN that is not escaped, or an escape that was escaped again, is another question.
        if "urn:" in call.query or "%25" in call.query or "%28" in call.query:
            raise Refused(BAD_QUERY, 400)

    def _route(self, call: Call) -> dict[str, Any]:
        resource, _, key = call.path.partition("/rest/")[2].partition("?")[0].partition("/")
        query = dict(parse_qsl(call.query))
        simple: dict[str, Callable[[], dict[str, Any]]] = {
            "organizationAcls": self._roles,
            "posts": lambda: self._listing(query) if not key else self._node(unquote(key)),
            "organizationalEntityShareStatistics": lambda: self._shares(query),
            "organizationalEntityFollowerStatistics": lambda: self._by_day(query, self.follower_days, _followers),
            "organizationPageStatistics": lambda: self._by_day(query, self.page_days, _visits),
            "networkSizes": lambda: self._size(query),
            "organizations": lambda: {"id": int(key), "localizedName": "The Company", "vanityName": "company"},
            "videoAnalytics": lambda: self._video(query),
        }
        if resource not in simple:
            raise Refused(NOT_FOUND, 404)
        return simple[resource]()

    def _roles(self) -> dict[str, Any]:
        role = {"role": "ADMINISTRATOR", "state": "APPROVED", "roleAssignee": PERSON, "organization": ORGANISATION}
        return _sheet([role] if self.is_administrator else [])

    def _listing(self, query: Mapping[str, str]) -> dict[str, Any]:
        start, count = int(query["start"]), int(query["count"])
        if count > _MOST_COUNT or query["author"] != ORGANISATION or query["q"] != "author":
            raise Refused(BAD_QUERY, 400)
        living = [post for post in self.posts if not post.gone]
        listed = sorted(living, key=lambda post: post.modified or post.published, reverse=True)
        links = [{"rel": "next", "href": "https://evil.example/posts?start=999", "type": "application/json"}]
        more = start + count < len(listed) and self.has_links
        return _sheet([post.shown() for post in listed[start : start + count]], start, count, links if more else [])

    def _node(self, urn: str) -> dict[str, Any]:
        found = next((post for post in self.posts if post.urn == urn and not post.gone), None)
        if found is None:
            raise Refused(NOT_FOUND, 404)
        return found.shown()

    def _shares(self, query: Mapping[str, str]) -> dict[str, Any]:
        if "timeIntervals" in query:
            return self._by_day(query, self.share_days, _activity)
        lists = [name for name in ("shares", "ugcPosts") if name in query]
        if not lists:
            return _sheet([{"organizationalEntity": ORGANISATION, "totalShareStatistics": {"impressionCount": 0}}])
        kind = "share" if lists[0] == "shares" else "ugcPost"
        listed = _LISTED.fullmatch(query[lists[0]])
        urns = listed.group(1).split(",") if listed else []
        if not urns or len(urns) > _MOST_URNS or any(f":{kind}:" not in urn for urn in urns):
            raise Refused(BAD_QUERY, 400)
        asked = [post for post in self.posts if post.urn in urns]
        if any(post.spoils for post in asked):
            raise Refused(BAD_QUERY, 400)
        told = [post for post in asked if post.numbers and not post.gone]
        return _sheet(
            [
                {"organizationalEntity": ORGANISATION, kind: post.urn, "totalShareStatistics": post.numbers}
                for post in told
            ]
        )

    def _by_day(
        self, query: Mapping[str, str], days: Days, shape: Callable[[Mapping[str, int]], dict[str, Any]]
    ) -> dict[str, Any]:
        within = _WITHIN.fullmatch(query.get("timeIntervals", ""))
        if within is None:
            raise Refused(BAD_QUERY, 400)
        start, end = (_EPOCH + timedelta(milliseconds=int(text)) for text in within.groups())
        latest = min(end, self.now - _LAG)
        told = [day for day in sorted(days) if start <= midnight(day) and midnight(day) + timedelta(days=1) <= latest]
        return _sheet(
            [{"organizationalEntity": ORGANISATION, "timeRange": _range(day), **shape(days[day])} for day in told]
        )

    def _size(self, query: Mapping[str, str]) -> dict[str, Any]:
        if query.get("edgeType") != "COMPANY_FOLLOWED_BY_MEMBER":
            raise Refused(BAD_QUERY, 400)
        return {"firstDegreeSize": self.followers}

    def _video(self, query: Mapping[str, str]) -> dict[str, Any]:
        post = next((post for post in self.posts if post.urn == query["entity"]), None)
        if post is None or query["type"] not in post.video:
            return _sheet([])
        return _sheet([{"aggregation": "ALL", "type": query["type"], "value": post.video[query["type"]]}])


def _sheet(
    elements: list[dict[str, Any]], start: int = 0, count: int = 10, links: list[dict[str, str]] | None = None
) -> dict[str, Any]:
    return {"paging": {"start": start, "count": count, "links": links or []}, "elements": elements}


def _range(day: date) -> dict[str, int]:
    return {"start": milliseconds(midnight(day)), "end": milliseconds(midnight(day + timedelta(days=1)))}


def _activity(numbers: Mapping[str, int]) -> dict[str, Any]:
    return {"totalShareStatistics": {**numbers, "engagement": 0.05}}


def _followers(numbers: Mapping[str, int]) -> dict[str, Any]:
    return {"followerGains": dict(numbers), "followerCountsBySeniority": []}


def _visits(numbers: Mapping[str, int]) -> dict[str, Any]:
    return {"totalPageStatistics": {"views": {"allPageViews": dict(numbers), "careersPageViews": {"pageViews": 0}}}}


# ------------------------------------------------------------------------------------------------ webhooks


def signed(body: bytes, secret: str = CLIENT_SECRET) -> dict[str, str]:
    """Return the headers of a push of this body: the prefix is part of what is signed."""
    digest = hmac.digest(secret.encode(), b"hmacsha256=" + body, hashlib.sha256).hex()
    return {"content-type": "application/json", "x-li-signature": digest}


def notification(action: str, post: str, number: int = 5_603_453_321, owner: str = ORGANISATION) -> dict[str, Any]:
    """Return one notification about a post; its source is an activity, as the platform has it."""
    return {
        "notificationId": number,
        "organizationalEntity": ORGANISATION,
        "action": action,
        "sourcePost": "urn:li:activity:7094637247890620418",
        "generatedActivity": "urn:li:comment:(activity:7094637247890620418,7094977717598625792)",
        "lastModifiedAt": 1_691_574_506_310,
        "subscriber": PERSON,
        "decoratedSourcePost": {"owner": owner, "entity": post, "text": "Guten Morgen", "mediaCategory": "NONE"},
    }


def batch(*notifications: Mapping[str, Any]) -> bytes:
    """Return the body of a push."""
    told = {"type": "ORGANIZATION_SOCIAL_ACTION_NOTIFICATIONS", "notifications": list(notifications)}
    return json.dumps(told, ensure_ascii=False).encode()
