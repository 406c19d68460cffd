"""Every error is a problem document: each kind, from wherever it comes, and none says too much."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import pytest
import sqlalchemy as sa
from fastapi import FastAPI, Request
from sqlalchemy.exc import DBAPIError, IntegrityError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from service import errors
from service.access.secrets import SealBroken
from service.api import problems
from service.api.edge import JSON_BYTES
from service.app import Api
from service.context import real
from service.settings import Settings
from tests.integration.api.office import Desk, Office

JSON = {"content-type": "application/json"}


async def test_what_is_unreadable_is_400(desk: Desk) -> None:
    for content in (b"{", b"\xff\xfe", b"[" * 100_000, b'{"name": 1' + b"0" * 5000 + b"}", b"nope", b'{"name": "a"'):
        problem = await desk.problem(400, "POST", "/v1/strategies", content=content, headers=JSON)
        assert problem["code"] == "malformed"


async def test_what_is_readable_and_wrong_is_422(desk: Desk) -> None:
    for content, pointer in (
        (b"", ""),
        (b"null", ""),
        (b"[]", ""),
        (b'{"name": "\\ud800"}', "/name"),
        (b'{"name": "a\\u0000b"}', "/name"),
        (b'{"name": NaN}', "/name"),
        (b'{"name": "a", "\\ud800": 1}', ""),
        (b'{"name": "a", "a/b~c": 1}', "/a~1b~0c"),
        (b'{"name": "a", "objectives": ["", 7]}', "/objectives/1"),
    ):
        problem = await desk.problem(422, "POST", "/v1/strategies", content=content, headers=JSON)
        assert problem["errors"][0]["pointer"] == pointer


async def test_another_media_type_is_415(desk: Desk) -> None:
    for headers in ({}, {"content-type": "text/plain"}, {"content-type": "application/x-www-form-urlencoded"}):
        problem = await desk.problem(415, "POST", "/v1/strategies", content=b'{"name": "a"}', headers=headers)
        assert problem["code"] == "unsupported-media-type"
    for kind in ("application/json; charset=utf-8", "APPLICATION/JSON", "application/merge-patch+json"):
        answer = await desk.ask("POST", "/v1/strategies", content=b'{"name": "a"}', headers={"content-type": kind})
        assert answer.status_code == 201


async def test_what_is_not_there_is_404_or_405(desk: Desk) -> None:
    for path in ("/v1", "/v1/nope", "/v1/campaigns/", "/%00", "/v1/campaigns/%ff", "/v1/campaigns/cmp_%00"):
        await desk.problem(404, "GET", path)
    for path, allowed in (("/v1/campaigns", "GET, POST"), ("/v1/campaigns/x", "DELETE, GET, PATCH")):
        answer = await desk.ask("PUT", path)
        assert (answer.status_code, answer.json()["code"]) == (405, "method-not-allowed")
        assert answer.headers["allow"] == allowed


async def test_every_kind_is_explained_where_its_type_points(office: Office) -> None:
    listed = await office.nobody.get("/problems")
    assert {one["type"] for one in listed} == {f"/problems/{code}" for code in problems.KINDS}
    for one in listed:
        assert await office.nobody.get(one["type"]) == one
    await office.nobody.problem(404, "GET", "/problems/nope")


async def test_a_body_is_bounded_announced_or_not(desk: Desk) -> None:
    body = b'{"name": "' + b"a" * JSON_BYTES + b'"}'

    async def dripped() -> AsyncIterator[bytes]:
        for place in range(0, len(body), 65_536):
            yield body[place : place + 65_536]

    for content in (body, dripped()):
        problem = await desk.problem(413, "POST", "/v1/strategies", content=content, headers=JSON)
        assert str(JSON_BYTES) in problem["detail"]
    liar = {**JSON, "content-length": "9" * 30}
    await desk.problem(413, "POST", "/v1/strategies", content=b"{}", headers=liar)


async def test_a_body_that_never_ends_is_408(office: Office, desk: Desk) -> None:
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        await asyncio.Event().wait()
        raise AssertionError

    async def send(message: Any) -> None:
        sent.append(dict(message))

    edge: Any = office.app.middleware_stack
    patient, edge._json = edge._json, type(edge._json)(100, 0.05)
    try:
        scope = {
            "type": "http",
            "method": "POST",
            "path": "/v1/strategies",
            "raw_path": b"/v1/strategies",
            "root_path": "",
            "query_string": b"",
            "http_version": "1.1",
            "scheme": "http",
            "headers": [(b"authorization", f"Bearer {desk.token}".encode()), (b"content-type", b"application/json")],
        }
        await office.app(scope, receive, send)
    finally:
        edge._json = patient
    assert sent[0]["status"] == 408
    assert (b"connection", b"close") in sent[0]["headers"]
    assert b'"retryable":true' in sent[1]["body"]


def _database_error(kind: type[DBAPIError], inner: BaseException) -> DBAPIError:
    return kind("select secret from t where x = 'tok3n'", {"x": "tok3n"}, inner)


RAISED: dict[str, tuple[Exception, int]] = {
    "not-found": (errors.NotFound("no such thing"), 404),
    "invalid": (errors.Invalid("wrong", pointer="/x", allowed=("y",), nearest="y"), 422),
    "conflict": (errors.Conflict("taken"), 409),
    "unauthorised": (errors.Unauthorised("no"), 401),
    "forbidden": (errors.Forbidden("no"), 403),
    "too-large": (errors.TooLarge("big"), 413),
    "gone": (errors.Gone("erased"), 410),
    "busy": (errors.Busy("later", seconds=2.4), 503),
    "misconfigured": (errors.Misconfigured("tok3n is wrong"), 500),
    "seal": (SealBroken("tok3n"), 500),
    "own": (errors.TallybookError("tok3n"), 500),
    "refused": (ConnectionRefusedError("tok3n"), 503),
    "timeout": (TimeoutError("tok3n"), 503),
    "pool": (PoolTimeoutError("tok3n"), 503),
    "away": (asyncpg.CannotConnectNowError("tok3n"), 503),
    "closed": (asyncpg.InterfaceError("tok3n"), 503),
    "operational": (_database_error(OperationalError, ConnectionResetError("tok3n")), 503),
    "deadlock": (_database_error(DBAPIError, asyncpg.DeadlockDetectedError("tok3n")), 503),
    "integrity": (_database_error(IntegrityError, asyncpg.UniqueViolationError("tok3n")), 500),
    "syntax": (sa.exc.CompileError("tok3n"), 500),
    "bug": (ZeroDivisionError("tok3n"), 500),
    "group": (ExceptionGroup("tok3n", [ValueError("tok3n")]), 500),
}


def raising() -> FastAPI:
    app = Api(real(), Settings.model_construct())

    @app.get("/raise/{name}")
    async def fail(name: str, _request: Request) -> None:
        raise RAISED[name][0]

    return app


@pytest.mark.parametrize("name", RAISED)
async def test_every_error_becomes_its_problem(name: str) -> None:
    error, status = RAISED[name]
    answer = await Desk(raising(), None).ask("GET", f"/raise/{name}")
    document = answer.json()
    assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json")
    assert document["retryable"] == (status == 503)
    assert document["instance"] == f"urn:uuid:{answer.headers['x-request-id']}"
    assert "tok3n" not in answer.text
    assert "select" not in answer.text.lower()
    assert ("retry-after" in answer.headers) == (status == 503)
    if isinstance(error, errors.Busy):
        assert answer.headers["retry-after"] == "3"
    if isinstance(error, errors.Invalid):
        mistake = {"pointer": "/x", "code": "invalid", "detail": "wrong", "allowed": ["y"], "did_you_mean": "y"}
        assert document["errors"] == [mistake]
