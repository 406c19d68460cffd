"""Which kinds of task an ad account has, and its structure: the listings of campaigns, ad sets and ads."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from datetime import datetime, timedelta

from connectors import graph
from connectors.contract import ConnectorError, FetchKind, NotSupported, Page, Task
from connectors.meta_ads_account import NEEDS, Account
from connectors.meta_ads_days import days_of
from connectors.meta_ads_plan import LOOK_BACK

KINDS = (
    FetchKind(name="structure", every=timedelta(hours=6)),
    FetchKind(name="ad_days", every=timedelta(hours=3), look_back=LOOK_BACK, subjects=True),
    FetchKind(name="level_days", every=timedelta(hours=24), look_back=LOOK_BACK),
)
_LIMIT = "200"
_CREATIVE = "creative{body,object_type,url_tags,link_url,instagram_permalink_url}"
_EDGES: Mapping[str, str] = {
    "campaigns": "id,name,effective_status,created_time,updated_time",
    "adsets": "id,name,campaign_id,effective_status,created_time,updated_time",
    "ads": "id,name,adset_id,campaign_id,effective_status,created_time,updated_time,adset{name},campaign{name},"
    + _CREATIVE,
}


async def _structure(account: Account, task: Task) -> AsyncIterator[Page]:
    """Yield the three listings, from the whole to its parts. The cursor is the edge at hand and where it goes on."""
    edges = list(_EDGES)
    edge = task.cursor.get("edge", edges[0])
    if edge not in edges:
        raise ConnectorError("the cursor of the task cannot be read")
    cursor = task.cursor
    for name in edges[edges.index(edge) :]:
        params = {"fields": _EDGES[name], "limit": _LIMIT}
        async for sheet in graph.listing(account.http, account.edge(name), params, cursor, NEEDS):
            is_last = name == edges[-1] and not sheet.cursor
            following = name if sheet.cursor else edges[min(edges.index(name) + 1, len(edges) - 1)]
            after = {"edge": following, **sheet.cursor}
            yield account.page(sheet.response, after, last=is_last, kind=task.kind, page=name)
        cursor = {}


def pages_of(account: Account, task: Task, now: datetime) -> AsyncIterator[Page]:
    """Return the pages of a task from its cursor on. Raises :class:`NotSupported` for an unknown kind."""
    if task.kind == "structure":
        return _structure(account, task)
    if task.kind == "ad_days":
        return days_of(account, task, now, ("ad",))
    if task.kind == "level_days":
        return days_of(account, task, now, ("adset", "campaign"))
    raise NotSupported(f"Meta ads have no task of the kind {task.kind!r}")
