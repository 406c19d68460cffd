"""The query grammar as a body: every word of it, with what may stand there. What it means is in ``queries``."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BeforeValidator, ConfigDict, Field, WithJsonSchema

from service.api.models import CampaignId, Currency, Day, Input, Instant, Line, StrategyId, Zone
from service.api.query_schemas import KEYS, either, ref, words
from service.reports.query.asked import COMPARISONS, INCLUDED, MOST_ROWS
from service.reports.question import DIMENSIONS

_MOST_LISTED = 2000
"""Of anything: more is refused as too large by what reads it."""


def _as_key(value: Any) -> Any:
    return {"key": value} if isinstance(value, str) else value


def _as_preset(value: Any) -> Any:
    return {"preset": value} if isinstance(value, str) else value


def _as_comparison(value: Any) -> Any:
    return {"to": value} if isinstance(value, str) else value


def _without_defaults(schema: dict[str, Any]) -> None:
    """Leave defaults to descriptions: generators of clients take a field that has one to be there."""
    for field in schema.get("properties", {}).values():
        field.pop("default", None)


class Part(Input):
    """A part of a query."""

    model_config = ConfigDict(json_schema_extra=_without_defaults)


class ScopeInput(Part):
    """Campaigns by id, or all campaigns of a strategy: one of the two."""

    campaigns: list[CampaignId] = Field(default_factory=list, max_length=_MOST_LISTED)
    strategy: StrategyId | None = None


class AttributionInput(Part):
    """How conversions are credited. Without it: as the books are kept."""

    model: str | None = Field(None, max_length=40, examples=["linear"])
    click_window_days: float | None = Field(None, gt=0, le=90)
    view_window_days: float | None = Field(None, ge=0, le=90)


class MetricInput(Part):
    """A KPI by slug or alias; the word alone is enough."""

    key: Annotated[str, WithJsonSchema(words(*KEYS))] = Field(max_length=100)
    attribution: AttributionInput | None = None
    aggregation: str | None = Field(
        None, max_length=40, description="how values are put together; each KPI has one way, others are refused"
    )


class RangeInput(Part):
    """A preset, or both ends: local days (inclusive), or instants (the end exclusive)."""

    preset: str | None = Field(None, max_length=40, examples=["last_7d_complete"])
    from_: str | None = Field(None, alias="from", max_length=40, examples=["2026-03-01"])
    to: str | None = Field(None, max_length=40, examples=["2026-03-31"])


class OtherInput(Part):
    """A range as long as the one that is asked for, or another campaign."""

    from_: str | None = Field(None, alias="from", max_length=40)
    to: str | None = Field(None, max_length=40)
    campaign: CampaignId | None = None


_OTHER = either({"type": "string", "examples": list(COMPARISONS)}, ref("OtherInput"))


class CompareInput(Part):
    """What to compare with; the word alone is enough."""

    to: Annotated[Any, WithJsonSchema(_OTHER)] = "previous_period"
    align: str = Field(
        "elapsed",
        max_length=20,
        description="`elapsed` (the default): the same part of it; `full`: all of it",
        json_schema_extra=words("elapsed", "full"),
    )
    same_weekdays: bool = Field(True, description="`previous_year` is 52 weeks back, else the same dates")  # noqa: FBT003


class PageInput(Part):
    """Rows of this page, and where it goes on."""

    limit: int = Field(MOST_ROWS, ge=1, le=MOST_ROWS, description=f"default: {MOST_ROWS}")
    after: str | None = Field(None, max_length=4000, description="`page.next` of the page before")


class ExchangeInput(Part):
    """What one unit of each currency is worth in the `currency` of the query. No rates are kept: give them."""

    rates: dict[Currency, str] = Field(min_length=1, max_length=50, examples=[{"USD": "0.92"}])
    day: Day | None = Field(None, description="the day of the rates, to be named in the answer")


class RateCardInput(Part):
    """What one of each count is said to be worth: makes `emv` possible."""

    id: Line
    currency: Currency
    rates: dict[str, str] = Field(min_length=1, max_length=30, examples=[{"likes": "0.10"}])


class BrandsInput(Part):
    """The counts of other brands: makes `share_of_voice` possible."""

    id: Line
    metric: str = Field(max_length=100, description="the count of one's own that is set against theirs")
    counts: dict[Line, int] = Field(min_length=1, max_length=50, examples=[{"other": 1200}])


class BenchmarkInput(Part):
    """Engagements per follower at publication that each tier is expected to have: makes `tier_index` possible."""

    id: Line
    rates: dict[Line, str] = Field(min_length=1, max_length=20, examples=[{"micro": "0.08"}])


class IntervalInput(Part):
    """Confidence level and method of intervals."""

    level: float = Field(0.95, ge=0.5, le=0.999, description="default: 0.95")
    method: str = Field("auto", max_length=20, json_schema_extra=words("auto", "none"))


class OptionsInput(Part):
    """What changes how numbers come about."""

    coverage: str = Field(
        "report",
        max_length=20,
        description="`strict`: null unless every post knows both sides",
        json_schema_extra=words("report", "strict"),
    )
    interval: IntervalInput = Field(default_factory=IntervalInput)
    falls: str = Field(
        "signed",
        max_length=20,
        description="`signed`: a fall is negative growth; `high_water`: none is, later growth first fills the hole",
    )
    exclude_suspect: bool = Field(
        False,  # noqa: FBT003
        description="each value without suspect engagement beside it, and in `meta.suspects` who was left out and why",
    )
    tier_policy: str | None = Field(None, max_length=100, examples=["brief_four_tier@1"])
    week_starts: str = Field(
        "monday", max_length=20, description="default: `monday`", json_schema_extra=words("monday", "sunday")
    )
    rate_card: RateCardInput | None = None
    brands: BrandsInput | None = None
    benchmark: BenchmarkInput | None = None


_NOTHING = {"type": "null"}
_METRIC = either(ref("MetricKey"), ref("MetricInput"))
_PRESET = either({"type": "string", "examples": ["last_7d_complete"]}, ref("RangeInput"))
_COMPARED = either({"type": "string", "examples": list(COMPARISONS)}, ref("CompareInput"), _NOTHING)
Dimension = Annotated[str, WithJsonSchema(words(*DIMENSIONS))]
Included = Annotated[str, WithJsonSchema(words(*INCLUDED))]


_EXAMPLE: dict[str, Any] = {
    "scope": {"campaigns": ["cmp_01890a5d0000700080000000000000aa"]},
    "metrics": ["impressions", "ctr", {"key": "cpa", "attribution": {"model": "linear"}}],
    "range": {"preset": "last_28d"},
    "granularity": "day",
    "dimensions": ["platform"],
    "filters": ["is", "platform", ["instagram", "tiktok"]],
    "compare": {"to": "previous_period"},
    "order": ["impressions", "desc"],
}


def _exemplified(schema: dict[str, Any]) -> None:
    _without_defaults(schema)
    schema["examples"] = [_EXAMPLE]


class QueryInput(Part):
    """One question about one campaign or several. Everything but the scope may be left out."""

    model_config = ConfigDict(json_schema_extra=_exemplified)

    scope: ScopeInput
    metrics: list[Annotated[MetricInput, BeforeValidator(_as_key), WithJsonSchema(_METRIC)]] = Field(
        default_factory=list,
        max_length=_MOST_LISTED,
        description="KPIs by slug or alias; without any, those that the campaign's kind opens on",
    )
    range: Annotated[RangeInput, BeforeValidator(_as_preset), WithJsonSchema(_PRESET)] = Field(
        default_factory=RangeInput, description="default: `flight_to_date`, for several campaigns `lifetime`"
    )
    timezone: Zone | None = None
    granularity: str = Field(
        "total",
        max_length=20,
        description="default: `total`",
        json_schema_extra=words("total", "hour", "day", "week", "month", "auto"),
    )
    dimensions: list[Dimension] = Field(default_factory=list, max_length=_MOST_LISTED, examples=[["platform"]])
    filters: Annotated[Any, WithJsonSchema(either(ref("Filter"), _NOTHING))] = Field(
        None,
        description='conditions on subjects: `["is", "platform", ["tiktok"]]`, joined by `["and", [...]]`, '
        '`["or", [...]]`, `["not", [...]]`',
    )
    having: Annotated[Any, WithJsonSchema(either(ref("Having"), _NOTHING))] = Field(
        None, description='conditions on KPIs of rows: `["gte", "impressions", 100]`'
    )
    compare: Annotated[CompareInput | None, BeforeValidator(_as_comparison), WithJsonSchema(_COMPARED)] = None
    order: Annotated[Any, WithJsonSchema(either(ref("Order"), _NOTHING))] = Field(
        None, description='`["ctr", "desc", {"by": "lower_limit"}]`, one or a list of them'
    )
    page: PageInput = Field(default_factory=PageInput)
    include: list[Included] | None = Field(None, max_length=20, description="default: everything")
    as_of: Instant | None = None
    currency: Currency | None = None
    exchange: ExchangeInput | None = None
    options: OptionsInput = Field(default_factory=OptionsInput)
    format: str | None = Field(
        None,
        max_length=20,
        description="`rows` (or `json`), `columns`, `csv` or `ndjson`; default: what `Accept` prefers",
    )
