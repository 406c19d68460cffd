"""What a line of the KPI dictionary is: its facts, how its kind behaves, and how lines are written down.

The lines themselves are in ``catalogue``; how a KPI is computed from sums is in ``evaluate``.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from fractions import Fraction

import msgspec

from connectors.contract import MICRO, Metric
from connectors.contract import Unit as MetricUnit
from service.kpi.measure import Method, Unit
from service.kpi.members import parts_of


class Kind(enum.StrEnum):
    """How a KPI behaves when members are put together."""

    ADDITIVE = "additive"  # a sum of what is known
    LEVEL = "level"  # a state at the end of the range, never summed over time
    UNIQUE = "unique"  # distinct people: exact for one member, bounds for several
    GROWTH = "growth"  # the change of a level over the range
    RATIO = "ratio"  # ratio of sums over the members that know both
    COST_RATIO = "cost_ratio"  # money per something
    RETURN = "return"  # money per money
    FREQUENCY = "frequency"  # a ratio whose denominator has only bounds
    EARNED = "earned"  # counts at the rates of a card that the asker gives
    VOICE = "voice"  # own count over that of all brands of a set that the asker gives


_AGGREGATES = {
    Kind.ADDITIVE: "sum of what is known",
    Kind.LEVEL: "value at the end of the range; bounds over several profiles",
    Kind.UNIQUE: "exact for one post; bounds over several",
    Kind.GROWTH: "sum of net changes over profiles",
    Kind.RATIO: "ratio of sums over the same members",
    Kind.COST_RATIO: "ratio of sums, cost of the members whose denominator is known",
    Kind.RETURN: "ratio of sums over the whole campaign",
    Kind.FREQUENCY: "never averaged; bounds over several posts",
    Kind.EARNED: "sum of counts at the rates of one card",
    Kind.VOICE: "counts are summed first, then divided",
}
AGGREGATIONS = {
    Kind.ADDITIVE: "sum",
    Kind.LEVEL: "last",
    Kind.UNIQUE: "bounds",
    Kind.GROWTH: "net_change",
    Kind.RATIO: "ratio_of_sums",
    Kind.COST_RATIO: "ratio_of_sums",
    Kind.RETURN: "ratio_of_sums",
    Kind.FREQUENCY: "bounds",
    Kind.EARNED: "sum",
    Kind.VOICE: "ratio_of_sums",
}
"""The one way in which values of a kind may be put together, as a word."""
_ZERO = "denominator 0: null"
_NULLS = {
    Kind.ADDITIVE: "null if no member reports it; 0 is measured",
    Kind.LEVEL: "null if no profile reports it",
    Kind.UNIQUE: "null if no post reports it",
    Kind.GROWTH: "null without a level at both ends; a base of 0 gives no fraction",
    Kind.RATIO: f"null without numerator or denominator; {_ZERO}; a numerator above a proportion's base: no interval",
    Kind.COST_RATIO: f"null without cost or denominator; {_ZERO}, with a lower limit",
    Kind.RETURN: f"null without cost or value; {_ZERO}",
    Kind.FREQUENCY: "null without reach",
    Kind.EARNED: "null if no unit of the card is reported; what is missing is named",
    Kind.VOICE: f"null if nothing of one's own is reported; {_ZERO}",
}


class RateCard(msgspec.Struct, frozen=True, kw_only=True):
    """What one unit of each count is said to be worth, in whole units of ``currency``."""

    id: str
    currency: str
    rates: Mapping[str, Fraction]


class Brands(msgspec.Struct, frozen=True, kw_only=True):
    """The counts of other brands that one's own ``metric`` is set against."""

    id: str
    metric: str
    others: Mapping[str, int]


class Benchmark(msgspec.Struct, frozen=True, kw_only=True):
    """Engagements per follower at publication that each tier is expected to have; other tiers have no benchmark."""

    id: str
    rates: Mapping[str, Fraction]


class Kpi(msgspec.Struct, frozen=True, kw_only=True):
    """One line of the dictionary.

    ``needs`` are the stored metrics behind it. A ratio is ``scale * numerator / denominator + offset`` of two metric
    keys, and ``scale`` is a part of ``per``. A ``proportion`` cannot exceed 1 by its meaning. ``small_sample`` is the
    interval with fewer than five members or a numerator of 0; None is none. ``note`` travels with every value.
    ``takes_margin`` waits for the margin of a campaign, ``card`` is what the asker gave.
    """

    slug: str
    title: str
    formula: str
    unit: Unit
    kind: Kind
    needs: tuple[str, ...]
    version: int = 1
    numerator: str | None = None
    denominator: str | None = None
    scale: int = 1
    per: int = 1
    offset: int = 0
    proportion: bool = False
    small_sample: Method | None = None
    note: str | None = None
    takes_margin: bool = False
    card: RateCard | Brands | Benchmark | None = None

    @property
    def definition(self) -> str:
        """The slug with the version of its definition: ``ctr@1``; and the card that it was asked with."""
        return f"{self.slug}@{self.version}" + (f" ({self.card.id})" if self.card else "")

    @property
    def interval(self) -> Method | None:
        """The interval by default, with five members or more."""
        by_post = (Kind.RATIO, Kind.COST_RATIO, Kind.RETURN)
        return Method.LOG_JACKKNIFE_T if self.kind in by_post else None

    @property
    def aggregate(self) -> str:
        """How values are put together."""
        return _AGGREGATES[self.kind]

    @property
    def aggregation(self) -> str:
        """How values are put together, as a word: there is no other way."""
        return AGGREGATIONS[self.kind]

    @property
    def nulls(self) -> str:
        """When the value is null."""
        return _NULLS[self.kind]


_UNITS = {
    MetricUnit.COUNT: Unit.COUNT,
    MetricUnit.ACCOUNTS: Unit.ACCOUNTS,
    MetricUnit.MILLIONTHS: Unit.COUNT,
    MetricUnit.MONEY: Unit.MONEY,
    MetricUnit.MILLISECONDS: Unit.SECONDS,
}


def of_metric(metric: Metric) -> Kpi:
    """Return the line of a stored or summed metric."""
    kind = Kind.UNIQUE if metric.key == "reach" else Kind.LEVEL
    return Kpi(
        slug=metric.key,
        title=metric.title,
        formula=" + ".join(metric.parts) if metric.parts else metric.key,
        unit=_UNITS[metric.unit],
        kind=Kind.ADDITIVE if metric.additive else kind,
        needs=parts_of(metric.key),
        numerator=metric.key,
    )


def over(  # noqa: PLR0913 - a ratio is these facts
    slug: str,
    title: str,
    numerator: str,
    denominator: str,
    *,
    kind: Kind = Kind.RATIO,
    unit: Unit = Unit.FRACTION,
    scale: int = 1,
    offset: int = 0,
    small_sample: Method | None = None,
    proportion: bool = False,
    note: str | None = None,
    formula: str | None = None,
    takes_margin: bool = False,
) -> Kpi:
    """Return the line of a quotient."""
    needs = dict.fromkeys((*parts_of(numerator), *parts_of(denominator)))
    factor = f"{scale} * " if scale != 1 else ""
    return Kpi(
        slug=slug,
        title=title,
        formula=formula or f"{factor}{numerator} / {denominator}",
        unit=unit,
        kind=kind,
        needs=tuple(needs),
        numerator=numerator,
        denominator=denominator,
        scale=scale,
        offset=offset,
        small_sample=small_sample,
        proportion=proportion,
        note=note,
        takes_margin=takes_margin,
    )


def proportion(slug: str, title: str, numerator: str, denominator: str, note: str | None = None) -> Kpi:
    """Return the line of a quotient that is a part of a whole."""
    return over(slug, title, numerator, denominator, small_sample=Method.WILSON, proportion=True, note=note)


def cost_per(
    slug: str,
    title: str,
    denominator: str,
    *,
    scale: int = 1,
    small: Method | None = Method.GARWOOD,
    note: str | None = None,
) -> Kpi:
    """Return the line of what one of something costs."""
    return over(
        slug,
        title,
        "cost",
        denominator,
        kind=Kind.COST_RATIO,
        unit=Unit.MONEY,
        scale=scale,
        small_sample=small,
        note=note,
    )


def with_margin(kpi: Kpi, margin: int | None) -> Kpi:
    """Return a KPI with the margin (millionths) that it waits for, where one is known."""
    if not kpi.takes_margin or margin is None:
        return kpi
    return msgspec.structs.replace(kpi, takes_margin=False, scale=margin, per=MICRO)
