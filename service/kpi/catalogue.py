"""The KPI dictionary as data: what each KPI is, of which metrics it is made, and how it may be aggregated.

How a KPI is computed from sums is in ``evaluate``; the metrics themselves are defined by the connector contract.
"""

from __future__ import annotations

import difflib
import enum
from collections.abc import Mapping

import msgspec

from connectors.contract import METRICS, Metric
from connectors.contract import Unit as MetricUnit
from service.errors import Invalid
from service.kpi.measure import Method, Unit
from service.kpi.members import FOLLOWERS_AT_PUBLISH, parts_of


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


_AGGREGATES = {
    Kind.ADDITIVE: "sum of what is known",
    Kind.LEVEL: "value at the end of the range; bounds over several profiles",
    Kind.UNIQUE: "exact for one post; bounds over several",
    Kind.GROWTH: "sum of net changes over profiles",
    Kind.RATIO: "ratio of sums over the same members",
    Kind.COST_RATIO: "ratio of sums, cost of the members whose denominator is known",
    Kind.RETURN: "ratio of sums over the whole campaign",
    Kind.FREQUENCY: "never averaged; bounds over several posts",
}
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
}


class Kpi(msgspec.Struct, frozen=True, kw_only=True):
    """One line of the dictionary.

    ``needs`` are the stored metrics behind it. A ratio is ``scale * numerator / denominator + offset`` of two metric
    keys. A ``proportion`` cannot exceed 1 by its meaning. ``small_sample`` is the interval with fewer than five
    members or a numerator of 0; None is none. ``note`` travels with every value.
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
    offset: int = 0
    proportion: bool = False
    small_sample: Method | None = None
    note: str | None = None

    @property
    def definition(self) -> str:
        """The slug with the version of its definition: ``ctr@1``."""
        return f"{self.slug}@{self.version}"

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
    def nulls(self) -> str:
        """When the value is null."""
        return _NULLS[self.kind]


class UnknownKpi(Invalid):
    """There is no KPI of this name; ``allowed`` holds the nearest ones and ``nearest`` the first of them."""

    def __init__(self, key: str, nearest: tuple[str, ...], why: str = "") -> None:
        """Keep the nearest names."""
        super().__init__(
            why or f"there is no KPI {key[:64]!r}",
            code="unknown_metric",
            allowed=nearest,
            nearest=nearest[0] if nearest else None,
        )
        self.key = key


_UNITS = {
    MetricUnit.COUNT: Unit.COUNT,
    MetricUnit.ACCOUNTS: Unit.ACCOUNTS,
    MetricUnit.MILLIONTHS: Unit.COUNT,
    MetricUnit.MONEY: Unit.MONEY,
    MetricUnit.MILLISECONDS: Unit.SECONDS,
}


def _of_metric(metric: Metric) -> Kpi:
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


def _over(  # noqa: PLR0913 - a ratio is these facts
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
) -> Kpi:
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
    )


def _proportion(slug: str, title: str, numerator: str, denominator: str, note: str | None = None) -> Kpi:
    return _over(slug, title, numerator, denominator, small_sample=Method.WILSON, proportion=True, note=note)


def _cost(
    slug: str,
    title: str,
    denominator: str,
    *,
    scale: int = 1,
    small: Method | None = Method.GARWOOD,
    note: str | None = None,
) -> Kpi:
    return _over(
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


_CLAIMED = "what platforms claim for themselves overlaps: it is never added to what the ledger counts"
_POST_REACH = "the base is the sum of the posts' own reach, not the reach of the campaign"
_POST_FOLLOWERS = "the base is the sum of followers when each post was published"

_RATIOS = (
    _proportion("ctr", "Click-through rate", "clicks_link", "impressions"),
    _proportion("ctr_all", "Click-through rate (all clicks)", "clicks_all", "impressions"),
    _proportion("cvr_click", "Conversion rate per link click", "conversions", "clicks_link"),
    _proportion(
        "cvr_platform", "Conversion rate that platforms claim", "conversions_platform", "clicks_link", note=_CLAIMED
    ),
    _proportion("cvr_session", "Conversion rate per session", "conversions", "sessions"),
    _proportion("er_impressions", "Engagement rate by impressions", "engagements", "impressions"),
    _proportion("er_views", "Engagement rate by views", "engagements", "views"),
    _proportion("er_reach", "Engagement rate by reach", "engagements", "reach", note=_POST_REACH),
    _over(
        "er_followers",
        "Engagement rate by followers",
        "engagements",
        FOLLOWERS_AT_PUBLISH,
        small_sample=Method.WILSON,
        note=_POST_FOLLOWERS,
    ),
    _proportion("video_vtr", "Video completion rate", "video_completions", "impressions"),
    _cost("cpc", "Cost per link click", "clicks_link"),
    _cost("cpm", "Cost per thousand impressions", "impressions", scale=1000, small=None),
    _cost("cpa", "Cost per conversion", "conversions"),
    _cost("cpa_platform", "Cost per conversion that platforms claim", "conversions_platform", note=_CLAIMED),
    _cost("cpe", "Cost per engagement", "engagements"),
    _cost("cpv_3s", "Cost per video view of three seconds", "video_views_3s"),
    _over("aov", "Average order value", "conversion_value", "orders", kind=Kind.COST_RATIO, unit=Unit.MONEY),
    _over("roas", "Return on ad spend", "conversion_value", "cost", kind=Kind.RETURN, unit=Unit.RATIO),
    _over(
        "roas_platform",
        "Return on ad spend that platforms claim",
        "conversion_value_platform",
        "cost",
        kind=Kind.RETURN,
        unit=Unit.RATIO,
        note=_CLAIMED,
    ),
    _over(
        "roi_gross",
        "Return on investment, gross",
        "conversion_value",
        "cost",
        kind=Kind.RETURN,
        unit=Unit.RATIO,
        offset=-1,
        formula="(conversion_value - cost) / cost",
    ),
    _over(
        "frequency",
        "Frequency",
        "impressions",
        "reach",
        kind=Kind.FREQUENCY,
        unit=Unit.RATIO,
    ),
)

_GROWTH = (
    Kpi(
        slug="follower_growth",
        title="Follower growth",
        formula="followers at the end - followers at the start",
        unit=Unit.ACCOUNTS,
        kind=Kind.GROWTH,
        needs=("followers",),
    ),
    Kpi(
        slug="follower_growth_rate",
        title="Follower growth rate",
        formula="(followers at the end - followers at the start) / followers at the start",
        unit=Unit.FRACTION,
        kind=Kind.GROWTH,
        needs=("followers",),
    ),
)

CATALOGUE: Mapping[str, Kpi] = {
    kpi.slug: kpi for kpi in (*(_of_metric(metric) for metric in METRICS.values()), *_GROWTH, *_RATIOS)
}
"""Every KPI by its slug, in the order of the dictionary."""

ALIASES: Mapping[str, str] = {
    "clicks": "clicks_link",
    "spend": "spend_media",
    "conversion_rate": "cvr_click",
    "engagement_rate": "er_impressions",
    "roi": "roi_gross",
}
"""Names that are understood; an answer names the KPI itself."""

REFUSED: Mapping[str, tuple[str, ...]] = {"vtr": ("video_vtr",), "cpv": ("cpv_3s",)}
"""Names that mean different things to different people, with what may have been meant."""


def resolve(key: str) -> Kpi:
    """Return the KPI of a slug or an alias. Raises :class:`UnknownKpi` with the nearest names."""
    slug = ALIASES.get(key, key)
    if slug in CATALOGUE:
        return CATALOGUE[slug]
    if slug in REFUSED:
        raise UnknownKpi(key, REFUSED[slug], f"{key!r} is used for different things: name the one that is meant")
    close = difflib.get_close_matches(key.lower()[:64], [*CATALOGUE, *ALIASES], n=3)
    raise UnknownKpi(key, tuple(dict.fromkeys(ALIASES.get(name, name) for name in close)))
