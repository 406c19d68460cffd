"""The words of the query grammar as JSON Schema: what generated clients know of conditions, orders and closed sets.

The grammar itself is read by ``queries``, which says more of a mistake than a schema can.
"""

from __future__ import annotations

from typing import Any

from service.kpi.catalogue import ALIASES, CATALOGUE, CONVENTIONS
from service.reports.query.asked import By
from service.reports.query.dimensions import NUMBERS, WORDS
from service.reports.query.filters import EQUAL, SIZES, TEXTS

_REF = "#/components/schemas/"
_NAMED = "x-schema"
KEYS = (*CATALOGUE, *CONVENTIONS, *ALIASES)


def ref(name: str) -> dict[str, str]:
    """Return a reference to a schema that no model knows: :func:`settled` makes it one of JSON Schema."""
    return {_NAMED: name}


def settled(schema: Any) -> Any:
    """Return a schema with its references as JSON Schema writes them."""
    if isinstance(schema, list):
        return [settled(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    if _NAMED in schema:
        return {"$ref": _REF + schema[_NAMED]}
    return {name: settled(part) for name, part in schema.items()}


def either(*schemas: dict[str, Any]) -> dict[str, Any]:
    """Return the schema of any of some."""
    return {"anyOf": list(schemas)}


def words(*allowed: str, **more: Any) -> dict[str, Any]:
    """Return the schema of a word of a closed set."""
    return {"type": "string", "enum": list(allowed)} | more


def components() -> dict[str, Any]:
    """Return the schemas of conditions and orders, by name."""
    number = either({"type": "number"}, {"type": "string"})
    case = {
        "type": "object",
        "properties": {"case_sensitive": {"type": "boolean"}},
        "required": ["case_sensitive"],
        "additionalProperties": False,
    }
    listed = either({"type": "string"}, {"type": "array", "items": {"type": "string"}, "minItems": 1})
    spoken = _tuple(words(*EQUAL, *TEXTS), words(*WORDS), listed, case, least=3)
    return {
        "MetricKey": words(*KEYS, title="MetricKey", description="a KPI by slug or alias"),
        "Filter": _conditions("Filter", spoken, *_sized(NUMBERS, number), _unknown((*WORDS, *NUMBERS))),
        "Having": _conditions("Having", *_sized(KEYS, number), _unknown(KEYS)),
        "Order": _order(),
    }


def _tuple(*items: dict[str, Any], least: int) -> dict[str, Any]:
    return {"type": "array", "prefixItems": list(items), "minItems": least, "maxItems": len(items), "items": False}


def _sized(names: tuple[str, ...], number: dict[str, Any]) -> list[dict[str, Any]]:
    several = either(number, {"type": "array", "items": number, "minItems": 1})
    return [
        _tuple(words(*SIZES), words(*names), number, least=3),
        _tuple(words(*EQUAL), words(*names), several, least=3),
    ]


def _unknown(names: tuple[str, ...]) -> dict[str, Any]:
    return _tuple(words("is_null"), words(*names), least=2)


def _conditions(name: str, *single: dict[str, Any]) -> dict[str, Any]:
    several = {"type": "array", "items": ref(name), "minItems": 1}
    joined = _tuple(words("and", "or"), several, least=2)
    opposite = _tuple(words("not"), ref(name), least=2)
    return either(*single, joined, opposite, several) | {"title": name}


def _order() -> dict[str, Any]:
    by = {
        "type": "object",
        "properties": {"by": words(*By)},
        "required": ["by"],
        "additionalProperties": False,
    }
    one = _tuple({"type": "string"}, words("asc", "desc"), by, least=1)
    return either({"type": "string"}, one, {"type": "array", "items": one, "minItems": 1}) | {"title": "Order"}
