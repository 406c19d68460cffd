"""An application over a test database, spoken to as callers do: with keys, over HTTP, without sockets."""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import httpx
import msgspec
from fastapi import FastAPI
from pydantic import SecretStr

from connectors.contract import (
    Auth,
    AuthKind,
    Capabilities,
    Connector,
    FetchKind,
    MetricMapping,
)
from connectors.files import CONNECTOR as FILES
from connectors.standard_webhooks import CONNECTOR as WEBHOOKS
from service.access import keys
from service.access.keys import Scope
from service.api.state import Services
from service.app import build
from service.context import Context, real
from service.settings import Settings

MASTER = base64.b64encode(b"m" * 32).decode()


class PlatformOptions(msgspec.Struct, frozen=True, kw_only=True):
    """Options of the made-up platform."""

    region: str = "eu"
    limit: int = 50


class Platform(Connector):
    """A made-up platform that is pulled with a token and signs with a secret of its own."""

    name = "chirper"
    title = "Chirper"
    version = "3"
    platform = "chirper"
    options = PlatformOptions
    auth = Auth(kind=AuthKind.TOKEN, credentials={"access_token": "a token", "app_secret": "signs the webhooks"})
    capabilities = Capabilities(webhook=True, fetch=(FetchKind(name="posts", every=timedelta(hours=1)),))
    metrics = (MetricMapping(wire="hearts", metric="likes"), MetricMapping(wire="mood", metric=None, note="a word"))


CONNECTORS: Mapping[str, Connector] = {c.name: c for c in (Platform(), FILES, WEBHOOKS)}


def settings_for(url: str, **more: Any) -> Settings:
    """Return the settings of a service on a test database."""
    values = {"database_url": SecretStr(url), "master_key": SecretStr(MASTER), "pool_size": 4}
    return Settings.model_validate(values | more)


class Desk:
    """A caller with one key."""

    def __init__(self, app: FastAPI, token: str | None, workspace: str | None = None) -> None:
        self.app = app
        self.token = token
        self.workspace = workspace

    async def ask(self, method: str, path: str, json: Any = None, **more: Any) -> httpx.Response:
        """Send one request; what the application raises is an answer too."""
        headers = dict(more.pop("headers", {}))
        if self.token is not None:
            headers.setdefault("authorization", f"Bearer {self.token}")
        transport = httpx.ASGITransport(self.app, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://tallybook") as client:
            return await client.request(method, path, json=json, headers=headers, **more)

    async def get(self, path: str, **more: Any) -> Any:
        """GET and return the JSON of a 200."""
        answer = await self.ask("GET", path, **more)
        assert answer.status_code == 200, answer.text
        return answer.json()

    async def post(self, path: str, json: Any = None, status: int = 201, **more: Any) -> Any:
        """POST and return the JSON of the expected status."""
        answer = await self.ask("POST", path, json, **more)
        assert answer.status_code == status, answer.text
        return answer.json()

    async def patch(self, path: str, json: Any) -> Any:
        """PATCH and return the JSON of a 200."""
        answer = await self.ask("PATCH", path, json)
        assert answer.status_code == 200, answer.text
        return answer.json()

    async def problem(self, status: int, method: str, path: str, json: Any = None, **more: Any) -> Any:
        """Send what is refused and return the problem."""
        answer = await self.ask(method, path, json, **more)
        assert answer.status_code == status, answer.text
        assert answer.headers["content-type"] == "application/problem+json"
        document = answer.json()
        assert document["status"] == status
        assert document["request_id"] == answer.headers["x-request-id"]
        return document


class Office:
    """A running application, its instance key and its workspaces."""

    def __init__(self, app: FastAPI, instance: str) -> None:
        self.app = app
        self.instance = Desk(app, instance)
        self.nobody = Desk(app, None)

    @property
    def services(self) -> Services:
        """The parts of the application."""
        found: Services = self.app.state.services
        return found

    async def workspace(self, name: str = "Acme", **more: Any) -> Desk:
        """Create a workspace and return its first caller."""
        made = await self.instance.post("/v1/workspaces", {"name": name, **more})
        return Desk(self.app, made["key"]["token"], made["id"])

    async def caller(self, desk: Desk, scopes: Iterable[Scope | str]) -> Desk:
        """Return another caller of the same workspace, with these scopes."""
        made = await desk.post("/v1/keys", {"name": "other", "scopes": list(scopes)})
        return Desk(self.app, made["token"], desk.workspace)


@asynccontextmanager
async def open_office(
    url: str, context: Context | None = None, roles: Iterable[str] = ("api",), **more: Any
) -> AsyncIterator[Office]:
    """Start an application on a migrated database; stop it at the end."""
    made = context or real()
    app = build(settings_for(url, **more), made, roles=roles, connectors=CONNECTORS)
    async with app.router.lifespan_context(app):
        services: Services = app.state.services
        async with services.db.control() as connection:
            instance = await keys.create_instance(connection, made)
        yield Office(app, instance.token)
