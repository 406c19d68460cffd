"""Which kinds of task an ad account has, and its structure: the listings of campaigns, ad sets and ads."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from connectors import graph, walks
from connectors.contract import ConnectorError, FetchKind, Page, Response, Task
from connectors.meta_ads_account import Account, Obstacle, examine
from connectors.meta_ads_days import days_of
from connectors.meta_ads_plan import BATCH, LOOK_BACK

KINDS = (
    FetchKind(name="structure", every=timedelta(hours=6)),
    FetchKind(name="ad_days", every=timedelta(hours=3), look_back=LOOK_BACK, subjects=True, batch=BATCH),
    FetchKind(name="level_days", every=timedelta(hours=24), look_back=LOOK_BACK),
)
_LIMITS = ("200", "50", "10")
_MOST_PAGES = 1_000
_NODE = ("id", "name", "effective_status", "created_time", "updated_time")
_CREATIVE = "creative{body,object_type,url_tags,link_url,instagram_permalink_url}"
_EDGES: Mapping[str, tuple[str, ...]] = {
    "campaigns": _NODE,
    "adsets": (*_NODE, "campaign_id"),
    "ads": (*_NODE, "adset_id", "campaign_id", "adset{name}", "campaign{name}", _CREATIVE),
}


async def _structure(account: Account, task: Task, _: datetime) -> AsyncIterator[Page]:
    """Yield the three listings, from the whole to its parts. The cursor is the edge at hand and where it goes on."""
    edges = list(_EDGES)
    edge, after = task.cursor.get("edge", edges[0]), task.cursor.get("after", "")
    if edge not in edges:
        raise ConnectorError("the cursor of the task cannot be read")
    turns = walks.Turns(_MOST_PAGES, after)
    while True:
        page, (response, body) = edge, await _listed(account, edge, after)
        after = turns.on_to(graph.next_cursor(body).get("after", ""))
        is_last = not after and edge == edges[-1]
        if not after and not is_last:
            edge, turns = edges[edges.index(edge) + 1], walks.Turns(_MOST_PAGES)
        yield account.page(response, {"edge": edge, "after": after}, last=is_last, kind=task.kind, page=page)
        if is_last:
            return


async def _listed(account: Account, edge: str, after: str) -> tuple[Response, dict[str, Any]]:
    """Return the next page of a listing: a shorter one where it is too much, without what a version does not know."""
    fields = _EDGES[edge]
    limits = list(_LIMITS)
    while limits:
        params = {"fields": ",".join(fields), "limit": limits[0], **({"after": after} if after else {})}
        response = await account.http.get(account.edge(edge), params)
        body, fault, obstacle = examine(response)
        if fault is None:
            return response, body
        if obstacle is Obstacle.FIELDS and fields != _NODE:
            fields = _NODE  # what they are called and when they were made is better than nothing
        else:
            limits.pop(0)
    raise ConnectorError("a listing is too much data in the smallest pages")


_FETCHERS: Mapping[str, Callable[[Account, Task, datetime], AsyncIterator[Page]]] = {
    "structure": _structure,
    "ad_days": partial(days_of, levels=("ad",)),
    "level_days": partial(days_of, levels=("adset", "campaign")),
}


def pages_of(account: Account, task: Task, now: datetime) -> AsyncIterator[Page]:
    """Return the pages of a task from its cursor on. Raises :class:`NotSupported` for an unknown kind."""
    return walks.fetcher_of(task, "Meta ads", _FETCHERS)(account, task, now)
