"""What is unusual about a campaign: spikes, lasting shifts, and posts that gather. Signals with evidence, no verdicts.

Values of whole buckets alone are looked at; a running one is lower than it will be.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlencode
from uuid import UUID

import asyncpg
import msgspec
from sqlalchemy.ext.asyncio import AsyncConnection

from service.db.engine import driver
from service.errors import Gone, Invalid
from service.kpi.anomaly import THRESHOLD
from service.kpi.buckets import Bucket, Grain
from service.kpi.catalogue import CATALOGUE, Kind, Kpi
from service.kpi.measure import significant
from service.kpi.members import BOOKED
from service.kpi.periods import Period, of_days
from service.kpi.swarms import Gathered, Post, gathered
from service.kpi.watch import TRAILING, WEEKS, Shifted, Watched, shift, watched
from service.ledger import kept
from service.reports.answer import WarningOut
from service.reports.meta import range_out
from service.reports.question import Asked, PlatformNotes, Question, instant, known_at, understand
from service.reports.rows import values_of
from service.reports.signals_answer import SignalOut, SignalsMetaOut, SignalsOut, WatchOut
from service.reports.stretches import MAX_CELLS, stretch
from service.reports.sums import Sums, sums_of

_SEASON = {Grain.DAY: 7, Grain.HOUR: 7 * 24}
_BEFORE = {Grain.DAY: TRAILING + 7 * WEEKS, Grain.HOUR: 2 + 7 * WEEKS}
_USUAL = ("impressions", "clicks_link", "engagements", "conversions", "spend_media")
_MOST_DAYS = {Grain.DAY: 366, Grain.HOUR: 14}
_SWARM_HISTORY = timedelta(days=28)


async def campaign_signals(
    connection: AsyncConnection,
    workspace_id: UUID,
    campaign_id: UUID,
    question: Question,
    _notes: PlatformNotes,
    now: datetime,
    *,
    threshold: float = THRESHOLD,
) -> SignalsOut:
    """Tell what is unusual about a campaign, inside one read-only snapshot. Raises what the KPIs do."""
    raw = await driver(connection)
    named = msgspec.structs.replace(question, metrics=question.metrics or _USUAL)
    asked = await understand(raw, workspace_id, campaign_id, named, now)
    _refuse(asked)
    series = await _series(raw, asked)
    found, seen = [], {}
    for kpi in asked.kpis:
        spikes, watch = _watched(asked, series, kpi, threshold)
        found += spikes
        seen[kpi.slug] = watch
    swarms = _swarms(asked)
    looks = sum(watch.looked_at for watch in seen.values())
    return SignalsOut(
        data=tuple(sorted((*found, *swarms), key=lambda one: (one.start, one.kind, one.metric or ""), reverse=True)),
        meta=SignalsMetaOut(
            as_of=known_at(asked),
            posting=asked.knowledge.posting,
            range=range_out(asked.period),
            timezone=asked.zone,
            granularity=asked.question.granularity.value,
            threshold=threshold,
            chance_expected=significant(looks * _TAIL, 3),
            watched=seen,
            posts=sum(member.published is not None for member in asked.members),
            warnings=tuple(_warnings(series.sums, asked)),
        ),
    )


_TAIL = 0.000465  # two-sided, of a z of 3.5


def _refuse(asked: Asked) -> None:
    """Refuse what cannot be watched: ratios, whose errors differ from day to day, and ranges without a first bucket."""
    for place, kpi in enumerate(asked.kpis):
        if kpi.kind is not Kind.ADDITIVE:
            allowed = tuple(one.slug for one in CATALOGUE.values() if one.kind is Kind.ADDITIVE)
            raise Invalid(
                f"{kpi.slug} does not add up over time",
                pointer=f"?metrics/{place}",
                code="not_additive",
                allowed=allowed,
            )
    grain = asked.question.granularity
    if not asked.period.whole_days:
        raise Invalid("signals are of whole days", pointer="?range", code="not_whole_days")
    if len(asked.period.days) > _MOST_DAYS[grain]:
        text = f"at most {_MOST_DAYS[grain]} days by {grain.value}"
        raise Invalid(text, pointer="?range", code="too_many_cells")


class _Series(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """Values by bucket, the history before the range included; ``first`` is the first bucket of the range."""

    sums: Sums
    buckets: Sequence[Bucket]
    values: Mapping[str, Sequence[float | None]]
    first: int


async def _series(raw: asyncpg.Connection[Any], asked: Asked) -> _Series:
    period = _with_history(asked)
    over = msgspec.structs.replace(asked, period=period)
    cut = stretch(period, asked.question.granularity, len(asked.kpis))
    if len(cut.buckets) * (len(asked.members) or 1) * len(asked.kpis) > MAX_CELLS * 500:
        raise Invalid("the grid is too fine for this range", pointer="?granularity", code="too_many_cells")
    (sums,) = await sums_of(raw, over, [cut])
    if asked.question.granularity is Grain.HOUR and sums.marks.windowed:
        raise Invalid(
            f"{', '.join(sorted(sums.marks.windowed))} come as whole days from their source",
            pointer="?granularity",
            code="coarser_source",
            allowed=("day",),
        )
    values: dict[str, list[float | None]] = {kpi.slug: [] for kpi in asked.kpis}
    done = [
        (span, bucket) for span, bucket in cut.buckets if not bucket.partial and bucket.end <= asked.knowledge.clock
    ]
    for span, _ in done:
        for slug, value in values_of(over, sums, span.number).items():
            values[slug].append(None if value.value is None else float(value.value))
    for kpi in asked.kpis:
        if not BOOKED.isdisjoint(kpi.needs):
            values[kpi.slug] = _booked(values[kpi.slug])
    start = asked.period.start
    first = sum(start is not None and bucket.start < start for _, bucket in done)
    return _Series(sums=sums, buckets=[bucket for _, bucket in done], values=values, first=first)


def _booked(values: list[float | None]) -> list[float | None]:
    """Return a series of what is booked: once there is any, no entry means that nothing happened."""
    begun = next((at for at, value in enumerate(values) if value is not None), len(values))
    return [None if at < begun else value or 0.0 for at, value in enumerate(values)]


def _with_history(asked: Asked) -> Period:
    """Return the range with the days before it that tell what is usual; fewer where retention took them."""
    period, first = asked.period, asked.period.days[0]
    for before in (_BEFORE[asked.question.granularity], TRAILING, 0):
        wider = of_days(first - timedelta(days=before), period.days[-1], now=asked.knowledge.clock, zone=period.zone)
        try:
            kept.refuse(asked.kept, wider.start, asked.knowledge, people=False)
        except Gone:
            continue
        return wider
    return period


def _watched(asked: Asked, series: _Series, kpi: Kpi, threshold: float) -> tuple[list[SignalOut], WatchOut]:
    values = series.values[kpi.slug]
    looks = watched(values, series.first, _SEASON[asked.question.granularity], threshold)
    found = [_spike(asked, series, kpi, one) for one in looks if one.out]
    shifted = shift(values, series.first)
    if shifted is not None:
        found.append(_shift(asked, series, kpi, shifted))
    inside = [value for value in values[series.first :] if value is not None]
    reason = None if looks else ("not_reported" if not inside else "too_little_history")
    return found, WatchOut(
        known=len(inside), looked_at=len(looks), seasonal=sum(one.seasonal for one in looks), reason=reason
    )


def _spike(asked: Asked, series: _Series, kpi: Kpi, one: Watched) -> SignalOut:
    bucket, found = series.buckets[one.place], one.found
    above = one.observed > one.usual
    word = "above" if above else "below"
    scale = (
        f"{abs(found.robust_z):.1f} robust deviations {word} what is usual"
        if found.robust_z is not None
        else f"{word} a count that never varied"
    )
    return SignalOut(
        kind="spike" if above else "drop",
        metric=kpi.slug,
        start=instant(bucket.start),
        label=bucket.label,
        observed=significant(one.observed),
        usual=significant(one.usual),
        score=None if found.robust_z is None else significant(found.robust_z),
        p=None if found.poisson_tail_p is None else significant(found.poisson_tail_p),
        method=str(found.fallback) if found.fallback else "median_absolute_deviation",
        summary=f"{kpi.slug} was {one.observed:g} where {one.usual:g} is usual: {scale}",
        detail={"mad": significant(found.mad), "history": one.history, "seasonal": one.seasonal},
        evidence=_evidence(asked, kpi, bucket),
    )


def _shift(asked: Asked, series: _Series, kpi: Kpi, one: Shifted) -> SignalOut:
    bucket = series.buckets[one.place]
    word = "above" if one.average > one.usual else "below"
    return SignalOut(
        kind="shift",
        metric=kpi.slug,
        start=instant(bucket.start),
        label=bucket.label,
        observed=significant(one.average),
        usual=significant(one.usual),
        score=None,
        p=None,
        method="ewma",
        summary=f"{kpi.slug} has stayed {word} {one.usual:.4g} since {bucket.label}: {one.average:.4g} on average now",
        detail={"low": significant(one.low), "high": significant(one.high), "history": one.history},
        evidence=_evidence(asked, kpi, bucket),
    )


def _evidence(asked: Asked, kpi: Kpi, bucket: Bucket) -> str | None:
    if asked.question.evidence is None:
        return None
    place = {"from": instant(bucket.start), "to": instant(bucket.end), "timezone": asked.zone, "as_of": known_at(asked)}
    return f"{asked.question.evidence}/{kpi.slug}/provenance?{urlencode(place, safe=':/')}"


def _swarms(asked: Asked) -> list[SignalOut]:
    """Return the hours in which the posts of a campaign gathered."""
    posts = [
        Post(at=member.published_at, author=member.creator)
        for member in asked.members
        if member.published_at is not None
    ]
    start = asked.period.start
    if start is None:
        return []
    return [_swarm(one) for one in gathered(posts, start, asked.period.end, history=_SWARM_HISTORY)]


def _swarm(one: Gathered) -> SignalOut:
    found = one.found
    who = f"{one.authors} authors"
    if found.concentrated is not None:
        who += ", far fewer than usual: rather coordinated" if found.concentrated else ": rather an organic wave"
    return SignalOut(
        kind="swarm",
        metric=None,
        start=instant(one.start),
        label=instant(one.start),
        observed=one.posts,
        usual=significant(one.baseline),
        score=None,
        p=significant(found.negbin_tail_p),
        method="negative_binomial_tail",
        summary=f"{one.posts} posts in an hour where {one.baseline:.2g} are usual, by {who}",
        detail={
            "authors": one.authors,
            "author_ratio": None if found.author_ratio is None else significant(found.author_ratio),
            "usual_author_ratio": significant(one.authors_per_post),
            "concentrated": found.concentrated,
            "dispersion": significant(one.dispersion),
            "poisson_tail_p": significant(found.poisson_tail_p),
            "hours": one.hours,
        },
        evidence=None,
    )


def _warnings(sums: Sums, asked: Asked) -> list[WarningOut]:
    found = []
    if sums.marks.interpolated:
        names = ", ".join(sorted(sums.marks.interpolated))
        text = f"buckets of {names} are cut from longer readings, which flattens spikes"
        found.append(WarningOut(code="interpolated", detail=text, pointer="?granularity"))
    if sums.suspected:
        text = f"a counter fell below a tenth: {', '.join(sorted(sums.suspected))}"
        found.append(WarningOut(code="suspected_reset", detail=text, pointer=""))
    if not asked.members:
        found.append(WarningOut(code="no_members", detail="no subject meets the campaign's rules yet", pointer=""))
    return found
