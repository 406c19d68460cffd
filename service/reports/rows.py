"""Sums become values, each KPI beside what it was before, with the address of its evidence."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from urllib.parse import urlencode

import numpy as np

from service.kpi.evaluate import evaluate
from service.kpi.measure import Reason, Value
from service.kpi.members import take
from service.kpi.periods import Period
from service.ledger.history.spans import Span
from service.reports.answer import MetricOut, metric_out
from service.reports.question import Asked, instant, known_at
from service.reports.sums import Sums

Evidence = tuple[str, str]
"""Address and query of the provenance of a number."""


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
    without: Mapping[str, Value] | None = None,
) -> dict[str, MetricOut]:
    """Return values as they are answered: beside the other period's, beside those without suspects, with evidence."""
    return {
        slug: metric_out(
            value,
            others[slug] if others else None,
            incomparable=incomparable,
            provenance=f"{evidence[0]}/{slug}/provenance?{evidence[1]}" if evidence else None,
            without=without[slug] if without else None,
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
