"""A workspace whose deliveries are read by a script: each version of its connector says what a test wants it to say."""

from __future__ import annotations

import random  # noqa: TID251 - seeded, so that a failing case comes back
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime, timedelta
from typing import Any
from uuid import UUID

import msgspec
import sqlalchemy as sa

from connectors.contract import BadPayload, Capabilities, Connector, Delivery, Item, Page
from service.context import Context, fixed
from service.db.engine import Database
from service.db.partitions import make_partitions
from service.inbox import deliveries
from service.inbox.deliveries import Chosen
from service.inbox.land import land_pages
from service.kpi.buckets import Grain
from service.kpi.catalogue import CATALOGUE
from service.ledger.rows import line_of
from service.ledger.series import Line, Ref, window_state
from service.ledger.verify import Report, verify
from service.ledger.write import Said
from service.pipeline import run
from service.pipeline.worker import DrainSummary, Worker
from service.records import ClaimedDelivery, Rule, SourceRow
from service.reports.campaign import campaign_kpis
from service.reports.question import Question
from service.settings import Settings
from tests.bookkeeping import Books, at
from tests.integration.ledger.test_order import CAMPAIGN_DAYS, DAYS, NOTES, _answers

SETTINGS = Settings(retry_seconds=0.0, worker_poll_seconds=0.05, worker_batch=7)
BALANCES = """
select s.external_id, r.kind, r.scope, r.counted, b.at, b.earlier, b.likes, b.comments, b.followers, b.reach
from balances b join subjects s using (workspace_id, subject_id) join series r using (workspace_id, series_id)
order by 1, 2, 3, 4
"""
EVENTS = """
select s.external_id, r.currency, r.goal, e.at, e.observed_at, e.metrics
from events e join subjects s using (workspace_id, subject_id) join series r using (workspace_id, series_id)
order by e.at, e.observed_at, 1, e.metrics::text
"""
MEMBERS = """
select c.zone, s.external_id from memberships m join campaigns c using (workspace_id, campaign_id)
join subjects s using (workspace_id, subject_id) group by c.zone, s.external_id having sum(m.sign) > 0 order by 1, 2
"""
WINDOWS = """
select e.*, s.external_id, r.kind, r.scope, r.zone, r.counted
from entries e join subjects s using (workspace_id, subject_id)
join series r using (workspace_id, series_id)
where r.kind in ('period', 'unique') and (e.day is not null or e.flags & 32 <> 0)
"""
CONFIRMED = """
select c.*, s.external_id, r.kind, r.scope, r.zone, r.counted
from confirmations c join subjects s using (workspace_id, subject_id)
join series r using (workspace_id, series_id)
"""

Script = Mapping[int, Sequence[Item] | None]
"""What each delivery says, by its number; None cannot be read."""


class Scripted(Connector):
    """Reads a number and says what the script has under it."""

    name = "scripted"
    title = "Scripted"
    platform = "instagram"
    options = msgspec.defstruct("ScriptedOptions", [], frozen=True)
    capabilities = Capabilities(webhook=True)

    def __init__(self, version: str, script: Script) -> None:
        self.version = version
        self.script = script

    def parse(self, delivery: Delivery, options: Any) -> Iterable[Item]:
        found = self.script[int(delivery.body)]
        if found is None:
            raise BadPayload("not by this version")
        return found


class Desk:
    """One workspace with three campaigns and sources of one platform. The clock goes on a second per delivery."""

    def __init__(self, database: Database, seed: int = 0, *, start: datetime | None = None) -> None:
        still = fixed(start or at(61), seed)
        self.time = still.now()
        self.context: Context = msgspec.structs.replace(still, now=lambda: self.time)
        self.database = database
        self.books = Books(database, self.context)
        self.sources: list[SourceRow] = []
        self.campaigns: list[UUID] = []
        self.connectors: dict[str, Connector] = {}

    async def open(self, sources: int = 1, *, campaigns: bool = True) -> None:
        await self.books.open()
        async with self.database.control() as connection:
            await make_partitions(connection, self.time.date(), timedelta(days=3))
        for number in range(sources):
            made = await self.books.source(counts=number == 0)
            row = msgspec.structs.replace(made, connector="scripted", name=f"source {number}")
            async with self.database.workspace(self.books.workspace_id) as connection:
                await connection.execute(sa.text("update sources set connector = 'scripted'"))
            self.sources.append(row)
        if campaigns:
            rules = {
                "Asia/Kolkata": [Rule(hashtag="spring")],
                "America/Los_Angeles": [Rule(platform="instagram")],
                "UTC": [Rule(hashtag="sale"), Rule(hashtag="spring", in_flight=True)],
            }
            self.campaigns = [await self.books.campaign(rule, zone=zone) for zone, rule in rules.items()]

    def reads(self, version: str, script: Script) -> None:
        """Install a version of the connector."""
        self.connectors = {"scripted": Scripted(version, script)}

    async def land(self, numbers: Iterable[int], source: int = 0) -> None:
        """Take in deliveries by their numbers."""
        for number in numbers:
            self.time += timedelta(seconds=1)
            page = Page(body=str(number).encode(), request={}, cursor={}, received_at=self.time)
            async with self.database.workspace(self.books.workspace_id) as connection:
                await land_pages(connection, self.sources[source], [page], [str(number)], self.context)

    async def drain(self) -> DrainSummary:
        return await Worker(self.database, self.context, SETTINGS, self.connectors).drain()

    async def queue(self, **chosen: Any) -> None:
        """Ask for kept deliveries to be read again."""
        async with self.database.workspace(self.books.workspace_id) as connection:
            now = self.context.now()
            await deliveries.replay(connection, self.books.workspace_id, Chosen(**chosen), now, "test")

    async def replay(self, **chosen: Any) -> DrainSummary:
        """Have kept deliveries read again by the version that is installed."""
        await self.queue(**chosen)
        return await self.drain()

    # -------------------------------------------------------------------------------------------- proving

    async def proof(self) -> Report:
        async with self.database.snapshot(self.books.workspace_id) as connection:
            return await verify(connection, self.books.workspace_id, self._reread)

    def _reread(self, delivery: ClaimedDelivery, version: str) -> Said | None:
        found = run.read(delivery, self.connectors[delivery.connector])
        if not isinstance(found, run.Read) or found.version != version:
            return None
        normal = found.normal
        ref = Ref(delivery.delivery_id, delivery.received_at)
        return Said(ref=ref, facts=normal.facts, readings=normal.readings, events=normal.events)

    async def state(self) -> dict[str, Any]:
        """Return the books without what names ids, postings and deliveries."""
        books = self.books
        queries = {"balances": BALANCES, "days": DAYS, "campaigns": CAMPAIGN_DAYS, "events": EVENTS}
        found: dict[str, Any] = {name: await books.rows(query) for name, query in queries.items()}
        found["members"] = await books.rows(MEMBERS)
        found["windows"] = await self.windows()
        found["facts"] = [
            (row["external_id"], row["type"], {k: v for k, v in row["facts"].items() if not k.startswith("source:")})
            for row in await books.rows("select external_id, type, facts from subjects order by 1")
            if row["facts"]
        ]
        found["answers"] = [await _answers(books, campaign) for campaign in self.campaigns]
        return found

    async def windows(self) -> dict[Any, Any]:
        """Return what stands of every window, and when it was last spoken of."""
        lines: dict[Any, list[Line]] = defaultdict(list)
        names = {}
        for row in await self.books.fetch(WINDOWS):
            key = (row["subject_id"], row["series_id"], row["valid_from"], row["valid_to"])
            names[key] = (row["external_id"], row["kind"], row["scope"], row["zone"], row["counted"])
            lines[key].append(line_of(row))
        confirmed = defaultdict(list)
        for row in await self.books.fetch(CONFIRMED):
            key = (row["subject_id"], row["series_id"], row["valid_from"], row["valid_to"])
            names[key] = (row["external_id"], row["kind"], row["scope"], row["zone"], row["counted"])
            confirmed[key].append((row["mask"], row["confirmed_at"]))
        found = {}
        for key, name in names.items():
            state = window_state(lines.get(key, ()), confirmed.get(key, ()))
            for metric, said in state.said.items():
                stand = state.stands.get(metric)
                found[(*name, *key[2:], metric)] = (said, stand.value if stand else None)
        return found

    async def as_of_answers(self, instants: Sequence[datetime]) -> list[Any]:
        """Return what every campaign's answers say as of instants."""
        return [await _answers_as_of(self, campaign, when) for when in instants for campaign in self.campaigns]


async def _answers_as_of(desk: Desk, campaign: UUID, when: datetime) -> bytes:
    asked = [
        Question(metrics=tuple(CATALOGUE), preset="lifetime", dimensions=("platform", "tier"), as_of=when),
        Question(
            metrics=tuple(CATALOGUE),
            range_from=date(2026, 6, 1),
            range_to=date(2026, 6, 8),
            granularity=Grain.DAY,
            as_of=when,
        ),
    ]
    said = []
    for question in asked:
        async with desk.database.snapshot(desk.books.workspace_id) as connection:
            said.append(
                await campaign_kpis(connection, desk.books.workspace_id, campaign, question, NOTES, desk.context.now())
            )
    return msgspec.json.encode(said)


def mutated(
    script: Mapping[int, Sequence[Item]], seed: int, fresh: Mapping[int, Sequence[Item]]
) -> dict[int, list[Item]]:
    """Return what another version reads: most of the same, some items left out, some others instead."""
    rng = random.Random(seed)
    found: dict[int, list[Item]] = {}
    for number, items in script.items():
        kept = [item for item in items if rng.random() < 0.7]
        found[number] = kept + [item for item in fresh[number] if rng.random() < 0.3]
    return found
