"""What platforms say against the numbers of an answer: looked for where their connectors declare it, and named."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

import asyncpg
import msgspec
import numpy as np

from connectors.contract import Quality as Word
from service.kpi.measure import Quality
from service.kpi.members import IntArray
from service.ledger.history.said import Said, qualities, said
from service.ledger.history.spans import Span
from service.reports.answer import WarningOut
from service.reports.question import Asked
from service.reports.stretches import Stretch

MEANINGS: Mapping[Word, str] = {
    Word.ESTIMATED: "modelled or extrapolated by the platform",
    Word.SAMPLED: "counted by the platform on a part of the events",
    Word.THRESHOLDED: "rows were withheld by the platform to protect people",
    Word.TRUNCATED: "rows beyond a limit were lumped together by the platform",
}
_RANKS = {quality.value: place for place, quality in enumerate(Quality)}


class Doubts(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """What is said about a range; ``places`` are those of its subjects among the members of the question."""

    said: Said | None = None
    places: IntArray = msgspec.field(default_factory=lambda: np.zeros(0, dtype=np.int64))

    def by_member(self, members: int, span: Span) -> dict[str, IntArray]:
        """Return the worst word in a span for each metric, by member, as places in the order of ``Quality``."""
        if self.said is None:
            return {}
        within, ranks = self.said.within(span), _ranks(self.said)
        worst = {}
        for metric, about in self.said.about.items():
            worst[metric] = np.zeros(members, dtype=np.int64)
            told = within & about
            np.maximum.at(worst[metric], self.places[self.said.subjects[told]], ranks[told])
        return worst

    def words(self, span: Span) -> dict[tuple[Word, str], set[int]]:
        """Return the members of whose numbers in a span something is said, by word and metric."""
        found: dict[tuple[Word, str], set[int]] = {}
        if self.said is None:
            return found
        within = self.said.within(span)
        for metric, about in self.said.about.items():
            told = within & about
            for flags in np.unique(self.said.flags[told]).tolist():
                of = self.places[self.said.subjects[told & (self.said.flags == flags)]]
                for word in qualities(flags):
                    found.setdefault((word, metric), set()).update(of.tolist())
        return found


def _ranks(heard: Said) -> IntArray:
    flags, places = np.unique(heard.flags, return_inverse=True)
    ranks = [max((_RANKS[word.value] for word in qualities(one)), default=0) for one in flags.tolist()]
    return np.array(ranks, dtype=np.int64)[places]


async def doubts_of(raw: asyncpg.Connection[Any], asked: Asked, stretches: Sequence[Stretch]) -> list[Doubts]:
    """Return for each range what platforms say against its numbers."""
    metrics = [key for key in asked.columns if any(metric == key for _, metric in asked.doubtful)]
    platforms = {platform for platform, metric in asked.doubtful if metric in metrics}
    if platforms.isdisjoint(asked.members.platforms):
        return [Doubts() for _ in stretches]
    places = [place for place, member in enumerate(asked.members) if member.platform in platforms]
    subjects: list[UUID] = [asked.members[place].subject_id for place in places]
    number = asked.knowledge.number
    return [
        Doubts(
            said=await said(raw, asked.workspace_id, subjects, one.spans, metrics, number),
            places=np.array(places, dtype=np.int64),
        )
        for one in stretches
    ]


def warnings(asked: Asked, doubts: Doubts, total: Span) -> list[WarningOut]:
    """Return a warning for each KPI and word, pointing to the KPI in the question."""
    if doubts.said is None:
        return []
    heard = doubts.words(total)
    listed = []
    for place, kpi in enumerate(asked.kpis):
        for word, meaning in MEANINGS.items():
            members = set().union(*(heard.get((word, key), set()) for key in kpi.needs))
            if members:
                named = ", ".join(sorted({asked.members[one].platform for one in members}))
                detail = f"{kpi.slug}: {meaning} ({named})"
                listed.append(WarningOut(code=word.value, detail=detail, pointer=f"?metrics/{place}"))
    return listed
