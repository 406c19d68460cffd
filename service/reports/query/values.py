"""The values of groups on buckets: those of a page all at once, or those of one group."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from service.kpi.evaluate import CoverageMode, evaluate
from service.kpi.grouped import evaluate_groups
from service.kpi.grouping import Grouping
from service.kpi.measure import Value
from service.kpi.members import IntArray, MemberSums, take
from service.reports.query.asked import Query
from service.reports.query.sides import Key, Side
from service.reports.sums import Sums

_NO_PLACES: IntArray = np.zeros(0, dtype=np.int64)


def mode_of(query: Query) -> CoverageMode:
    """Return whether a ratio has to cover every member."""
    return "strict" if query.strict else "report"


def values_at(query: Query, side: Side, slugs: Sequence[str], key: Key, span: int) -> dict[str, Value]:
    """Return KPIs of one group on one bucket, by slug; of a group that this side does not have, those of nobody."""
    level, plain = side.asked.question.level, _part(side, side.sums, key, span)
    found = {}
    for kpi in side.asked.kpis:
        if kpi.slug in slugs:
            sums = side.otherwise.get(kpi.slug, side.sums)
            part = plain if sums is side.sums else _part(side, sums, key, span)
            found[kpi.slug] = evaluate(kpi, part, currency=sums.currency, level=level, coverage=mode_of(query))
    return {slug: found[slug] for slug in slugs}


def _part(side: Side, sums: Sums, key: Key, span: int) -> MemberSums:
    part = sums.by_bucket[span]
    if side.groups is None:
        return part
    number = side.groups.numbers.get(key)
    return take(part, _NO_PLACES if number is None else side.groups.grouping.members(number))


def values_of(
    query: Query, side: Side, slugs: Sequence[str], keys: Sequence[Key], span: int
) -> dict[Key, dict[str, Value]]:
    """Return KPIs of several groups on one bucket, by group and slug."""
    groups = side.groups
    if groups is None or len(keys) == 1:
        return {key: values_at(query, side, slugs, key, span) for key in keys}
    here = [key for key in keys if key in groups.numbers]
    some = groups.grouping.some([groups.numbers[key] for key in here])
    columns = _columns(query, side, slugs, some, span) if here else {}
    found = {key: {slug: columns[slug][at] for slug in slugs} for at, key in enumerate(here)}
    return found | {key: values_at(query, side, slugs, key, span) for key in keys if key not in found}


def _columns(query: Query, side: Side, slugs: Sequence[str], some: Grouping, span: int) -> Mapping[str, list[Value]]:
    found = {}
    for kpi in side.asked.kpis:
        if kpi.slug in slugs:
            sums = side.otherwise.get(kpi.slug, side.sums)
            level, part = side.asked.question.level, sums.by_bucket[span]
            found[kpi.slug] = evaluate_groups(
                kpi, part, some, currency=sums.currency, level=level, coverage=mode_of(query)
            )
    return found
