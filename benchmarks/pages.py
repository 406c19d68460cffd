"""The pages that are ingested: made of numbers alone, so that every run and every peer gets the same rows.

A source is an account of the simulated platform. It has one page of posts, each with the hashtag of a campaign, and
pages of days: one row a post and day. Run as a program it serves them, rendered before the first request.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Iterator, Mapping
from datetime import UTC, date, datetime, timedelta
from typing import Any
from urllib.parse import parse_qs

import msgspec

from benchmarks import children
from benchmarks.plan import CAMPAIGNS, DAYS, PER_PAGE, SOURCES
from connectors.contract import Capabilities, FetchKind, Http, Page, Task, TryLater
from connectors.synthetic import Synthetic
from service import serve
from service.serve_protocol import Limits

AT = datetime(2026, 6, 30, 12, tzinfo=UTC)
"""When the platform read its numbers, and the end of the days."""
_OK = 200
_encode = msgspec.json.Encoder().encode
Row = tuple[str, date, tuple[int, ...]]


class Shape(msgspec.Struct, frozen=True, kw_only=True):
    """How many rows of which metrics there are, over all sources."""

    rows: int
    metrics: tuple[str, ...]

    @property
    def subjects(self) -> int:
        """Return the posts of one source."""
        return max(self.rows // SOURCES // DAYS, 1)


def account(source: int) -> str:
    """Return the name of an account."""
    return f"account{source}"


def rows_of(shape: Shape, source: int) -> Iterator[Row]:
    """Yield the rows of one source: subject, day and one number a metric."""
    count = len(shape.metrics)
    for n in range(shape.rows // SOURCES):
        day = AT.date() - timedelta(days=1 + n // shape.subjects)
        yield f"s{source}-{n % shape.subjects}", day, tuple(n * 7 % 1009 + place for place in range(count))


def _document(data: list[dict[str, Any]], following: int | None = None) -> bytes:
    after = None if following is None else str(following)
    return _encode({"at": AT.isoformat(), "simulated": True, "zone": "UTC", "data": data, "next": after})


def _posts(shape: Shape, source: int) -> bytes:
    published = (AT - timedelta(days=DAYS + 20)).isoformat()
    return _document(
        [
            {
                "id": f"s{source}-{n}",
                "title": f"post {n}",
                "url": f"https://example.com/{source}/{n}",
                "published_at": published,
                "content_type": "image",
                "hashtags": [f"campaign{n % CAMPAIGNS}"],
                "creator": f"creator-{source}-{n % 20}",
                "followers": 1000 + n,
                "campaign": "",
                "utm_campaign": "",
                "promo_code": "",
                "boosted": False,
            }
            for n in range(shape.subjects)
        ]
    )


def _days(shape: Shape, source: int) -> Iterator[bytes]:
    data: list[dict[str, Any]] = []
    number, total = 0, shape.rows // SOURCES
    for n, (subject, day, values) in enumerate(rows_of(shape, source), start=1):
        data.append({"id": subject, "day": day.isoformat(), "m": dict(zip(shape.metrics, values, strict=True))})
        if len(data) == PER_PAGE or n == total:
            number += 1
            yield _document(data, number if n < total else None)
            data = []


def rendered(shape: Shape) -> dict[tuple[str, str], bytes]:
    """Return every page by path and cursor."""
    found: dict[tuple[str, str], bytes] = {}
    for source in range(SOURCES):
        found[f"/{account(source)}/posts", "0"] = _posts(shape, source)
        for number, body in enumerate(_days(shape, source)):
            found[f"/{account(source)}/load", str(number)] = body
    return found


# ------------------------------------------------------------------------------------------------ pulling


class _Next(msgspec.Struct, frozen=True):
    next: str | None = None


_NEXT = msgspec.json.Decoder(_Next)


class Loaded(Synthetic):
    """The simulated platform, pulled for its pages of days; what it says is read by the connector as it is."""

    capabilities = Capabilities(fetch=(FetchKind(name="load", every=timedelta(hours=1)),), simulated=True)

    async def fetch(self, http: Http, task: Task, now: datetime) -> AsyncIterator[Page]:
        """Yield the page of posts and the pages of days of the source's account."""
        current, place = task.cursor.get("list", "posts"), task.cursor.get("cursor", "0")
        while True:
            response = await http.get(f"/{task.source.account}/{current}", {"cursor": place})
            if response.status != _OK:
                raise TryLater(f"the page server answers {response.status}")
            following = _NEXT.decode(response.body).next
            last = current == "load" and following is None
            after = current if following is not None or last else "load"
            yield Page(
                body=response.body,
                request={"list": current, "cursor": place},
                cursor={"list": after, "cursor": following or "0"},
                received_at=response.received_at,
                last=last,
            )
            if last:
                return
            current, place = after, following or "0"


CONNECTOR = Loaded()


# ------------------------------------------------------------------------------------------------ serving


def application(pages: Mapping[tuple[str, str], bytes]) -> Any:
    """Return an ASGI application that answers with pages and does nothing else."""
    missing = _encode({"error": "no such page"})

    async def app(scope: Any, receive: Any, send: Any) -> None:
        _ = receive
        cursor = parse_qs(scope["query_string"].decode("latin-1")).get("cursor", ["0"])[0]
        body = pages.get((scope["path"], cursor))
        status, content = (404, missing) if body is None else (_OK, body)
        headers = [(b"content-type", b"application/json"), (b"content-length", str(len(content)).encode())]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": content})

    return app


async def _main(shape: Shape) -> None:
    pages = rendered(shape)
    async with serve.answering(application(pages), serve.bind("127.0.0.1", 0), Limits()) as listening:
        children.answer(address=listening.address, pages=len(pages), bytes=sum(map(len, pages.values())))
        while await children.heard() is not None:
            children.answer(**children.usage())


if __name__ == "__main__":
    asyncio.run(_main(msgspec.json.decode(sys.argv[1], type=Shape)))
