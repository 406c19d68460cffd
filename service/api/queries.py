"""What the words of the query grammar mean: a body becomes a query, or a mistake with its place and what is right.

Places are written as those of a query string (``?metrics/0``); ``query_words.as_body`` turns them into JSON pointers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

import msgspec
from pydantic import ValidationError

from service import ids
from service.api.kpi_ranges import edges
from service.api.mistakes import mistake_of
from service.api.query_figures import exchange_of, given_in
from service.api.query_models import (
    AttributionInput,
    CompareInput,
    MetricInput,
    OtherInput,
    QueryInput,
)
from service.api.query_words import one_of
from service.errors import Invalid, NotFound, TooLarge
from service.kpi.attribution import Model
from service.kpi.buckets import Grain
from service.kpi.catalogue import ALIASES, CATALOGUE, Kpi, resolve
from service.kpi.tiers import BRIEF_FOUR_TIER, POLICIES
from service.registry import checks
from service.reports.query.asked import (
    COMPARISONS,
    INCLUDED,
    MOST_CAMPAIGNS,
    MOST_DIMENSIONS,
    MOST_METRICS,
    Attribution,
    By,
    Compare,
    Order,
    Query,
    Scope,
)
from service.reports.query.dimensions import names as dimension_names
from service.reports.query.filters import Condition, Join, Names, Node
from service.reports.query.filters import read as read_filters
from service.reports.question import DIMENSIONS, FALLS, HIGH_WATER, Question

FORMS = {"rows": "json", "json": "json", "columns": "columns", "csv": "csv", "ndjson": "ndjson"}
"""The words of ``format``, and how an answer leaves."""
ALIGNMENTS = ("elapsed", "full")
GRAINS = (*(grain.value for grain in Grain), "auto")
_MODELS: Mapping[str, Model] = {**{model.value: model for model in Model}, "last_click_then_view": Model.LAST}
_MOST_ORDERS = 5


def query_of(body: QueryInput, *, costs: bool, evidence: str | None) -> Query:
    """Return the query of a body. Raises :class:`Invalid` with a pointer, :class:`TooLarge` for more than may be."""
    scope = _scope(body)
    policy = body.options.tier_policy
    own = policy if policy is not None and policy not in POLICIES else None
    tiers = POLICIES.get(policy or "", BRIEF_FOUR_TIER)
    given = given_in(body.options, tiers if own is None else None)
    metrics = _metrics(body.metrics, given)
    grain = one_of(body.granularity, GRAINS, "?granularity")
    first, last = edges(body.range.from_, body.range.to, "?range")
    if body.range.preset is not None and first is not None:
        raise Invalid("give a preset or from and to, not both", pointer="?range", code="conflicting_ranges")
    if body.timezone is not None:
        checks.zone(body.timezone, "?timezone")
    preset = body.range.preset
    if preset is None and first is None and (scope.strategy is not None or len(scope.campaigns) > 1):
        preset = "lifetime"
    dimensions = _dimensions(body.dimensions)
    falls = one_of(body.options.falls, FALLS, "?options/falls")
    # What is proven is the books, and these are signed.
    is_proven = scope.strategy is None and len(scope.campaigns) == 1 and falls != HIGH_WATER
    question = Question(
        metrics=metrics,
        preset=preset,
        range_from=first,
        range_to=last,
        timezone=body.timezone,
        granularity=Grain.TOTAL if grain == "auto" else Grain(grain),
        dimensions=dimensions,
        as_of=body.as_of,
        level=body.options.interval.level,
        falls=falls,
        costs=costs,
        evidence=evidence if is_proven else None,
    )
    tier_words = (*(tier for tier, _ in tiers.tiers), tiers.below) if own is None else ()
    query = Query(
        question=question,
        scope=scope,
        auto=grain == "auto",
        filters=read_filters(body.filters, dimension_names(tier_words), "?filters"),
        having=_having(body.having, given),
        order=_orders(body.order, dimensions, given),
        compare=_compare(body.compare),
        limit=body.page.limit,
        after=body.page.after,
        include=_include(body),
        currency=None if body.currency is None else checks.currency(body.currency, "?currency"),
        exchange=exchange_of(body),
        strict=one_of(body.options.coverage, ("report", "strict"), "?options/coverage") == "strict",
        exclude_suspect=body.options.exclude_suspect,
        sunday_weeks=one_of(body.options.week_starts, ("monday", "sunday"), "?options/week_starts") == "sunday",
        tiers=tiers,
        tier_policy=own,
        given=given,
        attribution=_attributions(body.metrics),
    )
    if body.format is not None:
        one_of(body.format, FORMS, "?format")
    return msgspec.structs.replace(query, written=_written(body))


def _written(body: QueryInput) -> dict[str, Any]:
    return body.model_dump(mode="json", by_alias=True, exclude={"format"})


def _limited(count: int, most: int, what: str) -> None:
    if count > most:
        raise TooLarge(f"at most {most} {what}")


# ------------------------------------------------------------------------------------------------ what and where


def _scope(body: QueryInput) -> Scope:
    campaigns, strategy = body.scope.campaigns, body.scope.strategy
    if bool(campaigns) is (strategy is not None):
        raise Invalid("a scope is campaigns or a strategy", pointer="?scope", code="bad_scope")
    _limited(len(campaigns), MOST_CAMPAIGNS, "campaigns")
    return Scope(
        campaigns=tuple(dict.fromkeys(ids.read("campaign", one) for one in campaigns)),
        strategy=None if strategy is None else ids.read("strategy", strategy),
    )


def _metrics(metrics: Sequence[MetricInput], given: Mapping[str, Kpi]) -> tuple[str, ...]:
    _limited(len(metrics), MOST_METRICS, "metrics")
    found = []
    for place, metric in enumerate(metrics):
        kpi = _kpi(metric.key, given, f"?metrics/{place}")
        if metric.aggregation is not None and metric.aggregation != kpi.aggregation:
            raise Invalid(
                f"{kpi.slug} has one aggregation: {kpi.aggregate}",
                pointer=f"?metrics/{place}/aggregation",
                code="not_additive" if metric.aggregation == "sum" else "impossible_aggregation",
                allowed=(kpi.aggregation,),
            )
        found.append(kpi.slug)
    return tuple(dict.fromkeys(found))


def _kpi(key: str, given: Mapping[str, Kpi], pointer: str) -> Kpi:
    if key in given:
        return given[key]
    try:
        return resolve(key)
    except Invalid as error:
        raise Invalid(
            str(error), pointer=pointer, code=error.code, allowed=error.allowed, nearest=error.nearest
        ) from None


def _attributions(metrics: Sequence[MetricInput]) -> dict[str, Attribution]:
    found: dict[str, Attribution] = {}
    for place, metric in enumerate(metrics):
        if metric.attribution is not None:
            slug = ALIASES.get(metric.key, metric.key)
            way = _attribution(metric.attribution, f"?metrics/{place}/attribution")
            if found.setdefault(slug, way) != way:
                why = f"{slug} has one attribution in a query: ask twice to compare models"
                raise Invalid(why, pointer=f"?metrics/{place}/attribution", code="two_attributions")
    return {slug: way for slug, way in found.items() if way != Attribution()}


def _attribution(given: AttributionInput, place: str) -> Attribution:
    model = None if given.model is None else _MODELS[one_of(given.model, _MODELS, f"{place}/model")]
    return Attribution(model=model, click_days=given.click_window_days, view_days=given.view_window_days)


def _dimensions(names: Sequence[str]) -> tuple[str, ...]:
    _limited(len(names), MOST_DIMENSIONS, "dimensions")
    return tuple(dict.fromkeys(one_of(name, DIMENSIONS, f"?dimensions/{place}") for place, name in enumerate(names)))


def _include(body: QueryInput) -> frozenset[str]:
    listed = INCLUDED if body.include is None else body.include
    words = [one_of(word, INCLUDED, f"?include/{place}") for place, word in enumerate(listed)]
    method = one_of(body.options.interval.method, ("auto", "none"), "?options/interval/method")
    return frozenset(words) - ({"intervals"} if method == "none" else set())


# ------------------------------------------------------------------------------------------------ which rows


def _having(given: Any, cards: Mapping[str, Kpi]) -> Node | None:
    names = Names(numbers=(*CATALOGUE, *ALIASES, *cards))
    return _by_slug(read_filters(given, names, "?having"))


def _by_slug(node: Node | None) -> Node | None:
    """Return conditions with the KPIs' own names."""
    if isinstance(node, Condition):
        return msgspec.structs.replace(node, name=ALIASES.get(node.name, node.name))
    if isinstance(node, Join):
        return msgspec.structs.replace(node, parts=tuple(part for one in node.parts if (part := _by_slug(one))))
    return None


def _orders(given: Any, dimensions: Sequence[str], cards: Mapping[str, Kpi]) -> tuple[Order, ...]:
    if given is None or given == []:
        return ()
    if isinstance(given, str):
        given = [[given]]
    if not isinstance(given, list):
        raise Invalid("an order is a list", pointer="?order", code="bad_order")
    listed = given if all(isinstance(one, list) for one in given) else [given]
    _limited(len(listed), _MOST_ORDERS, "orders")
    place = "?order/{}" if listed is given else "?order"
    return tuple(_order(one, dimensions, cards, place.format(number)) for number, one in enumerate(listed))


def _order(given: list[Any], dimensions: Sequence[str], cards: Mapping[str, Kpi], place: str) -> Order:
    if not 1 <= len(given) <= 3 or not isinstance(given[0], str):  # noqa: PLR2004 - a key, a direction, modifiers
        raise Invalid("an order is a key, a direction, and {by}", pointer=place, code="bad_order")
    direction = given[1] if len(given) > 1 else "desc"
    if not isinstance(direction, str):
        raise Invalid("a direction is a word", pointer=f"{place}/1", code="bad_order", allowed=("asc", "desc"))
    is_descending = one_of(direction, ("asc", "desc"), f"{place}/1") == "desc"
    if given[0] in dimensions:
        return Order(key=given[0], descending=is_descending)
    slug = _kpi(given[0], cards, f"{place}/0").slug
    return Order(key=slug, descending=is_descending, by=_by(given[2] if len(given) > 2 else {}, f"{place}/2"))  # noqa: PLR2004


def _by(modifiers: Any, place: str) -> By:
    if not isinstance(modifiers, dict) or not all(isinstance(value, str) for value in modifiers.values()):
        raise Invalid("modifiers are an object of words", pointer=place, code="bad_order", allowed=("by",))
    for key in modifiers:
        one_of(key, ("by",), place)
    return By(one_of(modifiers.get("by", By.VALUE.value), tuple(By), f"{place}/by"))


# ------------------------------------------------------------------------------------------------ compared


def _compare(given: CompareInput | None) -> Compare | None:
    if given is None:
        return None
    is_elapsed = one_of(given.align, ALIGNMENTS, "?compare/align") == "elapsed"
    if isinstance(given.to, str):
        word = _comparison(given.to)
        if isinstance(word, UUID):
            return Compare(to="campaign", campaign=word, elapsed=is_elapsed)
        return Compare(to=word, elapsed=is_elapsed, same_weekdays=given.same_weekdays)
    return _other(_read_other(given.to), elapsed=is_elapsed)


def _read_other(given: Any) -> OtherInput:
    try:
        return OtherInput.model_validate(given)
    except ValidationError as error:
        found = mistake_of(OtherInput, error.errors(include_url=False)[0])
        pointer = f"?compare/to{found.pointer}"
        allowed = tuple(found.allowed)
        raise Invalid(
            found.detail, pointer=pointer, code=found.code, allowed=allowed, nearest=found.did_you_mean
        ) from None


def _comparison(word: str) -> str | UUID:
    if word.startswith(ids.PREFIXES["campaign"]):
        return _campaign(word)
    return one_of(word, COMPARISONS, "?compare/to")


def _campaign(text: str) -> UUID:
    try:
        return ids.read("campaign", text)
    except NotFound:
        raise Invalid("not the id of a campaign", pointer="?compare/to", code="malformed_id") from None


def _other(given: OtherInput, *, elapsed: bool) -> Compare:
    first, last = edges(given.from_, given.to, "?compare/to")
    if (given.campaign is None) is (first is None):
        raise Invalid("compare with a range or with a campaign", pointer="?compare/to", code="bad_comparison")
    if given.campaign is not None:
        return Compare(to="campaign", campaign=_campaign(given.campaign), elapsed=elapsed)
    return Compare(to="range", first=first, last=last, elapsed=elapsed)
