"""What an answer says of itself: its knowledge, its range, its definitions, and what to know before using a number."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any
from uuid import UUID

import msgspec
import numpy as np
from msgspec import UNSET, UnsetType

from service import ids
from service.kpi.buckets import Grain
from service.kpi.periods import Period
from service.reports.answer import CreditingOut, ExchangeOut, MetaOut, RangeOut, ScopeOut, SuspectOut, WarningOut
from service.reports.question import Asked, PlatformNotes, instant, known_at
from service.reports.stretches import TOTAL
from service.reports.sums import Sums


class More(msgspec.Struct, frozen=True, kw_only=True):
    """What a query has beyond a question: its campaigns, what it shows, how it is written, warnings of its own.

    A warning is a code, a sentence and where in the query it comes from.
    """

    campaigns: tuple[UUID, ...] = ()
    strategy: UUID | None = None
    slugs: tuple[str, ...] = ()
    written: Mapping[str, Any] = msgspec.field(default_factory=dict)
    warnings: tuple[tuple[str, str, str], ...] = ()
    attribution: Mapping[str, CreditingOut] = msgspec.field(default_factory=dict)
    suspects: tuple[SuspectOut, ...] | UnsetType = UNSET


def meta_of(asked: Asked, sums: Sums, notes: PlatformNotes, rows: int, more: More = More()) -> MetaOut:  # noqa: B008
    """Return what an answer of ``rows`` rows must say of itself."""
    platforms = asked.members.platforms
    needs = {key for kpi in asked.kpis for key in kpi.needs}
    mappings = {
        platform: tuple(sorted({notes.mappings[platform, key] for key in needs if (platform, key) in notes.mappings}))
        for platform in platforms
    }
    return MetaOut(
        as_of=known_at(asked),
        posting=asked.knowledge.posting,
        range=range_out(asked.period),
        timezone=asked.zone,
        granularity=asked.question.granularity.value,
        currency=sums.currency,
        tier_policy=asked.tiers.name,
        freshness={platform: instant(at) for platform, at in asked.freshness.items()},
        completeness=_completeness(asked, sums),
        definitions={kpi.slug: kpi.definition for kpi in asked.kpis if not more.slugs or kpi.slug in more.slugs},
        mappings={platform: rules for platform, rules in mappings.items() if rules},
        simulated=tuple(platform for platform in platforms if platform in notes.simulated),
        warnings=(
            *_warnings(asked, sums, notes, platforms),
            *(WarningOut(code=code, detail=detail, pointer=pointer) for code, detail, pointer in more.warnings),
        ),
        query=more.written or _query(asked),
        total_rows=rows,
        scope=ScopeOut(
            campaigns=tuple(ids.show("campaign", one) for one in more.campaigns),
            strategy=None if more.strategy is None else ids.show("strategy", more.strategy),
        ),
        exchange=_exchange(asked),
        attribution=more.attribution,
        suspects=more.suspects,
    )


def _exchange(asked: Asked) -> ExchangeOut | None:
    found = asked.exchange
    if found is None:
        return None
    rates = {
        currency: str(Decimal(rate.numerator) / Decimal(rate.denominator)) for currency, rate in found.rates.items()
    }
    return ExchangeOut(to=found.to, day=found.day.isoformat() if found.day else None, rates=rates)


def range_out(period: Period) -> RangeOut:
    """Return a resolved range as it is answered."""
    return RangeOut(
        preset=period.preset,
        start=instant(period.start) if period.start else None,
        end_exclusive=instant(period.end),
        until=instant(period.until),
        first_day=period.days[0].isoformat() if period.days else None,
        last_day=period.days[-1].isoformat() if period.days else None,
        hours=period.hours,
        partial=period.partial,
    )


def _completeness(asked: Asked, sums: Sums) -> float | None:
    """Return the share of members that report anything of what is asked; null without members."""
    if not asked.members or not asked.columns:
        return None
    part = sums.by_bucket[TOTAL]
    known = np.logical_or.reduce([part.columns[key].known for key in asked.columns])
    return round(int(known.sum()) / len(asked.members), 6)


def _warnings(asked: Asked, sums: Sums, notes: PlatformNotes, platforms: Sequence[str]) -> list[WarningOut]:
    found: list[WarningOut] = []

    def warn(code: str, detail: str, pointer: str = "") -> None:
        found.append(WarningOut(code=code, detail=detail, pointer=pointer))

    if not asked.members:
        warn("no_members", "no subject meets the campaign's rules yet")
    other_zones = sorted(zone for zone in sums.marks.source_zones if zone != asked.zone)
    if other_zones:
        warn("mixed_source_timezone", f"days of {', '.join(other_zones)} are kept as source days", "?timezone")
    if sums.marks.coarse and asked.question.granularity is not Grain.HOUR:
        warn("coarser_source", f"windows that do not fit are left out: {', '.join(sorted(sums.marks.coarse))}")
    if sums.suspected:
        warn("suspected_reset", f"a counter fell below a tenth: {', '.join(sorted(sums.suspected))}")
    found += sums.warnings
    simulated = [platform for platform in platforms if platform in notes.simulated]
    if simulated:
        warn("simulated", f"made-up numbers: {', '.join(simulated)}")
    return found


def _query(asked: Asked) -> dict[str, Any]:
    question = asked.question
    dates = (question.range_from, question.range_to)
    return {
        "metrics": [kpi.slug for kpi in asked.kpis],
        "range": {"from": str(dates[0]), "to": str(dates[1])} if dates[0] else {"preset": asked.period.preset},
        "timezone": asked.zone,
        "granularity": question.granularity.value,
        "dimensions": list(question.dimensions),
        "compare": {"to": question.compare, "align": "elapsed"} if question.compare else None,
        "as_of": instant(question.as_of) if question.as_of else None,
        "options": {
            "interval": {"level": question.level, "method": "auto"},
            "coverage": "report",
            "falls": question.falls,
        },
    }
