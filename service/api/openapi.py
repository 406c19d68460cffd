"""The OpenAPI document: what FastAPI knows, and what it does not: problems, scopes, stable names."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI
from fastapi.routing import APIRoute, iter_route_contexts

from service.api import (
    attribution,
    auth,
    comparisons,
    conversions,
    customers,
    examples,
    falls,
    influencers,
    kpi_trails,
    pacing,
    problems,
    query,
    query_presets,
    query_schemas,
    signals,
)
from service.api.idempotency import HEADER, takes_name

_NEVER = {"get": {"408", "409", "415"}, "delete": {"408", "415"}}
"""Problems that a method without a body does not meet."""
_KEYED = {"401", "403", "429"}
_OF_CAMPAIGNS = (comparisons, signals, pacing, influencers, attribution, customers)
_NAMED: dict[str, Any] = {
    "name": HEADER,
    "in": "header",
    "required": False,
    "description": "a name for this write: sent again within a day, it is done once and answered alike",
    "schema": {"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[ -~]*$"},
    "example": "order-4711-created",
}


def operation_id(route: APIRoute) -> str:
    """Return the name of a route's function in camel case: stable names for generated clients."""
    first, *rest = route.name.split("_")
    return first + "".join(part.title() for part in rest)


def finished(document: dict[str, Any], app: FastAPI) -> dict[str, Any]:
    """Add the shape of problems, and the scope that each operation asks for, to what FastAPI made of ``app``."""
    components = document.setdefault("components", {})
    schemas = components.setdefault("schemas", {})
    problem = problems.Problem.model_json_schema(ref_template="#/components/schemas/{model}", mode="serialization")
    schemas.update(problem.pop("$defs", {}))
    schemas["Problem"] = problem
    for module in (query, query_presets, kpi_trails, conversions, falls, *_OF_CAMPAIGNS):
        schemas.update(module.components())
    schemas["MetricOut"] = schemas["MetricOut"] | {"examples": examples.metrics()}
    components["schemas"] = query_schemas.settled(dict(sorted(schemas.items())))
    components["responses"] = {
        _name(status): _exemplified(answer, status) for status, answer in problems.DECLARED.items()
    }
    scopes = _scopes(app)
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            scope = scopes.get((path, method))
            if scope is not None:
                operation["x-scopes"] = [scope]
            operation["responses"] = _trimmed(operation["responses"], method, is_open=scope is None)
            if method == "post" and scope not in {None, "instance"} and takes_name(path):
                operation["parameters"] = [*operation.get("parameters", ()), _NAMED]
    return document


def _scopes(app: FastAPI) -> dict[tuple[str, str], str]:
    return {
        (str(context.path), method.lower()): scope
        for context in iter_route_contexts(app.routes)
        for method in context.methods or ()
        if (scope := auth.scope_of(context)) is not None
    }


def _trimmed(answers: dict[str, Any], method: str, *, is_open: bool) -> dict[str, Any]:
    """Return the answers of an operation with shared problems named once, and without those that cannot be."""
    shared = {str(status): answer for status, answer in problems.DECLARED.items()}
    never = _NEVER.get(method, set()) | (_KEYED if is_open else set())
    return {
        status: {"$ref": f"#/components/responses/{_name(status)}"} if answer == shared.get(status) else answer
        for status, answer in sorted(answers.items())
        if answer != shared.get(status) or status not in never
    }


def _exemplified(answer: dict[str, Any], status: int | str) -> dict[str, Any]:
    content = {media: one | {"example": problems.example(int(status))} for media, one in answer["content"].items()}
    return answer | {"content": content}


def _name(status: int | str) -> str:
    return f"Problem{status}"
