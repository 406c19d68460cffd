"""A query's sums become its answer: rows of a page, totals over all subjects, the comparison, what there is to know."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence

import msgspec
from msgspec import UNSET

from connectors.contract import MONEY
from service.errors import TooLarge
from service.kpi.attribution import Model
from service.kpi.measure import Reason, State, Value
from service.reports.answer import AnswerOut, ComparisonOut, CreditingOut, MetricOut, PageOut, RowOut
from service.reports.meta import More, meta_of, range_out
from service.reports.query.asked import Attribution, Query
from service.reports.query.comparing import Against
from service.reports.query.decisive import At
from service.reports.query.dimensions import UNDATED
from service.reports.query.filters import conditions
from service.reports.query.items import Item, Slice
from service.reports.query.kpis import slugs_shown
from service.reports.query.scope import Scoped
from service.reports.query.sides import Key, Side, dimensions_of
from service.reports.query.suspects import Suspects, named
from service.reports.query.values import values_at, values_of
from service.reports.question import PlatformNotes
from service.reports.rows import Evidence, evidence_of, shown
from service.reports.stretches import MAX_CELLS, TOTAL

_MOST_EXPORTED = 100_000
"""Values of an answer of all rows."""


def shaped(
    query: Query,
    found: Scoped,
    side: Side,
    other: Side | None,
    compared: Against | None,
    page: Slice,
    notes: PlatformNotes,
    suspects: Suspects | None = None,
) -> AnswerOut:
    """Return the answer of a page. Raises :class:`TooLarge` for more values than one answer may have."""
    slugs = slugs_shown(query, side.asked)
    if len(page.rows) * len(slugs) * (1 if side.rest is None else 2) > (
        MAX_CELLS if query.limit is not None else _MOST_EXPORTED
    ):
        raise TooLarge(f"{len(page.rows)} rows of {len(slugs)} metrics: ask for fewer, or for smaller pages")
    is_linked = _is_linked(query, found, compared)
    totals = _whole(query, side, slugs)
    before = None if other is None else _whole(query, other, slugs)
    rest = None if side.rest is None else _whole(query, side.rest, slugs)
    evidence = evidence_of(side.asked, side.stretch.period, side.stretch.total) if is_linked else None
    trimmed = _Trim(query)
    told = _Told(query, side, slugs, page)
    others, rests = (None if one is None else _Told(query, one, slugs, page) for one in (other, side.rest))
    rows = tuple(_row(query, told, others, rests, item, at, trimmed, is_linked=is_linked) for item, at in page.rows)
    has_totals = "totals" in query.include
    return AnswerOut(
        data=rows,
        totals=trimmed(shown(totals, before, other.incomparable if other else None, evidence, rest))
        if has_totals
        else {},
        comparison=None
        if compared is None or other is None or before is None
        else _comparison(query, compared, other, before, trimmed, is_linked=is_linked),
        meta=meta_of(side.asked, side.sums, notes, page.total, _more(query, found, side, compared, slugs, suspects)),
        page=PageOut(next=page.next, has_more=page.next is not None),
    )


def _is_linked(query: Query, found: Scoped, compared: Against | None) -> bool:
    """Tell whether the trails of a KPI prove the numbers of this answer."""
    plain = query.filters is None and query.exchange is None and not query.strict and not query.given
    plain = plain and not query.attribution
    whole = found.is_one and (compared is None or compared.other is None)
    return plain and whole and "provenance" in query.include


def _whole(query: Query, side: Side, slugs: Sequence[str]) -> dict[str, Value]:
    whole = msgspec.structs.replace(side, sums=side.whole, groups=None)
    return values_at(query, whole, slugs, (), TOTAL)


class _Told:
    """The values of one side for the rows of a page; of a bucket that it does not have there are none."""

    def __init__(self, query: Query, side: Side, slugs: Sequence[str], page: Slice) -> None:
        self.side = side
        self._total = side.stretch.total.number
        by_span: dict[int, list[Key]] = defaultdict(list)
        for item, at in page.rows:
            by_span[self._span(at)].append(item.key)
        self._values = {
            span: values_of(query, side, slugs, keys, span)
            for span, keys in by_span.items()
            if span in side.sums.by_bucket
        }

    def __call__(self, item: Item, at: At) -> Mapping[str, Value] | None:
        values = self._values.get(self._span(at))
        return None if values is None else values[item.key]

    def _span(self, at: At) -> int:
        return self._total if at is None else at[0].number


def _row(
    query: Query,
    told: _Told,
    others: _Told | None,
    rests: _Told | None,
    item: Item,
    at: At,
    trimmed: _Trim,
    *,
    is_linked: bool,
) -> RowOut:
    side = told.side
    span = side.stretch.total if at is None else at[0]
    is_ahead = at is not None and at[1].not_yet
    values = _values(told, item, at, is_ahead=is_ahead)
    rest = None if rests is None else _values(rests, item, at, is_ahead=is_ahead)
    other = None if others is None else others.side
    before = None if others is None else others(item, at)
    is_group = bool(dimensions_of(query))
    evidence: Evidence | None = evidence_of(side.asked, side.asked.period, span) if is_linked and not is_group else None
    named = dict(zip(dimensions_of(query), item.key, strict=True)) if item.key else {}
    grain = side.asked.question.granularity.value
    return RowOut(
        dimensions=named if at is None else {grain: at[1].label, **named},
        metrics=trimmed(shown(values, before, other.incomparable if other else None, evidence, rest)),
        partial=side.asked.period.partial if at is None else at[1].partial,
    )


def _values(told: _Told, item: Item, at: At, *, is_ahead: bool) -> Mapping[str, Value]:
    values = told(item, at) or {}
    return {slug: _ahead(value) for slug, value in values.items()} if is_ahead else values


def _ahead(value: Value) -> Value:
    return Value(value=None, unit=value.unit, state=State.NOT_YET, reason=Reason.NOT_STARTED, currency=value.currency)


def _comparison(
    query: Query, compared: Against, other: Side, before: Mapping[str, Value], trimmed: _Trim, *, is_linked: bool
) -> ComparisonOut:
    evidence = evidence_of(other.asked, other.stretch.period, other.stretch.total) if is_linked else None
    totals = trimmed(shown(before, None, None, evidence)) if "totals" in query.include else {}
    return ComparisonOut(to=compared.to, range=range_out(compared.period), totals=totals)


class _Trim:
    """Leaves out what was not asked to be included."""

    def __init__(self, query: Query) -> None:
        self.nothing: dict[str, None] = {}
        if "intervals" not in query.include:
            self.nothing["interval"] = None
        if "coverage" not in query.include:
            self.nothing |= {"coverage": None, "members": None}
        self.nothing_of_rest = {name: None for name in self.nothing if name != "coverage"}

    def __call__(self, metrics: Mapping[str, MetricOut]) -> Mapping[str, MetricOut]:
        if not self.nothing:
            return metrics
        return {slug: self._trimmed(metric) for slug, metric in metrics.items()}

    def _trimmed(self, metric: MetricOut) -> MetricOut:
        rest = metric.without_suspects
        if rest is not UNSET:
            rest = msgspec.structs.replace(rest, **self.nothing_of_rest)
        return msgspec.structs.replace(metric, **self.nothing, without_suspects=rest)


def _more(
    query: Query,
    found: Scoped,
    side: Side,
    compared: Against | None,
    slugs: Sequence[str],
    suspects: Suspects | None,
) -> More:
    names = dimensions_of(query)
    looked_at = {*names, *(condition.name for condition in conditions(query.filters))}
    warnings: list[tuple[str, str, str]] = []
    if side.overlapping:
        text = f"subjects count in several rows of {', '.join(side.overlapping)}: rows do not add up to the totals"
        warnings.append(("rows_overlap", text, "?dimensions"))
    undated = sorted(looked_at & UNDATED)
    if undated:
        text = "which profiles are one person is not dated: it is read as it is now"
        warnings.append(("undated_dimension", text, "?dimensions"))
    if query.filters is not None and not side.asked.members and found.whole.members:
        warnings.append(("filters_match_nothing", "no subject of the campaigns meets the filters", "?filters"))
    if compared is not None and compared.shorter:
        warnings.append(("unequal_length", "the other flight has fewer days than this range", "?compare"))
    warnings += [] if suspects is None else [(one.code, one.detail, one.pointer) for one in suspects.warnings]
    if side.sums.currency is None and not MONEY.isdisjoint(side.asked.columns):
        text = f"amounts are in {', '.join(sorted(side.sums.currencies))}: give a currency and rates"
        warnings.append(("mixed_currency", text, "?currency"))
    return More(
        campaigns=tuple(campaign.campaign_id for campaign in found.campaigns),
        strategy=query.scope.strategy,
        slugs=tuple(slugs),
        written=query.written,
        attribution={slug: _way(way) for slug, way in query.attribution.items() if slug in slugs},
        warnings=tuple(warnings),
        suspects=UNSET if suspects is None else named(side, suspects),
    )


def _way(way: Attribution) -> CreditingOut:
    model = "last_click_then_view" if way.model in (None, Model.LAST) else str(way.model)
    return CreditingOut(model=model, click_window_days=way.click_days, view_window_days=way.view_days)
