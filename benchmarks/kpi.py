"""The KPI query as the ledger grows: ninety days of one campaign, by platform, with intervals, asked in process.

The campaigns keep their size while the books around them become many times as large. Each question is about another
campaign than the last, of some all over the books; these have the running sums that a worker would have built. Where
the books are small enough they are proved first: what is asked is what posting leaves.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import msgspec

from benchmarks import filling
from benchmarks.figures import Figure, percentile, ratios
from benchmarks.filling import Books
from benchmarks.ground import Ground
from benchmarks.pages import AT
from benchmarks.plan import Sizes
from benchmarks.worker_process import Statements
from service import memory
from service.api.kpi_answers import platform_notes
from service.api.state import Services
from service.db.engine import driver
from service.ledger import running
from service.ledger.verify import verify
from service.reports.campaign import campaign_kpis
from service.reports.question import Question

_DAYS = 90
_METRICS = ("impressions", "clicks_link", "engagements", "ctr", "er_impressions")
_WARM = 5
_ASKED = 50
"""Campaigns that are asked about."""


class Asker:
    """Asks about the campaigns of books, one after the other, and adds up what the SQL takes."""

    def __init__(self, parts: Services, books: Books) -> None:
        self.held = books.entries
        self._parts = parts
        self._books = books
        self._campaigns = books.office.campaigns[:: max(len(books.office.campaigns) // _ASKED, 1)]
        self._asked = 0
        self._statements = Statements(parts)

    async def ask(self, questions: int) -> list[float]:
        """Return milliseconds from question to encoded answer, after some that are not counted."""
        for _ in range(_WARM):
            await self._one()
        return [await self._one() * 1000 for _ in range(questions)]

    async def build(self) -> None:
        """Build the running sums of the campaigns that are asked about."""
        parts, home = self._parts, self._books.office.workspace_id
        async with parts.db.workspace(home) as connection:
            await running.announce(await driver(connection), home, parts.context.now())
        for campaign in self._campaigns:
            async with parts.db.steady(home) as connection:
                await running.build(await driver(connection), home, campaign, parts.context.now(), float)

    def most(self) -> list[tuple[str, float, int]]:
        """Return the statements that took longest."""
        return self._statements.most()

    async def _one(self) -> float:
        self._asked += 1
        last, parts, home = AT.date() - timedelta(days=1), self._parts, self._books.office.workspace_id
        question = Question(
            metrics=_METRICS, range_from=last - timedelta(days=_DAYS - 1), range_to=last, dimensions=("platform",)
        )
        campaign, begun = self._campaigns[self._asked * 37 % len(self._campaigns)], parts.context.monotonic()
        async with parts.db.snapshot(home) as connection:
            notes, now = platform_notes(parts.connectors), parts.context.now()
            answer = await campaign_kpis(connection, home, campaign, question, notes, now)
        msgspec.json.encode(answer)
        seconds = parts.context.monotonic() - begun
        if len(answer.data) != len(filling.PLATFORMS) or answer.totals["ctr"].interval is None:
            raise RuntimeError("the answer lacks platforms or intervals")
        return seconds


async def _prove(parts: Services, books: Books) -> None:
    async with parts.db.snapshot(books.office.workspace_id) as connection:
        report = await verify(connection, books.office.workspace_id, lambda _delivery, _version: None)
    if report.total_differences:
        raise RuntimeError(f"the books that were filled do not hold: {report.differences[0]}")


@asynccontextmanager
async def _asked(ground: Ground, entries: int, *, proved: bool) -> AsyncIterator[Asker]:
    """Open books of about so many entries, with the running sums that are asked for."""
    async with filling.filled(ground, entries) as opened:
        if proved:
            await _prove(opened.parts, opened.books)
        asker = Asker(opened.parts, opened.books)
        await asker.build()
        memory.settle()
        yield asker


async def measure(ground: Ground, sizes: Sizes) -> tuple[list[Figure], dict[str, Any]]:
    """Return the figures of asking: small and large books take turns."""
    few: list[float] = []
    many: list[float] = []
    async with (
        _asked(ground, sizes.small, proved=True) as small,
        _asked(ground, sizes.large, proved=False) as large,
    ):
        for number in range(sizes.rounds):
            for asker, found in ((small, few), (large, many)):
                found.append(percentile(await asker.ask(sizes.questions), 0.99))
            print(f"  kpi {number + 1}/{sizes.rounds} p99 ms: {few[-1]:.1f} small, {many[-1]:.1f} large", flush=True)
        shape = f"{_DAYS} days, {filling.MEMBERS} members, {len(filling.PLATFORMS)} platforms"
        note = f"{shape}; {large.held} entries over {small.held}"
        statements = large.most()
    figures = [
        ratios("kpi_growth", many, few, note),
        Figure(key="kpi_p99_ms", runs=tuple(many), note=f"{large.held} entries, {sizes.questions} questions a round"),
    ]
    return figures, {"kpi": {"p99_small_ms": few, "p99_large_ms": many, "statements": statements}}
