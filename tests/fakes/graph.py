"""A fake Graph server: what the fakes of Meta's platforms share, traps of the platform included.

An ASGI application that takes one token in a header, pages listings as the platform does, links windows that never end,
and can be told to fail in each way the platform fails. It is no copy of the platform: numbers are what a test puts in.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from urllib.parse import urlencode
from zoneinfo import ZoneInfo

from connectors.contract import Response
from connectors.http import Limits, PlatformHttp, new_client
from tests.fakes.wire import Answer, Call, Failure, Receive, Scope, Send, failing, served, transport

PACIFIC = ZoneInfo("America/Los_Angeles")
TOKEN = "EAAB-fake-token-of-the-page"
HOST = "https://graph.facebook.com"


def envelope(code: int, message: str, subcode: int | None = None, **more: Any) -> bytes:
    """Return an error as the platform writes it; without a subcode the key is absent."""
    error: dict[str, Any] = {"message": message, "type": "OAuthException", "code": code}
    if subcode is not None:
        error["error_subcode"] = subcode
    return json.dumps({"error": {**error, **more, "fbtrace_id": "A1b2C3d4E5f"}}).encode()


DEAD_TOKEN = envelope(190, "Error validating access token: Session has expired", 463)
THROTTLED = envelope(80002, "(#80002) There have been too many calls to this account.")
NO_PERMISSION = envelope(10, "(#10) Application does not have permission for this action")
TRANSIENT = envelope(2, "An unexpected error has occurred.", is_transient=True)
GONE = envelope(100, "Unsupported get request. Object with ID 'x' does not exist, cannot be loaded", 33)


def business_usage(kind: str, account: str, minutes: int = 7) -> str:
    """Return the header of an account whose calls are used up for ``minutes``."""
    used = {"type": kind, "call_count": 100, "total_cputime": 20, "total_time": 30}
    return json.dumps({account: [{**used, "estimated_time_to_regain_access": minutes}]})


def stamp(at: datetime) -> str:
    """Return an instant with an offset without a colon."""
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S+0000")


def end_of(day: date) -> datetime:
    """Return the end of a Pacific day: 07:00Z in summer, 08:00Z in winter."""
    return datetime.combine(day + timedelta(days=1), time(), PACIFIC).astimezone(UTC)


class Refused(Exception):  # noqa: N818 - the fake's own word for an error answer
    """An error answer on its way out."""

    def __init__(self, body: bytes, status: int = 400) -> None:
        super().__init__()
        self.body = body
        self.status = status


Node = Callable[[Any, list[str]], dict[str, Any]]


@dataclass
class GraphServer:
    """The server without a platform: a fake derives from it and answers in ``route``."""

    now: datetime = datetime(2026, 8, 20, 12, tzinfo=UTC)
    token: str = TOKEN
    page_size: int = 100
    empty_page_before_last: bool = False
    empty_last_page: bool = False
    repeating_cursor: bool = False
    failures: list[Failure] = field(default_factory=list)
    headers: dict[str, str] = field(default_factory=dict)
    calls: list[Call] = field(default_factory=list)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await served(scope, receive, send, self._heard)

    def _heard(self, call: Call) -> Answer:
        self.calls.append(call)
        return self._answer(call)

    def paths(self) -> list[str]:
        """Return the paths called so far, without the version."""
        return [call.path.split("/", 2)[2] for call in self.calls]

    def _answer(self, call: Call) -> Answer:
        failed = failing(self.failures, call.path)
        if failed is not None:
            return failed
        try:
            return 200, self.headers, json.dumps(self.route(call)).encode()
        except Refused as refused:
            return refused.status, self.headers, refused.body

    @abstractmethod
    def route(self, call: Call) -> dict[str, Any]:
        """Answer a call, or raise :class:`Refused`."""

    def require_token(self, call: Call) -> None:
        """Refuse a call without the one right token."""
        if call.headers.get("authorization") != f"Bearer {self.token}":
            raise Refused(DEAD_TOKEN)

    def listing(self, call: Call, listed: Sequence[Any], node: Node) -> dict[str, Any]:
        """Return a page of a listing: cursors on every page, a link to the next on all but the last."""
        size = min(int(call.query.get("limit", "25")), self.page_size)
        start = int(base64.b64decode(call.query.get("after", "MA==")))
        if start < 0:  # the empty page stands for the rest of the listing
            start = -start
        elif self.empty_page_before_last and start and start + size >= len(listed):
            return {"data": [], **self._paging(call, start, -start)}
        shown = listed[start : start + size]
        more = start + size < len(listed) or self.repeating_cursor or (self.empty_last_page and bool(shown))
        after = start if self.repeating_cursor else start + size
        names = fields_of(call)
        return {"data": [node(one, names) for one in shown], **self._paging(call, start, after, more=more)}

    def _paging(self, call: Call, before: int, after: int, *, more: bool = True) -> dict[str, Any]:
        """Return cursors, which the last page has too, and a next link with the token in it, which it lacks."""
        cursors = {"before": _cursor(before), "after": _cursor(after)}
        link = f"{HOST}{call.path}?{urlencode({**call.query, 'access_token': self.token, 'after': cursors['after']})}"
        return {"paging": {"cursors": cursors, **({"next": link} if more else {})}}

    def window_links(self, call: Call, since: int, until: int) -> dict[str, str]:
        """Return links that shift the window and never end: following them walks back for ever."""
        links = {}
        for name, shift in (("previous", since - until), ("next", until - since)):
            query = {**call.query, "access_token": self.token, "since": since + shift, "until": until + shift}
            links[name] = f"{HOST}{call.path}?{urlencode(query)}"
        return links

    def series(self, account: str, name: str, days: Mapping[date, Mapping[str, Any]], call: Call) -> dict[str, Any]:
        """Return the buckets of a metric that end within the asked window."""
        since, until = int(call.query["since"]), int(call.query["until"])
        inside = [day for day in sorted(days) if since < end_of(day).timestamp() <= until and name in days[day]]
        values = [{"value": days[day][name], "end_time": stamp(end_of(day))} for day in inside]
        return {"name": name, "period": "day", "values": values, "id": f"{account}/insights/{name}/day"}


def fields_of(call: Call) -> list[str]:
    """Return the names of the fields asked for, what stands in brackets after them left out."""
    names, depth = [""], 0
    for letter in call.query.get("fields", ""):
        depth += {"(": 1, "{": 1, ")": -1, "}": -1}.get(letter, 0)
        if letter == "," and depth == 0:
            names.append("")
        elif depth == 0 and letter not in ")}":
            names[-1] += letter
    return [name.split(".")[0] for name in names]


def lifetime(owner: str, name: str, value: Any) -> dict[str, Any]:
    entry = {"name": name, "period": "lifetime", "title": name, "id": f"{owner}/insights/{name}/lifetime"}
    return {**entry, "values": [{"value": value}]}


def _cursor(position: int) -> str:
    return base64.b64encode(str(position).encode()).decode()


def client(
    fake: GraphServer, heard: list[Response] | None = None, token: str = TOKEN, host: str = HOST
) -> PlatformHttp:
    """Return the client of a source on the fake; it never waits, and ``heard`` keeps what was answered."""

    async def no_sleep(_: float) -> None:
        return

    return PlatformHttp(
        new_client(transport=transport(fake)),
        host,
        token=token,
        now=lambda: fake.now,
        uniform=lambda: 0.5,
        limits=Limits(attempts=2),
        sleep=no_sleep,
        on_response=None if heard is None else heard.append,
    )


# ------------------------------------------------------------------------------------------------ webhooks


def escaped(body: Any) -> bytes:
    """Return JSON as Meta sends it: compact, non-ASCII as lower-case escapes, slashes escaped."""
    return json.dumps(body, separators=(",", ":")).replace("/", "\\/").encode()


def signed(body: bytes, app_secret: str) -> dict[str, str]:
    """Return the headers of a push of this body."""
    digest = hmac.digest(app_secret.encode(), body, hashlib.sha256).hex()
    return {"content-type": "application/json", "x-hub-signature-256": f"sha256={digest}"}
