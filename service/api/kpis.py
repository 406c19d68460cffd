"""The KPI endpoint: a question in a query string, the answer as the report gives it, to the byte.

The answer's shape is declared once, by the structs of ``service.reports.answer``; the OpenAPI document is made of them.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, datetime
from typing import Annotated, Any

import msgspec
from fastapi import APIRouter, Request, Response
from fastapi import Query as RequestQuery
from pydantic import Field

from connectors.contract import Connector
from service import ids
from service.access.keys import Scope
from service.api import answers, exports
from service.api.auth import ReadsKpis
from service.api.models import CampaignId, Instant, Query, Zone
from service.api.state import Parts
from service.errors import Invalid
from service.kpi.buckets import Grain
from service.kpi.catalogue import ALIASES, CATALOGUE
from service.registry import checks
from service.registry.checks import nearest
from service.reports.answer import AnswerOut
from service.reports.campaign import COMPARISONS, DIMENSIONS, PlatformNotes, Question

router = APIRouter(prefix="/v1/campaigns", tags=["kpis"])

_REF = "#/components/schemas/{name}"


def components() -> dict[str, Any]:
    """Return the JSON Schemas of the answer, by name, for the OpenAPI document."""
    _, found = msgspec.json.schema_components([AnswerOut], ref_template=_REF)
    return found


class RangeQuery(Query):
    """The range of a question, its zone and its knowledge."""

    range: str | None = Field(
        None,
        max_length=40,
        description="a preset: `today`, `last_7d`, `last_7d_complete`, `flight`, `lifetime`; default `flight_to_date`",
        examples=["last_7d_complete"],
    )
    from_: str | None = Field(
        None,
        alias="from",
        max_length=40,
        description="first local day (inclusive), or an instant",
        examples=["2026-03-01"],
    )
    to: str | None = Field(
        None,
        max_length=40,
        description="last local day (inclusive), or an instant (exclusive)",
        examples=["2026-03-31"],
    )
    timezone: Zone | None = Field(None, description="IANA name; default: the campaign's")
    as_of: Instant | None = Field(None, description="answer with what was known then; `meta.as_of` pins an answer")


class KpiQuery(RangeQuery):
    """A question about one campaign. Lists are comma-separated words."""

    metrics: str | None = Field(
        None,
        max_length=2000,
        description="KPIs by slug or alias, comma-separated; without it what the campaign's kind opens on",
        examples=["impressions,ctr,cpa"],
    )
    granularity: str = Field("total", max_length=20, description="`total`, `hour`, `day`, `week` or `month`")
    dimensions: str | None = Field(None, max_length=200, description="`platform`, `tier`, or both")
    compare: str | None = Field(None, max_length=40, description="`previous_period`")
    level: float = Field(0.95, ge=0.5, le=0.999, description="confidence level of the intervals")
    form: str | None = Field(
        None, alias="format", max_length=20, description="`json`, `csv` or `ndjson`; default: what `Accept` prefers"
    )


@router.get(
    "/{campaign}/kpis",
    operation_id="getCampaignKpis",
    response_class=Response,
    responses=answers.declared(_REF.format(name="AnswerOut")),
)
async def get_campaign_kpis(
    request: Request,
    campaign: CampaignId,
    asked: Annotated[KpiQuery, RequestQuery()],
    caller: ReadsKpis,
    parts: Parts,
) -> Response:
    """Answer how a campaign is doing: values with intervals, states and reasons, compared and as of any instant."""
    campaign_id = ids.read("campaign", campaign)
    address = f"/v1/campaigns/{ids.show('campaign', campaign_id)}/kpis"
    question = msgspec.structs.replace(
        _question(asked),
        costs=caller.principal.may(Scope.COSTS_READ),
        evidence=address if caller.principal.may(Scope.PROVENANCE_READ) else None,
    )
    form = _one_of(asked.form, tuple(exports.FORMS), "?format") if asked.form else None
    return await answers.answered(request, caller, parts, campaign_id, question, platform_notes(parts.connectors), form)


def platform_notes(connectors: Any) -> PlatformNotes:
    """Return what the connectors declare of mapping rules and simulated platforms."""
    named: list[Connector] = [connector for connector in connectors.values() if connector.platform]
    return PlatformNotes(
        mappings={
            (connector.platform or "", line.metric): line.mapping
            for connector in named
            for line in connector.metrics
            if line.mapping and line.metric
        },
        simulated=frozenset(connector.platform or "" for connector in named if connector.capabilities.simulated),
    )


def over_range(asked: RangeQuery) -> Question:
    """Return a question that asks nothing yet, over a range. Raises :class:`Invalid`."""
    if asked.timezone is not None:
        checks.zone(asked.timezone, "?timezone")
    if asked.range is not None and (asked.from_ is not None or asked.to is not None):
        raise Invalid("give a preset or from and to, not both", pointer="?range", code="conflicting_ranges")
    first, last = _edges(asked)
    return Question(preset=asked.range, range_from=first, range_to=last, timezone=asked.timezone, as_of=asked.as_of)


def _question(asked: KpiQuery) -> Question:
    return msgspec.structs.replace(
        over_range(asked),
        metrics=tuple(words(asked.metrics)),
        granularity=Grain(_one_of(asked.granularity, tuple(grain.value for grain in Grain), "?granularity")),
        dimensions=tuple(dict.fromkeys(_one_of(word, DIMENSIONS, "?dimensions") for word in words(asked.dimensions))),
        compare=_one_of(asked.compare, COMPARISONS, "?compare") if asked.compare else None,
        level=asked.level,
    )


def words(text: str | None) -> list[str]:
    """Return the words of a list."""
    return [word.strip() for word in text.split(",") if word.strip()] if text else []


def _one_of(word: str, allowed: tuple[str, ...], pointer: str) -> str:
    if word in allowed:
        return word
    raise Invalid(
        f"{word[:40]!r} is not one of them",
        pointer=pointer,
        code="not_allowed",
        allowed=allowed,
        nearest=nearest(word, allowed),
    )


def _edges(asked: RangeQuery) -> tuple[date | datetime | None, date | datetime | None]:
    if asked.from_ is None and asked.to is None:
        return None, None
    if asked.from_ is None or asked.to is None:
        raise Invalid("a range has both ends", pointer="?to" if asked.to is None else "?from", code="open_range")
    first, last = _edge(asked.from_, "?from"), _edge(asked.to, "?to")
    if isinstance(first, datetime) is not isinstance(last, datetime):
        raise Invalid("both ends are days, or both are instants", pointer="?to", code="mixed_range")
    return first, last


def _edge(text: str, pointer: str) -> date | datetime:
    read: Callable[[str], date | datetime] = datetime.fromisoformat if "T" in text.upper() else date.fromisoformat
    try:
        found = read(text.replace(" ", "+") if "T" in text.upper() else text)
    except ValueError:
        raise Invalid("no day or instant of the calendar", pointer=pointer, code="bad_date") from None
    if isinstance(found, datetime) and found.tzinfo is None:
        raise Invalid("an instant carries its offset", pointer=pointer, code="naive_instant")
    if not 1990 <= found.year <= 2100:  # noqa: PLR2004 - the years that books can hold
        raise Invalid("the year is outside 1990 to 2100", pointer=pointer, code="bad_date")
    return found


__all__ = ["ALIASES", "CATALOGUE", "RangeQuery", "components", "over_range", "platform_notes", "router", "words"]
