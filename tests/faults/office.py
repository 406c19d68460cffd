"""A workspace whose senders speak the item language, and what its books must hold whatever went wrong on the way."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import UUID

import msgspec

from connectors.contract import Capabilities, Connector, FetchKind, Http, Page, Task
from connectors.standard_webhooks import StandardWebhooks
from service.context import Context
from service.db.engine import Database
from service.inbox.land import Lander
from service.inbox.store import Landed
from service.ledger.moves import record_version
from service.ledger.series import Ref
from service.ledger.verify import Report, verify
from service.ledger.write import Said
from service.pipeline import run
from service.pipeline.worker import DrainSummary, Worker
from service.records import CampaignKind, CampaignVersion, ClaimedDelivery, Rule, SourceRow
from service.registry import campaigns
from tests.integration.inbox.world import SETTINGS, Clock, count, make_source, rows
from tests.integration.ledger.test_order import BALANCES, CAMPAIGN_DAYS, DAYS

START = datetime(2025, 6, 1, tzinfo=UTC)
LEASE = timedelta(seconds=61)
"""Longer than any lease."""
_EVENTS = (
    "select s.external_id, e.at, e.metrics from events e join subjects s using (workspace_id, subject_id) order by 1, 2"
)
_FACTS = "select external_id, facts from subjects where workspace_id = :w order by 1"
_OUTCOMES = """
select d.body, o.turn, o.outcome, o.posting, p.posting is not null as kept
from deliveries d join delivery_outcomes o using (workspace_id, received_at, delivery_id)
left join postings p using (workspace_id, posting) where workspace_id = :w order by d.delivery_id, o.turn
"""


def at(days: float) -> str:
    """Return an instant counted from the first of June 2025 as a sender writes it."""
    return (START + timedelta(days=days)).isoformat()


def item(tag: str, subject: str, **fields: Any) -> dict[str, Any]:
    """Return one item of the language."""
    return {"type": tag, "subject": subject, **fields}


def body(*items: Mapping[str, Any]) -> bytes:
    """Return a delivery that says items."""
    return msgspec.json.encode({"type": "tallybook.batch", "data": {"items": items}})


def likes(post: str, day: float, number: int) -> dict[str, Any]:
    """Return a counter as it stood on a day."""
    return item("counters", post, observed_at=at(day), metrics={"likes": number})


def order(name: str, post: str, day: float, value: str, read: float) -> dict[str, Any]:
    """Return an order as it was said at the instant ``read``."""
    return item("order", post, id=name, at=at(day), value=value, currency="EUR", observed_at=at(read))


def views(post: str, day: int, number: int, read: float) -> dict[str, Any]:
    """Return a day's impressions as they were said at the instant ``read``."""
    when = date(2025, 6, day).isoformat()
    return item("period", post, day=when, zone="UTC", observed_at=at(read), metrics={"impressions": number})


def click(name: str, post: str, day: float = 3) -> dict[str, Any]:
    """Return a click: no two of them say the same, so each counts."""
    return item("click", post, id=name, at=at(day))


FIRST = (
    body(
        item("subject", "p1", observed_at=at(0), published_at=at(0), hashtags=["spring"]),
        item("subject", "p2", observed_at=at(0), published_at=at(0)),
        likes("p1", 2, 10),
        likes("p2", 2, 5),
    ),
    body(
        item("levels", "anna", subject_type="profile", observed_at=at(1), metrics={"followers": 100}),
        views("p1", 2, 50, 3),
        views("p2", 2, 7, 3),
        order("o1", "p1", 2.5, "10.00", 2.6),
        order("o2", "p2", 2.5, "7.00", 2.6),
        click("c1", "p1"),
    ),
)
"""What the books hold before a case."""

SECOND = (
    body(likes("p1", 5, 40), likes("p2", 1, 3), click("c2", "p1")),  # one follows, one comes late
    body(item("levels", "anna", subject_type="profile", observed_at=at(4), metrics={"followers": 130})),
    body(item("unique", "p1", observed_at=at(4), metrics={"reach": 33}), views("p1", 2, 60, 6), views("p1", 3, 9, 6)),
    body(order("o1", "p2", 3.5, "12.00", 6), order("o3", "p1", 4, "1.00", 4), click("c3", "p2")),  # an order moves
    body(item("withdrawal", "p2", day="2025-06-02", zone="UTC", metrics=["impressions"], observed_at=at(7))),
    body(
        item("subject", "p2", observed_at=at(8), hashtags=["spring"]),  # joins a campaign that others are in
        item("subject", "p1", observed_at=at(8), hashtags=["sale"]),  # leaves it
        item("subject", "p3", observed_at=at(8), hashtags=["spring"]),
        likes("p3", 8, 4),
    ),
)
"""What is posted while something goes wrong: every kind of item, late, restated, moved and taken back."""


class Fetched(StandardWebhooks):
    """The item language, pulled page by page."""

    capabilities = Capabilities(webhook=True, fetch=(FetchKind(name="all", every=timedelta(days=400)),))

    def __init__(self, clock: Clock, pages: Sequence[bytes]) -> None:
        self._clock = clock
        self._pages = pages

    async def fetch(self, http: Http, task: Task, now: datetime) -> AsyncIterator[Page]:
        for number in range(int(task.cursor.get("after", "0")), len(self._pages)):
            yield Page(
                body=self._pages[number],
                request={"page": str(number)},
                cursor={"after": str(number + 1)},
                received_at=self._clock.now(),
                last=number + 1 == len(self._pages),
            )


class Office:
    """One workspace. ``database`` is sound; what is to fail is handed to the use case by its test."""

    def __init__(self, database: Database, connector: Connector | None = None) -> None:
        self.database = database
        self.clock = Clock()
        self.context: Context = self.clock.context()
        self.connectors = {"standard_webhooks": connector or StandardWebhooks()}
        self.campaign_id = UUID(int=0)
        self.everything = UUID(int=0)
        self.source: SourceRow

    @property
    def workspace_id(self) -> UUID:
        return self.source.workspace_id

    async def open(self) -> None:
        """Make the workspace, its source and two campaigns, of which one asks for a hashtag."""
        self.source = await make_source(
            self.database, self.context, connector="standard_webhooks", platform="shop", tracks_from=START
        )
        self.everything = await self._campaign("UTC", Rule(platform="shop"))
        self.campaign_id = await self._campaign("Asia/Kolkata", Rule(hashtag="spring"))

    async def close(self) -> None:
        """Take the workspace out of what workers sweep."""
        await rows(self.database, self.workspace_id, "delete from tenants where workspace_id = :w returning 1")

    async def _campaign(self, zone: str, rule: Rule) -> UUID:
        async with self.database.workspace(self.workspace_id) as connection:
            campaign_id = await campaigns.create(
                connection,
                self.workspace_id,
                name=zone,
                zone=zone,
                currency="EUR",
                strategy_id=None,
                context=self.context,
            )
        await self.change_rules(self.database, rule, campaign_id)
        return campaign_id

    async def change_rules(self, database: Database, rule: Rule, campaign_id: UUID | None = None) -> None:
        """Give a campaign (default: the one with the hashtag) another rule."""
        version = CampaignVersion(
            name="c", kind=CampaignKind.BROAD, starts=date(2025, 6, 1), ends=date(2025, 6, 30), rules=(rule,)
        )
        async with database.workspace(self.workspace_id) as connection:
            await record_version(connection, self.workspace_id, campaign_id or self.campaign_id, version, self.context)

    # -------------------------------------------------------------------------------------------- doing

    async def land(self, database: Database, bodies: Mapping[str, bytes]) -> dict[str, Landed | BaseException]:
        """Send deliveries by their keys, all at once; return what each sender heard."""
        lander = Lander(database, self.context, SETTINGS)
        await lander.start()
        sent = (lander.land(self.source, key=key, body=each) for key, each in bodies.items())
        heard = await asyncio.gather(*sent, return_exceptions=True)
        await lander.stop()
        return dict(zip(bodies, heard, strict=True))

    async def store(self, bodies: Sequence[bytes], prefix: str = "") -> None:
        """Land deliveries that are not to fail."""
        heard = await self.land(self.database, {f"{prefix}{number}": each for number, each in enumerate(bodies)})
        assert all(isinstance(one, Landed) for one in heard.values()), heard

    async def drain(self, database: Database) -> DrainSummary:
        """Post what is ready."""
        return await Worker(database, self.context, SETTINGS, self.connectors).drain()

    async def recover(self) -> None:
        """Let leases run out and post what is left. The server may take a moment to notice a dead connection."""
        for _ in range(20):
            self.clock.ahead += LEASE
            await self.drain(self.database)
            if not await count(self.database, self.workspace_id, "delivery_queue"):
                return
            await asyncio.sleep(0.05)
        raise AssertionError("the queue does not become empty")

    # -------------------------------------------------------------------------------------------- proving

    async def state(self) -> dict[str, Any]:
        """Return the books without ids that differ from workspace to workspace."""
        queries = {"balances": BALANCES, "days": DAYS, "campaigns": CAMPAIGN_DAYS, "events": _EVENTS}
        found: dict[str, Any] = {
            name: [tuple(row) for row in await rows(self.database, self.workspace_id, query)]
            for name, query in queries.items()
        }
        facts = await rows(self.database, self.workspace_id, _FACTS)
        found["facts"] = {
            row.external_id: {name: fact for name, fact in row.facts.items() if not name.startswith("source:")}
            for row in facts
        }
        return found

    async def outcomes(self) -> list[Any]:
        """Return every reading of every delivery."""
        return await rows(self.database, self.workspace_id, _OUTCOMES)

    async def proof(self) -> Report:
        """Prove the books, deliveries included."""
        async with self.database.snapshot(self.workspace_id) as connection:
            return await verify(connection, self.workspace_id, self.reread)

    def reread(self, delivery: ClaimedDelivery, version: str) -> Said | None:
        found = run.read(delivery, self.connectors[delivery.connector])
        if not isinstance(found, run.Read) or found.version != version:
            return None
        said = found.normal
        ref = Ref(delivery.delivery_id, delivery.received_at)
        return Said(ref=ref, facts=said.facts, readings=said.readings, events=said.events)

    async def assert_sound(self, bodies: Sequence[bytes], turns: int = 1) -> None:
        """Hold the books to what was acknowledged: each delivery kept once and posted once, and all of it proven.

        ``turns`` is how often each was read, the first time included.
        """
        report = await self.proof()
        assert report.differences == []
        assert report.replay_would_change == 0
        assert report.checked.get("deliveries", 0) == len(bodies)
        assert await count(self.database, self.workspace_id, "pending_work") == 0
        found = await self.outcomes()
        assert sorted(row.body for row in found) == sorted([*bodies] * turns)
        assert {(row.turn, row.outcome) for row in found} == {(turn, "posted") for turn in range(1, turns + 1)}
        assert all(row.kept == (row.posting is not None) for row in found)
