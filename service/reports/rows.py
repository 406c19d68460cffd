"""Sums become values: one row per bucket and group of members, each KPI beside what it was before."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlencode

import asyncpg
import msgspec
import numpy as np

from service.kpi.buckets import Grain
from service.kpi.evaluate import evaluate
from service.kpi.measure import Reason, State, Value
from service.kpi.members import take
from service.kpi.periods import Period
from service.kpi.tiers import BRIEF_FOUR_TIER, tier_of
from service.ledger.history.spans import Span
from service.reports.answer import MetricOut, RowOut, metric_out
from service.reports.people import at_publication
from service.reports.question import Asked, instant, known_at
from service.reports.stretches import Stretch
from service.reports.sums import Sums

Evidence = tuple[str, str]
"""Address and query of the provenance of a number."""


class Group(msgspec.Struct, frozen=True, kw_only=True):
    """Members with equal values of the asked dimensions: their places, None for all members."""

    dimensions: Mapping[str, str | None]
    places: Sequence[int] | None


class Other(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """The period to compare with, and why the two cannot be set against each other (None: they can)."""

    stretch: Stretch
    sums: Sums
    incomparable: Reason | None


async def groups_of(raw: asyncpg.Connection[Any], asked: Asked) -> list[Group]:
    """Return the groups of the asked dimensions; one of all members without dimensions."""
    names = asked.question.dimensions
    if not names:
        return [Group(dimensions={}, places=None)]
    columns = [await _DIMENSIONS[name](raw, asked) for name in names]
    found: dict[tuple[str | None, ...], list[int]] = defaultdict(list)
    for at, key in enumerate(zip(*columns, strict=True)):
        found[key].append(at)
    ordered = sorted(found.items(), key=lambda group: tuple((name is None, name or "") for name in group[0]))
    return [
        Group(dimensions=dict(zip(names, key, strict=True)), places=places if len(found) > 1 else None)
        for key, places in ordered
    ]


async def _platforms(_raw: asyncpg.Connection[Any], asked: Asked) -> list[str | None]:
    return [member.platform for member in asked.members]


async def _tiers(raw: asyncpg.Connection[Any], asked: Asked) -> list[str | None]:
    followers = await at_publication(raw, asked)
    return [tier_of(BRIEF_FOUR_TIER, followers.get(member.subject_id)) for member in asked.members]


_DIMENSIONS = {"platform": _platforms, "tier": _tiers}


def rows_of(
    asked: Asked, stretch: Stretch, sums: Sums, groups: Sequence[Group], other: Other | None
) -> tuple[RowOut, ...]:
    """Return the rows of an answer: group by group, each in the order of time."""
    grain = asked.question.granularity
    found = []
    for group in groups:
        if grain is Grain.TOTAL:
            values = _compared(asked, stretch.total, group, sums, other)
            found.append(RowOut(dimensions=group.dimensions, metrics=values, partial=asked.period.partial))
        for span, bucket in stretch.buckets:
            labelled = {grain.value: bucket.label, **group.dimensions}
            values = _compared(asked, span, group, sums, other, not_yet=bucket.not_yet)
            found.append(RowOut(dimensions=labelled, metrics=values, partial=bucket.partial))
    return tuple(found)


def _compared(
    asked: Asked, span: Span, group: Group, sums: Sums, other: Other | None, *, not_yet: bool = False
) -> dict[str, MetricOut]:
    values = values_of(asked, sums, span.number, group.places)
    if not_yet:
        values = {slug: _ahead(value) for slug, value in values.items()}
    comparable = other is not None and span.number in other.sums.by_bucket
    others = values_of(asked, other.sums, span.number, group.places) if other is not None and comparable else None
    evidence = None if asked.question.dimensions else evidence_of(asked, asked.period, span)
    return shown(values, others, other.incomparable if other else None, evidence)


def _ahead(value: Value) -> Value:
    return Value(value=None, unit=value.unit, state=State.NOT_YET, reason=Reason.NOT_STARTED, currency=value.currency)


def values_of(asked: Asked, sums: Sums, number: int, places: Sequence[int] | None = None) -> dict[str, Value]:
    """Return the values of a bucket by slug, over all members or those at ``places``."""
    part = sums.by_bucket[number]
    if places is not None:
        part = take(part, np.array(places, dtype=np.intp))
    return {kpi.slug: evaluate(kpi, part, currency=sums.currency, level=asked.question.level) for kpi in asked.kpis}


def shown(
    values: Mapping[str, Value],
    others: Mapping[str, Value] | None,
    incomparable: Reason | None,
    evidence: Evidence | None,
) -> dict[str, MetricOut]:
    """Return values as they are answered, each beside the other period's and with its provenance."""
    return {
        slug: metric_out(
            value,
            others[slug] if others else None,
            incomparable=incomparable,
            provenance=f"{evidence[0]}/{slug}/provenance?{evidence[1]}" if evidence else None,
        )
        for slug, value in values.items()
    }


def evidence_of(asked: Asked, period: Period, span: Span) -> Evidence | None:
    """Return address and query of the evidence for a span: its range resolved, its knowledge pinned."""
    if asked.question.evidence is None:
        return None
    if period.start is None:
        place = {"range": "lifetime"}
    elif span.number < 0 and period.whole_days and span.end == period.end:
        place = {"from": period.days[0].isoformat(), "to": period.days[-1].isoformat()}
    else:
        place = {"from": instant(span.start), "to": instant(span.end)}
    return asked.question.evidence, urlencode(place | {"timezone": asked.zone, "as_of": known_at(asked)}, safe=":/")
