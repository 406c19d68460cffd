"""What must hold for every item that leaves a connector, whatever body it was read from.

:func:`require_sound` is asked for each item by :mod:`connectors.testing`. It repeats no platform's facts: only types,
units, windows, ids and instants, and that a connector moves no metric which it does not declare.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import available_timezones

import msgspec

from connectors.contract import (
    INT64_MAX,
    METRICS,
    MONEY,
    STORED,
    BadPayload,
    Connector,
    Conversion,
    CreatorSeen,
    Delivery,
    Drop,
    Item,
    Kind,
    MetricMapping,
    Observation,
    Quality,
    RefreshHint,
    Source,
    SubjectRef,
    SubjectSeen,
    Touchpoint,
    Unit,
    Window,
    Withdrawal,
    singly,
)
from connectors.testing_bodies import CANARY

MAX_ID = 256
MAX_LINE = 300
AHEAD = timedelta(minutes=5)
EARLIEST = datetime(1990, 1, 1, tzinfo=UTC)
_CURRENCY_LETTERS = 3
_ZONES = available_timezones()
_PUSHED_NEEDS_TIME = frozenset({Kind.LIFETIME, Kind.LEVEL})
_WINDOWED = frozenset({Kind.PERIOD, Kind.UNIQUE})
_AS_JSON, _AS_MSGPACK = msgspec.json.Encoder(), msgspec.msgpack.Encoder()
_EVENT_METRICS = {"conversion": "conversions", "order": "orders", "refund": "refunds"}


class During:
    """Notes on an exception what was tried when it was raised, whatever it is."""

    def __init__(self, what: str) -> None:
        self._what = what

    def __enter__(self) -> None:
        pass

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        if error is not None:
            error.add_note(self._what)


class ContractBroken(AssertionError):  # noqa: N818 - reads as a verdict
    """A connector does not keep the contract; the message says where."""


def require(condition: object, message: str) -> None:
    """Raise :class:`ContractBroken` unless ``condition`` is true."""
    if not condition:
        raise ContractBroken(message)


def secrets_of(source: Source) -> list[str]:
    """Return every value of a source that no text may show."""
    return [value for value in (*source.credentials.values(), *(key.value for key in source.secrets)) if value]


def require_hidden(text: str, hidden: Iterable[str], what: str) -> None:
    """Hold a text to showing none of ``hidden``."""
    require(not any(value in text for value in hidden if value), f"{what} shows a secret")


def require_line(text: str, what: str) -> None:
    """Hold a message to one short line that quotes no value."""
    require(text.isprintable(), f"{what} is not one printable line")
    require(len(text) <= MAX_LINE, f"{what} is longer than {MAX_LINE} characters")
    require(CANARY not in text, f"{what} quotes a value of the body")


Sound = set[tuple[type, bytes, bytes]]
"""Items that were found sound, by type and bytes: as bytes, 1 and 1.0 and True are three.

In two encodings: one keeps the offset of an instant, the other tells NaN from null.
"""


def outcome(connector: Connector, delivery: Delivery, options: Any, sound: Sound | None = None) -> list[Item] | str:
    """Return the sound items of a delivery, or the text of its refusal.

    ``sound`` are items of deliveries that differ from this one in their body alone: those are not looked at again.
    """
    try:
        items: list[Item] = [*singly(connector.parse(delivery, options))]
    except BadPayload as refusal:
        require(str(refusal), "a refusal says why")
        require_line(str(refusal), "a refusal")
        return str(refusal)
    for item in items:
        known = _bytes_of(item) if sound is not None else None
        if sound is None or known is None or known not in sound:
            require_sound(item, delivery, connector)
            if sound is not None and known is not None:
                sound.add(known)
    return items


def _bytes_of(item: Item) -> tuple[type, bytes, bytes] | None:
    """Return what tells an item from every other; None for one that holds what no bytes are made of."""
    try:
        return type(item), _AS_JSON.encode(item), _AS_MSGPACK.encode(item)
    except (TypeError, ValueError, OverflowError):  # not sound either, which is said with its name
        return None


def require_sound(item: Item, delivery: Delivery, connector: Connector) -> None:
    """Raise :class:`ContractBroken` for an item that the service would have to refuse or could misread."""
    name = type(item).__name__
    for value in _values(item):
        _require_value(value, name)
    for subject in (value for value in _values(item) if isinstance(value, SubjectRef)):
        _require_id(subject.external_id, f"the subject of {name}")
    for at in ("observed_at", "at", "published_at", "removed_at"):
        _require_past(getattr(item, at, None), delivery, f"{name}.{at}")
    _require_kind(item, delivery, connector)


def _require_kind(item: Item, delivery: Delivery, connector: Connector) -> None:
    match item:
        case Observation():
            _require_observation(item, delivery, connector.metrics)
        case Withdrawal():
            require(item.metrics and set(item.metrics) <= set(STORED), "a withdrawal names no stored metric")
            require(item.kind in _WINDOWED, "only what has a window can be withdrawn")
            _require_currency(item)
            _require_window(item.window)
        case Conversion():
            _require_conversion(item, connector.metrics)
        case Touchpoint():
            _require_id(item.id, "Touchpoint.id")
            require(item.kind in {"click", "view"}, "a touchpoint is a click or a view")
            require(item.kind == "view" or _declares(connector.metrics, "clicks_link"), "clicks_link is not declared")
        case CreatorSeen():
            _require_id(item.external_id, "CreatorSeen.external_id")
        case Drop():
            require(item.row is None or item.row >= 1, "the rows of drops count from 1")
            require_line(item.detail, "the detail of a drop")
        case SubjectSeen() | RefreshHint():
            pass


# ------------------------------------------------------------------------------------------------ numbers


def _require_observation(item: Observation, delivery: Delivery, metrics: Sequence[MetricMapping]) -> None:
    require(item.metrics, "an observation without metrics")
    require(item.kind is not Kind.EVENT, "an event is a conversion or a touchpoint, not an observation")
    for key, value in item.metrics.items():
        require(key in STORED, f"{key} is no stored metric")
        require(type(value) is int, f"{key} is no integer")
        require(value >= 0 or METRICS[key].unit in {Unit.MONEY, Unit.MILLIONTHS}, f"{key} is negative")
        require(_declares(metrics, key, item.kind), f"{key} as {item.kind.value} is not declared in metrics")
        require(_admits(metrics, key, item.quality), f"what is said against {key} is not declared in metrics")
    _require_currency(item)
    require(item.window is not None or item.kind is not Kind.PERIOD, "a period without a window")
    require(item.window is None or item.kind in _WINDOWED, f"a window does not go with {item.kind.value}")
    if item.window is not None:
        _require_window(item.window)
    if delivery.channel == "webhook" and item.kind in _PUSHED_NEEDS_TIME:
        require(item.observed_at, "a pushed total without the sender's time is a refresh hint")


def _require_currency(item: Observation | Withdrawal) -> None:
    """Money stands apart: the currency names the series, so a count beside money would change its series with it."""
    money = MONEY & set(item.metrics)
    require(item.currency or not money, "money without a currency")
    require(not item.currency or _is_currency(item.currency), "a currency is three capital letters")
    require(
        not item.currency or len(money) == len(item.metrics), "counts carry a currency: money is an item of its own"
    )


def _require_conversion(item: Conversion, metrics: Sequence[MetricMapping]) -> None:
    _require_id(item.id, "Conversion.id")
    require(item.kind in _EVENT_METRICS, "a conversion is a conversion, an order or a refund")
    require(_declares(metrics, _EVENT_METRICS[item.kind]), f"{_EVENT_METRICS[item.kind]} is not declared in metrics")
    require(item.value is None or item.value >= 0, "the value of a conversion is not negative, a refund's neither")
    require(item.value is None or _is_currency(item.currency or ""), "a value without a currency")
    require(item.value is None or _declares(metrics, "conversion_value"), "conversion_value is not declared in metrics")


def _declares(metrics: Sequence[MetricMapping], key: str, kind: Kind = Kind.EVENT) -> bool:
    return any(one.metric == key and one.kind in {kind, None} for one in metrics)


def _admits(metrics: Sequence[MetricMapping], key: str, said: Sequence[Quality]) -> bool:
    return set(said) <= {quality for one in metrics if one.metric == key for quality in one.quality}


def _is_currency(text: str) -> bool:
    return len(text) == _CURRENCY_LETTERS and text.isascii() and text.isalpha() and text.isupper()


# ------------------------------------------------------------------------------------------------ values


def _values(value: Any) -> Iterator[Any]:
    """Yield every value within an item, itself included."""
    yield value
    if isinstance(value, msgspec.Struct):
        inner: Iterator[Any] = (getattr(value, field) for field in value.__struct_fields__)
    elif isinstance(value, dict):
        inner = (part for pair in value.items() for part in pair)
    else:
        inner = iter(value) if isinstance(value, tuple) else iter(())
    for part in inner:
        yield from _values(part)


def _require_value(value: Any, name: str) -> None:
    if isinstance(value, datetime):
        require(value.utcoffset() == timedelta(0), f"a time of {name} is not in UTC")
    elif isinstance(value, int):
        require(abs(value) <= INT64_MAX, f"a number of {name} does not fit in 64 bits")
    elif isinstance(value, str):
        require(value.isascii() or _is_unicode(value), f"a text of {name} holds half a surrogate pair")
        require("\x00" not in value, f"a text of {name} holds NUL")
    else:
        require(not isinstance(value, float), f"{name} holds a float")


def _is_unicode(text: str) -> bool:
    return not any("\ud800" <= letter <= "\udfff" for letter in text)


def _require_id(text: str, what: str) -> None:
    require(isinstance(text, str) and 0 < len(text) <= MAX_ID, f"{what} has no id of 1 to {MAX_ID} characters")


def _require_past(at: datetime | None, delivery: Delivery, what: str) -> None:
    if at is not None:
        require(EARLIEST <= at <= delivery.received_at + AHEAD, f"{what} lies before 1990 or after the delivery")


def _require_window(window: Window) -> None:
    require(window.start < window.end, "a window is empty")
    require(window.days >= 1, "a window has less than a day's count")
    require(window.zone in _ZONES, "the zone of a window is no IANA zone")
