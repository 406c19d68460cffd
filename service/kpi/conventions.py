"""Values that hang on figures of the asker's own: earned media at a rate card, share of voice, the tier index.

Conventions, not returns: they enter no other KPI, and the definition in an answer names the card.
"""

from __future__ import annotations

import msgspec

from connectors.contract import METRICS, MICRO
from connectors.contract import Unit as MetricUnit
from service.errors import Invalid
from service.kpi.catalogue import CONVENTIONS
from service.kpi.definitions import Benchmark, Brands, Kpi, RateCard
from service.kpi.measure import Coverage, Interval, Quality, Reason, State, Value, significant
from service.kpi.members import (
    EXPECTED_ENGAGEMENTS,
    FOLLOWERS_AT_PUBLISH,
    MemberSums,
    column,
    count,
    exact_sum,
    parts_of,
    read,
)
from service.kpi.money import price_text
from service.kpi.question import Ask, null
from service.kpi.returns import earned_media_value
from service.kpi.shares import share_of_voice
from service.kpi.tiers import TierPolicy, tier_of

COUNTS = tuple(key for key, metric in METRICS.items() if metric.additive and metric.unit is MetricUnit.COUNT)
"""What a card may price and a set of brands may be counted by."""
_NO_COUNT = "no count that is summed"


def earned_media(card: RateCard) -> Kpi:
    """Return earned media value at a card. Raises :class:`Invalid` for a rate of what is no count."""
    for key in card.rates:
        if key not in COUNTS:
            raise Invalid(f"{key[:64]!r} is {_NO_COUNT}", code="not_a_count", allowed=COUNTS)
    needs = dict.fromkeys(part for key in card.rates for part in parts_of(key))
    formula = " + ".join(f"{key} * {price_text(rate, card.currency)}" for key, rate in card.rates.items())
    return msgspec.structs.replace(CONVENTIONS["emv"], card=card, needs=tuple(needs), formula=formula)


def voice_among(brands: Brands) -> Kpi:
    """Return the share of voice among brands. Raises :class:`Invalid` for a metric that is no count."""
    if brands.metric not in COUNTS:
        raise Invalid(f"{brands.metric[:64]!r} is {_NO_COUNT}", code="not_a_count", allowed=COUNTS)
    formula = f"{brands.metric} / ({brands.metric} + {' + '.join(brands.others)})"
    needs = parts_of(brands.metric)
    return msgspec.structs.replace(CONVENTIONS["share_of_voice"], card=brands, needs=needs, formula=formula)


def index_of(benchmark: Benchmark, tiers: TierPolicy | None) -> Kpi:
    """Return the tier index against a benchmark. Raises :class:`Invalid` for a tier that the policy does not have.

    The policy may be one that is not known yet (None).
    """
    names = () if tiers is None else (*(tier for tier, _ in tiers.tiers), tiers.below)
    for tier in benchmark.rates:
        if tiers is not None and tier not in names:
            raise Invalid(f"{tiers.name} has no tier {tier[:64]!r}", code="unknown_tier", allowed=names)
    kpi = CONVENTIONS["tier_index"]
    return msgspec.structs.replace(kpi, card=benchmark, note=f"benchmark {benchmark.id}: {kpi.note}")


def expecting(sums: MemberSums, benchmark: Benchmark, tiers: TierPolicy) -> MemberSums:
    """Return sums with what a benchmark expects of each member; unknown where it has no tier or no benchmark."""
    followers = read(sums, FOLLOWERS_AT_PUBLISH)
    expected: list[int | None] = []
    for known, count_ in zip(followers.known.tolist(), followers.values.tolist(), strict=True):
        rate = benchmark.rates.get(tier_of(tiers, count_) or "") if known else None
        expected.append(None if rate is None else round(count_ * rate * MICRO))
    columns = {**sums.columns, EXPECTED_ENGAGEMENTS: column(expected)}
    return msgspec.structs.replace(sums, columns=columns)


def earned(ask: Ask) -> Value:
    """Return earned media value: what is not reported is left out and named."""
    card = ask.kpi.card
    if not isinstance(card, RateCard):
        return null(ask, Reason.MISSING_UNIT_RATE)
    counts = {key: _total(ask.sums, key) for key in card.rates}
    if all(amount is None for amount in counts.values()):
        return null(ask, Reason.NOT_REPORTED)
    found = earned_media_value(counts, card.rates, card.id)
    missing = f"; not reported: {', '.join(found.without_count)}" if found.without_count else ""
    return Value(
        value=price_text(found.amount, card.currency),
        unit=ask.kpi.unit,
        state=State.OK if found.amount else State.ZERO,
        currency=card.currency,
        quality=Quality.PARTIAL if found.incomplete else Quality.OBSERVED,
        note=f"rate card {card.id}: {ask.kpi.note}{missing}",
    )


def voice(ask: Ask) -> Value:
    """Return the share of one's own count in that of all brands of a set."""
    brands = ask.kpi.card
    own = _total(ask.sums, brands.metric) if isinstance(brands, Brands) else None
    if not isinstance(brands, Brands) or own is None:
        return null(ask, Reason.MISSING_NUMERATOR)
    found = share_of_voice(own, brands.others, ask.level)
    whole = own + sum(brands.others.values())
    if found.value is None:
        return null(ask, found.reason or Reason.ZERO_DENOMINATOR, numerator=own, denominator=whole)
    return Value(
        value=significant(found.value),
        unit=ask.kpi.unit,
        state=State.OK if own else State.ZERO,
        numerator=own,
        denominator=whole,
        interval=_rounded(found.interval),
        coverage=_coverage(ask.sums, brands.metric),
        note=f"by {brands.metric}, among the brands of {brands.id}; {ask.kpi.note}",
    )


def _total(sums: MemberSums, key: str) -> int | None:
    told = read(sums, key)
    return exact_sum(told.values[told.known]) if count(told.known) else None


def _coverage(sums: MemberSums, key: str) -> Coverage:
    return Coverage(members_known=count(read(sums, key).known), members_total=len(sums.members))


def _rounded(interval: Interval | None) -> Interval | None:
    if interval is None or interval.low is None or interval.high is None:
        return interval
    low, high = significant(float(interval.low)), significant(float(interval.high))
    return msgspec.structs.replace(interval, low=low, high=high)
