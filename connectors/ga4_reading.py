"""Reads the reports of a GA4 property: pure, total, one bad entry never the loss of its neighbours.

Values are text in the order of the headers of the same answer, never of the request. What a page is stands in its
request; the zone and the currency of a report stand in the report.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import Any

import msgspec

from connectors import pages, values
from connectors.contract import (
    MONEY,
    BadPayload,
    Delivery,
    Drop,
    DropReason,
    Item,
    Kind,
    Observation,
    Quality,
    Window,
)
from connectors.ga4_links import OTHER, Link, link_of
from connectors.ga4_metrics import DATE, UTM, Rule, rule_of
from connectors.ga4_property import Ga4Options, fault_of

_DAY = re.compile(r"(19|20)[0-9]{6}")
_NUMBER = re.compile(r"-?[0-9]{1,18}(\.[0-9]{1,20})?([eE][+-]?[0-9]{1,2})?")
_NAME = re.compile(r"[A-Za-z0-9_:]{1,100}")


class _Report(msgspec.Struct, frozen=True):
    """What an answer says of all its rows."""

    of: str
    dimensions: tuple[str, ...]
    metrics: tuple[str, ...]
    zone: str
    currency: str | None
    quality: tuple[Quality, ...]
    options: Ga4Options
    received_at: datetime


def read_report(delivery: Delivery, options: Ga4Options) -> Iterator[Item]:
    """Read a page of a report. Raises :class:`BadPayload` for a body that cannot be read."""
    body = values.document(delivery.body)
    fault = fault_of(body)
    if fault is not None:
        yield Drop(reason=DropReason.NOT_AVAILABLE, detail=fault.label)
        return
    yield from pages.refused(delivery)
    rows = body.get("rows", [])  # an empty report has none
    if not isinstance(rows, list):
        raise BadPayload("the rows of the report are no list")
    if rows:
        yield from _read_rows(rows, _report(body, delivery, options))


def _report(body: Mapping[str, Any], delivery: Delivery, options: Ga4Options) -> _Report:
    metadata = values.mapping(body.get("metadata"))
    dimensions, metrics = _headers(body.get("dimensionHeaders")), _headers(body.get("metricHeaders"))
    zone = next((one for one in (metadata.get("timeZone"), delivery.request.get("zone")) if _is_zone(one)), None)
    if DATE not in dimensions or zone is None:
        raise BadPayload("the report does not say its days or their zone")
    return _Report(
        of=delivery.request.get("property", ""),
        dimensions=dimensions,
        metrics=metrics,
        zone=str(zone),
        currency=values.known(values.currency(metadata.get("currencyCode"))),
        quality=tuple(_quality(metadata)),
        options=options,
        received_at=delivery.received_at,
    )


def _headers(told: Any) -> tuple[str, ...]:
    found = [values.mapping(header).get("name") for header in values.items(told)]
    names = tuple(name for name in found if isinstance(name, str))
    if not names or len(names) != len(found) or len(set(names)) != len(names):
        raise BadPayload("the report does not name its columns")
    return names


def _is_zone(name: Any) -> bool:
    return isinstance(name, str) and name in values.ZONES


def _quality(metadata: Mapping[str, Any]) -> Iterator[Quality]:
    """Yield what the report says against itself."""
    if values.items(metadata.get("samplingMetadatas")):
        yield Quality.SAMPLED
    if metadata.get("subjectToThresholding") is True:
        yield Quality.THRESHOLDED
    if metadata.get("dataLossFromOtherRow") is True:
        yield Quality.TRUNCATED


# ------------------------------------------------------------------------------------------------ rows


def _read_rows(rows: list[Any], report: _Report) -> Iterator[Item]:
    if not report.of:
        raise BadPayload("the request of the page does not say its property")
    links: set[str] = set()
    days: set[tuple[str, date | None]] = set()
    for number, row in enumerate(rows, start=1):
        placed = _placed(row, number, report)
        if isinstance(placed, Drop):
            yield placed
            continue
        link, window = placed
        mark = (link.subject.external_id, window.day)
        if mark in days:
            yield Drop(reason=DropReason.CONFLICT, row=number, detail="the same day of the same link again")
            continue
        days.add(mark)
        if mark[0] not in links:
            links.add(mark[0])
            yield link.seen()
        yield from _booked(link, window, _values(row, "metricValues"), report, number)
    yield from _unknown(report)


def _placed(row: Any, number: int, report: _Report) -> tuple[Link, Window] | Drop:
    names, numbers = _values(row, "dimensionValues"), _values(row, "metricValues")
    texts = [one for one in names if isinstance(one, str)]
    if len(texts) != len(report.dimensions) or len(numbers) != len(report.metrics):
        return Drop(reason=DropReason.MALFORMED, row=number, detail="a row has a value for each column")
    told = dict(zip(report.dimensions, texts, strict=True))
    day = _day(told[DATE], report)
    if isinstance(day, DropReason):
        return Drop(reason=day, row=number, detail=DATE)
    link = link_of(report.of, {name: told[one] for one, name in UTM.items() if one in told})
    if link is None:
        lumped = OTHER in told.values()
        reason = DropReason.NOT_AVAILABLE if lumped else DropReason.NOT_MAPPED
        detail = "rows lumped together" if lumped else "visits of no tracked link"
        return Drop(reason=reason, row=number, detail=detail)
    return link, day


def _values(row: Any, name: str) -> list[Any]:
    """Return the values of a row; an empty text may be left out, what is no value is None."""
    told = values.items(values.mapping(row).get(name))
    return [one.get("value", "") if isinstance(one, dict) else None for one in told]


def _day(told: str, report: _Report) -> Window | DropReason:
    written = f"{told[:4]}-{told[4:6]}-{told[6:]}" if _DAY.fullmatch(told) else "none"
    return values.day(written, report.zone, report.received_at)


def _booked(link: Link, window: Window, numbers: Sequence[Any], report: _Report, row: int) -> Iterator[Item]:
    """Yield one observation for each number of a row, then the drops."""
    quality = report.quality
    if link.is_lumped and Quality.TRUNCATED not in quality:
        quality = (*quality, Quality.TRUNCATED)
    drops: list[Drop] = []
    found = False
    for name, told in zip(report.metrics, numbers, strict=True):
        rule = rule_of(name, report.options.key_event)
        if rule is None or not rule.keys:
            continue  # said once for the page
        number = _number(told, rule, report.currency)
        if isinstance(number, DropReason):
            drops.append(Drop(reason=number, row=row, detail=values.shown(name, _NAME)))
            continue
        found = True
        yield Observation(
            subject=link.subject,
            kind=Kind.PERIOD,
            metrics={rule.key: number},
            window=window,
            paid=link.paid,
            currency=report.currency if rule.key in MONEY else None,
            goal=report.options.key_event if rule.claimed else "",
            quality=quality,
        )
    if not found:
        drops.append(Drop(reason=DropReason.NO_NUMBERS, row=row))
    yield from drops


def _number(told: Any, rule: Rule, currency: str | None) -> int | DropReason:
    if not isinstance(told, str):
        return DropReason.BAD_NUMBER
    if rule.key in MONEY and currency is None:
        return DropReason.BAD_CURRENCY
    if not rule.claimed:
        found = values.written_count(told)
        return DropReason.BAD_NUMBER if found is None else found
    # Shared credit and converted money have endless places.
    return values.millionths(Decimal(told), rounded=True) if _NUMBER.fullmatch(told) else DropReason.BAD_NUMBER


def _unknown(report: _Report) -> Iterator[Drop]:
    """Yield a drop for each column of the report that no key takes."""
    for name in report.metrics:
        rule = rule_of(name, report.options.key_event)
        if rule is None:
            yield Drop(reason=DropReason.UNKNOWN_METRIC, detail=values.shown(name, _NAME))
        elif not rule.keys:
            yield Drop(reason=DropReason.NOT_MAPPED, detail=values.shown(name, _NAME))
