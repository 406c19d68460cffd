"""The KPI dictionary over HTTP, made of the catalogue: what may be asked for, and what it will mean."""

from __future__ import annotations

from fastapi import APIRouter
from pydantic import Field

from connectors.contract import METRICS
from service.api.auth import ReadsKpis
from service.api.models import Output
from service.kpi.catalogue import ALIASES, CATALOGUE, CONVENTIONS, GIVEN_IN, NOT_KEPT, REFUSED, RETIRED, Kind, Kpi
from service.reports.question import DIMENSIONS

router = APIRouter(prefix="/v1/metrics", tags=["kpis"])


class AdditiveOutput(Output):
    """Whether values may be added over time, over posts, over platforms."""

    time: bool
    posts: bool
    platforms: bool


class MetricOutput(Output):
    """One KPI: what it is, of what it is made, how it behaves."""

    key: str
    title: str
    definition: str = Field(description="slug and version, as `meta.definitions` of an answer names it")
    version: int
    formula: str
    meaning: str | None = Field(description="of a metric that platforms report")
    unit: str
    kind: str
    additive: AdditiveOutput
    aggregation: str = Field(description="the one way in which values are put together")
    aggregate: str
    nulls: str
    numerator: str | None
    denominator: str | None
    needs: list[str]
    dimensions: list[str]
    interval: str | None = Field(description="with five posts or more and something counted")
    small_sample: str | None = Field(description="the interval else")
    coverage: bool = Field(description="whether a value says how many members stand behind it")
    asks_for: str | None = Field(description="what must be given in the query: off by default")
    aliases: list[str]
    note: str | None


class OtherNameOutput(Output):
    """A name that is refused, with the reason and what may have been meant."""

    key: str
    reason: str
    instead: list[str]


class DictionaryOutput(Output):
    """The whole dictionary."""

    data: list[MetricOutput]
    refused: list[OtherNameOutput]


@router.get("")
async def list_metrics(_caller: ReadsKpis) -> DictionaryOutput:
    """List every KPI that may be asked for, and the names that are refused with the reason."""
    refused = [OtherNameOutput(key=key, reason="ambiguous", instead=list(names)) for key, names in REFUSED.items()]
    refused += [OtherNameOutput(key=key, reason="retired", instead=list(names)) for key, names in RETIRED.items()]
    refused += [OtherNameOutput(key=key, reason=f"not kept: {why}", instead=[]) for key, why in NOT_KEPT.items()]
    return DictionaryOutput(
        data=[_output(kpi) for kpi in (*CATALOGUE.values(), *CONVENTIONS.values())], refused=refused
    )


def _output(kpi: Kpi) -> MetricOutput:
    adds = kpi.kind in (Kind.ADDITIVE, Kind.EARNED)
    return MetricOutput(
        key=kpi.slug,
        title=kpi.title,
        definition=kpi.definition,
        version=kpi.version,
        formula=kpi.formula,
        meaning=METRICS[kpi.slug].definition if kpi.slug in METRICS else None,
        unit=kpi.unit,
        kind=kpi.kind,
        additive=AdditiveOutput(time=adds or kpi.kind is Kind.GROWTH, posts=adds, platforms=adds),
        aggregation=kpi.aggregation,
        aggregate=kpi.aggregate,
        nulls=kpi.nulls,
        numerator=kpi.numerator,
        denominator=kpi.denominator,
        needs=list(kpi.needs),
        dimensions=list(DIMENSIONS),
        interval=kpi.interval,
        small_sample=kpi.small_sample,
        coverage=kpi.kind is not Kind.EARNED,
        asks_for=GIVEN_IN.get(kpi.slug),
        aliases=sorted(name for name, slug in ALIASES.items() if slug == kpi.slug),
        note=kpi.note,
    )
