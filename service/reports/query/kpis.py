"""The KPIs of a query: those it names, those its campaigns' kind opens on, and those that only decide about rows."""

from __future__ import annotations

from service.kpi.catalogue import ALIASES, Kpi
from service.kpi.definitions import with_margin
from service.reports.query.asked import Query
from service.reports.query.filters import conditions
from service.reports.query.scope import Scoped
from service.reports.query.sides import dimensions_of
from service.reports.question import Asked, kpis_of


def kpis_in(query: Query, found: Scoped) -> tuple[Kpi, ...]:
    """Return what is shown, and after it what only decides about rows."""
    version = found.whole.version
    names = [name for name in query.question.metrics if name not in query.given]
    stated = kpis_of(names, version.kind) if names or not query.question.metrics else ()
    by_slug = {kpi.slug: kpi for kpi in stated} | dict(query.given)
    ordered: dict[str, Kpi] = {}
    for name in query.question.metrics or by_slug:
        slug = ALIASES.get(name, name)
        ordered.setdefault(slug, by_slug[slug])
    for slug in _deciding(query):
        if slug not in ordered:
            ordered[slug] = query.given[slug] if slug in query.given else kpis_of((slug,), version.kind)[0]
    return tuple(with_margin(kpi, version.margin) for kpi in ordered.values())


def _deciding(query: Query) -> list[str]:
    names = (*dimensions_of(query), "day")
    ordering = [order.key for order in query.order if order.key not in names]
    return [*ordering, *(condition.name for condition in conditions(query.having))]


def slugs_shown(query: Query, asked: Asked) -> list[str]:
    """Return what an answer shows, in the order asked for."""
    metrics = query.question.metrics
    if not metrics:
        hidden = set(_deciding(query))
        opening = {kpi.slug for kpi in kpis_of((), asked.version.kind)}
        return [kpi.slug for kpi in asked.kpis if kpi.slug in opening or kpi.slug not in hidden]
    return list(dict.fromkeys(ALIASES.get(name, name) for name in metrics))
