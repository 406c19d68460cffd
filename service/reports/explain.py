"""A KPI put into words: the formula with its numbers, how sure it is, and what was left out, each with the reason."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

import asyncpg
import msgspec
from sqlalchemy.ext.asyncio import AsyncConnection

from service.db.engine import driver
from service.kpi.catalogue import Kind
from service.kpi.explain import explain
from service.kpi.measure import Coverage, Interval, Method, Reason, Value
from service.kpi.members import BOOKED, read
from service.kpi.question import is_money, shown
from service.ledger import evidence
from service.reports.answer import MetaOut, MetricOut, metric_out
from service.reports.meta import meta_of
from service.reports.provenance import inputs_of
from service.reports.provenance_answer import InputOut
from service.reports.question import Asked, PlatformNotes, Question, understand
from service.reports.rows import values_of
from service.reports.stretches import TOTAL, total_span
from service.reports.sums import Sums, total_of

_METHODS: Mapping[Method, str] = {
    Method.WILSON: "Wilson score interval of a proportion; n counts trials",
    Method.GARWOOD: "Garwood's exact Poisson interval of the count below the line; n counts events",
    Method.DELTA_T: "delta method by post with Student's t; n counts posts",
    Method.LOG_DELTA_T: "delta method by post on the log scale with Student's t; n counts posts",
    Method.LOG_JACKKNIFE_T: "jackknife by post on the log scale with Student's t; n counts posts",
    Method.FIELLER_T: "Fieller's interval by post with Student's t; n counts posts",
    Method.COMPOUND_POISSON: "compound Poisson interval; n counts events",
    Method.BOOTSTRAP_BCA: "bootstrap by post, bias-corrected and accelerated; n counts posts",
    Method.DAILY_RATE_T: "Student's t over daily rates; n counts days",
}
_CLUSTERED = "; events of one post are taken as independent, which makes it too short"
_DETAILS: Mapping[str, str] = {
    "counted_elsewhere": "reported a second time: reconciled with what counts, never added to it",
    "history_before_tracking": "first values whose growth was not tracked: only the range lifetime holds them",
    "before_what_is_kept": "what was before retention: only the range lifetime holds it",
    "coarser_source": "windows of whole days that reach over an edge of the range",
    "not_reported": "members that report nothing of it inside the range",
    "missing_numerator": "members that report what is below the line and not what is above it",
    "missing_denominator": "members that report what is above the line and not what is below it",
}


class MethodOut(msgspec.Struct, frozen=True, kw_only=True):
    """How the interval was computed and from what; ``text`` says it, or why there is none."""

    method: str | None
    level: float
    n: int | None
    ignores_clustering: bool
    text: str


class CoverageOut(msgspec.Struct, frozen=True, kw_only=True):
    """The members behind the value, of how many, and the share of the known numerator that they hold."""

    known: int
    total: int
    numerator_share: float | None


class OmissionOut(msgspec.Struct, frozen=True, kw_only=True):
    """Something inside the range that is not in the number: why, of which metric, of how many members, how much."""

    reason: str
    metric: str
    members: int
    amount: int | float | str | None
    detail: str


class ExplanationOut(msgspec.Struct, frozen=True, kw_only=True):
    """A KPI in words, with everything that a sentence is made of."""

    metric: str
    title: str
    definition: str
    formula: str
    aggregate: str
    nulls: str
    text: str
    value: MetricOut
    inputs: tuple[InputOut, ...]
    interval: MethodOut
    coverage: CoverageOut | None
    left_out: tuple[OmissionOut, ...]
    meta: MetaOut


async def campaign_explanation(
    connection: AsyncConnection,
    workspace_id: UUID,
    campaign_id: UUID,
    question: Question,
    notes: PlatformNotes,
    now: datetime,
) -> ExplanationOut:
    """Explain the question's one KPI, in one read-only snapshot. Raises what ``campaign_kpis`` does."""
    raw = await driver(connection)
    asked = await understand(raw, workspace_id, campaign_id, question, now)
    (kpi,) = asked.kpis
    sums = await total_of(raw, msgspec.structs.replace(asked, doubtful=notes.doubtful))
    value = values_of(asked, sums, TOTAL)[kpi.slug]
    return ExplanationOut(
        metric=kpi.slug,
        title=kpi.title,
        definition=kpi.definition,
        formula=kpi.formula,
        aggregate=kpi.aggregate,
        nulls=kpi.nulls,
        text=explain(kpi, value),
        value=metric_out(value),
        inputs=inputs_of(asked, sums),
        interval=_method(value, kpi.kind, asked.question.level),
        coverage=_coverage(value.coverage),
        left_out=(*_silent(asked, sums), *await _booked(raw, asked, sums)),
        meta=meta_of(asked, sums, notes, 1),
    )


def _method(value: Value, kind: Kind, level: float) -> MethodOut:
    interval = value.interval
    if interval is None:
        return MethodOut(method=None, level=level, n=None, ignores_clustering=False, text=_why_none(value, kind))
    return MethodOut(
        method=str(interval.method),
        level=interval.level,
        n=interval.n,
        ignores_clustering=interval.ignores_clustering,
        text=_words(interval),
    )


def _words(interval: Interval) -> str:
    return _METHODS[interval.method] + (_CLUSTERED if interval.ignores_clustering else "")


def _why_none(value: Value, kind: Kind) -> str:
    if value.bounds is not None:
        return "bounds, no interval: the true number cannot leave them"
    if value.value is None:
        return "no value, no interval"
    if kind in (Kind.ADDITIVE, Kind.LEVEL, Kind.UNIQUE, Kind.GROWTH, Kind.FREQUENCY):
        return "counted, not sampled: no interval"
    if value.reason is Reason.NUMERATOR_EXCEEDS_DENOMINATOR:
        return "more above the line than below it: no interval"
    return "too few members or events for an interval"


def _coverage(coverage: Coverage | None) -> CoverageOut | None:
    if coverage is None:
        return None
    return CoverageOut(
        known=coverage.members_known, total=coverage.members_total, numerator_share=coverage.numerator_share
    )


def _silent(asked: Asked, sums: Sums) -> list[OmissionOut]:
    """Return the members that the number does not speak of, because they do not report a side of it."""
    kpi, part = asked.kpis[0], sums.by_bucket[TOTAL]
    if kpi.numerator is None or not part.members:
        return []
    above = read(part, kpi.numerator).known
    if kpi.denominator is None:
        return _members(Reason.NOT_REPORTED, kpi.numerator, 0 if kpi.numerator in BOOKED else int((~above).sum()))
    below = read(part, kpi.denominator).known
    found: list[OmissionOut] = []
    if kpi.numerator not in BOOKED:
        found += _members(Reason.MISSING_NUMERATOR, kpi.numerator, int((below & ~above).sum()))
    if kpi.denominator not in BOOKED:
        found += _members(Reason.MISSING_DENOMINATOR, kpi.denominator, int((above & ~below).sum()))
    return found


def _members(reason: Reason, metric: str, members: int) -> list[OmissionOut]:
    if not members:
        return []
    return [OmissionOut(reason=reason, metric=metric, members=members, amount=None, detail=_DETAILS[reason])]


async def _booked(raw: asyncpg.Connection[Any], asked: Asked, sums: Sums) -> list[OmissionOut]:
    """Return what is in the books inside the range and not in the number."""
    rows = await evidence.left_out(
        raw,
        asked.workspace_id,
        [member.subject_id for member in asked.members],
        total_span(asked.period),
        asked.columns,
        asked.knowledge.posting,
    )
    withheld = sums.by_bucket[TOTAL].withheld
    found = []
    for reason, metric, members, amount in rows:
        hidden = withheld.get(metric) is Reason.NOT_PERMITTED or (is_money(metric) and sums.currency is None)
        told = None if hidden or reason == "counted_elsewhere" else shown(metric, amount, sums.currency)
        found.append(OmissionOut(reason=reason, metric=metric, members=members, amount=told, detail=_DETAILS[reason]))
    return found
