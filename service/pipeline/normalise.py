"""From items of a connector to what the ledger takes: facts, readings, events. Pure.

Here every item is held to the same rules whatever connector it came from; what breaks one is a drop with its reason.
An event on no named subject stands on a subject made of what it says of its origin (a promo code, the parameters of a
visit), or on *unattributed*, unless the ledger finds touches that led to it.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from operator import attrgetter
from typing import Any
from zoneinfo import available_timezones

import msgspec

from connectors.contract import (
    INT64_MAX,
    METRICS,
    MONEY,
    STORED,
    Conversion,
    CreatorSeen,
    Drop,
    DropReason,
    Item,
    Kind,
    Observation,
    Observations,
    RefreshHint,
    Single,
    SubjectRef,
    SubjectSeen,
    SubjectType,
    Touchpoint,
    Unit,
    Window,
    Withdrawal,
    singly,
)
from service.ledger.grid import grid_of_form
from service.ledger.readings import EventReading, Fact, Names, Readings, Sale, SeriesKey, Visit
from service.ledger.series import QUALITY

AHEAD = timedelta(minutes=5)
"""How far a sender's clock may run ahead of the receipt."""
EARLIEST = datetime(1990, 1, 1, tzinfo=UTC)
_DAY = timedelta(days=1)
UNATTRIBUTED = SubjectRef("unattributed", SubjectType.OTHER)
MAX_ID = 256
_LETTERS = 3
_COLUMNS = 16
"""Readings of one window from which on they are turned into columns here; fewer are turned with those of the batch."""

_STORED = frozenset(STORED)
_WINDOWED = frozenset((Kind.PERIOD, Kind.UNIQUE))
_LEAST = -INT64_MAX
_ID = attrgetter("external_id")
_ZONES = available_timezones()


class Normal(msgspec.Struct, kw_only=True):
    """Everything one delivery says, in the ledger's words. Filled by :func:`normalise`."""

    facts: list[Fact] = []
    readings: list[Readings] = []
    events: list[EventReading] = []
    hints: list[RefreshHint] = []
    profiles: list[str] = []
    drops: list[Drop] = []
    items: int = 0


_Blocks = list[tuple[Readings, tuple[str, ...]]]
"""Readings that take an observation, each with the metrics that are its own; those that name none are alone."""


class _Course(msgspec.Struct, kw_only=True):
    """What the items of one delivery are held to, and the readings that are open meanwhile.

    ``blocks`` finds the readings that another observation of the same series, window, instant and metrics joins; those
    of the last one, ``place`` and ``found``, are not in it yet: most join the one before, or are alone.
    """

    received_at: datetime
    latest: datetime
    place: tuple[Any, ...] = ()
    found: _Blocks = []
    blocks: dict[tuple[Any, ...], _Blocks] = {}


class _Refused(Exception):  # noqa: N818 - becomes a drop
    def __init__(self, reason: DropReason, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason


def normalise(items: Iterable[Item], received_at: datetime) -> Normal:
    """Return what the items of a delivery received at ``received_at`` mean. Raises nothing of its own."""
    normal = Normal()
    course = _Course(received_at=received_at, latest=received_at + AHEAD)
    for item in items:
        if not isinstance(item, Observations):
            _take(normal, item, course)
        elif not _alike(normal, item, course):
            for one in singly((item,)):
                _take(normal, one, course)
    kept = []
    for readings in normal.readings:
        turned = _turned(normal, readings)
        if turned.subjects:
            kept.append(turned)
    normal.readings = kept
    return normal


def _take(normal: Normal, item: Single, course: _Course) -> None:
    normal.items += 1
    try:
        _HANDLERS[type(item)](normal, item, course)
    except _Refused as refusal:
        normal.drops.append(Drop(reason=refusal.reason, detail=str(refusal)))


def _instant(at: datetime | None, course: _Course) -> datetime:
    if at is None:
        return course.received_at
    if at > course.latest:
        raise _Refused(DropReason.FUTURE_TIME, "a time after the receipt")
    if at < EARLIEST:
        raise _Refused(DropReason.BAD_TIME, "a time before 1990")
    return at


def _are_usable(refs: Sequence[SubjectRef]) -> bool:
    """Tell whether every one of them is, with a look at all and not at each."""
    ids = list(map(_ID, refs))
    return all(ids) and len(max(ids, key=len, default="")) <= MAX_ID and "\x00" not in "".join(ids)


def _subject(ref: SubjectRef) -> SubjectRef:
    if not 0 < len(ref.external_id) <= MAX_ID or "\x00" in ref.external_id:
        raise _Refused(DropReason.MISSING_ID, "no usable subject id")
    return ref


def _metrics(names: tuple[str, ...], currency: str | None) -> None:
    """Hold the names of metrics to the rules."""
    if not names:
        raise _Refused(DropReason.NO_NUMBERS, "no metric is given")
    mistake = _mistake(names, currency or "")
    if mistake is not None:
        raise _Refused(*mistake)


def _too_large(metrics: Mapping[str, int | None]) -> str | None:
    """Return the first metric whose number does not fit in 64 bits."""
    for key, value in metrics.items():
        if value is not None and not _LEAST <= value <= INT64_MAX:
            return key
    return None


def _fits(metrics: Mapping[str, int | None]) -> None:
    key = _too_large(metrics)
    if key is not None:
        raise _Refused(DropReason.BAD_NUMBER, f"{key} does not fit in 64 bits")


def _turned(normal: Normal, readings: Readings) -> Readings:
    """Return readings without those that do not fit in 64 bits, as columns too where there are enough of them."""
    if readings.withdraws or not readings.metrics:
        return readings
    if len(readings.metrics) < _COLUMNS and not any(map(_too_large, readings.metrics)):
        return readings
    try:
        return msgspec.structs.replace(readings, grid=grid_of_form(tuple(readings.metrics[0]), readings.metrics))
    except OverflowError:
        kept = []
    for pair in zip(readings.subjects, readings.metrics, strict=True):
        try:
            _fits(pair[1])
        except _Refused as refusal:
            normal.drops.append(Drop(reason=refusal.reason, detail=str(refusal)))
        else:
            kept.append(pair)
    return msgspec.structs.replace(
        readings, subjects=[subject for subject, _ in kept], metrics=[metrics for _, metrics in kept]
    )


@lru_cache(maxsize=4096)
def _mistake(keys: tuple[str, ...], currency: str) -> tuple[DropReason, str] | None:
    """Return what is wrong with metrics of these names, whatever their values. A batch has few different sets."""
    for key in keys:
        if key not in _STORED:
            return DropReason.UNKNOWN_METRIC, f"{key[:40]} is no stored metric"
        if METRICS[key].unit is Unit.MONEY and not currency:
            return DropReason.BAD_CURRENCY, f"{key} has no currency"
    return None


def _currency(currency: str | None) -> str:
    if currency is None:
        return ""
    if len(currency) != _LETTERS or not currency.isascii() or not currency.isupper():
        raise _Refused(DropReason.BAD_CURRENCY, "a currency is three capital letters")
    return currency


def _paid(paid: bool | None) -> int:  # noqa: FBT001 - a value, not an option
    return -1 if paid is None else int(paid)


def _window(window: Window | None, course: _Course) -> str:
    """Hold a window to the rules and return the zone whose days it keeps ("" where it has none)."""
    if window is None:
        return ""
    if window.end <= window.start or window.days < 1 or window.zone not in _ZONES:
        raise _Refused(DropReason.BAD_TIME, "a window that is empty or in no known zone")
    if window.start < EARLIEST or window.start > course.latest + _DAY:
        raise _Refused(DropReason.OUT_OF_RANGE, "a window before 1990 or after the receipt")
    return window.zone if window.day is not None else ""


def _observation(normal: Normal, item: Observation, course: _Course) -> None:
    subject, metrics = _subject(item.subject), item.metrics
    found = _blocks(normal, item, tuple(metrics), course)
    readings, own = found[0]
    if not own:
        readings.subjects.append(subject)
        readings.metrics.append(metrics)
        return
    for readings, own in found:
        part = {key: metrics[key] for key in own if key in metrics}
        if part:
            readings.subjects.append(subject)
            readings.metrics.append(part)


def _alike(normal: Normal, item: Observations, course: _Course) -> bool:
    """Take observations that differ in nothing but subject and numbers at once; false where they have to be told apart.

    They have to where one is refused: what is wrong with it is said of it alone.
    """
    forms = set(map(tuple, item.metrics))
    if len(forms) != 1 or not _are_usable(item.subjects):
        return False
    try:
        found = _blocks(normal, item, forms.pop(), course)
    except _Refused:
        return False
    readings, own = found[0]
    if own:
        return False
    readings.subjects.extend(item.subjects)
    readings.metrics.extend(item.metrics)
    normal.items += len(item.subjects)
    return True


def _blocks(normal: Normal, item: Observation | Observations, form: tuple[str, ...], course: _Course) -> _Blocks:
    """Return the readings that observations like this one join: its metrics have the names ``form``."""
    # The window by identity: it is compared once per row, and the readings that are found keep it alive.
    said = (item.observed_at, item.scope, item.paid, item.currency, item.goal, item.check, item.quality)
    place = (item.kind, id(item.window), form, said)
    if place == course.place:
        return course.found
    if course.place:
        course.blocks[course.place] = course.found
    found = course.blocks.get(place)
    if found is None:
        found = _opened(normal, item, form, course)
    course.place, course.found = place, found
    return found


def _opened(normal: Normal, item: Observation | Observations, form: tuple[str, ...], course: _Course) -> _Blocks:
    """Open readings for observations like this one: for each thing that names a series of its own."""
    _metrics(form, item.currency)
    if item.kind is Kind.EVENT or (item.kind is Kind.PERIOD and item.window is None):
        raise _Refused(DropReason.MALFORMED, "a period needs a window, an event an id")
    if item.window is not None and item.kind not in _WINDOWED:
        raise _Refused(DropReason.MALFORMED, "only periods and uniques have a window")
    zone, currency = _window(item.window, course), _currency(item.currency)
    at = _instant(item.observed_at, course)
    quality = sum(QUALITY[one] for one in frozenset(item.quality)) if item.quality else 0
    named = (item.kind, item.scope, zone, currency, item.paid, item.goal, item.check)
    found = []
    for key, own in _series(named):
        readings = Readings(key=key, at=at, window=item.window, quality=quality, subjects=[], metrics=[])
        normal.readings.append(readings)
        found.append((readings, own))
    return found


def _withdrawal(normal: Normal, item: Withdrawal, course: _Course) -> None:
    if item.kind not in _WINDOWED or not item.metrics or not _STORED.issuperset(item.metrics):
        raise _Refused(DropReason.MALFORMED, "only the known metrics of a window can be withdrawn")
    zone, currency = _window(item.window, course), _currency(item.currency)
    subject, at = _subject(item.subject), _instant(item.observed_at, course)
    named = (item.kind, item.scope, zone, currency, item.paid, item.goal, False)
    for key, own in _series(named):
        taken = [metric for metric in item.metrics if not own or metric in own]
        if taken:
            metrics: Mapping[str, int | None] = dict.fromkeys(taken)
            normal.readings.append(
                Readings(key=key, at=at, window=item.window, withdraws=True, subjects=[subject], metrics=[metrics])
            )


_Named = tuple[Kind, str, str, str, bool | None, str, bool]
"""What names series: kind, scope, zone, currency, paid, goal, check."""


@lru_cache(maxsize=4096)
def _series(said: _Named) -> tuple[tuple[SeriesKey, tuple[str, ...]], ...]:
    """Return the series that what was said names, each with the metrics it takes (none: all)."""
    kind, scope, zone, money, paid, aim, check = said
    return tuple(
        (
            SeriesKey(kind=kind, scope=scope, zone=zone, currency=currency, paid=_paid(paid), goal=goal, check=check),
            own,
        )
        for (currency, goal), own in _series_of(money, aim)
    )


_GOALS = frozenset({"conversions", "conversion_value", "conversions_platform", "conversion_value_platform"})


@lru_cache(maxsize=1024)
def _series_of(currency: str, goal: str) -> tuple[tuple[tuple[str, str], tuple[str, ...]], ...]:
    """Return the series that metrics with a currency and a goal belong to, each with the metrics it takes (none: all).

    Money is named by its currency and conversions by their goal; a count is the same series whatever it was said
    together with.
    """
    if not currency and not goal:
        return ((("", ""), ()),)
    parts: dict[tuple[str, str], list[str]] = {}
    for metric in STORED:
        named = (currency if metric in MONEY else "", goal if metric in _GOALS else "")
        parts.setdefault(named, []).append(metric)
    return tuple((named, tuple(metrics)) for named, metrics in parts.items())


_PLAIN_FACTS = (
    "title",
    "url",
    "content_type",
    "creator",
    "followers_at_publish",
    "platform_campaign",
    "utm_campaign",
    "utm_source",
    "utm_medium",
    "promo_code",
    "parent",
    "paid",
)


def _seen(normal: Normal, item: SubjectSeen, course: _Course) -> None:
    subject = _subject(item.subject)
    observed_at = _instant(item.observed_at, course)
    values: dict[str, Any] = {name: getattr(item, name) for name in _PLAIN_FACTS}
    for name in ("published_at", "removed_at"):
        at = getattr(item, name)
        values[name] = _instant(at, course).astimezone(UTC).isoformat() if at is not None else None
    if item.hashtags is not None:
        values["hashtags"] = sorted({tag.lstrip("#").lower() for tag in item.hashtags})
    for name, value in values.items():
        if value is not None:
            normal.facts.append(Fact(subject=subject, name=name, value=_clean(value), observed_at=observed_at))
    if not any(value is not None for value in values.values()):
        normal.facts.append(Fact(subject=subject, name="seen", value=True, observed_at=EARLIEST))
    if item.creator:
        normal.profiles.append(item.creator)


def _clean(value: Any) -> Any:
    """Return JSON data without what PostgreSQL refuses: NUL and lone surrogates become the replacement character."""
    if isinstance(value, str):
        return value.replace("\x00", "�").encode("utf-8", "replace").decode("utf-8")[:4096]
    if isinstance(value, list):
        return [_clean(part) for part in value]
    return value


def _creator(normal: Normal, item: CreatorSeen, course: _Course) -> None:
    subject = _subject(SubjectRef(item.external_id, SubjectType.PROFILE))
    observed_at = _instant(item.observed_at, course)
    for name, value in (("handle", item.handle), ("title", item.name), ("seen", True)):
        if value is not None:
            normal.facts.append(Fact(subject=subject, name=name, value=_clean(value), observed_at=observed_at))
    normal.profiles.append(item.external_id)


_VISIT = ("utm_campaign", "utm_source", "utm_medium", "platform_campaign")
_BASES = ("utm_campaign", "platform_campaign", "utm_source", "utm_medium", "click_id")


def _visit(item: Touchpoint | Conversion) -> Visit:
    """Return what an event says of where it came from, without what names a person."""
    code = _text(item.promo_code)
    named = _CLICK_NAME.match(item.click_id or "")
    return Visit(
        click_name=named.group(1) if named else None,
        # Codes are typed by people: shops compare them without case.
        promo_code=unicodedata.normalize("NFKC", code).upper() if code else None,
        utm_campaign=_text(item.utm_campaign),
        utm_source=_text(item.utm_source),
        utm_medium=_text(item.utm_medium),
        utm_content=_text(item.utm_content),
        platform_campaign=_text(item.platform_campaign),
    )


_CLICK_NAME = re.compile(r"([A-Za-z_]{2,20}):.")


def _text(value: str | None) -> str | None:
    return (_clean(value).strip() or None) if value else None


def _origin(subject: SubjectRef | None, visit: Visit, normal: Normal) -> tuple[SubjectRef, str]:
    """Return the subject an event stands on when nothing else is credited, and what it was made of.

    A made subject carries as facts what it was made of. A code is more than a visit: it was typed on purpose.
    """
    if subject is not None:
        return _subject(subject), "subject"
    if visit.promo_code:
        return _made({"promo_code": visit.promo_code}, normal), "promo_code"
    parts = {name: getattr(visit, name) for name in _VISIT} | {"click_id": visit.click_name}
    said = {name: value for name, value in parts.items() if value}
    if not said:
        return UNATTRIBUTED, "none"
    return _made(said, normal), next(name for name in _BASES if name in said)


def _made(parts: Mapping[str, str], normal: Normal) -> SubjectRef:
    """Return a subject made of what an event says, with its facts. Its id is hashed where it would be too long."""
    text = ";".join(f"{name}:{value}" for name, value in parts.items())
    if len(text) > MAX_ID:
        text = f"{next(iter(parts))}:sha256:{hashlib.sha256(text.encode()).hexdigest()}"
    made = SubjectRef(text, SubjectType.LINK)
    for name, value in parts.items():
        normal.facts.append(Fact(subject=made, name=name, value=value, observed_at=EARLIEST))
    return made


def _names(item: Touchpoint | Conversion) -> Names | None:
    """Return what names a person; None for an event that names nobody."""
    if not item.customer and not item.click_id:
        return None
    return Names(customer=item.customer or None, click_id=item.click_id or None)


def _event(normal: Normal, name: str, item: Touchpoint | Conversion, course: _Course, **more: Any) -> None:
    at = _instant(item.at, course)
    observed_at = _instant(item.observed_at, course) if item.observed_at else at
    if not item.id or len(item.id) > MAX_ID:
        raise _Refused(DropReason.MISSING_ID, "an event has no usable id")
    normal.events.append(EventReading(name=name, at=at, observed_at=observed_at, names=_names(item), **more))


def _touch(normal: Normal, item: Touchpoint, course: _Course) -> None:
    if item.kind != "click" and (item.kind != "view" or _names(item) is None):
        raise _Refused(DropReason.NOT_MAPPED, "a touch that is no click and names nobody")
    visit = _visit(item)
    subject, _ = _origin(item.subject, visit, normal)
    more = {"subject": subject, "key": SeriesKey(kind=Kind.EVENT), "touch": item.kind, "visit": visit}
    metrics = {"clicks_link": 1} if item.kind == "click" else {}
    _event(normal, f"{item.kind}:{item.id}", item, course, metrics=metrics, **more)


def _conversion(normal: Normal, item: Conversion, course: _Course) -> None:
    if item.test:
        raise _Refused(DropReason.TEST_EVENT, "a test event")
    if item.kind not in _SALES:
        raise _Refused(DropReason.UNKNOWN_TYPE, "a conversion, an order or a refund")
    currency = _currency(item.currency)
    if item.value is not None:
        _metrics(("conversion_value",), currency)
        _fits({"conversion_value": item.value})
    visit = _visit(item)
    subject, basis = _origin(item.subject, visit, normal)
    sale = Sale(
        kind=item.kind,
        id=item.id,
        basis=basis,
        value=abs(item.value) if item.value is not None and item.kind == "refund" else item.value,
        refund_of=item.refund_of if item.kind == "refund" else None,
        first_order=item.first_order,
        cancelled=item.cancelled,
    )
    key = SeriesKey(kind=Kind.EVENT, currency=currency, goal=item.goal)
    more = {"subject": subject, "key": key, "sale": sale, "visit": visit, "metrics": {}}
    _event(normal, f"{item.kind}:{item.id}", item, course, **more)


_SALES = frozenset({"conversion", "order", "refund"})


def _hint(normal: Normal, item: RefreshHint, _course: _Course) -> None:
    _subject(item.subject)
    normal.hints.append(item)


def _drop(normal: Normal, item: Drop, _course: _Course) -> None:
    normal.drops.append(item)


_HANDLERS: Mapping[type, Any] = {
    Observation: _observation,
    SubjectSeen: _seen,
    CreatorSeen: _creator,
    Touchpoint: _touch,
    Conversion: _conversion,
    RefreshHint: _hint,
    Withdrawal: _withdrawal,
    Drop: _drop,
}
