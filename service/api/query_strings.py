"""The query grammar in a query string: simple words separated by commas, anything structured as JSON of the body."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
from pydantic import Field, ValidationError

from service.api.kpi_ranges import RangeQuery
from service.api.mistakes import mistake_of
from service.api.models import Currency, Query
from service.api.query_models import QueryInput
from service.errors import Invalid

_LONGEST = 8000
_LISTS = ("metrics", "dimensions", "include")
_JSON = ("filters", "having", "order", "exchange", "options", "compare", "range")
_OPENS = ("[", "{", '"')


class CampaignQuery(RangeQuery):
    """A question about one campaign. Lists are comma-separated words; what is structured is JSON as in a body."""

    metrics: str | None = Field(
        None,
        max_length=_LONGEST,
        description="KPIs by slug or alias, comma-separated; without it what the campaign's kind opens on",
        examples=["impressions,ctr,cpa"],
    )
    range: str | None = Field(
        None,
        max_length=200,
        description="a preset: `today`, `last_7d`, `last_7d_complete`, `flight`, `lifetime`; default `flight_to_date`",
        examples=["last_7d_complete"],
    )
    granularity: str = Field("total", max_length=20, description="`total`, `hour`, `day`, `week`, `month` or `auto`")
    dimensions: str | None = Field(None, max_length=200, description="`platform`, `tier`, ..., comma-separated")
    filters: str | None = Field(None, max_length=_LONGEST, examples=['["is","platform",["tiktok"]]'])
    having: str | None = Field(None, max_length=_LONGEST, examples=['["gte","impressions",100]'])
    compare: str | None = Field(
        None, max_length=400, description="`previous_period`, `previous_year`, `previous_flight`, a campaign, or JSON"
    )
    order: str | None = Field(None, max_length=1000, description="a KPI or a dimension, the greatest first; or JSON")
    include: str | None = Field(None, max_length=200, description="default: everything")
    currency: Currency | None = None
    exchange: str | None = Field(None, max_length=2000, examples=['{"rates":{"USD":"0.92"}}'])
    options: str | None = Field(None, max_length=_LONGEST, examples=['{"coverage":"strict"}'])
    level: float | None = Field(None, ge=0.5, le=0.999, description="confidence level of the intervals")
    exclude_suspect: bool | None = Field(None, description="show each value without suspect engagement too")
    limit: int | None = Field(None, ge=1, le=1000, description="rows of this page at most")
    after: str | None = Field(None, max_length=4000, description="`page.next` of the page before")
    format: str | None = Field(
        None,
        max_length=20,
        description="`rows` (or `json`), `columns`, `csv` or `ndjson`; default: what `Accept` prefers",
    )


def body_of(asked: Query, campaign: str, **more: Any) -> QueryInput:
    """Return the body that a query string stands for, with ``more`` that the route itself says.

    Raises :class:`Invalid` for what is no JSON, and for what a body would be refused for.
    """
    given = {name: getattr(asked, name) for name in type(asked).model_fields if getattr(asked, name) is not None}
    body: dict[str, Any] = {"scope": {"campaigns": [campaign]}}
    for name in ("timezone", "as_of", "currency", "granularity", "format"):
        if name in given:
            body[name] = given[name]
    for name in _LISTS:
        if name in given:
            body[name] = _listed(given[name], name)
    for name in _JSON:
        if name in given:
            body[name] = _structured(given[name], name)
    _range(given, body)
    page = {name: given[name] for name in ("limit", "after") if name in given}
    if page:
        body["page"] = page
    if "level" in given:
        _level(given["level"], body)
    if "exclude_suspect" in given and isinstance(options := body.setdefault("options", {}), dict):
        options.setdefault("exclude_suspect", given["exclude_suspect"])
    return _read(body | more)


def _listed(text: str, name: str) -> Any:
    if text.lstrip().startswith(_OPENS):
        return _json(text, name)
    return [word.strip() for word in text.split(",") if word.strip()]


def _structured(text: str, name: str) -> Any:
    return _json(text, name) if text.lstrip().startswith(_OPENS) else text


def _json(text: str, name: str) -> Any:
    try:
        return msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError, UnicodeEncodeError):
        raise Invalid("this is not JSON", pointer=f"?{name}", code="malformed_json") from None


def _range(given: Mapping[str, Any], body: dict[str, Any]) -> None:
    ends = {name: given[field] for name, field in (("from", "from_"), ("to", "to")) if field in given}
    if ends and "range" in body:
        raise Invalid("give a preset or from and to, not both", pointer="?range", code="conflicting_ranges")
    if ends:
        body["range"] = ends


def _level(level: float, body: dict[str, Any]) -> None:
    options = body.setdefault("options", {})
    if isinstance(options, dict):
        interval = options.setdefault("interval", {})
        if isinstance(interval, dict):
            interval.setdefault("level", level)


def _read(body: Mapping[str, Any]) -> QueryInput:
    try:
        return QueryInput.model_validate(body)
    except ValidationError as error:
        found = mistake_of(QueryInput, error.errors(include_url=False)[0])
        raise Invalid(
            found.detail,
            pointer="?" + found.pointer.removeprefix("/"),
            code=found.code,
            allowed=tuple(found.allowed),
            nearest=found.did_you_mean,
        ) from None
