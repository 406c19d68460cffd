"""The numbers of a campaign at a posting, moved on posting by posting, from the first or from where a page begins.

Sums are moved by what each posting added; levels, uniques and suspected resets are read anew where a posting touched
them. What is answered of it is in ``history``.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any
from uuid import UUID

import asyncpg
import msgspec
import numpy as np

from connectors.contract import METRICS, Unit
from service.kpi.evaluate import evaluate
from service.kpi.measure import Reason
from service.kpi.members import FOLLOWERS_AT_PUBLISH, BoolArray, Column, IntArray, MemberSums
from service.ledger import restatements
from service.ledger.history.falls import open_falls
from service.ledger.history.members import Member, Members
from service.ledger.restatements import Posted, Watch
from service.reports.people import people_of
from service.reports.points import FACTS, PointOut, people_ids, people_keys, point_out, read_keys
from service.reports.question import COSTS, Asked
from service.reports.stretches import total_span


class Change(msgspec.Struct, kw_only=True):
    """What one posting did, before its reasons are read."""

    posted: Posted
    old: PointOut
    new: PointOut
    extra: list[str]
    moved: list[UUID]
    joined: int
    left: int


class Replay:
    """The state of a campaign's numbers at a posting, moved on posting by posting."""

    def __init__(self, raw: asyncpg.Connection[Any], asked: Asked, watch: Watch, after: int) -> None:
        self.raw = raw
        self.asked = asked
        self.watch = watch
        self.number = after
        self.place = {subject_id: at for at, subject_id in enumerate(watch.subject_ids)}
        self.rows: dict[UUID, Any] = {}
        self.facts: dict[UUID, dict[str, Any]] = defaultdict(dict)
        size = len(self.place)
        keys = (*asked.columns, *read_keys(asked))
        self.values: dict[str, IntArray] = {key: np.zeros(size, dtype=np.int64) for key in keys}
        self.known: dict[str, BoolArray] = {key: np.zeros(size, dtype=np.bool_) for key in keys}
        self.member = np.zeros(size, dtype=np.bool_)
        self.cells: dict[tuple[UUID, str], list[int]] = defaultdict(lambda: [0, 0])
        self.currencies: dict[UUID, set[str]] = defaultdict(set)
        self.suspected: frozenset[str] = frozenset()
        self.fact_lines: dict[int, list[Any]] = {}
        self.member_lines: dict[int, list[Any]] = {}

    @classmethod
    async def begin(cls, raw: asyncpg.Connection[Any], asked: Asked, campaign_id: UUID, after: int) -> Replay:
        """Return the state after a posting."""
        newest = asked.knowledge.posting
        lines = await restatements.membership_lines(raw, asked.workspace_id, campaign_id, newest)
        rows = {line["subject_id"]: line for line in lines}
        subject_ids = sorted(rows, key=lambda one: (rows[one]["platform"], rows[one]["external_id"]))
        names = tuple(sorted({name for key in read_keys(asked) for name in FACTS.get(key, ())}))
        facts = await restatements.fact_lines(raw, asked.workspace_id, subject_ids, names, newest)
        span = total_span(asked.period)
        watch = Watch(
            workspace_id=asked.workspace_id,
            campaign_id=campaign_id,
            subject_ids=subject_ids,
            span=span,
            metrics=asked.columns,
            people=people_keys(asked),
            people_ids=await people_ids(raw, asked, rows, facts),
            doubtful=await restatements.doubtful(raw, asked.workspace_id, subject_ids, span, newest),
            facts=names,
        )
        replay = cls(raw, asked, watch, after)
        replay.rows = rows
        replay.member_lines = _by_posting(lines, after)
        replay.fact_lines = _by_posting(facts, after)
        return replay

    async def first(self, upto: int) -> dict[int, list[Any]]:
        """Bring the state to where the page begins; return what the postings up to ``upto`` add to sums."""
        after = self.number
        movements = _by_posting(await restatements.movements(self.raw, self.watch, after, upto), after)
        self._join(self.member_lines.get(after, ()))
        self._learn(self.fact_lines.get(after, ()))
        self._add(movements.pop(after, ()))
        if after:
            await self._read_people(self.place)
            await self._doubt()
        return movements

    async def step(self, posted: Posted, movements: Sequence[Any], touched: set[UUID], old: PointOut) -> Change | None:
        """Move on by one posting; return what changed, or None."""
        self.number = posted.posting
        members, facts = self.member_lines.get(posted.posting, ()), self.fact_lines.get(posted.posting, ())
        self._join(members)
        told = self._learn(facts)
        self._add(movements)
        await self._read_people(self._dependents(touched | told))
        before = self.suspected
        await self._doubt()
        new = self.point()
        if new == old:
            return None
        shifted = {line["subject_id"] for line in members}
        joined = sum(1 for line in members if line["sign"] > 0)
        extra = ["membership"] if members else []
        extra += ["facts"] if any(self._counts(one) for one in told - shifted) else []
        extra += ["suspected_reset"] if self.suspected - before else []
        settled = "reset_settled" if posted.cause == "reset" else "reset_recovered"
        extra += [settled] if before - self.suspected else []
        columns = [name for key in self.asked.columns for name in (key, f"sign_{key}")]
        # What was taken back and said again in one posting moved nothing.
        added = {row["subject_id"] for row in movements if any(row[name] for name in columns)}
        moved = added | touched | set(self.watch.doubtful)
        return Change(
            posted=posted,
            old=old,
            new=new,
            extra=extra,
            moved=sorted(one for one in moved if one in shifted or self._counts(one)),
            joined=joined,
            left=len(members) - joined,
        )

    def _counts(self, subject_id: UUID) -> bool:
        """Tell whether a subject's lines count: a member's, or those of the profile behind a member."""
        at = self.place.get(subject_id)
        return at is None or bool(self.member[at])

    def _join(self, lines: Iterable[Any]) -> None:
        for line in lines:
            self.member[self.place[line["subject_id"]]] = line["sign"] > 0

    def _learn(self, lines: Iterable[Any]) -> set[UUID]:
        told = set()
        for line in lines:
            facts = self.facts[line["subject_id"]]
            facts[line["name"]] = line["value"]
            if line["value"] is None:  # nobody says it any more
                del facts[line["name"]]
            told.add(line["subject_id"])
        return told

    def _add(self, movements: Iterable[Any]) -> None:
        """Add what was booked to the sums: per currency, as a metric is known per currency."""
        for row in movements:
            subject_id, currency = row["subject_id"], row["currency"]
            self.currencies[subject_id].add(currency)
            at = self.place[subject_id]
            for key in self.asked.columns:
                cell = self.cells[subject_id, f"{currency}/{key}"]
                cell[0] += row[f"sign_{key}"]
                cell[1] += row[key]
                cells = [self.cells[subject_id, f"{one}/{key}"] for one in self.currencies[subject_id]]
                amounts = [amount for signs, amount in cells if signs > 0]
                self.values[key][at], self.known[key][at] = sum(amounts), bool(amounts)

    def _dependents(self, touched: set[UUID]) -> set[UUID]:
        """Return the subjects whose people may read otherwise: the touched, and the posts of touched profiles."""
        names = {(self.rows[one]["platform"], self.rows[one]["external_id"]) for one in touched if one in self.rows}
        if FOLLOWERS_AT_PUBLISH not in read_keys(self.asked):
            return touched
        strangers = any(one not in self.rows for one in touched)
        posts = {
            one
            for one, facts in self.facts.items()
            if "creator" in facts and (strangers or (self.rows[one]["platform"], facts["creator"]) in names)
        }
        return touched | posts

    async def _read_people(self, touched: Iterable[UUID]) -> None:
        """Read reach, levels and followers at publication of subjects as they stand at the posting."""
        keys = read_keys(self.asked)
        some = [one for one in self.watch.subject_ids if one in set(touched)] if keys else []
        if not some:
            return
        members = Members(self._member(one) for one in some)
        knowledge = msgspec.structs.replace(self.asked.knowledge, number=self.number)
        asked = msgspec.structs.replace(self.asked, members=members, knowledge=knowledge)
        table = (await people_of(self.raw, asked, [self.watch.span]))[self.watch.span.number]
        for key in keys:
            for one, value in zip(some, table[key], strict=True):
                at = self.place[one]
                self.values[key][at], self.known[key][at] = value or 0, value is not None

    def _member(self, subject_id: UUID) -> Member:
        row = self.rows[subject_id]
        member = Member(
            subject_id=subject_id, platform=row["platform"], external_id=row["external_id"], type=row["type"]
        )
        return member.knowing(self.facts.get(subject_id, {}))

    async def _doubt(self) -> None:
        members = [one for one in self.watch.doubtful if self.member[self.place[one]]]
        ranges = [(self.watch.span.start, self.watch.span.end)]
        (self.suspected,) = await open_falls(
            self.raw, self.asked.workspace_id, members, self.asked.columns, ranges, self.number
        )

    def point(self) -> PointOut:
        """Return the KPI as it stands."""
        which = np.flatnonzero(self.member)
        withheld = dict.fromkeys(self.suspected, Reason.SUSPECTED_RESET)
        if not self.asked.question.costs:
            withheld |= dict.fromkeys(COSTS, Reason.NOT_PERMITTED)
        sums = MemberSums(
            members=[self.watch.subject_ids[at].hex for at in which.tolist()],
            columns={key: Column(values=self.values[key][which], known=self.known[key][which]) for key in self.values},
            withheld=withheld,
        )
        (kpi,) = self.asked.kpis
        return point_out(evaluate(kpi, sums, currency=self._currency(which), level=self.asked.question.level))

    def _currency(self, which: Any) -> str | None:
        """Return the currency of the members' money; the campaign's without any, None where there are several."""
        money = [key for key in self.asked.columns if METRICS[key].unit is Unit.MONEY]
        if not money:
            return self.asked.currency
        found = {
            currency
            for subject_id in (self.watch.subject_ids[at] for at in which.tolist())
            for currency in self.currencies.get(subject_id, ())
            if any(self.cells[subject_id, f"{currency}/{key}"][0] > 0 for key in money)
        }
        return next(iter(found), self.asked.currency) if len(found) < 2 else None  # noqa: PLR2004 - one or none


def _by_posting(rows: Iterable[Any], after: int) -> dict[int, list[Any]]:
    """Return rows by posting; those up to ``after`` stand under it."""
    found: dict[int, list[Any]] = defaultdict(list)
    for row in rows:
        found[max(row["posting"], after)].append(row)
    return found
