"""The item language as data: the fields of every item, the metrics of every kind, and the JSON Schema made of them.

:func:`document` is the schema that senders validate against; ``connectors.items`` reads by the same tables, so what
the schema does not know the reader reports as a drop. It describes and decides nothing about values: the checks are
in ``connectors.items_values``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from connectors.contract import ADDITIVE, METRICS, STORED, Kind, MetricMapping, SubjectType, Unit
from connectors.items_values import MONEY_PATTERN

PREFIX = "tallybook."
BATCH = "tallybook.batch"
MAX_TEXT = 2048
MAX_LABEL = 256
MAX_HASHTAGS = 100
MAX_DAYS = 366

TAKES: Mapping[Kind, frozenset[str]] = {
    Kind.LIFETIME: frozenset(ADDITIVE),
    Kind.PERIOD: frozenset(ADDITIVE),
    Kind.LEVEL: frozenset({"followers"}),
    Kind.UNIQUE: frozenset({"reach"}),
}
"""The metrics that a total of each kind may hold: followers are a level and reach is distinct people, always."""

Schema = dict[str, Any]


def _mappings() -> Iterator[MetricMapping]:
    for kind, keys in TAKES.items():
        yield from (MetricMapping(wire=key, metric=key, kind=kind) for key in STORED if key in keys)
    for metric in METRICS.values():
        if metric.parts:
            yield MetricMapping(wire=metric.key, metric=None, note=f"summed from {', '.join(metric.parts)}")
    events = {"click": "clicks_link", "conversion": "conversions", "order": "orders", "refund": "refunds"}
    yield from (MetricMapping(wire=wire, metric=key, kind=Kind.EVENT) for wire, key in events.items())
    yield MetricMapping(wire="value", metric="conversion_value", kind=Kind.EVENT)


MAPPINGS: tuple[MetricMapping, ...] = tuple(_mappings())
"""What the language can say, as a connector declares it."""


# ------------------------------------------------------------------------------------------------ fields


def _text(description: str, cap: int = MAX_LABEL, **more: Any) -> Schema:
    return {"type": "string", "maxLength": cap, "description": description, **more}


def _id(description: str) -> Schema:
    return _text(description, minLength=1)


def _instant(description: str) -> Schema:
    return {"type": "string", "format": "date-time", "description": f"{description} (RFC 3339 with an offset)"}


def _flag(description: str) -> Schema:
    return {"type": "boolean", "description": description}


_EXACT = [{"type": "string", "pattern": f"^{MONEY_PATTERN}$"}, {"type": "number"}]
_DECIMAL = "exact decimal of at most six decimals, as text or number"

_PROPERTIES: Mapping[str, Schema] = {
    "subject": _id("the sender's own id of the post, profile, ad, link or shop"),
    "subject_type": {"enum": [one.value for one in SubjectType], "default": "post", "description": "what it is"},
    "observed_at": _instant("when the sender read these numbers or facts; default: the timestamp of the envelope"),
    "paid": _flag("true: paid delivery only, false: organic only, absent: not said"),
    "scope": _text("separates series of the same metric; for reach the audience that is counted"),
    "currency": _text("ISO 4217 code of all money of the item; default: that of the source", 3, pattern="^[A-Z]{3}$"),
    "goal": _text("the goal that conversions count for"),
    "check": _flag("true: reconcile these numbers, never add them (they are in other numbers already)"),
    "day": {"type": "string", "format": "date", "description": "the first local day of the window"},
    "days": {"type": "integer", "minimum": 1, "maximum": MAX_DAYS, "default": 1, "description": "whole local days"},
    "zone": _text("IANA time zone whose days they are; default: that of the source", 64),
    "start": _instant("start of a window that is not of whole days, included"),
    "end": _instant("end of that window, excluded"),
    "id": _id("the event's own id; the same id is the same event"),
    "at": _instant("when it happened"),
    "click_id": _id("id of the click that led to it"),
    "customer": _id("a pseudonym of the person, never an address or a name"),
    "utm_campaign": _text("utm_campaign of the link"),
    "utm_source": _text("utm_source of the link"),
    "utm_medium": _text("utm_medium of the link"),
    "utm_content": _text("utm_content of the link"),
    "first_order": _flag("true: the customer is new; absent: not said"),
    "cancelled": _flag("true: it is off, or a refund that failed after all; its numbers are taken back"),
    "promo_code": _text("promotion code"),
    "value": {"anyOf": _EXACT, "description": f"value, not negative, a refund's too; {_DECIMAL}"},
    "test": _flag("true: a test event, which is not booked"),
    "refund_of": _id("id of the order"),
    "published_at": _instant("when it was published"),
    "removed_at": _instant("when it was removed"),
    "title": _text("title or first words", MAX_TEXT),
    "url": _text("its address", MAX_TEXT, pattern="^https?://"),
    "content_type": _text("image, video, carousel or what the sender calls it"),
    "hashtags": {
        "type": "array",
        "maxItems": MAX_HASHTAGS,
        "items": {"type": "string", "minLength": 1, "maxLength": MAX_LABEL},
        "description": "all of them, with or without the sign; an empty list says that there are none",
    },
    "creator": _id("the sender's own id of the profile behind it"),
    "creator_handle": _text("handle of that profile"),
    "creator_name": _text("name shown on that profile"),
    "followers_at_publish": {"type": "integer", "minimum": 0, "description": "followers when it was published"},
    "platform_campaign": _text("id or name of the campaign at the sender"),
    "parent": _id("id of the subject that holds it, as the ad set of an ad"),
}

_UTM = ("utm_campaign", "utm_source", "utm_medium")
_SUBJECT = ("subject", "subject_type")
_TOTAL = (*_SUBJECT, "metrics", "observed_at", "paid", "scope", "currency", "goal", "check")
_WINDOW = ("day", "days", "zone", "start", "end")
_EVENT = ("id", "at", *_SUBJECT, "click_id", "customer", "observed_at")
_VISIT = (*_UTM, "utm_content", "promo_code", "platform_campaign")
_SALE = (*_EVENT, *_VISIT, "goal", "value", "currency", "first_order", "cancelled", "test")
_FACTS = (
    *("published_at", "removed_at", "title", "url", "content_type", "hashtags", "creator", "creator_handle"),
    *("creator_name", "followers_at_publish", "platform_campaign", "promo_code", "parent", "paid", *_UTM),
)

FIELDS: Mapping[str, tuple[str, ...]] = {
    "subject": (*_SUBJECT, "observed_at", *_FACTS),
    "counters": _TOTAL,
    "levels": _TOTAL,
    "period": (*_TOTAL, *_WINDOW),
    "unique": (*_TOTAL, *_WINDOW),
    "click": (*_EVENT, "kind", *_VISIT),
    "conversion": _SALE,
    "order": _SALE,
    "refund": (*_SALE, "refund_of"),
    "withdrawal": (*_SUBJECT, "kind", "metrics", "observed_at", "paid", "scope", "currency", *_WINDOW),
}
"""The fields of each item type, beside ``type``."""

_TITLES: Mapping[str, str] = {
    "subject": "Facts about a subject. What is absent is not said; what was said before stays.",
    "counters": "Totals since publication, as they stand at a reading.",
    "levels": "Values at an instant.",
    "period": "Totals of a window, restated as often as needed: the newest reading counts.",
    "unique": "Distinct people, in a window or since publication. Never added up.",
    "click": "One click or view of a link. A click on a named subject is one link click of it.",
    "conversion": "One goal event.",
    "order": "One order.",
    "refund": "One refund, an event of its own, with a positive value.",
    "withdrawal": "Takes back what was said of a window: from now on it has no value, which is not zero.",
}

_REQUIRED: Mapping[str, tuple[str, ...]] = {
    "subject": ("subject",),
    **dict.fromkeys(("counters", "levels", "period", "unique", "withdrawal"), ("subject", "metrics")),
    **dict.fromkeys(("click", "conversion", "order", "refund"), ("id", "at")),
}

_KINDS: Mapping[str, Kind] = {
    "counters": Kind.LIFETIME,
    "levels": Kind.LEVEL,
    "period": Kind.PERIOD,
    "unique": Kind.UNIQUE,
}

_NAMED: Mapping[tuple[str, str], Schema] = {
    ("click", "kind"): {"enum": ["click", "view"], "default": "click", "description": "click or view"},
    ("withdrawal", "kind"): {"enum": ["period", "unique"], "default": "period", "description": "which total it was"},
    ("withdrawal", "metrics"): {
        "type": "array",
        "minItems": 1,
        "items": {"enum": [key for key in STORED if key in TAKES[Kind.PERIOD] | TAKES[Kind.UNIQUE]]},
        "description": "keys of the metrics that are taken back",
    },
}

EXAMPLES: Mapping[str, Schema] = {
    "subject": {
        "subject": "post-17",
        "published_at": "2025-03-01T17:00:00Z",
        "title": "Five ways to brew",
        "url": "https://example.com/p/17",
        "content_type": "video",
        "hashtags": ["springbrew", "coffee"],
        "creator": "ana",
        "creator_handle": "@ana.brews",
        "followers_at_publish": 8200,
        "utm_campaign": "spring-brew",
    },
    "counters": {"subject": "post-17", "metrics": {"impressions": 18250, "likes": 940, "clicks_link": 310}},
    "levels": {"subject": "ana", "subject_type": "profile", "metrics": {"followers": 8312}},
    "period": {
        "subject": "post-17",
        "day": "2025-03-01",
        "zone": "Europe/Berlin",
        "currency": "EUR",
        "metrics": {"spend_media": "41.20", "sessions": 205},
    },
    "unique": {"subject": "post-17", "metrics": {"reach": 12100}},
    "click": {"id": "clk-501", "at": "2025-03-02T17:12:09Z", "subject": "post-17", "customer": "c-77"},
    "conversion": {"id": "lead-9", "at": "2025-03-02T17:14:00Z", "goal": "newsletter", "customer": "c-77"},
    "order": {
        "id": "ord-1001",
        "at": "2025-03-02T17:20:41Z",
        "value": "54.90",
        "currency": "EUR",
        "customer": "c-77",
        "promo_code": "ANA10",
    },
    "refund": {
        "id": "ref-12",
        "at": "2025-03-02T17:55:00Z",
        "refund_of": "ord-1001",
        "value": "20.00",
        "currency": "EUR",
    },
    "withdrawal": {"subject": "post-17", "metrics": ["sessions"], "day": "2025-03-01", "zone": "Europe/Berlin"},
}
"""One item of each type, as in the documentation."""


# ------------------------------------------------------------------------------------------------ the document


def document() -> Schema:
    """Return the JSON Schema (2020-12) of a body."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Tallybook items",
        "description": "A body sent to a webhook address: one item, or many in a batch.",
        "oneOf": [_batch(), *(_single(tag) for tag in FIELDS)],
        "$defs": {tag: _item(tag) for tag in FIELDS},
    }


def _envelope(name: str, data: Schema) -> Schema:
    properties = {
        "type": {"const": name},
        "timestamp": _instant("when the sender read what the body says"),
        "data": data,
    }
    return {"type": "object", "required": ["type", "data"], "properties": properties}


def _single(tag: str) -> Schema:
    return _envelope(f"{PREFIX}{tag}", {"$ref": f"#/$defs/{tag}"})


def _batch() -> Schema:
    each = [{"$ref": f"#/$defs/{tag}", "required": ["type"]} for tag in FIELDS]
    items = {"type": "array", "items": {"type": "object", "required": ["type"], "oneOf": each}}
    return _envelope(BATCH, {"type": "object", "required": ["items"], "properties": {"items": items}})


def _item(tag: str) -> Schema:
    properties = {name: _property(tag, name) for name in FIELDS[tag]}
    return {
        "type": "object",
        "description": _TITLES[tag],
        "required": list(_REQUIRED[tag]),
        "properties": {"type": {"const": tag}, **properties},
        "additionalProperties": False,
        **_window_rule(tag),
        "examples": [{"type": tag, **EXAMPLES[tag]}],
    }


def _window_rule(tag: str) -> Schema:
    named = [{"required": ["day"]}, {"required": ["start", "end"]}]
    return {"oneOf": named} if tag in ("period", "withdrawal") else {}


def _property(tag: str, name: str) -> Schema:
    if (tag, name) in _NAMED:
        return _NAMED[tag, name]
    return _metrics(_KINDS[tag]) if name == "metrics" else _PROPERTIES[name]


def _metrics(kind: Kind) -> Schema:
    return {
        "type": "object",
        "minProperties": 1,
        "properties": {key: _metric(key) for key in STORED if key in TAKES[kind]},
        "additionalProperties": False,
        "description": "numbers by metric; null, like an absent one, is *not reported*, which is not zero",
    }


def _metric(key: str) -> Schema:
    metric = METRICS[key]
    if metric.unit in (Unit.MONEY, Unit.MILLIONTHS):
        return {"anyOf": [*_EXACT, {"type": "null"}], "description": f"{metric.definition}; {_DECIMAL}"}
    unit = "; in milliseconds" if metric.unit is Unit.MILLISECONDS else ""
    return {"type": ["integer", "null"], "minimum": 0, "description": f"{metric.definition}{unit}"}
