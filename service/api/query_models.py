"""The query grammar as a body: every word of it, with what may stand there. What it means is in ``queries``."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BeforeValidator, Field, WithJsonSchema

from service.api.models import CampaignId, Currency, Day, Input, Instant, Line, StrategyId, Zone
from service.reports.query.asked import MOST_ROWS

_MOST_LISTED = 2000
"""Of anything: more is refused as too large by what reads it."""


def _as_key(value: Any) -> Any:
    return {"key": value} if isinstance(value, str) else value


def _as_preset(value: Any) -> Any:
    return {"preset": value} if isinstance(value, str) else value


def _as_comparison(value: Any) -> Any:
    return {"to": value} if isinstance(value, str) else value


class ScopeInput(Input):
    """Campaigns by id, or all campaigns of a strategy: one of the two."""

    campaigns: list[CampaignId] = Field(default_factory=list, max_length=_MOST_LISTED)
    strategy: StrategyId | None = None


class AttributionInput(Input):
    """How conversions are credited. Without it: as the books are kept."""

    model: str | None = Field(None, max_length=40, examples=["linear"])
    click_window_days: float | None = Field(None, gt=0, le=90)
    view_window_days: float | None = Field(None, ge=0, le=90)


class MetricInput(Input):
    """A KPI by slug or alias; the word alone is enough."""

    key: str = Field(max_length=100, examples=["ctr"])
    attribution: AttributionInput | None = None
    aggregation: str | None = Field(
        None, max_length=40, description="how values are put together; each KPI has one way, others are refused"
    )


class RangeInput(Input):
    """A preset, or both ends: local days (inclusive), or instants (the end exclusive)."""

    preset: str | None = Field(None, max_length=40, examples=["last_7d_complete"])
    from_: str | None = Field(None, alias="from", max_length=40, examples=["2026-03-01"])
    to: str | None = Field(None, max_length=40, examples=["2026-03-31"])


class OtherInput(Input):
    """A range as long as the one that is asked for, or another campaign."""

    from_: str | None = Field(None, alias="from", max_length=40)
    to: str | None = Field(None, max_length=40)
    campaign: CampaignId | None = None


_OTHER = {"anyOf": [{"type": "string"}, {"$ref": "#/components/schemas/OtherInput"}]}


class CompareInput(Input):
    """What to compare with; the word alone is enough."""

    to: Annotated[Any, WithJsonSchema(_OTHER)] = "previous_period"
    align: str = Field("elapsed", max_length=20, description="`elapsed`: the same part of it; `full`: all of it")
    same_weekdays: bool = Field(True, description="`previous_year` is 52 weeks back, else the same dates")  # noqa: FBT003


class PageInput(Input):
    """Rows of this page, and where it goes on."""

    limit: int = Field(MOST_ROWS, ge=1, le=MOST_ROWS)
    after: str | None = Field(None, max_length=4000, description="`page.next` of the page before")


class ExchangeInput(Input):
    """What one unit of each currency is worth in the `currency` of the query. No rates are kept: give them."""

    rates: dict[Currency, str] = Field(min_length=1, max_length=50, examples=[{"USD": "0.92"}])
    day: Day | None = Field(None, description="the day of the rates, to be named in the answer")


class RateCardInput(Input):
    """What one of each count is said to be worth: makes `emv` possible."""

    id: Line
    currency: Currency
    rates: dict[str, str] = Field(min_length=1, max_length=30, examples=[{"likes": "0.10"}])


class BrandsInput(Input):
    """The counts of other brands: makes `share_of_voice` possible."""

    id: Line
    metric: str = Field(max_length=100, description="the count of one's own that is set against theirs")
    counts: dict[Line, int] = Field(min_length=1, max_length=50, examples=[{"other": 1200}])


class BenchmarkInput(Input):
    """Engagements per follower at publication that each tier is expected to have: makes `tier_index` possible."""

    id: Line
    rates: dict[Line, str] = Field(min_length=1, max_length=20, examples=[{"micro": "0.08"}])


class IntervalInput(Input):
    """Confidence level and method of intervals."""

    level: float = Field(0.95, ge=0.5, le=0.999)
    method: str = Field("auto", max_length=20)


class OptionsInput(Input):
    """What changes how numbers come about."""

    coverage: str = Field("report", max_length=20, description="`strict`: null unless every post knows both sides")
    interval: IntervalInput = Field(default_factory=IntervalInput)
    falls: str = Field(
        "signed",
        max_length=20,
        description="`signed`: a fall is negative growth; `high_water`: none is, later growth first fills the hole",
    )
    tier_policy: str | None = Field(None, max_length=100, examples=["brief_four_tier@1"])
    week_starts: str = Field("monday", max_length=20, description="`monday` or `sunday`")
    rate_card: RateCardInput | None = None
    brands: BrandsInput | None = None
    benchmark: BenchmarkInput | None = None


_METRIC = {"anyOf": [{"type": "string"}, {"$ref": "#/components/schemas/MetricInput"}]}
_LIST = {"type": "array", "items": {}}
Condition = Annotated[Any, WithJsonSchema(_LIST)]


class QueryInput(Input):
    """One question about one campaign or several. Everything but the scope may be left out."""

    scope: ScopeInput
    metrics: list[Annotated[MetricInput, BeforeValidator(_as_key), WithJsonSchema(_METRIC)]] = Field(
        default_factory=list,
        max_length=_MOST_LISTED,
        description="KPIs by slug or alias; without any, those that the campaign's kind opens on",
    )
    range: Annotated[RangeInput, BeforeValidator(_as_preset)] = Field(
        default_factory=RangeInput, description="default: `flight_to_date`, for several campaigns `lifetime`"
    )
    timezone: Zone | None = None
    granularity: str = Field(
        "total", max_length=20, description="`total`, `hour`, `day`, `week`, `month` or `auto`", examples=["day"]
    )
    dimensions: list[str] = Field(default_factory=list, max_length=_MOST_LISTED, examples=[["platform"]])
    filters: Condition = Field(
        None,
        description='conditions on subjects: `["is", "platform", ["tiktok"]]`, joined by `["and", [...]]`, '
        '`["or", [...]]`, `["not", [...]]`',
    )
    having: Condition = Field(None, description='conditions on KPIs of rows: `["gte", "impressions", 100]`')
    compare: Annotated[CompareInput, BeforeValidator(_as_comparison)] | None = None
    order: Condition = Field(None, description='`["ctr", "desc", {"by": "lower_limit"}]`, one or a list of them')
    page: PageInput = Field(default_factory=PageInput)
    include: list[str] | None = Field(None, max_length=20, description="default: everything")
    as_of: Instant | None = None
    currency: Currency | None = None
    exchange: ExchangeInput | None = None
    options: OptionsInput = Field(default_factory=OptionsInput)
    format: str | None = Field(
        None,
        max_length=20,
        description="`rows` (or `json`), `columns`, `csv` or `ndjson`; default: what `Accept` prefers",
    )
