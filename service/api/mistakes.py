"""What a model refused, as pointers, codes and the words that would have been right."""

from __future__ import annotations

import re
import typing
from collections.abc import Iterable, Sequence
from typing import Any

from fastapi import Request
from pydantic import BaseModel, Field

from service.api.models import Input, Output, Query
from service.registry.checks import nearest

_QUOTED = re.compile(r"'([^']*)'")
_CODES = {
    "extra_forbidden": "unknown_field",
    "missing": "missing",
    "enum": "not_allowed",
    "literal_error": "not_allowed",
}
_TEXTS = {"unknown_field": "no such field", "missing": "this is required"}


class Mistake(Output):
    """One thing that is wrong with a request."""

    pointer: str = Field(description="JSON pointer into the body, `?name` of a query parameter, or empty")
    code: str
    detail: str
    allowed: list[str] = Field(description="what would be right, where that is a short list")
    did_you_mean: str | None


def mistakes_in(request: Request, found: Iterable[Any]) -> list[Mistake]:
    """Return the mistakes of a request out of what its models reported; no value of the request is repeated."""
    return [_mistake(request, error) for error in found][:50]


def mistake_of(model: type[BaseModel], error: Any) -> Mistake:
    """Return what a model reported of a body that came in another way."""
    return _told(error, ("body", *error["loc"]), model)


def _mistake(request: Request, error: Any) -> Mistake:
    location: tuple[str | int, ...] = error["loc"]
    return _told(error, location, _model_of(request, location))


def _told(error: Any, location: tuple[str | int, ...], model: type[BaseModel] | None) -> Mistake:
    code = _CODES.get(error["type"], error["type"])
    allowed = _QUOTED.findall(str(error.get("ctx", {}).get("expected", ""))) if code == "not_allowed" else []
    wrong = error.get("input") if code == "not_allowed" else location[-1]
    if code == "unknown_field":
        allowed = _fields_around(model, location)
    near = nearest(wrong, allowed) if isinstance(wrong, str) and allowed else None
    detail = _TEXTS.get(code, _plain(error["msg"]))
    return Mistake(pointer=_pointer(location), code=code, detail=detail, allowed=allowed, did_you_mean=near)


def _plain(message: str) -> str:
    text = message.removeprefix("Value error, ")
    return text[:1].lower() + text[1:]


def _pointer(location: Sequence[str | int]) -> str:
    place, steps = location[0] if location else "", location[1:]
    if place == "query":
        return f"?{_shown(steps[0])}" if steps else "?"
    if place in {"header", "path"}:
        return f"{place}:{_shown(steps[0])}" if steps else ""
    return "".join("/" + _shown(step).replace("~", "~0").replace("/", "~1") for step in steps)


def _shown(step: str | int) -> str:
    """Return a step as text that can be written out: a caller may have sent half a surrogate pair."""
    return str(step)[:200].encode("utf-8", "replace").decode()


def _fields_around(model: type[BaseModel] | None, location: Sequence[str | int]) -> list[str]:
    """Return the names of the fields beside an unknown one."""
    for step in location[1:-1]:
        if isinstance(step, int):
            continue
        if model is None or step not in model.model_fields:
            return []
        model = _model_in(model.model_fields[step].annotation)
    return sorted(field.alias or name for name, field in model.model_fields.items()) if model is not None else []


def _model_of(request: Request, location: Sequence[str | int]) -> type[BaseModel] | None:
    """Return the model that a body or a query string was read into."""
    endpoint = request.scope.get("endpoint")
    wanted = Query if location[0] == "query" else Input
    hints = typing.get_type_hints(endpoint) if endpoint is not None else {}
    models = (_model_in(hint) for hint in hints.values())
    return next((model for model in models if model is not None and issubclass(model, wanted)), None)


def _model_in(annotation: Any) -> type[BaseModel] | None:
    """Return the model in an annotation, looking into lists and alternatives."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    found = (_model_in(part) for part in typing.get_args(annotation))
    return next((model for model in found if model is not None), None)
