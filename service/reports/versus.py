"""Campaigns against another one: ranges that are alike, sums by member and platform, and a verdict for each KPI.

Several campaigns or KPIs asked at once share one false-discovery rate. All is read in one snapshot.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import asyncpg
import msgspec
import numpy as np
from sqlalchemy.ext.asyncio import AsyncConnection

from service.db.engine import driver
from service.errors import Invalid, NotFound
from service.kpi.arms import COMPARABLE, Arm, arm_of
from service.kpi.catalogue import CATALOGUE, Kind, Kpi
from service.kpi.compare import Obstacle
from service.kpi.counts import benjamini_hochberg
from service.kpi.evaluate import evaluate
from service.kpi.layers import Platforms
from service.kpi.measure import Value
from service.kpi.members import MemberSums, take
from service.kpi.periods import Period
from service.kpi.versus import Against, Margin, against
from service.kpi.views import Look
from service.ledger import credited, kept
from service.reports.question import Asked, Question, understand
from service.reports.stretches import TOTAL
from service.reports.sums import total_of
from service.reports.versus_terms import Align, Parts, against_comparing, parts_of

_MOST_ORDERS = 5_000
_MOSTLY = 0.9


class Versus(msgspec.Struct, frozen=True, kw_only=True):
    """How campaigns are compared: the question, the look, what would not matter, and with platforms as strata or not.

    ``question`` is asked of every campaign alike; without metrics, those that the first campaign is judged by.
    """

    question: Question
    look: Look
    margins: Mapping[str, Margin] = msgspec.field(default_factory=dict)
    by_platform: bool = True
    align: Align = Align.AUTO
    false_discovery_rate: float = 0.05


class Seen(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """A campaign over a range: its sums by member, and the orders credited to each of them where they were needed."""

    asked: Asked
    campaign_id: UUID
    period: Period
    sums: MemberSums
    currency: str | None
    orders: Mapping[UUID, Sequence[float]] | None = None

    def value(self, kpi: Kpi, level: float, places: Sequence[int] | None = None) -> Value:
        """Return the value of a KPI, over all members or those at ``places``."""
        return evaluate(kpi, self._at(places), currency=self.currency, level=level)

    def arm(self, kpi: Kpi, places: Sequence[int] | None = None) -> Arm | None:
        """Return the arm of a KPI, over all members or those at ``places``."""
        return arm_of(kpi, self._at(places), self._amounts(kpi, places))

    def platforms(self) -> dict[str, list[int]]:
        """Return the places of the members of each platform."""
        found: dict[str, list[int]] = defaultdict(list)
        for at, member in enumerate(self.asked.members):
            found[member.platform].append(at)
        return found

    def _at(self, places: Sequence[int] | None) -> MemberSums:
        return self.sums if places is None else take(self.sums, np.array(places, dtype=np.intp))

    def _amounts(self, kpi: Kpi, places: Sequence[int] | None) -> list[float] | None:
        if self.orders is None or kpi.kind is not Kind.RETURN or kpi.numerator != "conversion_value":
            return None
        members = self.asked.members
        chosen = members if places is None else [members[at] for at in places]
        return [value for member in chosen for value in self.orders.get(member.subject_id, ())]


class Contest(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """One KPI of a against b: values, what stands against comparing them, or what came of it.

    ``apart``: costs and what they brought stand on different platforms, which therefore cannot be strata.
    """

    kpi: Kpi
    values: tuple[Value, Value]
    obstacles: tuple[Obstacle, ...]
    found: Against | None
    margin: Margin | None
    platforms: Mapping[str, tuple[Value, Value]]
    adjusted: float | None = None
    discovered: bool = True
    apart: bool = False


class Meeting(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """Two campaigns and everything that was asked of them."""

    a: Seen
    b: Seen
    parts: Parts
    contests: tuple[Contest, ...]


async def meetings(
    connection: AsyncConnection,
    workspace_id: UUID,
    campaigns: Sequence[UUID],
    base: UUID,
    versus: Versus,
    now: datetime,
) -> list[Meeting]:
    """Set campaigns against ``base``, inside one read-only snapshot.

    Raises NotFound, Invalid (with a pointer), Busy for an ``as_of`` that is not settled, Gone for one before the books.
    """
    if base in campaigns:
        raise Invalid("a campaign is not compared with itself", pointer="/base", code="same_campaign")
    raw = await driver(connection)
    asked = [await _asked(raw, workspace_id, one, f"/campaigns/{at}", versus, now) for at, one in enumerate(campaigns)]
    names = versus.question.metrics or tuple(kpi.slug for kpi in asked[0].kpis if kpi.kind in COMPARABLE)
    alike = msgspec.structs.replace(versus, question=msgspec.structs.replace(versus.question, metrics=names))
    if names != versus.question.metrics:
        asked = [
            await _asked(raw, workspace_id, one, f"/campaigns/{at}", alike, now) for at, one in enumerate(campaigns)
        ]
    other = await _asked(raw, workspace_id, base, "/base", alike, now)
    _refuse_counts(other.kpis)
    _refuse_idle(versus.margins, other.kpis)
    bases: dict[tuple[datetime | None, datetime], Seen] = {}
    found = []
    for campaign_id, one in zip(campaigns, asked, strict=True):
        parts = parts_of(one, other, versus.align)
        key = (parts.b.start, parts.b.end)
        if key not in bases:
            bases[key] = await _seen(raw, other, base, parts.b)
        found.append(_met(await _seen(raw, one, campaign_id, parts.a), bases[key], parts, versus))
    return _corrected(found, versus.false_discovery_rate)


async def _asked(
    raw: asyncpg.Connection[Any], workspace_id: UUID, campaign_id: UUID, place: str, versus: Versus, now: datetime
) -> Asked:
    try:
        return await understand(raw, workspace_id, campaign_id, versus.question, now)
    except NotFound as error:
        raise Invalid(str(error), pointer=place, code="no_such_campaign") from None


def _refuse_counts(kpis: Sequence[Kpi]) -> None:
    """Refuse what is no ratio: a larger campaign counts more, which makes it no better."""
    for place, kpi in enumerate(kpis):
        if kpi.kind not in COMPARABLE:
            raise Invalid(
                f"{kpi.slug} is no ratio: a campaign that did more has more of it",
                pointer=f"?metrics/{place}",
                code="not_comparable",
                allowed=tuple(one.slug for one in CATALOGUE.values() if one.kind in COMPARABLE),
            )


def _refuse_idle(margins: Mapping[str, Margin], kpis: Sequence[Kpi]) -> None:
    """Refuse a margin of what is not asked: somebody believes that it counts."""
    asked = tuple(kpi.slug for kpi in kpis)
    for slug in margins:
        if slug not in asked:
            raise Invalid(f"{slug} is not asked", pointer=f"?margins/{slug}", code="not_asked", allowed=asked)


async def _seen(raw: asyncpg.Connection[Any], asked: Asked, campaign_id: UUID, period: Period) -> Seen:
    kept.refuse(asked.kept, period.start, asked.knowledge, people=asked.asks_people)
    over = msgspec.structs.replace(asked, period=period)
    sums = await total_of(raw, over)
    returns = any(kpi.kind is Kind.RETURN and kpi.numerator == "conversion_value" for kpi in asked.kpis)
    return Seen(
        asked=over,
        campaign_id=campaign_id,
        period=period,
        sums=sums.by_bucket[TOTAL],
        currency=sums.currency,
        orders=await _orders(raw, over) if returns else None,
    )


async def _orders(raw: asyncpg.Connection[Any], asked: Asked) -> dict[UUID, list[float]] | None:
    """Return the value of every credited order by subject, or None where there are too many to need them."""
    if asked.period.start is None or not asked.members:
        return None
    ids = [member.subject_id for member in asked.members]
    span = (asked.period.start, asked.period.end)
    rows = await credited.sold(raw, asked.workspace_id, ids, *span, asked.knowledge.number, None, _MOST_ORDERS + 1)
    if len(rows) > _MOST_ORDERS:
        return None
    found: dict[UUID, list[float]] = defaultdict(list)
    for row in await credited.credits_of(raw, asked.workspace_id, rows):
        if row["conversion_value"]:
            found[row["subject_id"]].append(row["conversion_value"] / 1_000_000)
    return found


def _met(a: Seen, b: Seen, parts: Parts, versus: Versus) -> Meeting:
    contests = tuple(_contest(a, b, parts, kpi, versus) for kpi in b.asked.kpis)
    return Meeting(a=a, b=b, parts=parts, contests=contests)


def _contest(a: Seen, b: Seen, parts: Parts, kpi: Kpi, versus: Versus) -> Contest:
    level, margin = versus.look.level, versus.margins.get(kpi.slug)
    values = a.value(kpi, level), b.value(kpi, level)
    contest = Contest(kpi=kpi, values=values, obstacles=(), found=None, margin=margin, platforms={})
    obstacles = against_comparing(a.asked, b.asked, kpi, parts, values)
    arms = a.arm(kpi), b.arm(kpi)
    if obstacles or arms[0] is None or arms[1] is None:
        return msgspec.structs.replace(contest, obstacles=obstacles or (Obstacle.NO_DATA,))
    platforms = _platforms(a, b, kpi) if versus.by_platform else {}
    apart = len(platforms) > 1 and _apart(kpi, (arms[0], arms[1]), platforms)
    if apart:
        platforms = {}
    if platforms and all(None in both for both in platforms.values()):
        return msgspec.structs.replace(contest, obstacles=(Obstacle.NO_PLATFORM,))
    strata = platforms if len(platforms) > 1 else {}
    found = against(arms[0], arms[1], strata, versus.look, _on_scale(margin, kpi, values[1]))
    places = a.platforms(), b.platforms()
    shown = () if found is None else tuple(stratum.name for stratum in found.strata)
    by_platform = {name: (a.value(kpi, level, places[0][name]), b.value(kpi, level, places[1][name])) for name in shown}
    return msgspec.structs.replace(contest, found=found, platforms=by_platform, apart=apart)


def _apart(kpi: Kpi, arms: tuple[Arm, Arm], platforms: Platforms) -> bool:
    """Tell whether platforms hold too little of what a KPI of money divides: ads cost here, posts are clicked there."""
    if "cost" not in (kpi.numerator, kpi.denominator):
        return False
    for at, arm in enumerate(arms):
        there = [one for both in platforms.values() if (one := both[at]) is not None]
        above, below = sum(one.above for one in there), sum(one.below for one in there)
        if above < _MOSTLY * arm.above or below < _MOSTLY * arm.below:
            return True
    return False


def _platforms(a: Seen, b: Seen, kpi: Kpi) -> dict[str, tuple[Arm | None, Arm | None]]:
    """Return the arms of every platform that either campaign was on."""
    places = a.platforms(), b.platforms()
    return {
        name: (
            a.arm(kpi, places[0][name]) if name in places[0] else None,
            b.arm(kpi, places[1][name]) if name in places[1] else None,
        )
        for name in sorted(places[0].keys() | places[1].keys())
    }


def _on_scale(margin: Margin | None, kpi: Kpi, base: Value) -> Margin | None:
    """Return a margin as the rates need it: of a cost, which is turned upside down, as a fraction of the base."""
    if margin is None or kpi.kind is not Kind.COST_RATIO or margin.absolute is None:
        return margin
    if base.value is None or not float(base.value):
        return Margin(relative=0.0)
    return Margin(relative=margin.absolute / float(base.value))


def _corrected(found: Sequence[Meeting], rate: float) -> list[Meeting]:
    """Return meetings in which what is claimed allows for everything that was asked at once."""
    at = [
        (i, j, contest.found.deciding.p_value)
        for i, meeting in enumerate(found)
        for j, contest in enumerate(meeting.contests)
        if contest.found is not None and contest.found.deciding.p_value is not None
    ]
    adjusted, discovered = benjamini_hochberg([p for _, _, p in at], rate)
    said = {(i, j): (p, holds) for (i, j, _), p, holds in zip(at, adjusted, discovered, strict=True)}
    alone = len(at) <= 1
    return [
        msgspec.structs.replace(
            meeting,
            contests=tuple(
                msgspec.structs.replace(contest, adjusted=said[i, j][0], discovered=alone or said[i, j][1])
                if (i, j) in said
                else contest
                for j, contest in enumerate(meeting.contests)
            ),
        )
        for i, meeting in enumerate(found)
    ]
