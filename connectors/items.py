"""The item language: how a sender of JSON says subjects, totals, events and withdrawals, read into contract items.

One envelope, ``{"type": ..., "timestamp": ..., "data": ...}``, holds one item (``tallybook.<item type>``) or many
(``tallybook.batch`` with ``data.items``). Each item is decoded on its own, so that a bad one is a drop and not the
loss of its neighbours. Connectors whose senders speak it (Standard Webhooks, the simulated platform) share this
reader; it knows no signature and no HTTP, and it never reads a clock. ``docs/standard_webhooks.md`` explains the
language to senders, ``connectors.items_schema`` states it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from functools import lru_cache
from operator import attrgetter
from typing import Any

import msgspec

from connectors.contract import (
    INT64_MAX,
    METRICS,
    MONEY,
    STORED,
    BadPayload,
    Conversion,
    CreatorSeen,
    Drop,
    DropReason,
    Item,
    Kind,
    Observation,
    RefreshHint,
    SubjectSeen,
    Touchpoint,
    Unit,
    Withdrawal,
)
from connectors.items_fields import Fields, Frame
from connectors.items_schema import BATCH, FIELDS, PREFIX, TAKES
from connectors.items_values import (
    AHEAD,
    Refused,
    decode_object,
    instant,
    is_currency,
    shown,
    whole_or_money,
    zone_info,
)

_COUNTS: Mapping[Kind, frozenset[str]] = {
    kind: frozenset(key for key in keys if METRICS[key].unit not in {Unit.MONEY, Unit.MILLIONTHS})
    for kind, keys in TAKES.items()
}
_DETAIL = attrgetter("reason", "detail")
_KNOWN: Mapping[str, frozenset[str]] = {tag: frozenset(names) for tag, names in FIELDS.items()}
_ALONE: Mapping[str, str] = {f"{PREFIX}{tag}": tag for tag in FIELDS}
"""The type of an item that is alone, by that of its envelope."""
_Reader = Callable[[Fields], list[Item]]
"""Reads the one item that fields are of; raises :class:`Refused` where nothing is left of it."""
_AIMED = frozenset({"conversions", "conversion_value", "conversions_platform", "conversion_value_platform"})


class Defaults(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a source says once for all its items: the currency of money without one, the zone of days without one.

    Raises :class:`ValueError` for a currency or a zone that is none: a mistake at set-up, not in every item.
    """

    currency: str | None = None
    zone: str = "UTC"

    def __post_init__(self) -> None:
        if self.currency is not None and not is_currency(self.currency):
            raise ValueError("currency is an ISO 4217 code of three capital letters")
        if zone_info(self.zone) is None:
            raise ValueError("zone is the name of an IANA time zone, such as Europe/Berlin")


# ------------------------------------------------------------------------------------------------ the envelope


class _Envelope(msgspec.Struct, frozen=True):
    type: str
    data: msgspec.Raw
    timestamp: Any = None


class _Batch(msgspec.Struct, frozen=True):
    items: list[msgspec.Raw]


_ENVELOPE = msgspec.json.Decoder(_Envelope)
_BATCH = msgspec.json.Decoder(_Batch)


def read(body: bytes, received_at: datetime, defaults: Defaults) -> list[Item]:
    """Return the items of a body, in its order. Raises :class:`BadPayload` when there is no envelope to read."""
    envelope, rows = _open(body)
    found: list[Item] = []
    latest, timestamp = received_at + AHEAD, None
    if envelope.timestamp is not None:
        try:
            timestamp = instant(envelope.timestamp, "timestamp", latest)
        except Refused as refused:
            found.append(Drop(reason=refused.reason, detail="timestamp"))
    frame = Frame(latest=latest, timestamp=timestamp, currency=defaults.currency, zone=defaults.zone)
    if envelope.type == BATCH:
        for row, raw in enumerate(rows, start=1):
            found += _item(raw, None, row, frame)
    else:
        found += _item(envelope.data, _ALONE.get(envelope.type, ""), 1, frame)
    return found


def _open(body: bytes) -> tuple[_Envelope, list[msgspec.Raw]]:
    try:
        envelope = _ENVELOPE.decode(body)
        return envelope, _BATCH.decode(envelope.data).items if envelope.type == BATCH else []
    except msgspec.ValidationError as error:
        raise BadPayload("the body is an object with type and data; data of a batch holds a list, items") from error
    except (ValueError, RecursionError) as error:  # not UTF-8, not JSON, or nested without end
        raise BadPayload("the body is not readable JSON") from error


def _item(raw: msgspec.Raw, said: str | None, row: int, frame: Frame) -> list[Item]:
    """Read one item and its drops; ``said`` is its type where the envelope says it."""
    found = decode_object(raw)
    if found is None:
        return [Drop(reason=DropReason.MALFORMED, row=row, detail="an item is an object")]
    own = found.pop("type", None)
    tag = own if said is None else said
    if not isinstance(tag, str) or tag not in _READERS:
        return [Drop(reason=DropReason.UNKNOWN_TYPE, row=row, detail="type")]
    fields = Fields(found.get, frame, row)
    if not _KNOWN[tag].issuperset(found):
        unknown = found.keys() - _KNOWN[tag]
        fields.drop(DropReason.NOT_MAPPED, ", ".join(sorted({shown(name) for name in unknown})[:8]))
    items: list[Item] = []
    try:
        items = _READERS[tag](fields)
    except Refused as refused:
        fields.drop(refused.reason, refused.detail)
    if fields.drops:
        items += sorted(fields.drops, key=_DETAIL)
    return items


# ------------------------------------------------------------------------------------------------ subjects


def _subject(fields: Fields) -> list[Item]:
    subject = fields.subject()
    observed_at = fields.observed_at()
    creator = fields.soft(fields.optional_id, "creator")
    seen = SubjectSeen(
        subject=subject,
        observed_at=observed_at,
        published_at=fields.soft(fields.optional_instant, "published_at"),
        removed_at=fields.soft(fields.optional_instant, "removed_at"),
        hashtags=fields.soft(fields.hashtags, "hashtags"),
        creator=creator,
        followers_at_publish=fields.soft(fields.optional_count, "followers_at_publish"),
        parent=fields.soft(fields.optional_id, "parent"),
        paid=fields.soft(fields.flag, "paid"),
        title=fields.soft(fields.text, "title"),
        url=fields.soft(fields.url, "url"),
        content_type=fields.soft(fields.label, "content_type"),
        platform_campaign=fields.soft(fields.label, "platform_campaign"),
        promo_code=fields.soft(fields.label, "promo_code"),
        **_utm(fields),
    )
    handle, name = (fields.soft(fields.label, key) for key in ("creator_handle", "creator_name"))
    if creator is not None and (handle or name):
        return [seen, CreatorSeen(external_id=creator, observed_at=observed_at, handle=handle, name=name)]
    if handle or name:
        fields.drop(DropReason.MISSING_ID, "creator")
    return [seen]


def _utm(fields: Fields) -> dict[str, str | None]:
    return {name: fields.soft(fields.label, name) for name in ("utm_campaign", "utm_source", "utm_medium")}


# ------------------------------------------------------------------------------------------------ totals


def _total(kind: Kind) -> _Reader:
    is_period, has_window = kind is Kind.PERIOD, kind in {Kind.PERIOD, Kind.UNIQUE}

    def reader(fields: Fields) -> list[Item]:
        subject, paid = fields.subject(), fields.flag("paid")
        window = fields.window(required=is_period) if has_window else None
        observed_at = fields.observed_at()
        if observed_at is None:
            return [RefreshHint(subject=subject, reason="a total without the time of its reading")]
        metrics, currency = _metrics(fields, kind)
        scope, goal, check = fields.label("scope") or "", fields.label("goal") or "", fields.flag("check") or False
        series = _series(tuple(metrics))
        items: list[Item] = []
        for money, aimed, keys in series:
            own = metrics if len(series) == 1 else {key: metrics[key] for key in keys}
            items.append(
                Observation(
                    subject=subject,
                    kind=kind,
                    metrics=own,
                    observed_at=observed_at,
                    window=window,
                    scope=scope,
                    paid=paid,
                    currency=currency if money else None,
                    goal=goal if aimed else "",
                    check=check,
                )
            )
        return items

    return reader


@lru_cache(maxsize=4096)
def _series(keys: tuple[str, ...]) -> tuple[tuple[bool, bool, tuple[str, ...]], ...]:
    """Group metrics by what names their series: money has a currency, conversions have a goal, the rest neither.

    Apart, so that a count stays in its series whether or not money stands beside it.
    """
    groups: dict[tuple[bool, bool], list[str]] = {}
    for key in keys:
        groups.setdefault((key in MONEY, key in _AIMED), []).append(key)
    return tuple((money, aimed, tuple(group)) for (money, aimed), group in groups.items())


def _metrics(fields: Fields, kind: Kind) -> tuple[dict[str, int], str | None]:
    """Return the readable numbers and the currency of the money among them; a bad number is a drop of its own."""
    found = fields.get("metrics")
    if not isinstance(found, dict):
        raise Refused(DropReason.MALFORMED, "metrics")
    if _are_counts(found, kind):
        return found, None
    metrics: dict[str, int] = {}
    for name, value in found.items():
        if value is None:
            continue
        try:
            _require_metric(name, kind)
            metrics[name] = whole_or_money(value, METRICS[name])
        except Refused as refused:
            fields.drop(refused.reason, refused.detail)
    currency = _currency_of(fields, metrics)
    if not metrics:
        raise Refused(DropReason.NO_NUMBERS, "metrics")
    return metrics, currency


def _are_counts(found: dict[str, Any], kind: Kind) -> bool:
    """Tell whether all numbers are counts within bounds: none of them needs a look of its own."""
    numbers = found.values()
    if not found or not _COUNTS[kind].issuperset(found) or [*map(type, numbers)].count(int) != len(found):
        return False
    return min(numbers) >= 0 and bool(max(numbers) <= INT64_MAX)


def _currency_of(fields: Fields, metrics: dict[str, int]) -> str | None:
    """Take money without a currency out of ``metrics``, which keeps what is no money."""
    money = MONEY & metrics.keys()
    try:
        return fields.currency() if money else None
    except Refused as refused:
        for name in sorted(money):
            del metrics[name]
            fields.drop(refused.reason, name)
        return None


def _require_metric(name: str, kind: Kind) -> None:
    if name in TAKES[kind]:
        return
    if name in STORED:
        raise Refused(DropReason.NOT_MAPPED, f"{name} does not go with {kind.value}")
    if name in METRICS:
        raise Refused(DropReason.UNKNOWN_METRIC, f"{name} is summed from its parts")
    raise Refused(DropReason.UNKNOWN_METRIC, shown(name))


def _withdrawal(fields: Fields) -> list[Item]:
    subject, kind = fields.subject(), fields.choice("kind", (Kind.PERIOD, Kind.UNIQUE), Kind.PERIOD)
    window, observed_at = fields.window(required=True), fields.observed_at()
    if observed_at is None or window is None:
        return [RefreshHint(subject=subject, reason="a withdrawal without the time it was made")]
    metrics = _withdrawn(fields, kind)
    currency = fields.currency() if MONEY & set(metrics) else None
    scope, paid = fields.label("scope") or "", fields.flag("paid")
    return [
        Withdrawal(
            subject=subject,
            kind=kind,
            window=window,
            metrics=keys,
            observed_at=observed_at,
            scope=scope,
            paid=paid,
            currency=currency if money else None,
        )
        for money, _, keys in _series(metrics)
    ]


def _withdrawn(fields: Fields, kind: Kind) -> tuple[str, ...]:
    names = fields.get("metrics")
    if not isinstance(names, list):
        raise Refused(DropReason.MALFORMED, "metrics")
    metrics: dict[str, None] = {}
    for name in names:
        try:
            _require_metric(name if isinstance(name, str) else "", kind)
            metrics[name] = None
        except Refused as refused:
            fields.drop(refused.reason, refused.detail)
    if not metrics:
        raise Refused(DropReason.NO_NUMBERS, "metrics")
    return tuple(metrics)


# ------------------------------------------------------------------------------------------------ events


def _click(fields: Fields) -> list[Item]:
    touch = Touchpoint(
        id=fields.id("id"),
        at=fields.instant("at"),
        kind=fields.choice("kind", ("click", "view"), "click"),
        subject=fields.optional_subject(),
        click_id=fields.soft(fields.optional_id, "click_id"),
        customer=fields.soft(fields.optional_id, "customer"),
        observed_at=fields.observed_at(),
        **_visit(fields),
    )
    return [touch]


def _visit(fields: Fields) -> dict[str, Any]:
    names = ("utm_content", "promo_code", "platform_campaign")
    return _utm(fields) | {name: fields.soft(fields.label, name) for name in names}


def _sale(kind: str) -> _Reader:
    def reader(fields: Fields) -> list[Item]:
        if fields.flag("test"):
            raise Refused(DropReason.TEST_EVENT, "test")
        value = fields.amount("value")
        sale = Conversion(
            id=fields.id("id"),
            at=fields.instant("at"),
            kind=kind,
            goal=fields.label("goal") or "",
            value=value,
            currency=None if value is None else fields.currency(),
            subject=fields.optional_subject(),
            click_id=fields.soft(fields.optional_id, "click_id"),
            customer=fields.soft(fields.optional_id, "customer"),
            refund_of=fields.optional_id("refund_of") if kind == "refund" else None,
            first_order=fields.soft(fields.flag, "first_order"),
            cancelled=fields.flag("cancelled") or False,
            observed_at=fields.observed_at(),
            **_visit(fields),
        )
        return [sale]

    return reader


_READERS: Mapping[str, _Reader] = {
    "subject": _subject,
    "counters": _total(Kind.LIFETIME),
    "levels": _total(Kind.LEVEL),
    "period": _total(Kind.PERIOD),
    "unique": _total(Kind.UNIQUE),
    "click": _click,
    "conversion": _sale("conversion"),
    "order": _sale("order"),
    "refund": _sale("refund"),
    "withdrawal": _withdrawal,
}
