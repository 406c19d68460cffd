"""Alive, ready, measured, logged: what operators see, and what they must not."""

from __future__ import annotations

import base64
import json
import logging
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import httpx
import pytest
import structlog
from pydantic import SecretStr
from sqlalchemy.engine import make_url

from connectors import contract
from service import capabilities, telemetry
from service.app import ROLES, build, open_services
from service.context import Context, real
from service.db import embedded
from service.db.embedded import Embedded
from service.errors import Misconfigured
from tests.integration.api.office import CONNECTORS, MASTER, Desk, Office, PlatformOptions, open_office, settings_for

ANYWHERE = {
    "x-content-type-options": "nosniff",
    "cache-control": "no-store",
    "content-security-policy": "default-src 'none'; frame-ancestors 'none'",
}


def database_of(url: str) -> str:
    return make_url(url).database or ""


async def test_alive_and_ready(office: Office) -> None:
    assert await office.nobody.get("/healthz") == {"status": "ok"}
    ready = await office.nobody.get("/readyz")
    assert (ready["ready"], ready["database"], ready["migrated"], ready["problems"]) == (True, True, True, [])
    assert ready["partition_days"] > 2


async def test_not_ready_without_a_database(office: Office, postgres: Embedded, database_url: str) -> None:
    name = database_of(database_url)
    postgres.psql(f"alter database {name} connection limit 0")
    postgres.psql(f"select pg_terminate_backend(pid) from pg_stat_activity where datname = '{name}'")
    answer = await office.nobody.ask("GET", "/readyz")
    assert (answer.status_code, answer.json()["database"]) == (503, False)
    assert (await office.nobody.ask("GET", "/healthz")).status_code == 200
    problem = await office.instance.problem(503, "GET", "/v1/workspaces")
    assert problem["retryable"]
    postgres.psql(f"alter database {name} connection limit -1")
    assert (await office.nobody.get("/readyz"))["ready"]


async def test_not_ready_behind_the_migrations(office: Office, postgres: Embedded, database_url: str) -> None:
    name = database_of(database_url)
    postgres.psql("update alembic_version set version_num = '0000'", database=name)
    answer = await office.nobody.ask("GET", "/readyz")
    assert (answer.status_code, answer.json()["migrated"]) == (503, False)


async def test_not_ready_when_partitions_end(database_url: str) -> None:
    made = real()
    later = Context(
        now=lambda: made.now() + timedelta(days=34), new_id=made.new_id, token=made.token, uniform=made.uniform
    )
    async with open_office(database_url, later) as office:
        answer = await office.nobody.ask("GET", "/readyz")
    assert (answer.status_code, answer.json()["partition_days"]) == (503, 1)


async def test_measures_name_routes_and_no_one(office: Office, desk: Desk) -> None:
    await desk.ask("GET", f"/v1/workspaces/{desk.workspace}")
    await desk.ask("GET", "/v1/webhooks/" + "s" * 43)
    text = (await office.nobody.ask("GET", "/metrics")).text
    assert 'route="/v1/workspaces/{workspace}"' in text
    assert 'route="/v1/webhooks/{address}"' in text
    assert "s" * 43 not in text
    assert (desk.workspace or "")[4:] not in text


async def test_the_log_names_routes_and_holds_no_secret(office: Office, desk: Desk) -> None:
    body = {"connector": "chirper", "name": "B", "credentials": {"access_token": "tok3n-tok3n"}}
    with structlog.testing.capture_logs() as lines:
        made = await desk.post("/v1/sources", {"connector": "standard_webhooks", "name": "S", "platform": "shop"})
        await desk.post("/v1/sources", body)
        await desk.ask("POST", made["webhook_path"], content=b'{"secret-body": 1}')
        await desk.ask("GET", "/v1/campaigns?after=tok3n-tok3n")
        await desk.ask("GET", "/v1/nope/tok3n-tok3n")
        await office.nobody.ask("GET", "/healthz")
    requests = [line for line in lines if line["event"] == "request"]
    assert [line["route"] for line in requests] == [
        "/v1/sources",
        "/v1/sources",
        "/v1/webhooks/{address}",
        "/v1/campaigns",
        "none",
    ]
    written = str(lines)
    for secret in ("tok3n-tok3n", "secret-body", made["secret"], made["webhook_path"][13:], desk.token or "-"):
        assert secret not in written


async def test_every_answer_has_safe_headers(office: Office, desk: Desk) -> None:
    for path in ("/healthz", "/v1/campaigns", "/nope", "/v1/keys/x", "/metrics", "/openapi.json"):
        headers = (await desk.ask("GET", path)).headers
        assert {name: headers[name] for name in ANYWHERE} == ANYWHERE
        assert headers["x-request-id"]
    first, second = [(await office.nobody.ask("GET", "/healthz")).headers["x-request-id"] for _ in range(2)]
    assert first != second


async def test_capabilities_are_what_connectors_declare(office: Office, desk: Desk) -> None:
    told = (await desk.get("/v1/capabilities"))["connectors"]
    assert [one["name"] for one in told] == sorted(CONNECTORS)
    chirper = told[0]
    assert told == capabilities.plain(CONNECTORS[name] for name in sorted(CONNECTORS))
    assert (chirper["fetch"][0]["kind"], chirper["fetch"][0]["every"]) == ("posts", 3600)
    assert chirper["auth"]["credentials"] == {"access_token": "a token", "app_secret": "signs the webhooks"}
    assert [(one["wire"], one["metric"], one["note"]) for one in chirper["metrics"]] == [
        ("hearts", "likes", ""),
        ("mood", None, "a word"),
    ]
    assert await office.instance.get("/v1/capabilities") == {"connectors": told}
    await office.nobody.problem(401, "GET", "/v1/capabilities")


async def test_a_schema_is_public(office: Office) -> None:
    answer = await office.nobody.ask("GET", "/v1/schemas/standard_webhooks")
    assert answer.json()["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert answer.headers["content-type"] == "application/schema+json"
    for name in ("chirper", "nope"):
        await office.nobody.problem(404, "GET", f"/v1/schemas/{name}")


# ------------------------------------------------------------------------------------------------ start


async def start(url: str, **more: Any) -> None:
    async with open_services(settings_for(url, **more), real(), CONNECTORS):
        pass


async def test_the_owner_and_the_superuser_are_refused(owner_url: str, database_url: str, postgres: Embedded) -> None:
    with pytest.raises(Misconfigured, match="owner"):
        await start(owner_url)
    with pytest.raises(Misconfigured, match="superuser"):
        await start(database_url.replace(f"//{embedded.SERVICE}@", "//postgres@"))
    name = database_of(database_url)
    postgres.psql("create role t_bypass login bypassrls; create role t_member login in role tallybook_owner")
    try:
        postgres.psql("grant select on tenants to t_bypass", database=name, role=embedded.OWNER)
        with pytest.raises(Misconfigured, match="BYPASSRLS"):
            await start(database_url.replace(f"//{embedded.SERVICE}@", "//t_bypass@"))
        with pytest.raises(Misconfigured, match="owner"):
            await start(database_url.replace(f"//{embedded.SERVICE}@", "//t_member@"))
    finally:
        postgres.psql("drop owned by t_bypass; drop role t_bypass; drop role t_member", database=name)


async def test_another_master_key_is_refused(database_url: str) -> None:
    async with open_office(database_url) as office:
        await office.workspace()
    other = base64.b64encode(b"x" * 32).decode()
    with pytest.raises(Misconfigured, match="TALLYBOOK_MASTER_KEY is not the key"):
        await start(database_url, master_key=SecretStr(other))
    await start(database_url, master_key=SecretStr(MASTER))


async def test_settings_that_are_missing_are_named(database_url: str) -> None:
    with pytest.raises(Misconfigured, match="TALLYBOOK_MASTER_KEY"):
        await start(database_url, master_key=None)
    with pytest.raises(Misconfigured, match="TALLYBOOK_DATABASE_URL is needed in prod"):
        await start(database_url, database_url=None, env="prod")
    with pytest.raises(Misconfigured, match="a role is one of"):
        build(settings_for(database_url), roles=("apy",))


async def test_a_process_without_the_api_still_answers_operators(database_url: str) -> None:
    async with open_office(database_url, roles=("worker",)) as office:
        assert (await office.nobody.get("/readyz"))["ready"]
        await office.instance.problem(404, "GET", "/v1/workspaces")


async def test_a_whole_process_reads_what_it_lands(database_url: str) -> None:
    async with open_office(database_url, roles=ROLES) as office:
        desk = await office.workspace()
        body = {"connector": "files", "name": "F", "platform": "g", "options": {"columns": {"likes": "Likes"}}}
        source = await desk.post("/v1/sources", body)
        sent = await desk.ask("POST", f"/v1/sources/{source['id']}/uploads", content=b"Likes\n5\n")
        found = {"fate": "queued"}
        while found["fate"] == "queued":
            found = await desk.get(f"/v1/deliveries/{sent.json()['delivery']}")
        assert found["fate"] == "posted"


# ------------------------------------------------------------------------------------------------ outwards


def source_with(token: str) -> contract.Source:
    return contract.Source(
        id="src_1", platform="chirper", account="", options=PlatformOptions(), credentials={"access_token": token}
    )


async def test_a_connector_reaches_the_configured_address_with_its_token(database_url: str) -> None:
    asked: list[Any] = []

    async def platform(scope: Any, receive: Any, send: Any) -> None:
        asked.append(scope)
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"{}"})

    settings = settings_for(database_url, connector_urls={"chirper": "http://127.0.0.1:9/api"})
    async with open_services(settings, real(), CONNECTORS, httpx.ASGITransport(platform)) as parts:
        http = parts.http_for(source_with("tok3n"), CONNECTORS["chirper"])
        assert (await http.get("posts")).body == b"{}"
        nowhere = parts.http_for(source_with("tok3n"), CONNECTORS["files"])
        with pytest.raises(contract.NotSupported):
            await nowhere.get("posts")
    assert (asked[0]["path"], dict(asked[0]["headers"])[b"host"]) == ("/api/posts", b"127.0.0.1:9")
    assert dict(asked[0]["headers"])[b"authorization"] == b"Bearer tok3n"
    assert "tok3n" not in repr(http)


async def test_an_address_that_is_none_is_named(database_url: str) -> None:
    settings = settings_for(database_url, connector_urls={"chirper": "ftp://x"})
    async with open_services(settings, real(), CONNECTORS) as parts:
        with pytest.raises(Misconfigured, match="TALLYBOOK_CONNECTOR_URLS"):
            parts.http_for(source_with("t"), CONNECTORS["chirper"])


@pytest.fixture
def plain_logging() -> Iterator[None]:
    """Put back what configuring the logs changes."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.reset_defaults()


@pytest.mark.usefixtures("plain_logging")
def test_logs_of_libraries_lose_their_tracebacks(capsys: pytest.CaptureFixture[str]) -> None:
    telemetry.configure_logging("info")
    error = ValueError("tok3n in a statement")
    logging.getLogger("uvicorn.error").error("Exception in ASGI application\ntok3n", exc_info=error)
    structlog.get_logger("x").info("plain", exc_info=ValueError("tok3n"), text="line\nbreak \x1b[0m")
    written = capsys.readouterr().err
    assert "tok3n" not in written
    first, second = [json.loads(line) for line in written.splitlines()]
    assert (first["logger"], first["error"], first["level"]) == ("uvicorn.error", "ValueError", "error")
    assert (second["event"], second["error"]) == ("plain", "ValueError")
