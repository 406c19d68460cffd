"""The click conversion rate of a campaign while conversions still arrive, by the day of the click.

How late they come is learned from the books of the workspace: when each conversion was first known, against its click.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import date, datetime, timedelta
from uuid import UUID

import msgspec
from sqlalchemy.ext.asyncio import AsyncConnection

from service.db.engine import driver
from service.errors import Invalid
from service.kpi.arrivals import curve
from service.kpi.attribution import CLICK_WINDOW_DAYS
from service.kpi.buckets import Grain
from service.kpi.measure import significant
from service.kpi.periods import day_start, local_day
from service.kpi.shares import Cohort, Maturity, maturity
from service.ledger.history.buyers import MOST, Lag, lags
from service.reports.answer import IntervalOut, RangeOut
from service.reports.meta import range_out
from service.reports.question import Asked, PlatformNotes, Question, known_at, understand
from service.reports.rows import values_of
from service.reports.stretches import stretch
from service.reports.sums import sums_of

_HISTORY = timedelta(days=180)


class AgeOut(msgspec.Struct, frozen=True, kw_only=True):
    """Clicks of one day, the conversions that they have led to so far, and the share that has normally arrived by now.

    ``share_arrived`` is null without a curve.
    """

    day: str
    age_days: int
    clicks: int | None
    conversions: int
    share_arrived: float | None


class CurveOut(msgspec.Struct, frozen=True, kw_only=True):
    """The share of conversions known by each age in days, and how many it is learned from; null for too few."""

    by_age: Mapping[str, float] | None
    learned_from: int
    horizon_days: int
    reason: str | None


class MaturityMetaOut(msgspec.Struct, frozen=True, kw_only=True):
    """What the answer knew: ``as_of`` pins it."""

    as_of: str
    posting: int
    range: RangeOut
    timezone: str


class MaturityOut(msgspec.Struct, frozen=True, kw_only=True):
    """``raw_rate`` is too low; ``mature_rate`` is that of the days that are complete; ``weighted_rate`` allows for age.

    ``maturity`` is the share of all that is to come that has arrived by now, ``projected_conversions`` what it will be.
    """

    raw_rate: float | None
    mature_rate: float | None
    weighted_rate: float | None
    interval: IntervalOut | None
    maturity: float | None
    effective_clicks: float | None
    projected_conversions: float | None
    conversions: int
    clicks: int
    reason: str | None
    curve: CurveOut
    data: tuple[AgeOut, ...]
    meta: MaturityMetaOut


async def campaign_maturity(
    connection: AsyncConnection,
    workspace_id: UUID,
    campaign_id: UUID,
    question: Question,
    _notes: PlatformNotes,
    now: datetime,
) -> MaturityOut:
    """Answer how mature a campaign's conversions are, inside one read-only snapshot. Raises what the KPIs do."""
    raw = await driver(connection)
    wanted = msgspec.structs.replace(question, metrics=("clicks_link",), granularity=Grain.DAY)
    asked = await understand(raw, workspace_id, campaign_id, wanted, now)
    if asked.period.start is None or not asked.period.whole_days:
        raise Invalid("maturity is by whole days", pointer="?range", code="not_whole_days")
    cut = stretch(asked.period, Grain.DAY, 1)
    (sums,) = await sums_of(raw, asked, [cut])
    clicks = {
        date.fromisoformat(bucket.label): values_of(asked, sums, span.number)["clicks_link"].value
        for span, bucket in cut.buckets
        if not bucket.not_yet
    }
    members, number, clock = [one.subject_id for one in asked.members], asked.knowledge.number, asked.knowledge.clock
    own = _known(await lags(raw, workspace_id, members, asked.period.start, asked.period.end, number))
    horizon = _horizon(asked)
    old = clock - timedelta(days=horizon)
    past = _known(await lags(raw, workspace_id, None, old - _HISTORY, old, number))
    learned = curve([_age(one.clicked, one.known, asked.zone) for one in past], horizon)
    cohorts = _cohorts(asked, clicks, own)
    found = maturity([one for _, one in cohorts], learned or {}, question.level)
    return _answer(asked, found, cohorts, clicks, learned, len(past))


def _known(found: list[Lag] | None) -> list[Lag]:
    if found is None:
        raise Invalid(
            f"more than {MOST} conversions: ask for a shorter range", pointer="?range", code="too_many_events"
        )
    return found


def _horizon(asked: Asked) -> int:
    """Return the days after which a click leads to nothing any more, and a day for what is reported late."""
    click = asked.version.click_days
    return int(CLICK_WINDOW_DAYS if click is None else click) + 1


def _age(clicked: datetime, known: datetime, zone: str) -> int:
    return (local_day(known, zone) - local_day(clicked, zone)).days


def _cohorts(
    asked: Asked, clicks: Mapping[date, int | float | str | None], own: Sequence[Lag]
) -> list[tuple[date, Cohort]]:
    """Return the clicks of each day with the conversions that they led to."""
    today = local_day(asked.knowledge.clock, asked.zone)
    led = Counter(local_day(one.clicked, asked.zone) for one in own)
    return [
        (day, Cohort(age_days=(today - day).days, clicks=int(count or 0), conversions=led[day]))
        for day, count in sorted(clicks.items())
        if day_start(day, asked.zone) <= asked.knowledge.clock
    ]


def _answer(
    asked: Asked,
    found: Maturity,
    cohorts: Sequence[tuple[date, Cohort]],
    clicks: Mapping[date, int | float | str | None],
    learned: Mapping[int, float] | None,
    past: int,
) -> MaturityOut:
    oldest = max(learned) if learned else 0
    interval = found.interval
    return MaturityOut(
        raw_rate=_number(found.raw_rate),
        mature_rate=_number(found.mature_rate) if learned else None,
        weighted_rate=_number(found.weighted_rate),
        interval=None
        if interval is None or interval.low is None or interval.high is None
        else IntervalOut(
            low=significant(float(interval.low)),
            high=significant(float(interval.high)),
            level=interval.level,
            method=str(interval.method),
            n=interval.n,
            ignores_clustering=True,
        ),
        maturity=_number(found.maturity) if learned else None,
        effective_clicks=_number(found.effective_clicks) if learned else None,
        projected_conversions=_number(found.projected_conversions),
        conversions=sum(one.conversions for _, one in cohorts),
        clicks=sum(one.clicks for _, one in cohorts),
        reason="too_little_history" if learned is None else None if found.reason is None else str(found.reason),
        curve=CurveOut(
            by_age={str(age): significant(share) for age, share in learned.items()} if learned else None,
            learned_from=past,
            horizon_days=_horizon(asked),
            reason=None if learned else "too_few_conversions",
        ),
        data=tuple(
            AgeOut(
                day=day.isoformat(),
                age_days=one.age_days,
                clicks=None if clicks[day] is None else one.clicks,
                conversions=one.conversions,
                share_arrived=significant(learned[min(one.age_days, oldest)]) if learned else None,
            )
            for day, one in cohorts
        ),
        meta=MaturityMetaOut(
            as_of=known_at(asked),
            posting=asked.knowledge.posting,
            range=range_out(asked.period),
            timezone=asked.zone,
        ),
    )


def _number(value: float | None) -> float | None:
    return None if value is None else significant(value)
