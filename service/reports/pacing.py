"""How a campaign stands against its budget and goals, and where it will end. The last day of a flight counts.

What adds up is paced by time and projected from its days; a ratio is held against its target by its interval.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, datetime, timedelta
from fractions import Fraction
from uuid import UUID

import msgspec
from sqlalchemy.ext.asyncio import AsyncConnection

from connectors.contract import MICRO
from service.db.engine import driver
from service.kpi.arms import is_inverted
from service.kpi.buckets import Grain
from service.kpi.catalogue import Kind, Kpi, resolve
from service.kpi.measure import Reason, State, Unit, Value, significant
from service.kpi.members import BOOKED
from service.kpi.money import limit_text, price_text
from service.kpi.pacing import Basis, Pace, Projection, pace, project
from service.kpi.periods import Flight, local_day
from service.reports.answer import metric_out
from service.reports.meta import range_out
from service.reports.pacing_answer import Amount, PacedOut, PacingMetaOut, PacingOut, ProjectionOut, TimeOut
from service.reports.question import Asked, PlatformNotes, Question, instant, known_at, understand
from service.reports.rows import values_of
from service.reports.stretches import Stretch, stretch
from service.reports.sums import Sums, sums_of

_ADDS_UP = (Kind.ADDITIVE, Kind.GROWTH)


class _Plan(msgspec.Struct, frozen=True, kw_only=True):
    of: str
    kpi: Kpi
    target: Fraction


async def campaign_pacing(
    connection: AsyncConnection,
    workspace_id: UUID,
    campaign_id: UUID,
    question: Question,
    _notes: PlatformNotes,
    now: datetime,
    *,
    basis: Basis,
) -> PacingOut:
    """Answer how a campaign stands against its plan, inside one read-only snapshot. Raises what the KPIs do."""
    raw = await driver(connection)
    asked = await understand(raw, workspace_id, campaign_id, msgspec.structs.replace(question, metrics=("cost",)), now)
    plans = _plans(asked)
    metrics = tuple(dict.fromkeys(plan.kpi.slug for plan in plans)) or ("cost",)
    wanted = msgspec.structs.replace(question, metrics=metrics, preset="flight", granularity=Grain.DAY)
    asked = await understand(raw, workspace_id, campaign_id, wanted, now)
    whole = stretch(asked.period, Grain.DAY, len(asked.kpis))
    (sums,) = await sums_of(raw, asked, [whole])
    totals = values_of(asked, sums, whole.total.number)
    days = _days(asked, whole, sums)
    time = _pace(asked, Fraction(0), Fraction(0), basis)
    return PacingOut(
        data=tuple(_paced(asked, plan, totals[plan.kpi.slug], days[plan.kpi.slug], basis) for plan in plans),
        meta=PacingMetaOut(
            as_of=known_at(asked),
            posting=asked.knowledge.posting,
            now=instant(asked.knowledge.clock),
            timezone=asked.zone,
            range=range_out(asked.period),
            time=TimeOut(
                basis=basis.value,
                total=float(time.total),
                elapsed=significant(float(time.elapsed)),
                remaining=significant(float(time.remaining_time)),
            ),
        ),
    )


def _plans(asked: Asked) -> list[_Plan]:
    version = asked.version
    found = [_Plan(of="goal", kpi=resolve(goal.metric), target=Fraction(goal.target)) for goal in version.goals]
    if version.budget is not None:
        found.insert(0, _Plan(of="budget", kpi=resolve("cost"), target=Fraction(version.budget, MICRO)))
    return found


def _days(asked: Asked, whole: Stretch, sums: Sums) -> Mapping[str, list[tuple[date, float]]]:
    """Return the whole days that have passed, with what each KPI that adds up was; what nobody reported is no day."""
    found: dict[str, list[tuple[date, float]]] = {kpi.slug: [] for kpi in asked.kpis}
    for span, bucket in whole.buckets:
        if bucket.partial or bucket.not_yet or bucket.end > asked.knowledge.clock:
            continue
        values = values_of(asked, sums, span.number)
        for kpi in asked.kpis:
            value = values[kpi.slug].value
            if kpi.kind is Kind.ADDITIVE and (value is not None or not BOOKED.isdisjoint(kpi.needs)):
                found[kpi.slug].append((date.fromisoformat(bucket.label), float(value or 0)))
    return found


def _pace(asked: Asked, plan: Fraction, actual: Fraction, basis: Basis) -> Pace:
    flight = Flight(first=asked.version.starts, last=asked.version.ends)
    scaled = round(plan * MICRO), round(actual * MICRO)
    return pace(*scaled, flight, now=asked.knowledge.clock, zone=asked.zone, basis=basis)


def _paced(asked: Asked, plan: _Plan, value: Value, days: Sequence[tuple[date, float]], basis: Basis) -> PacedOut:
    kpi = plan.kpi
    currency = asked.currency if kpi.unit is Unit.MONEY else None
    known = value.value is not None and kpi.kind in _ADDS_UP
    paced = _pace(asked, plan.target, _exact(value) if known else Fraction(0), basis)
    projection = _projection(asked, paced, days, known=known)
    verdict, reason = _verdict(plan, value, paced, projection)
    hidden = not known or value.state is State.SUPPRESSED
    return PacedOut(
        of=plan.of,
        metric=kpi.slug,
        definition=kpi.definition,
        target=_shown(plan.target, currency),
        actual=metric_out(value),
        verdict=verdict,
        reason=reason,
        expected=None if hidden or paced.expected is None else _shown(paced.expected / MICRO, currency),
        pacing=None if hidden or paced.pacing is None else significant(float(paced.pacing)),
        remaining=None if hidden else _shown(Fraction(paced.remaining, MICRO), currency),
        required=None if hidden or paced.required is None else _shown(paced.required / MICRO, currency),
        projection=None if hidden else _projection_out(paced, projection, len(days), currency, asked.question.level),
    )


def _exact(value: Value) -> Fraction:
    return Fraction(str(value.value))


def _projection(asked: Asked, paced: Pace, days: Sequence[tuple[date, float]], *, known: bool) -> Projection | None:
    """Return where the total will end by its whole days; the running day is one of those ahead."""
    today = local_day(asked.knowledge.clock, asked.zone)
    first = max(today, asked.version.starts)
    ahead = [first + timedelta(days=n) for n in range((asked.version.ends - first).days + 1)]
    if not known or not ahead or not paced.elapsed:
        return None
    return project(days, ahead, sum(value for _, value in days), asked.question.level)


def _projection_out(
    paced: Pace, projection: Projection | None, days: int, currency: str | None, level: float
) -> ProjectionOut | None:
    if paced.projected is None:
        return None
    limits = None if projection is None else projection.interval
    return ProjectionOut(
        linear=_shown(paced.projected / MICRO, currency),
        total=None if projection is None else _estimate(projection.total, currency),
        low=None if limits is None or limits.low is None else _estimate(float(limits.low), currency),
        high=None if limits is None or limits.high is None else _estimate(float(limits.high), currency),
        level=level,
        method="daily_rate_t" if limits is not None else "linear",
        days=days,
        by_weekday=projection is not None and projection.by_weekday,
    )


def _verdict(plan: _Plan, value: Value, paced: Pace, projection: Projection | None) -> tuple[str, str | None]:
    if not paced.elapsed:
        return "not_started", str(Reason.FLIGHT_NOT_STARTED)
    if value.value is None:
        return "undecided", str(value.reason) if value.reason else None
    if plan.kpi.kind not in _ADDS_UP:
        return _held(plan, value)
    if not paced.remaining_time:
        return ("reached" if _exact(value) >= plan.target else "missed"), str(Reason.FLIGHT_ENDED)
    return _ahead_or_behind(plan, projection)


def _ahead_or_behind(plan: _Plan, projection: Projection | None) -> tuple[str, str | None]:
    limits = None if projection is None else projection.interval
    if limits is None or limits.low is None or limits.high is None:
        return "undecided", "too_few_days"
    if float(limits.low) > plan.target:
        return "ahead", None
    return ("behind" if float(limits.high) < plan.target else "on_course"), None


def _held(plan: _Plan, value: Value) -> tuple[str, str | None]:
    """Return how a ratio or a level stands against its target: by its limits where it has some."""
    low, high = value.value, value.value
    if value.interval is not None:
        low, high = value.interval.low, value.interval.high
    below = high is not None and Fraction(str(high)) < plan.target
    above = low is not None and Fraction(str(low)) > plan.target
    if value.interval is None and low is not None and Fraction(str(low)) == plan.target:
        return "met", None
    if below or above:
        return ("met" if above is not is_inverted(plan.kpi) else "missed"), None
    return "undecided", "limits_include_the_target"


def _shown(amount: Fraction, currency: str | None) -> Amount:
    if currency is not None:
        return price_text(amount, currency)
    return int(amount) if amount.denominator == 1 else significant(float(amount))


def _estimate(amount: float, currency: str | None) -> Amount:
    return significant(amount) if currency is None else limit_text(amount, currency)
