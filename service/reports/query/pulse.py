"""What has happened in the last minutes, against the stretches of the same length before: provisional by definition.

Growth of a counter is known between two readings, so a window without a reading inside has its share of a longer one
(quality ``interpolated``), and none where the counter has not been read since. Whole days have no minutes.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import asyncpg
import msgspec
from sqlalchemy.ext.asyncio import AsyncConnection

from service.db.engine import driver
from service.errors import Invalid
from service.kpi.anomaly import spike
from service.kpi.buckets import Bucket
from service.kpi.catalogue import CATALOGUE, Kind
from service.kpi.measure import Reason, significant
from service.ledger.history.spans import Span
from service.reports.answer import MetricOut, metric_out
from service.reports.question import Asked, Question, instant, known_at, understand
from service.reports.rows import values_of
from service.reports.stretches import TOTAL, Stretch
from service.reports.sums import Sums, sums_of

MINUTES = (5, 15, 60)
BASELINE = 24
"""Stretches of the same length that come before."""
DEFAULT = ("impressions", "views", "engagements", "clicks_link", "conversions")
_FEWEST = 6


class BaselineOut(msgspec.Struct, frozen=True, kw_only=True):
    """The stretches before: how many are known, their median, and how far the last one is from it (robust z).

    ``spike`` is null where they never varied or too few are known. ``ratio`` is the last one over the median.
    """

    stretches: int
    known: int
    median: float | None
    ratio: float | None
    robust_z: float | None
    spike: bool | None


class PulseMetricOut(msgspec.Struct, frozen=True, kw_only=True):
    """One metric in one window: its value, per minute, and against what came before."""

    value: MetricOut
    per_minute: float | None
    baseline: BaselineOut


class WindowOut(msgspec.Struct, frozen=True, kw_only=True):
    """The last ``minutes``. ``completeness`` is the share of members that were read inside the window."""

    minutes: int
    start: str
    end: str
    completeness: float | None
    metrics: dict[str, PulseMetricOut]


class PulseOut(msgspec.Struct, frozen=True, kw_only=True):
    """The pulse of a campaign; ``lag`` is how many seconds ago each platform was last read."""

    provisional: bool
    windows: tuple[WindowOut, ...]
    lag: dict[str, float]
    as_of: str
    posting: int


async def campaign_pulse(
    connection: AsyncConnection, workspace_id: UUID, campaign_id: UUID, question: Question, now: datetime
) -> PulseOut:
    """Take the pulse of a campaign inside one read-only snapshot. Raises what ``campaign_kpis`` does."""
    raw = await driver(connection)
    question = msgspec.structs.replace(question, metrics=question.metrics or DEFAULT, preset="last_24h")
    asked = await understand(raw, workspace_id, campaign_id, question, now)
    _refuse(asked)
    clock = asked.knowledge.clock
    windows = [await _window(raw, asked, minutes, clock) for minutes in MINUTES]
    return PulseOut(
        provisional=True,
        windows=tuple(windows),
        lag={platform: (clock - at).total_seconds() for platform, at in asked.freshness.items()},
        as_of=known_at(asked),
        posting=asked.knowledge.posting,
    )


def _refuse(asked: Asked) -> None:
    for place, kpi in enumerate(asked.kpis):
        if kpi.kind is not Kind.ADDITIVE:
            raise Invalid(
                f"{kpi.slug} has no pulse: it is no sum",
                pointer=f"?metrics/{place}",
                code="not_additive",
                allowed=tuple(one.slug for one in CATALOGUE.values() if one.kind is Kind.ADDITIVE),
            )


async def _window(raw: asyncpg.Connection[Any], asked: Asked, minutes: int, clock: datetime) -> WindowOut:
    length = timedelta(minutes=minutes)
    (sums,) = await sums_of(raw, asked, [_stretch(asked, length, clock)])
    start = clock - length
    read = sum(1 for member in asked.members if member.observed_at is not None and member.observed_at >= start)
    return WindowOut(
        minutes=minutes,
        start=instant(start),
        end=instant(clock),
        completeness=significant(read / len(asked.members)) if asked.members else None,
        metrics=_metrics(asked, sums, minutes),
    )


def _stretch(asked: Asked, length: timedelta, clock: datetime) -> Stretch:
    """Return the last stretch as the total, and the ones before it as buckets, the newest first."""

    def span(number: int, back: int) -> Span:
        return Span(
            number=number, start=clock - (back + 1) * length, end=clock - back * length, first_day=None, last_day=None
        )

    before = [span(number, number + 1) for number in range(BASELINE)]
    period = msgspec.structs.replace(
        asked.period, start=clock - (BASELINE + 1) * length, end=clock, until=clock, whole_days=False
    )
    buckets = tuple(
        (one, Bucket(start=one.start, end=one.end, label="", partial=False, not_yet=False)) for one in before
    )
    return Stretch(period=period, buckets=buckets, total=span(TOTAL, 0))


def _metrics(asked: Asked, sums: Sums, minutes: int) -> dict[str, PulseMetricOut]:
    last = values_of(asked, sums, TOTAL)
    before = [values_of(asked, sums, number) for number in range(BASELINE)]
    found = {}
    for kpi in asked.kpis:
        value = last[kpi.slug]
        if value.value is None and not sums.marks.windowed.isdisjoint(kpi.needs):
            value = msgspec.structs.replace(value, reason=Reason.COARSER_SOURCE)
        number = _number(value.value)
        past = [known for values in before if (known := _number(values[kpi.slug].value)) is not None]
        found[kpi.slug] = PulseMetricOut(
            value=metric_out(value),
            per_minute=None if number is None else significant(number / minutes),
            baseline=_baseline(past, number),
        )
    return found


def _number(value: float | str | None) -> float | None:
    return None if value is None else float(value)


def _baseline(past: Sequence[float], number: float | None) -> BaselineOut:
    if len(past) < _FEWEST or number is None:
        return BaselineOut(stretches=BASELINE, known=len(past), median=None, ratio=None, robust_z=None, spike=None)
    found = spike(past, number)
    assert found is not None  # noqa: S101 - there is a history
    return BaselineOut(
        stretches=BASELINE,
        known=len(past),
        median=found.median,
        ratio=significant(number / found.median) if found.median > 0 else None,
        robust_z=None if found.robust_z is None else significant(found.robust_z),
        spike=found.spike,
    )
