"""Running sums: whatever is posted, moved and built at whatever moment, answers are what they are without any."""

from __future__ import annotations

import random  # noqa: TID251 - seeded, so that a failing case comes back
from collections.abc import Sequence
from datetime import UTC, date, datetime
from typing import Any
from uuid import UUID

import msgspec
import pytest

from connectors.contract import Item
from service import ids
from service.api.queries import query_of
from service.api.query_models import QueryInput
from service.context import fixed
from service.db.engine import Database, driver
from service.db.partitions import drop_partitions
from service.errors import Gone
from service.kpi.catalogue import CATALOGUE
from service.ledger import running
from service.ledger.carry import carry
from service.ledger.verify import verify
from service.pipeline.summing import Summer
from service.records import Rule
from service.reports import running as reading
from service.reports.query.answer import query_kpis
from tests.bookkeeping import Books, at, counter
from tests.integration.reports import test_sums
from tests.integration.reports.test_sums import NOTES, items
from tests.seeds import seeds

POSTS = tuple(f"p{number}" for number in range(8))
RANGES: tuple[Any, ...] = (
    "lifetime",
    {"from": "2026-06-20", "to": "2026-07-08"},
    {"from": "2026-07-01", "to": "2026-07-01"},
    {"from": "2026-06-29", "to": "2026-07-04"},
    {"from": "2026-07-02", "to": "2026-08-20"},
)
KEPT: tuple[Any, ...] = ({"from": "2026-07-12", "to": "2026-07-20"}, {"from": "2026-07-11", "to": "2026-07-30"})
DOLLARS = {"currency": "EUR", "exchange": {"rates": {"USD": "0.917"}}}


class Room:
    """Books with three campaigns, of which two keep their days in one zone."""

    def __init__(self, books: Books, rng: random.Random) -> None:
        self.books = books
        self.rng = rng
        self.summer = Summer(books.database, books.context)
        self.campaigns: list[UUID] = []
        self.sources: list[Any] = []
        self.built = 0
        self.read = 0

    async def open(self, zone: str) -> None:
        await self.books.open()
        self.sources = [await self.books.source(), await self.books.source()]
        self.campaigns = [
            await self.books.campaign([Rule(platform="instagram")], zone=zone),
            await self.books.campaign([Rule(hashtag="spring")], zone=zone),
            await self.books.campaign([Rule(hashtag="spring")], zone="Asia/Kathmandu"),
        ]

    async def post(self, *given: Item) -> None:
        said = given or [items(self.rng) for _ in range(self.rng.randint(1, 4))]
        await self.books.post(self.rng.choice(self.sources), said)

    async def rule(self) -> None:
        """Change what decides about the second campaign: its members leave or come back."""
        wanted = Rule(hashtag="spring") if self.rng.random() < 0.6 else Rule(hashtag="none")
        await self.books.rules(self.campaigns[1], [wanted])

    async def build(self) -> None:
        workspace_id = self.books.workspace_id
        async with self.books.database.workspace(workspace_id) as connection:
            await running.announce(await driver(connection), workspace_id, self.books.context.now(), least=1)
        await self.summer.catch_up(workspace_id)
        self.built += 1

    def question(self, ranges: Sequence[Any]) -> dict[str, Any]:
        rng = self.rng
        scope = rng.choice(([0], [0], [1], [2], [0, 1], [1, 2]))
        return {
            "scope": {"campaigns": [ids.show("campaign", self.campaigns[place]) for place in scope]},
            "metrics": rng.sample(sorted(CATALOGUE), 6),
            "range": rng.choice(ranges),
            "granularity": rng.choice(("total", "total", "day", "week")),
            "dimensions": rng.choice(([], [], ["subject"], ["paid"], ["campaign"])),
            "compare": rng.choice((None, "previous_period")),
            "filters": rng.choice((None, None, None, ["is", "paid", ["paid"]])),
            **(DOLLARS if rng.random() < 0.3 else {}),
        }

    async def agree(self, ranges: Sequence[Any] = RANGES) -> None:
        """Ask a question with running sums and without."""
        asked = self.question(ranges)
        if asked["range"] == "lifetime":
            asked |= {"granularity": "total", "compare": None}
        query = query_of(QueryInput.model_validate(asked), costs=True, evidence=None)
        told = []
        async with self.books.database.snapshot(self.books.workspace_id) as connection:
            for looks in (True, False):
                with pytest.MonkeyPatch.context() as patched:
                    patched.setattr(reading, "standing", self._standing if looks else nothing)
                    patched.setattr(reading, "_pays", lambda *_: True)
                    try:
                        answer = await query_kpis(
                            connection, self.books.workspace_id, query, NOTES, self.books.context.now()
                        )
                        told.append(msgspec.json.encode(answer))
                    except Gone:
                        told.append(b"gone")
        assert told[0] == told[1], asked

    async def _standing(self, *asked: Any) -> Any:
        found = await standing(*asked)
        self.read += len(found)
        return found

    async def proof(self) -> list[str]:
        async with self.books.database.snapshot(self.books.workspace_id) as connection:
            report = await verify(connection, self.books.workspace_id, lambda _delivery, _version: None)
        return [one.check for one in report.differences]


standing = reading.standing


async def nothing(*_: Any) -> list[Any]:
    return []


async def opened(database: Database, seed: int) -> Room:
    room = Room(Books(database, fixed(at(61), seed)), random.Random(seed))
    await room.open(test_sums.ZONES[seed % len(test_sums.ZONES)])
    return room


@pytest.mark.parametrize("seed", seeds(3))
async def test_answers_are_what_they_are_without(
    database: Database, owner_url: str, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(test_sums, "POSTS", POSTS)
    room = await opened(database, seed)
    for _ in range(8):
        await room.post()
    for step in range(30):
        drawn = room.rng.random()
        if drawn < 0.25 or step == 0:
            await room.build()
        elif drawn < 0.35:
            await room.rule()
        else:
            await room.post()
        await room.agree()
        await room.agree()
    assert room.built > 3
    assert room.read > 10
    assert await room.proof() == []
    await room.build()
    async with database.workspace(room.books.workspace_id) as connection:
        assert await carry(connection, room.books.workspace_id, datetime(2026, 7, 1, tzinfo=UTC), room.books.context)
    async with database.control() as connection:
        assert await drop_partitions(connection, None, date(2026, 7, 1))
    for _ in range(6):
        await room.agree(KEPT)
        await room.post(counter("p1", at(42.5), likes=room.rng.randint(100, 200)))
        await room.agree(KEPT)
        await room.build()
    assert await room.proof() == []
