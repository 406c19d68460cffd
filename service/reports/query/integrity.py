"""The sums of a campaign proved over a range: the same number, come by in two ways, must be the same."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import asyncpg
import msgspec
from sqlalchemy.ext.asyncio import AsyncConnection

from connectors.contract import ADDITIVE
from service.db.engine import driver
from service.kpi.buckets import Grain
from service.kpi.members import MemberSums, exact_sum
from service.ledger.history.checks import days_of_campaign, sales
from service.reports.answer import RangeOut
from service.reports.meta import range_out
from service.reports.query.sides import SIGNS
from service.reports.question import COSTS, Asked, Question, known_at, understand
from service.reports.stretches import TOTAL, stretch
from service.reports.sums import Sums, sums_of

Totals = Mapping[str, int | None]
_EVER = datetime(1900, 1, 1, tzinfo=UTC)


class CheckOut(msgspec.Struct, frozen=True, kw_only=True):
    """One check: what was compared, whether it held, and where it did not: metric, one sum, the other sum."""

    name: str
    title: str
    holds: bool
    compared: int
    differences: tuple[DifferenceOut, ...]


class DifferenceOut(msgspec.Struct, frozen=True, kw_only=True):
    """Two sums in stored units that should be equal; null is that nothing was reported."""

    metric: str
    expected: int | None
    found: int | None


class IntegrityMetaOut(msgspec.Struct, frozen=True, kw_only=True):
    """What was checked, and what was known."""

    as_of: str
    posting: int
    range: RangeOut
    members: int


class IntegrityOut(msgspec.Struct, frozen=True, kw_only=True):
    """All checks of a campaign over a range."""

    holds: bool
    checks: tuple[CheckOut, ...]
    meta: IntegrityMetaOut


async def campaign_integrity(
    connection: AsyncConnection, workspace_id: UUID, campaign_id: UUID, question: Question, now: datetime
) -> IntegrityOut:
    """Check the sums of a campaign inside one read-only snapshot. Raises what ``campaign_kpis`` does."""
    raw = await driver(connection)
    metrics = tuple(key for key in ADDITIVE if question.costs or key not in COSTS)
    question = msgspec.structs.replace(question, metrics=metrics)
    asked = await understand(raw, workspace_id, campaign_id, question, now)
    if asked.period.start is not None and asked.period.whole_days:
        question = msgspec.structs.replace(question, granularity=Grain.DAY)
        asked = msgspec.structs.replace(asked, question=question)
    checks = [check async for check in _checks(raw, campaign_id, asked)]
    return IntegrityOut(
        holds=all(check.holds for check in checks),
        checks=tuple(checks),
        meta=IntegrityMetaOut(
            as_of=known_at(asked),
            posting=asked.knowledge.posting,
            range=range_out(asked.period),
            members=len(asked.members),
        ),
    )


async def _checks(raw: asyncpg.Connection[Any], campaign_id: UUID, asked: Asked) -> Any:
    cut = stretch(asked.period, asked.question.granularity, 1)
    (sums,) = await sums_of(raw, asked, [cut])
    total = _totals(sums.by_bucket[TOTAL])
    if cut.buckets and not sums.marks.windowed:
        days = [_totals(sums.by_bucket[span.number]) for span, _ in cut.buckets]
        yield _check("days", "the days add up to the range", total, _added(days))
    (entries,) = await sums_of(raw, msgspec.structs.replace(asked, home=False), [cut])
    yield _check("tallies", "tallies are what the entries say", _totals(entries.by_bucket[TOTAL]), total)
    parts = [await _of_sign(raw, asked, sign) for sign in SIGNS]
    yield _check("paid", "paid, organic and the rest add up", total, _added(_totals(one) for one in parts))
    platforms = [_picked(sums, asked, name) for name in sorted({member.platform for member in asked.members})]
    yield _check("platforms", "the platforms add up", total, _added(platforms))
    if asked.home and asked.period.whole_days and asked.period.start is not None:
        days_kept = (asked.period.days[0], asked.period.days[-1])
        ids = [member.subject_id for member in asked.members]
        own, theirs = await days_of_campaign(
            raw, asked.workspace_id, campaign_id, ids, asked.zone, days_kept, asked.columns
        )
        yield _check("campaign_days", "the campaign's days are those of its subjects", theirs, own)
    if asked.knowledge.number is None:
        start, end = asked.period.start or _EVER, asked.period.end
        booked, credited, unattributed = await sales(raw, asked.workspace_id, start, end)
        yield _check(
            "credits", "the ledger is credits and what is unattributed", booked, _added([credited, unattributed])
        )


async def _of_sign(raw: asyncpg.Connection[Any], asked: Asked, sign: int) -> MemberSums:
    question = msgspec.structs.replace(asked.question, granularity=Grain.TOTAL)
    narrow = msgspec.structs.replace(asked, paid=sign, question=question)
    (sums,) = await sums_of(raw, narrow, [stretch(asked.period, Grain.TOTAL, 1)])
    return sums.by_bucket[TOTAL]


def _totals(part: MemberSums) -> Totals:
    return {
        key: exact_sum(column.values[column.known]) if column.known.any() else None
        for key, column in part.columns.items()
        if key in ADDITIVE
    }


def _picked(sums: Sums, asked: Asked, platform: str) -> Totals:
    part = sums.by_bucket[TOTAL]
    places = [place for place, member in enumerate(asked.members) if member.platform == platform]
    found: dict[str, int | None] = {}
    for key in asked.columns:
        column = part.columns[key]
        known = [int(column.values[place]) for place in places if column.known[place]]
        found[key] = sum(known) if known else None
    return found


def _added(parts: Iterable[Totals]) -> Totals:
    """Return the sums of sums: null where no part has one."""
    found: dict[str, int | None] = {}
    for part in parts:
        for key, amount in part.items():
            if amount is not None:
                found[key] = (found.get(key) or 0) + amount
    return found


def _check(name: str, title: str, expected: Totals, found: Totals) -> CheckOut:
    keys: Sequence[str] = [key for key in dict.fromkeys((*expected, *found)) if _told(expected, found, key)]
    differences = tuple(
        DifferenceOut(metric=key, expected=expected.get(key), found=found.get(key))
        for key in keys
        if expected.get(key) != found.get(key)
    )
    return CheckOut(name=name, title=title, holds=not differences, compared=len(keys), differences=differences)


def _told(expected: Totals, found: Totals, key: str) -> bool:
    return expected.get(key) is not None or found.get(key) is not None
