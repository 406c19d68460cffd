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
    several = either({"type": "string"}, {"type": "array", "items": {"type": "string"}, "minItems": 1})
    spoken = (words(*EQUAL, *TEXTS), words(*WORDS), several)
    on_subjects = (_tuple(*spoken), _tuple(*spoken, case), *_sized(NUMBERS, number), _unknown((*WORDS, *NUMBERS)))
    return {
        "MetricKey": words(*KEYS, title="MetricKey", description="a KPI by slug or alias"),
        "FilterCondition": either(*on_subjects),
        "Filter": _joined("FilterCondition"),
        "HavingCondition": either(*_sized(KEYS, number), _unknown(KEYS)),
        "Having": _joined("HavingCondition"),
        "Order": _order(),
    }


def _tuple(*items: dict[str, Any]) -> dict[str, Any]:
    exact = {"minItems": len(items), "maxItems": len(items)}
    return {"type": "array", "prefixItems": list(items), "items": False} | exact


def _sized(names: tuple[str, ...], number: dict[str, Any]) -> list[dict[str, Any]]:
    several = either(number, {"type": "array", "items": number, "minItems": 1})
    name = words(*names)
    return [_tuple(words(*SIZES), name, number), _tuple(words(*EQUAL), name, several)]


def _unknown(names: tuple[str, ...]) -> dict[str, Any]:
    return _tuple(words("is_null"), words(*names))


def _joined(condition: str) -> dict[str, Any]:
    """Return the schema of conditions and what joins them; below, a join is a list: types cannot name themselves."""
    join = {"type": "array", "prefixItems": [words("and", "or", "not"), {"type": "array", "items": {}}]}
    part = either(ref(condition), join | {"items": False, "minItems": 2, "maxItems": 2})
    parts = {"type": "array", "items": part, "minItems": 1}
    return either(ref(condition), _tuple(words("and", "or"), parts), _tuple(words("not"), part), parts)


def _order() -> dict[str, Any]:
    by = {
        "type": "object",
        "properties": {"by": words(*By)},
        "required": ["by"],
        "additionalProperties": False,
    }
    key, direction = {"type": "string"}, words("asc", "desc")
    one = either(_tuple(key), _tuple(key, direction), _tuple(key, direction, by))
    return either(key, one, {"type": "array", "items": one, "minItems": 1})
