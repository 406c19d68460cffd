"""A campaign of thousands of posts in large books: its overview against the period before, and its posts one by one.

Each question is about another range, its KPIs in another order, so that nothing of one answer is in the next. Before
the running sums are built the same is asked once without them: the answers are held to each other.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import date, timedelta
from typing import Any
from uuid import UUID

import msgspec

from benchmarks import filling
from benchmarks.figures import Figure, percentile
from benchmarks.ground import Ground
from benchmarks.pages import AT
from benchmarks.plan import Sizes
from benchmarks.worker_process import Statements
from service import ids, memory
from service.api.campaigns import CampaignInput, create_campaign
from service.api.kpi_answers import platform_notes
from service.api.state import Services
from service.commands.running import caller
from service.db.engine import driver
from service.ledger import running
from service.ledger.posting import close_posting, open_posting
from service.ledger.running import Built
from service.ledger.tallies import Cell
from service.reports.answer import AnswerOut
from service.reports.query.answer import query_kpis
from service.reports.query.asked import Compare, Query, Scope
from service.reports.question import Question

_CROWD = 5_000
_DAYS = 90
_SHIFTS = filling.DAYS - 2 * _DAYS
"""Ranges of which the one before is in the books too."""
_METRICS = (
    "impressions", "views", "clicks_link", "clicks_all", "likes", "comments", "engagements", "ctr", "ctr_all",
    "er_impressions",
)  # fmt: skip
_WARM = 5
_ROWS = 100
_SIZE = "select pg_total_relation_size('public.running_days')"


class Asker:
    """Asks about the crowded campaign."""

    def __init__(self, parts: Services, home: UUID, campaign: UUID) -> None:
        self._parts = parts
        self._home = home
        self._campaign = campaign
        self._asked = 0
        self._statements = Statements(parts)

    async def ask(self, questions: int, *, by_subject: bool) -> list[float]:
        """Return milliseconds from question to encoded answer, after some that are not counted."""
        for _ in range(_WARM):
            await self._one(by_subject=by_subject)
        return [await self._one(by_subject=by_subject) * 1000 for _ in range(questions)]

    def most(self) -> list[tuple[str, float, int]]:
        """Return the statements that took longest."""
        return self._statements.most()

    async def _one(self, *, by_subject: bool) -> float:
        self._asked += 1
        turn, shift = self._asked % len(_METRICS), self._asked * 7 % _SHIFTS
        query, begun = self._query(turn, shift, by_subject=by_subject), self._parts.context.monotonic()
        answer = await self.answer(query)
        msgspec.json.encode(answer)
        seconds = self._parts.context.monotonic() - begun
        if answer.totals["ctr"].interval is None or (answer.comparison is None) is not by_subject:
            raise RuntimeError("the answer lacks intervals or the period before")
        return seconds

    def _query(self, turn: int, shift: int, *, by_subject: bool) -> Query:
        last = AT.date() - timedelta(days=1 + shift)
        question = Question(
            metrics=(*_METRICS[turn:], *_METRICS[:turn]),
            range_from=last - timedelta(days=_DAYS - 1),
            range_to=last,
            dimensions=("subject",) if by_subject else (),
        )
        return Query(
            question=question,
            scope=Scope(campaigns=(self._campaign,)),
            compare=None if by_subject else Compare(to="previous_period"),
            limit=_ROWS if by_subject else None,
        )

    async def answer(self, query: Query) -> AnswerOut:
        """Answer a query as the API does, in one snapshot."""
        async with self._parts.db.snapshot(self._home) as connection:
            notes, now = platform_notes(self._parts.connectors), self._parts.context.now()
            return await query_kpis(connection, self._home, query, notes, now)

    async def sample(self) -> list[Any]:
        """Return what two questions are answered."""
        found = [await self.answer(self._query(0, 0, by_subject=by_subject)) for by_subject in (False, True)]
        return [(answer.data, answer.totals, answer.comparison) for answer in found]

    # -------------------------------------------------------------------------------------------- building

    async def build(self) -> tuple[Built, float]:
        """Bring the running sums up to date; return what was done and in how many seconds."""
        parts, begun = self._parts, self._parts.context.monotonic()
        async with parts.db.steady(self._home) as connection:
            raw = await driver(connection)
            built = await running.build(raw, self._home, self._campaign, parts.context.now(), float)
        if built is None:
            raise RuntimeError("somebody else builds")
        return built, parts.context.monotonic() - begun

    async def announce(self, members: int) -> None:
        """Let the crowded campaign have running sums."""
        async with self._parts.db.workspace(self._home) as connection:
            await running.announce(await driver(connection), self._home, self._parts.context.now(), least=members)

    async def touch(self, day: date) -> None:
        """Leave what a posting leaves that changed a day."""
        async with self._parts.db.workspace(self._home) as connection:
            posting = await open_posting(connection, self._home, self._parts.context, cause="deliveries")
            posting.touches.cell(self._campaign, Cell(day, "UTC", 1, 1, "", -1))
            await close_posting(connection, posting, self._parts.context, shaped=[self._campaign])


@asynccontextmanager
async def _crowded(ground: Ground, entries: int) -> AsyncIterator[tuple[Asker, int, Any]]:
    """Open books of about so many entries and add a crowded campaign; yield who asks, its members, a superuser."""
    async with filling.filled(ground, entries) as opened:
        home, begun = opened.books.office.workspace_id, ground.context.monotonic()
        campaign = await _campaign(opened.parts, home, filling.tags(entries)[: _CROWD // filling.MEMBERS])
        seconds = ground.context.monotonic() - begun
        members = len(await opened.connection.fetch(running.MEMBERS, home, campaign))
        print(f"  overview: {opened.books.entries} entries, {members} posts joined in {seconds:.0f} s", flush=True)
        await opened.connection.execute("vacuum analyze memberships, campaign_days")
        memory.settle()
        yield Asker(opened.parts, home, campaign), members, opened.connection


async def _campaign(parts: Services, home: UUID, tags: tuple[str, ...]) -> UUID:
    """Make a campaign of all that other campaigns have."""
    rules = [{"hashtag": tag} for tag in tags]
    given = {"name": "crowd", "kind": "broad", "starts": "2026-01-01", "ends": "2027-12-31", "rules": rules}
    made = await create_campaign(CampaignInput.model_validate(given), caller(home), parts)
    return ids.read("campaign", made.id)


async def measure(ground: Ground, sizes: Sizes) -> tuple[list[Figure], dict[str, Any]]:
    """Return the figures of asking about a crowded campaign, and of what makes that quick."""
    questions = sizes.questions // 2
    async with _crowded(ground, sizes.large) as (asker, members, connection):
        plain, before = await asker.sample(), await connection.fetchval(_SIZE)
        await asker.announce(members)
        built, whole = await asker.build()
        if await asker.sample() != plain:
            raise RuntimeError("running sums say something else than the tallies")
        size = await connection.fetchval(_SIZE) - before
        rounds: dict[str, list[float]] = {"overview": [], "by_subject": []}
        for number in range(sizes.rounds):
            for name, found in rounds.items():
                asked = await asker.ask(questions, by_subject=name == "by_subject")
                found.append(percentile(asked, 0.99))
            shown = ", ".join(f"{name} {found[-1]:.1f}" for name, found in rounds.items())
            print(f"  overview {number + 1}/{sizes.rounds} p99 ms: {shown}", flush=True)
        days, touched = [], []
        for _ in range(sizes.rounds):
            await asker.touch(AT.date() - timedelta(days=1))
            touched += await asker.ask(_WARM, by_subject=False)
            days.append((await asker.build())[1] * 1000)
        statements = asker.most()
    entries = members * filling.DAYS
    note = f"{members} posts, {questions} questions a round, each another range or order"
    figures = [
        Figure(key="overview_p99_ms", runs=tuple(rounds["overview"]), note=note),
        Figure(key="by_subject_p99_ms", runs=tuple(rounds["by_subject"]), note=note),
        Figure(key="running_build_s", runs=(whole,), note=f"{built.rows} days of posts, {built.strings} strings"),
        Figure(key="running_day_ms", runs=tuple(days), note=f"{members} days of posts"),
        Figure(key="running_bytes", runs=(size / entries,), note=f"{size / 2**20:.0f} MB"),
    ]
    return figures, {"overview": {"p99_ms": rounds, "touched_ms": touched, "statements": statements}}
