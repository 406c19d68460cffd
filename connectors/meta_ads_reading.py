"""Reads the reports of an ad account: pure, total, one bad entry never the loss of its neighbours.

A row is one ad, ad set or campaign on one day of the account's zone. What a page is, its level, the zone and which
fields were asked for stand in its request. Listings are read in ``connectors.meta_ads_structure``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import date, datetime
from typing import Any

import msgspec

from connectors import graph_values, pages, values
from connectors.contract import (
    BadPayload,
    Delivery,
    Drop,
    DropReason,
    Item,
    SubjectRef,
    SubjectSeen,
    SubjectType,
    Window,
)
from connectors.meta_ads_account import MetaAdsOptions
from connectors.meta_ads_metrics import LEVELS
from connectors.meta_ads_rows import Asked, Row, booked


class _Report(msgspec.Struct, frozen=True):
    """What a page says of all its rows."""

    account: str
    level: str
    zone: str
    received_at: datetime
    asked: Asked


# ------------------------------------------------------------------------------------------------ a page


def read_report(delivery: Delivery, options: MetaAdsOptions) -> Iterator[Item]:
    """Read a page of insights. Raises :class:`BadPayload` for a body or a request that cannot be read."""
    report = _report(delivery, options)
    data = pages.list_in(values.document(delivery.body), "data")
    page = _Page(report)
    for number, row in enumerate(data, start=1):
        yield from page.read(number, row)
    yield from pages.refused(delivery)


def _report(delivery: Delivery, options: MetaAdsOptions) -> _Report:
    request = delivery.request
    level, zone, account = request.get("level", ""), request.get("zone", ""), request.get("account", "")
    if level not in LEVELS or zone not in values.ZONES or not account:
        raise BadPayload("the request of the page does not say its account, level and zone")
    fields = frozenset(request.get("fields", "").split(","))
    # Ad sets and campaigns hold the numbers of their ads again.
    return _Report(account, level, zone, delivery.received_at, Asked(fields, options, is_check=level != "ad"))


class _Page:
    """The rows of one page: each subject is introduced once, each subject's day and each foreign name met once."""

    def __init__(self, report: _Report) -> None:
        self._report = report
        self._subjects: set[str] = set()
        self._days: set[tuple[str, date | None]] = set()
        self._named: set[str] = set()

    def read(self, number: int, row: Any) -> Iterator[Item]:
        placed = _placed(row, number, self._report)
        if isinstance(placed, Drop):
            yield placed
            return
        mark = (placed.subject.external_id, placed.window.day)
        if mark in self._days:
            yield Drop(reason=DropReason.CONFLICT, row=number, detail="the same day of the same subject again")
            return
        self._days.add(mark)
        if placed.subject.external_id not in self._subjects:
            self._subjects.add(placed.subject.external_id)
            yield _seen(placed)
        for item in booked(placed, self._report.asked):
            if isinstance(item, Drop) and item.reason is DropReason.NOT_MAPPED:
                if item.detail in self._named:  # dozens of action types in every row: once a page is enough
                    continue
                self._named.add(item.detail)
            yield item


def _placed(row: Any, number: int, report: _Report) -> Row | Drop:
    if not isinstance(row, dict):
        return Drop(reason=DropReason.MALFORMED, row=number, detail="a row is an object")
    name = f"{report.level}_id"
    found = graph_values.identifier(row.get(name))
    if isinstance(found, DropReason):
        return Drop(reason=found, row=number, detail=name)
    if row.get("account_id", report.account) != report.account:
        return Drop(reason=DropReason.CONFLICT, row=number, detail="account_id")
    day = _day(row, report)
    if isinstance(day, DropReason):
        return Drop(reason=day, row=number, detail="date_start")
    return Row(number, row, SubjectRef(found, LEVELS[report.level]), day, values.currency(row.get("account_currency")))


def _day(row: Mapping[str, Any], report: _Report) -> Window | DropReason:
    start = row.get("date_start")
    if start is not None and row.get("date_stop") != start:  # a longer row holds days that are booked one by one
        return DropReason.BAD_TIME
    return values.day(start, report.zone, report.received_at)


def _seen(row: Row) -> SubjectSeen:
    level = {SubjectType.AD: "ad", SubjectType.AD_SET: "adset"}.get(row.subject.type, "campaign")
    above = {"ad": "adset_id", "adset": "campaign_id"}.get(level, "")
    return SubjectSeen(
        subject=row.subject,
        title=values.text(row.fields.get(f"{level}_name"), 200),
        platform_campaign=values.known(graph_values.identifier(row.fields.get("campaign_id"))),
        parent=values.known(graph_values.identifier(row.fields.get(above))),
        paid=True,
    )
