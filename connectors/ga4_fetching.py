"""Fetches reports of a GA4 property, one day of the property after the other.

Days are asked for singly: a shorter range is sampled less, and its rows are rarely lumped together. The day in
progress is asked for with the day before it, since alone it is lumped most. Where the property's midnight is, only an
answer tells; so the first day of a task is one that has begun in every zone, and the last is known after it. The cursor
holds what is left: the zone, the day, and where its report goes on.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from datetime import date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import msgspec

from connectors import pages, values, walks
from connectors.contract import ConnectorError, FetchKind, Page, Response, Task, TryLater
from connectors.faults import Fault
from connectors.ga4_metrics import DIMENSIONS, MEDIUM, former
from connectors.ga4_property import Property, examine, names_in, raise_fault

SETTLE = timedelta(days=14)
"""How long key events may still move between sessions."""
LINK_DAYS = "link_days"
KINDS = (FetchKind(name=LINK_DAYS, every=timedelta(hours=6), look_back=SETTLE),)
LIMIT = 10_000
_MOST_ROWS = 2_000_000
_WESTERNMOST = timedelta(hours=12)
_DAY = timedelta(days=1)


class _Work(msgspec.Struct, kw_only=True):
    """What a task has left: the day at hand, where its report goes on, the zone once it is known, and the metrics that
    were refused or had to be called by another name ("" for left out).
    """

    day: date
    offset: int = 0
    zone: str = ""
    instead: dict[str, str] = {}

    def cursor(self) -> dict[str, str]:
        instead = ",".join(f"{name}={other}" for name, other in self.instead.items())
        offset = str(self.offset or "")
        return {"day": str(self.day), "offset": offset, "zone": self.zone, "instead": instead}


def _resumed(cursor: Mapping[str, str]) -> _Work:
    try:
        pairs = [pair.partition("=")[::2] for pair in pages.listed(cursor, "instead")]
        offset = int(cursor.get("offset", "0"))
        return _Work(
            day=date.fromisoformat(cursor["day"]),
            offset=offset,
            zone=cursor.get("zone", ""),
            instead=dict(pairs),
        )
    except (KeyError, ValueError) as error:
        raise ConnectorError("the cursor of the task cannot be read") from error


async def _days(of: Property, task: Task, now: datetime) -> AsyncIterator[Page]:
    until = min(task.end or now, now)
    work = _resumed(task.cursor) if task.cursor else _Work(day=_first(task, until))
    while True:
        first, last = _range(of, work, until)
        response, body, metrics = await _ask(of, work, first, last)
        work.zone = work.zone or _zone(body)
        shown = work.offset
        work.offset = _next_offset(body, work.offset)
        if not work.offset:
            work.day = last + _DAY
        is_last = not work.offset and work.day > _end(of, work, until)
        request = {"kind": task.kind, "day": str(first), "last_day": str(last), "offset": str(shown)}
        refused = ",".join(name for name, other in work.instead.items() if not other)
        yield of.page(
            response,
            work.cursor(),
            last=is_last,
            page=LINK_DAYS,
            zone=work.zone,
            metrics=",".join(metrics),
            refused=refused,
            **request,
        )
        if is_last:
            return


def _first(task: Task, until: datetime) -> date:
    """Return the first day of the window, by the westernmost clock."""
    start = task.start or until - SETTLE
    return (min(start, until - _DAY) - _WESTERNMOST).date()


def _end(of: Property, work: _Work, until: datetime) -> date:
    """Return the last day to ask for: yesterday, or today where the options say so, of the property's zone."""
    today = until.astimezone(ZoneInfo(work.zone)).date() if work.zone else (until - _WESTERNMOST).date()
    return today if of.options.today else today - _DAY


def _range(of: Property, work: _Work, until: datetime) -> tuple[date, date]:
    """Return the first and last day of the next report."""
    end = _end(of, work, until)
    return (work.day, end) if of.options.today and work.day == end - _DAY else (work.day, work.day)


def _zone(body: Mapping[str, Any]) -> str:
    name = values.mapping(body.get("metadata")).get("timeZone")
    return name if isinstance(name, str) and name in values.ZONES else ""


def _next_offset(body: Mapping[str, Any], offset: int) -> int:
    """Return where the report goes on; 0 where it has ended. A page may be shorter than what was asked for."""
    count, shown = body.get("rowCount"), len(values.items(body.get("rows")))
    total = count if type(count) is int else 0
    if total > _MOST_ROWS:
        raise ConnectorError(f"a report of one day has more than {_MOST_ROWS} rows")
    if total > offset + shown and not shown:
        raise TryLater("a report goes on without rows")
    return offset + shown if total > offset + shown else 0


# ------------------------------------------------------------------------------------------------ asking


async def _ask(of: Property, work: _Work, first: date, last: date) -> tuple[Response, dict[str, Any], tuple[str, ...]]:
    """Return the answer and the metrics that were asked for in the end."""
    wanted = of.options.metrics
    while True:
        metrics = tuple(name for name in (work.instead.get(one, one) for one in wanted) if name)
        response = await of.report(_asked(of, work, (first, last), metrics))
        body, fault = examine(response)
        if fault is None:
            return response, body, metrics
        work.instead = work.instead | _other_names(fault, wanted, work.instead, metrics)


def _other_names(
    fault: Fault, wanted: tuple[str, ...], instead: Mapping[str, str], metrics: tuple[str, ...]
) -> dict[str, str]:
    """Return what to call a refused metric: by its former name, else not at all. Raises where nothing would be left."""
    named = names_in(fault, metrics)
    refused = next((one for one in wanted if instead.get(one, one) in named), None)
    other = former(refused) if refused is not None and refused not in instead else ""
    if refused is None or (not other and len(metrics) == 1):
        raise_fault(fault)
    return {refused: other} if refused is not None else {}


def _asked(of: Property, work: _Work, days: tuple[date, date], metrics: tuple[str, ...]) -> dict[str, Any]:
    """Return the body of a request. Rows come in a fixed order, so that pages do not overlap.

    Key events are a metric and no filter: a link that has lost its last one is still a row, with a zero.
    """
    asked: dict[str, Any] = {
        "dateRanges": [{"startDate": str(days[0]), "endDate": str(days[1])}],
        "dimensions": [{"name": name} for name in DIMENSIONS],
        "metrics": [{"name": name} for name in metrics],
        "orderBys": [{"dimension": {"dimensionName": name}} for name in DIMENSIONS],
        "limit": str(LIMIT),
        "offset": str(work.offset),
        "keepEmptyRows": False,
        "returnPropertyQuota": True,
    }
    if of.options.mediums:
        wanted = {"values": list(of.options.mediums), "caseSensitive": True}
        asked["dimensionFilter"] = {"filter": {"fieldName": MEDIUM, "inListFilter": wanted}}
    return asked


def pages_of(of: Property, task: Task, now: datetime) -> AsyncIterator[Page]:
    """Return the pages of a task from its cursor on. Raises :class:`NotSupported` for an unknown kind."""
    return walks.fetcher_of(task, "GA4", {LINK_DAYS: _days})(of, task, now)
