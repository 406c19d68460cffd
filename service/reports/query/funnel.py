"""The way from being shown to buying: stages as sums, and between them rates with their intervals. Pure.

A stage that nobody reports is left out of the way: the next one is set against the stage before it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from service.reports.answer import AnswerOut, MetaOut, MetricOut

STAGES = ("impressions", "clicks_link", "sessions", "conversions", "orders")
STEPS: Mapping[tuple[str, str], str] = {
    ("impressions", "clicks_link"): "ctr",
    ("clicks_link", "sessions"): "landing_rate",
    ("sessions", "conversions"): "cvr_session",
    ("clicks_link", "conversions"): "cvr_click",
}
METRICS = (*STAGES, *STEPS.values())


class StageOut(msgspec.Struct, frozen=True, kw_only=True):
    """One stage; ``rate`` is the KPI that leads to it from ``after``, null for the first and where there is none."""

    metric: str
    value: MetricOut
    after: str | None
    rate_metric: str | None
    rate: MetricOut | None


class FunnelOut(msgspec.Struct, frozen=True, kw_only=True):
    """The stages that are known, in order; ``missing`` are those that nobody reports."""

    stages: tuple[StageOut, ...]
    missing: tuple[str, ...]
    meta: MetaOut


def funnel_of(answer: AnswerOut) -> FunnelOut:
    """Return the funnel in the totals of an answer to a query for :data:`METRICS`."""
    totals = answer.totals
    known = [name for name in STAGES if totals[name].value is not None]
    return FunnelOut(
        stages=tuple(_stage(totals, known, place) for place in range(len(known))),
        missing=tuple(name for name in STAGES if name not in known),
        meta=answer.meta,
    )


def _stage(totals: Mapping[str, MetricOut], known: Sequence[str], place: int) -> StageOut:
    name = known[place]
    after = known[place - 1] if place else None
    step = None if after is None else STEPS.get((after, name))
    rate = None if step is None else totals[step]
    return StageOut(metric=name, value=totals[name], after=after, rate_metric=step, rate=rate)
