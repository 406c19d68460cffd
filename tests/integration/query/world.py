"""A small world that queries are asked of: two platforms, two campaigns of one strategy, money, paid and organic."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from datetime import date
from typing import Any

import msgspec

from connectors.contract import Kind, Observation, SubjectRef, SubjectType, day_window
from service import ids
from service.context import fixed
from service.db import embedded
from service.db.embedded import Embedded
from tests.bookkeeping import Books, at, counter, seen
from tests.database import TEMPLATE
from tests.integration.api.office import Desk, Office, open_office

JUNE = {"from": "2026-06-01", "to": "2026-06-30"}
POSTS: dict[str, dict[str, Any]] = {
    "i1": {"hashtags": ("spring", "tea"), "creator": "ada", "followers_at_publish": 2_000, "content_type": "reel"},
    "i2": {"hashtags": ("spring",), "creator": "ada", "followers_at_publish": 2_500, "content_type": "reel"},
    "i3": {"hashtags": ("tea",), "creator": "bob", "followers_at_publish": 50_000, "content_type": "carousel"},
    "i4": {"hashtags": (), "creator": "bob", "followers_at_publish": 60_000, "content_type": "carousel"},
    "i5": {"creator": "eve", "followers_at_publish": 700_000},
}
SHOWN = {"i1": (1000, 30), "i2": (2000, 20), "i3": (4000, 40), "i4": (1000, 5), "i5": (2000, 80)}
"""Impressions and link clicks of each post of instagram."""


class World(msgspec.Struct, frozen=True, kw_only=True):
    """Public ids, and who asks."""

    office: Office
    desk: Desk
    books: Books
    strategy: str
    broad: str
    micro: str
    earlier: str

    async def ask(self, campaign: str | None = None, **body: Any) -> Any:
        """Ask a query of a campaign (the broad one) and return the answer."""
        scope = {"campaigns": [campaign or self.broad]}
        return await self.desk.post("/v1/kpis/query", {"scope": scope, "range": JUNE} | body, 200)

    async def refused(self, status: int = 422, **body: Any) -> Any:
        """Ask what is refused and return its first mistake, or the problem where there is none."""
        asked = {"scope": {"campaigns": [self.broad]}, "range": JUNE} | body
        problem = await self.desk.problem(status, "POST", "/v1/kpis/query", asked)
        return problem["errors"][0] if problem["errors"] else problem


def table(answer: Any, slug: str, *names: str) -> dict[Any, Any]:
    """Return values by dimension: a word for one dimension, a tuple for several."""
    found = {}
    for row in answer["data"]:
        key = tuple(row["dimensions"][name] for name in names)
        found[key if len(names) > 1 else key[0]] = row["metrics"][slug]["value"]
    return found


def ad(day: int, currency: str = "EUR", spend: int = 10, subject: str = "ad1", **metrics: int) -> Observation:
    """Return a day of a paid ad; ``spend`` in whole units."""
    return Observation(
        subject=SubjectRef(subject),
        kind=Kind.PERIOD,
        metrics={"spend_media": spend * 1_000_000, **metrics},
        window=day_window(date(2026, 6, day), "Europe/Berlin"),
        observed_at=at(40),
        paid=True,
        currency=currency,
    )


@contextmanager
def copied(postgres: Embedded, name: str = "t_query") -> Iterator[str]:
    """Copy the template for many tests that only ask; yield the service role's address."""
    postgres.psql(f"create database {name} template {TEMPLATE} strategy file_copy owner {embedded.OWNER}")
    yield postgres.url(embedded.SERVICE, name)
    postgres.psql(f"drop database {name} with (force)")


@asynccontextmanager
async def open_world(url: str) -> AsyncIterator[World]:
    """Fill a database and open an office on it."""
    context = fixed(at(61))
    async with open_office(url, context) as office:
        desk = await office.workspace("World")
        books = Books(office.services.db, context)
        books.workspace_id = ids.read("workspace", desk.workspace or "")
        gram, tok = await books.source(), await books.source("tiktok")
        strategy = (await desk.post("/v1/strategies", {"name": "Year"}))["id"]

        async def campaign(**more: Any) -> str:
            body = {"kind": "broad", "starts": "2026-06-01", "ends": "2026-06-30", "strategy": strategy}
            made: str = (await desk.post("/v1/campaigns", body | {"zone": "Europe/Berlin", "currency": "EUR"} | more))[
                "id"
            ]
            return made

        broad = await campaign(
            name="Broad", rules=[{"platform": "instagram"}, {"platform": "tiktok"}], tactics=["awareness"]
        )
        micro = await campaign(
            name="Micro", kind="micro", rules=[{"hashtag": "spring"}], tactics=["niche", "creators"], margin="0.4"
        )
        earlier = await campaign(name="May", starts="2026-05-01", ends="2026-05-31", rules=[{"hashtag": "tea"}])
        sizes = [{"tier": "small", "lower": 0}, {"tier": "big", "lower": 55_000}]
        await desk.post("/v1/tier-policies", {"id": "sizes", "tiers": sizes})
        facts = [seen(name, published_at=at(2), **facts) for name, facts in POSTS.items()]
        early = [counter(name, at(4), impressions=n // 2, clicks_link=k // 2) for name, (n, k) in SHOWN.items()]
        late = [
            counter(name, at(10), impressions=n, clicks_link=k, likes=k * 2, comments=k)
            for name, (n, k) in SHOWN.items()
        ]
        reached = [counter(name, at(10), Kind.UNIQUE, reach=n // 2) for name, (n, _) in SHOWN.items()]
        # The same numbers once more, as a platform says them at another grain: reconciled, never added.
        twice = [counter(name, at(10), check=True, impressions=n) for name, (n, _) in SHOWN.items()]
        await books.post(gram, [*facts, *early], [*late, *reached, *twice])
        await books.post(gram, [ad(5, impressions=500, clicks_link=9), ad(6, impressions=700, clicks_link=11)])
        me = SubjectRef("ada", SubjectType.PROFILE)
        levels = [
            Observation(subject=me, kind=Kind.LEVEL, metrics={"followers": count}, observed_at=at(day))
            for day, count in ((1, 2000), (20, 2050))
        ]
        await books.post(gram, levels)
        await books.post(
            tok, [seen("t1", published_at=at(2), hashtags=("spring",)), counter("t1", at(8), views=900, likes=90)]
        )
        yield World(office=office, desk=desk, books=books, strategy=strategy, broad=broad, micro=micro, earlier=earlier)
