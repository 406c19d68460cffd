"""An answer as columns: what charts draw, without a name beside every number."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec
from msgspec import UNSET, UnsetType

from service.reports.answer import AnswerOut, ComparisonOut, MetaOut, MetricOut, PageOut


class SeriesOut(msgspec.Struct, frozen=True, kw_only=True):
    """One KPI over all rows: values, limits, and the value to compare with; ``unit`` and ``currency`` are of all.

    ``without_suspects`` are the values without suspect engagement, where they were asked for.
    """

    unit: str
    currency: str | None
    value: tuple[int | float | str | None, ...]
    state: tuple[str, ...]
    reason: tuple[str | None, ...]
    low: tuple[int | float | str | None, ...]
    high: tuple[int | float | str | None, ...]
    other: tuple[int | float | str | None, ...]
    without_suspects: tuple[int | float | str | None, ...] | UnsetType = UNSET


class ColumnsOut(msgspec.Struct, frozen=True, kw_only=True):
    """Rows turned into columns of one length."""

    rows: int
    dimensions: Mapping[str, tuple[str | None, ...]]
    metrics: Mapping[str, SeriesOut]
    partial: tuple[bool, ...]


class ColumnsAnswerOut(msgspec.Struct, frozen=True, kw_only=True):
    """A whole answer with its rows as columns."""

    data: ColumnsOut
    totals: Mapping[str, MetricOut]
    comparison: ComparisonOut | None
    meta: MetaOut
    page: PageOut


def columns_of(answer: AnswerOut) -> ColumnsAnswerOut:
    """Return an answer with its rows as columns."""
    rows = answer.data
    names = rows[0].dimensions if rows else ()
    slugs = rows[0].metrics if rows else ()
    return ColumnsAnswerOut(
        data=ColumnsOut(
            rows=len(rows),
            dimensions={name: tuple(row.dimensions[name] for row in rows) for name in names},
            metrics={slug: _series([row.metrics[slug] for row in rows]) for slug in slugs},
            partial=tuple(row.partial for row in rows),
        ),
        totals=answer.totals,
        comparison=answer.comparison,
        meta=answer.meta,
        page=answer.page,
    )


def _series(metrics: list[MetricOut]) -> SeriesOut:
    first = metrics[0]
    return SeriesOut(
        unit=first.unit,
        currency=next((metric.currency for metric in metrics if metric.currency is not None), None),
        value=tuple(metric.value for metric in metrics),
        state=tuple(metric.state for metric in metrics),
        reason=tuple(metric.reason for metric in metrics),
        low=tuple(_limits(metric)[0] for metric in metrics),
        high=tuple(_limits(metric)[1] for metric in metrics),
        other=tuple(None if metric.compare is None else metric.compare.value for metric in metrics),
        without_suspects=_rest(metrics),
    )


def _rest(metrics: list[MetricOut]) -> tuple[int | float | str | None, ...] | UnsetType:
    found = tuple(one.value for metric in metrics if (one := metric.without_suspects) is not UNSET)
    return found if len(found) == len(metrics) else UNSET


def _limits(metric: MetricOut) -> tuple[int | float | str | None, int | float | str | None]:
    if metric.bounds is not None:
        return metric.bounds.lower, metric.bounds.upper
    return (None, None) if metric.interval is None else (metric.interval.low, metric.interval.high)
