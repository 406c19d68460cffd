"""The KPI dictionary as data: what each KPI is, of which metrics it is made, and how it may be aggregated.

How a KPI is computed from sums is in ``evaluate``; the metrics themselves are defined by the connector contract. What
is asked for only with figures of the caller's own stands in :data:`CONVENTIONS`.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping

from connectors.contract import METRICS
from service.errors import Invalid
from service.kpi.definitions import Kind, Kpi, cost_per, of_metric, over, proportion
from service.kpi.measure import Method, Unit
from service.kpi.members import EXPECTED_ENGAGEMENTS, FOLLOWERS_AT_PUBLISH, parts_of

__all__ = [
    "ALIASES",
    "CATALOGUE",
    "CONVENTIONS",
    "GIVEN_IN",
    "NOT_KEPT",
    "REFUSED",
    "RETIRED",
    "Kind",
    "Kpi",
    "UnknownKpi",
    "resolve",
]


class UnknownKpi(Invalid):
    """There is no KPI of this name; ``allowed`` holds the nearest ones and ``nearest`` the first of them."""

    def __init__(self, key: str, nearest: tuple[str, ...], why: str = "", code: str = "unknown_metric") -> None:
        """Keep the nearest names."""
        super().__init__(
            why or f"there is no KPI {key[:64]!r}",
            code=code,
            allowed=nearest,
            nearest=nearest[0] if nearest else None,
        )
        self.key = key


_CLAIMED = "what platforms claim for themselves overlaps: it is never added to what the ledger counts"
_TOTALS = "each platform counts its own kinds of interaction: across platforms definitions are compared"
_POST_REACH = "the base is the sum of the posts' own reach, not the reach of the campaign"
_POST_FOLLOWERS = "the base is the sum of followers when each post was published"

_RATIOS = (
    proportion("ctr", "Click-through rate", "clicks_link", "impressions"),
    proportion("ctr_all", "Click-through rate (all clicks)", "clicks_all", "impressions"),
    proportion("cvr_click", "Conversion rate per link click", "conversions", "clicks_link"),
    proportion(
        "cvr_platform", "Conversion rate that platforms claim", "conversions_platform", "clicks_link", note=_CLAIMED
    ),
    proportion("cvr_session", "Conversion rate per session", "conversions", "sessions"),
    proportion("er_impressions", "Engagement rate by impressions", "engagements", "impressions"),
    proportion("er_views", "Engagement rate by views", "engagements", "views"),
    proportion("er_reach", "Engagement rate by reach", "engagements", "reach", note=_POST_REACH),
    over(
        "er_followers",
        "Engagement rate by followers",
        "engagements",
        FOLLOWERS_AT_PUBLISH,
        small_sample=Method.WILSON,
        note=_POST_FOLLOWERS,
    ),
    proportion("cvr_reach", "Conversion rate by reach", "conversions", "reach", note=_POST_REACH),
    proportion(
        "er_platform",
        "Engagement rate by the platforms' own totals",
        "engagements_platform",
        "impressions",
        note=_TOTALS,
    ),
    over("landing_rate", "Sessions per link click", "sessions", "clicks_link", unit=Unit.RATIO),
    over("refund_rate", "Refunds per order", "refunds", "orders", unit=Unit.RATIO),
    proportion("video_vtr", "Video completion rate", "video_completions", "impressions"),
    proportion("video_vtr_3s", "Video completion rate of 3 s views", "video_completions", "video_views_3s"),
    proportion("video_start_rate", "Views of three seconds by impressions", "video_views_3s", "impressions"),
    over("watch_time_per_view", "Watch time per view", "watch_time", "views", unit=Unit.SECONDS),
    cost_per("cpc", "Cost per link click", "clicks_link"),
    cost_per("cpm", "Cost per thousand impressions", "impressions", scale=1000, small=None),
    cost_per("cpa", "Cost per conversion", "conversions"),
    cost_per("cpa_platform", "Cost per conversion that platforms claim", "conversions_platform", note=_CLAIMED),
    cost_per("cpe", "Cost per engagement", "engagements"),
    cost_per("cpv_3s", "Cost per video view of three seconds", "video_views_3s"),
    cost_per("cpv_complete", "Cost per completed video view", "video_completions"),
    cost_per("cps", "Cost per session", "sessions"),
    over("aov", "Average order value", "conversion_value", "orders", kind=Kind.COST_RATIO, unit=Unit.MONEY),
    over("roas", "Return on ad spend", "conversion_value", "cost", kind=Kind.RETURN, unit=Unit.RATIO),
    over(
        "roas_platform",
        "Return on ad spend that platforms claim",
        "conversion_value_platform",
        "cost",
        kind=Kind.RETURN,
        unit=Unit.RATIO,
        note=_CLAIMED,
    ),
    over(
        "roi_gross",
        "Return on investment, gross",
        "conversion_value",
        "cost",
        kind=Kind.RETURN,
        unit=Unit.RATIO,
        offset=-1,
        formula="(conversion_value - cost) / cost",
    ),
    over(
        "roi_margin",
        "Return on investment at the campaign's margin",
        "conversion_value",
        "cost",
        kind=Kind.RETURN,
        unit=Unit.RATIO,
        offset=-1,
        formula="(conversion_value * margin - cost) / cost",
        takes_margin=True,
    ),
    over(
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
    kpi.slug: kpi for kpi in (*(of_metric(metric) for metric in METRICS.values()), *_GROWTH, *_RATIOS)
}
"""Every KPI by its slug, in the order of the dictionary."""

CONVENTIONS: Mapping[str, Kpi] = {
    kpi.slug: kpi
    for kpi in (
        Kpi(
            slug="emv",
            title="Earned media value",
            formula="sum of counts * rates of a card",
            unit=Unit.MONEY,
            kind=Kind.EARNED,
            needs=(),
            note="a convention without an agreed formula: never part of a return",
        ),
        Kpi(
            slug="share_of_voice",
            title="Share of voice",
            formula="own count / (own count + counts of a set of brands)",
            unit=Unit.FRACTION,
            kind=Kind.VOICE,
            needs=(),
            proportion=True,
            small_sample=Method.WILSON,
            note="takes mentions as independent: the interval is too narrow where they come in bursts",
        ),
        Kpi(
            slug="tier_index",
            title="Tier index",
            formula="engagements / sum of followers_at_publish * benchmark of the tier",
            unit=Unit.RATIO,
            kind=Kind.RATIO,
            needs=(*parts_of("engagements"), FOLLOWERS_AT_PUBLISH),
            numerator="engagements",
            denominator=EXPECTED_ENGAGEMENTS,
            note="1 is what the benchmark expects of these tiers; posts without a tier or a benchmark are left out",
        ),
    )
}
"""KPIs that are computed only with figures of the asker's own, which the answer names: off by default."""

GIVEN_IN: Mapping[str, str] = {
    "emv": "options.rate_card",
    "share_of_voice": "options.brands",
    "tier_index": "options.benchmark",
}
"""Where a query gives what a convention stands on."""

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


RETIRED: Mapping[str, tuple[str, ...]] = {
    "plays": ("views",),
    "video_plays": ("views", "video_views_3s"),
    "organic_impressions": ("impressions",),
}
"""Names that platforms have taken out of use, with what took their place here."""

NOT_KEPT: Mapping[str, str] = {
    "cac": "new customers are not counted apart: whether an order is a first one is kept with it",
    "customers_new": "people who buy are kept as keyed hashes and not counted",
    "customers_repeat": "people who buy are kept as keyed hashes and not counted",
    "retention": "people who buy are kept as keyed hashes and not counted",
    "cvr_view": "which conversions a view led to is kept with each conversion, not summed",
    "conversions_view": "which conversions a view led to is kept with each conversion, not summed",
    "conversions_click": "which conversions a click led to is kept with each conversion, not summed",
    "impressions_viewable": "no connected platform reports viewable impressions",
    "mentions": "nothing listens to what others say",
    "hashtag_posts": "nothing listens to what others say",
    "hashtag_authors": "nothing listens to what others say",
    "video_views_2s": "video views are kept from three seconds on",
    "video_views_30s": "video views are kept from three seconds on",
}
"""What one may look for and the books do not hold, and why."""


def resolve(key: str) -> Kpi:
    """Return the KPI of a slug or an alias. Raises :class:`UnknownKpi` with the nearest names and the reason."""
    slug = ALIASES.get(key, key)
    if slug in CATALOGUE:
        return CATALOGUE[slug]
    if slug in CONVENTIONS:
        raise UnknownKpi(key, (), f"{slug} is asked for with {GIVEN_IN[slug]} in a query", "card_needed")
    if slug in REFUSED:
        why = f"{key!r} is used for different things: name the one that is meant"
        raise UnknownKpi(key, REFUSED[slug], why, "ambiguous_metric")
    if slug in RETIRED:
        raise UnknownKpi(key, RETIRED[slug], f"{key!r} is no longer reported by platforms", "retired_metric")
    if slug in NOT_KEPT:
        raise UnknownKpi(key, (), NOT_KEPT[slug], "not_kept")
    close = difflib.get_close_matches(key.lower()[:64], [*CATALOGUE, *ALIASES], n=3)
    raise UnknownKpi(key, tuple(dict.fromkeys(ALIASES.get(name, name) for name in close)))
