"""The simulated platform as a server: the world's numbers in pages of JSON behind a bearer token, and signed messages.

A plain ASGI application, started by the demo, by tests and by load programs on a local port. It is not for anybody's
real numbers, and it keeps no state but the clock that it is given.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, date, datetime, timedelta
from typing import Any
from urllib.parse import parse_qs
from zoneinfo import ZoneInfo

import msgspec

from connectors.contract import MICRO
from connectors.signatures import sign_standard_webhooks
from connectors.synthetic_world import Post, Sale, World

PER_PAGE = 50
_BATCH = 40
_encode = msgspec.json.Encoder().encode

Clock = Callable[[], datetime]
Scope = Mapping[str, Any]


class Platform:
    """The ASGI application of one world. ``clock`` says which instant of the world it is."""

    def __init__(self, world: World, clock: Clock, token: str) -> None:
        """Serve ``world`` to whoever has the token."""
        self.world = world
        self.clock = clock
        self._token = token.encode()

    async def __call__(self, scope: Scope, receive: Any, send: Any) -> None:
        """Answer one request."""
        if scope["type"] == "lifespan":
            await _lifespan(receive, send)
            return
        status, document = self.answer(scope)
        body = _encode(document)
        headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    def answer(self, scope: Scope) -> tuple[int, dict[str, Any]]:
        """Return the status and the document for a request."""
        given = dict(scope["headers"]).get(b"authorization", b"")
        if not hmac.compare_digest(given, b"Bearer " + self._token):
            return 401, {"error": "no or wrong token"}
        query = {name: values[0] for name, values in parse_qs(scope["query_string"].decode("latin-1")).items()}
        path = scope["path"].rstrip("/").rpartition("/")[2]
        rows = {"posts": self._posts, "profiles": self._profiles, "metrics": self._metrics, "daily": self._daily}
        if path == "me":
            return 200, {"name": "simulated", "posts": len(self.world.posts)}
        if path not in rows:
            return 404, {"error": "no such list"}
        try:
            start = int(query.get("cursor", "0"))
            at = self.clock()
            found = rows[path](at, query)
        except ValueError:
            return 400, {"error": "a parameter is malformed"}
        page = found[start : start + PER_PAGE]
        following = start + PER_PAGE if start + PER_PAGE < len(found) else None
        return 200, {
            "at": at.astimezone(UTC).isoformat(),
            "simulated": True,
            "zone": self.world.zone,
            "data": page,
            "next": None if following is None else str(following),
        }

    def _posts(self, at: datetime, _query: Mapping[str, str]) -> list[dict[str, Any]]:
        return [_post(post) for post in self.world.published(at)]

    def _profiles(self, at: datetime, _query: Mapping[str, str]) -> list[dict[str, Any]]:
        return [
            {
                "id": creator.id,
                "handle": creator.handle,
                "name": creator.name,
                "followers": self.world.followers(creator, at),
            }
            for creator in self.world.creators
        ]

    def _metrics(self, at: datetime, _query: Mapping[str, str]) -> list[dict[str, Any]]:
        return [
            {"id": post.id, **self.world.counters(post, at), "reach": self.world.reach(post, at)}
            for post in self.world.published(at)
        ]

    def _daily(self, at: datetime, query: Mapping[str, str]) -> list[dict[str, Any]]:
        today = at.astimezone(ZoneInfo(self.world.zone)).date()
        since = date.fromisoformat(query.get("since", today.isoformat()))
        until = min(date.fromisoformat(query.get("until", today.isoformat())), today)
        days = [since + timedelta(days=n) for n in range((until - since).days + 1)]
        return [
            {"id": post.id, "day": day.isoformat(), "currency": self.world.currency, **money}
            for day in days
            for post in self.world.published(at)
            if (money := _decimals(self.world.daily(post, day, at)))
        ]


async def _lifespan(receive: Any, send: Any) -> None:
    while True:
        message = await receive()
        await send({"type": f"{message['type']}.complete"})
        if message["type"] == "lifespan.shutdown":
            return


def _post(post: Post) -> dict[str, Any]:
    return {
        "id": post.id,
        "title": f"Simulated post {post.number}: {post.plan.title}",
        "url": f"https://simulated.invalid/{post.id}",
        "published_at": post.published_at.isoformat(),
        "content_type": post.content_type,
        "hashtags": [post.plan.hashtag, "simulated"],
        "creator": post.creator.id,
        "followers": post.followers,
        "campaign": post.plan.key,
        "utm_campaign": post.utm_campaign,
        "promo_code": post.promo_code,
        "boosted": post.budget > 0,
    }


def decimal(millionths: int) -> str:
    """Return millionths as an exact decimal text."""
    sign = "-" if millionths < 0 else ""
    whole, rest = divmod(abs(millionths), MICRO)
    return f"{sign}{whole}.{rest:06d}"


def _decimals(money: Mapping[str, int]) -> dict[str, str]:
    return {name: decimal(amount) for name, amount in money.items()}


# ------------------------------------------------------------------------------------------------ messages


def messages(world: World, since: datetime, until: datetime) -> Iterator[tuple[str, bytes]]:
    """Yield (message id, body) of the sales in ``[since, until)``, up to forty in a body, in order of time.

    The same stretch of the same world gives the same messages.
    """
    sales = [sale for sale in world.sales if since <= sale.at < until]
    for start in range(0, len(sales), _BATCH):
        part = sales[start : start + _BATCH]
        items = [_sale(sale, world.currency) for sale in part]
        body = _encode(
            {"type": "tallybook.batch", "timestamp": part[-1].at.isoformat(), "data": {"items": items}},
        )
        yield f"msg_{hashlib.sha256(body).hexdigest()[:24]}", body


def webhooks(
    world: World, since: datetime, until: datetime, secret: str, sent_at: datetime
) -> Iterator[tuple[dict[str, str], bytes]]:
    """Yield (headers, body) of signed messages, as :func:`messages` makes them."""
    for message_id, body in messages(world, since, until):
        yield sign_standard_webhooks(secret, message_id, sent_at, body), body


def _sale(sale: Sale, currency: str) -> dict[str, Any]:
    item: dict[str, Any] = {"type": sale.kind, "id": sale.id, "at": sale.at.isoformat(), "customer": sale.customer}
    if sale.value is not None:
        item |= {"value": decimal(sale.value), "currency": currency}
    if sale.refund_of is not None:
        item["refund_of"] = sale.refund_of
    if sale.known_by == "subject":
        item["subject"] = sale.post.id
    elif sale.known_by == "utm":
        item["utm_campaign"] = sale.post.utm_campaign
    elif sale.known_by == "code":
        item["promo_code"] = sale.post.promo_code
    return item
