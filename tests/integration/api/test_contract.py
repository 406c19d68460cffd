"""The whole API against its own description: nothing that is sent to it ends in a 5xx or in an answer it does not tell.

Requests are drawn from the description, a few for each operation, and sent with a key that may do everything.
"""

from __future__ import annotations

from typing import Any, cast

import jsonschema_rs
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from schemathesis.core import NOT_SET

from service.app import openapi_document
from tests.integration.api.furniture import Things, furnish
from tests.integration.api.office import Desk, Office

DOCUMENT = openapi_document()
SCHEMA = schemathesis.openapi.from_dict(DOCUMENT)
OPERATIONS: dict[str, Any] = {
    found.definition.raw["operationId"]: found
    for found in (one.ok() for one in cast("Any", SCHEMA.get_all_operations()))
}
ENDLESS = {"streamCampaign"}
"""Its answers do not end; what it refuses is tested beside it."""


def of_body(value: Any) -> dict[str, Any]:
    if value is NOT_SET or value is None:
        return {}
    return {"content": value} if isinstance(value, bytes) else {"json": value}


def path_of(case: Any, things: Things, *, own: bool) -> str:
    """Return the path of a case, with the ids of things that are there where ``own``."""
    path = str(case.operation.path)
    for name, value in (case.path_parameters or {}).items():
        real = getattr(things, name, None) if own else None
        path = path.replace(f"{{{name}}}", str(real or value).replace("/", "%2F").replace("?", "%3F") or "x")
    return path


@pytest.fixture
async def things(office: Office, desk: Desk) -> Things:
    return await furnish(office, desk)


@settings(
    max_examples=4,
    deadline=None,
    database=None,
    derandomize=True,
    phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)
@given(data=st.data())
async def test_no_answer_but_those_that_are_told(
    office: Office, desk: Desk, things: Things, data: st.DataObject
) -> None:
    for name, operation in sorted(OPERATIONS.items()):
        if name not in ENDLESS:
            case = data.draw(operation.as_strategy(), label=name)
            await hold(office, desk, things, name, case, own=data.draw(st.booleans()))


async def hold(office: Office, desk: Desk, things: Things, name: str, case: Any, *, own: bool) -> None:
    """Send a case, and hold what comes back to what is told of it."""
    method, path = case.operation.method, case.operation.path
    operation = DOCUMENT["paths"][path][method.lower()]
    caller = office.instance if operation.get("x-scopes") == ["instance"] else desk
    headers = {key: str(value) for key, value in (case.headers or {}).items() if key.lower() != "authorization"}
    answer = await caller.ask(
        method.upper(),
        path_of(case, things, own=own),
        params=dict(case.query or {}),
        headers=headers,
        **of_body(case.body),
    )
    assert answer.status_code < 500, (name, answer.text)
    assert str(answer.status_code) in operation["responses"], (name, answer.status_code, answer.text)
    valid(operation["responses"][str(answer.status_code)], answer)


def valid(told: dict[str, Any], answer: Any) -> None:
    """Hold an answer in JSON to the schema that is told of it."""
    if "$ref" in told:
        told = DOCUMENT["components"]["responses"][told["$ref"].rpartition("/")[2]]
    media = answer.headers.get("content-type", "").partition(";")[0]
    if "content" not in told:
        return
    assert media in told["content"], (media, list(told["content"]))
    schema = told["content"][media].get("schema", {})
    if media.endswith("json") and schema:
        jsonschema_rs.Draft202012Validator(schema | {"components": DOCUMENT["components"]}).validate(answer.json())


def test_every_operation_is_asked() -> None:
    assert len(OPERATIONS) >= 40
    assert set(OPERATIONS) >= ENDLESS
