"""Default deny: every route says what it needs, and gets no less."""

from __future__ import annotations

import pytest
from fastapi.routing import iter_route_contexts

from service.access.keys import Scope
from service.api.auth import OPEN, scope_of
from service.app import build, openapi_document
from service.context import real
from service.settings import Settings
from tests.integration.api.office import Desk, Office

DOCUMENT = openapi_document()
OPERATIONS = [
    (method.upper(), path, operation)
    for path, operations in DOCUMENT["paths"].items()
    for method, operation in operations.items()
]
SCOPED = [(method, path, operation["x-scopes"][0]) for method, path, operation in OPERATIONS if "x-scopes" in operation]


def test_every_route_of_the_api_declares_a_scope() -> None:
    app = build(Settings.model_construct(), real())
    undeclared = {
        str(context.path)
        for context in iter_route_contexts(app.routes)
        if str(context.path).startswith("/v1") and scope_of(context) is None
    }
    assert undeclared == set(OPEN)
    assert len(SCOPED) >= 35


def test_what_is_open_is_named() -> None:
    asking_for_no_key = {path for _, path, operation in OPERATIONS if not operation.get("security")}
    below = {path for path in asking_for_no_key if path.startswith("/v1")}
    assert below == set(OPEN)
    assert asking_for_no_key - below == {"/healthz", "/readyz", "/problems", "/problems/{code}"}


def test_names_of_operations_are_unique_and_in_camel_case() -> None:
    names = [operation["operationId"] for _, _, operation in OPERATIONS]
    assert len(set(names)) == len(names)
    assert all(name.isalnum() and name[0].islower() for name in names)
    assert {"createCampaign", "getCampaign", "listCampaigns", "updateCampaign", "getCampaignKpis"} <= set(names)


def test_every_operation_declares_its_problems() -> None:
    for method, path, operation in OPERATIONS:
        answers = set(operation["responses"])
        assert {"404", "422", "500", "503"} <= answers, path
        if method in {"POST", "PATCH"}:
            assert {"400", "413", "415"} <= answers, path
        if "x-scopes" in operation:
            assert {"401", "403"} <= answers, path


def test_every_field_of_an_output_is_required_and_inputs_are_closed() -> None:
    schemas = DOCUMENT["components"]["schemas"]
    for name, schema in schemas.items():
        if name.endswith(("Output", "Created", "Page")) or name in {"Problem", "Mistake", "PageInfo", "Readiness"}:
            assert set(schema["required"]) == set(schema["properties"]), name
        if name.endswith(("Input", "Change")):
            assert schema["additionalProperties"] is False, name


def filled(path: str) -> str:
    """Return a path with ids that name nothing."""
    return "/".join("x" if part.startswith("{") else part for part in path.split("/"))


@pytest.fixture
async def reader(office: Office, desk: Desk) -> dict[str, Desk]:
    every = {str(scope) for scope in Scope} - {"admin"}
    return {scope: await office.caller(desk, every - {scope}) for scope in sorted(every)}


async def test_a_key_that_has_every_other_scope_is_refused(office: Office, desk: Desk, reader: dict[str, Desk]) -> None:
    for method, path, scope in SCOPED:
        if scope == "any":
            continue
        caller = desk if scope == "instance" else reader.get(scope) or reader["kpis:read"]
        answer = await caller.ask(method, filled(path), {} if method in {"POST", "PATCH"} else None)
        assert answer.status_code == 403, (method, path, answer.text)
        named = scope if scope != "instance" else "instance key"
        assert named in answer.json()["detail"]


async def test_no_key_opens_no_route(office: Office) -> None:
    for method, path, _ in SCOPED:
        answer = await office.nobody.ask(method, filled(path), {} if method in {"POST", "PATCH"} else None)
        assert answer.status_code == 401, (method, path)
        assert answer.headers["content-type"] == "application/problem+json"
