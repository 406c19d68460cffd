"""The composition root: settings become a database, a vault, connectors and an application. Nothing else makes them.

The roles of a process: ``api`` answers requests, ``worker`` posts deliveries, ``scheduler`` fetches; ``all`` is the
three. Every process answers ``/healthz``, ``/readyz`` and ``/metrics``.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any, Protocol
from urllib.parse import urlsplit

import httpx
import msgspec
import structlog
from alembic.script import ScriptDirectory
from fastapi import FastAPI

from connectors import contract
from connectors.contract import Connector
from connectors.http import Limits, PlatformHttp, new_client
from service import context as contexts
from service import plugins, telemetry
from service.access.secrets import Vault
from service.api.application import PUBLIC, Api, with_routes
from service.api.state import Services
from service.context import Context
from service.db import embedded, migrate
from service.db.engine import Database, make_engine
from service.db.roles import assert_role
from service.errors import Misconfigured
from service.fetch.budget import Budgets
from service.fetch.circuit import Circuits
from service.fetch.logins import Logins
from service.fetch.oauth import TokenHttp, app_of
from service.fetch.pull import HttpFor, Puller
from service.fetch.rounds import Rounds
from service.fetch.schedule import Scheduler
from service.fetch.standing import Standings
from service.fetch.subscribing import Subscriber
from service.fetch.tokens import Tokens
from service.inbox.land import Lander
from service.ledger.moves import reassign_campaigns, record_version
from service.ledger.policies import record_policy
from service.ledger.resets import settle
from service.pipeline.moving import Mover
from service.pipeline.run import posting_with
from service.pipeline.summing import Summer
from service.pipeline.worker import Worker
from service.registry import workspaces as tenants
from service.settings import Settings

_log = structlog.get_logger(__name__)
ROLES = ("all", "api", "worker", "scheduler")
_STOP_SECONDS = 20.0


class Loop(Protocol):
    """Something that works until it is told to stop."""

    async def run(self, stop: asyncio.Event) -> None: ...


class Place(msgspec.Struct, frozen=True, kw_only=True):
    """Where the books are and what opens their secrets. Its repr shows neither."""

    url: str
    master: str

    def __repr__(self) -> str:
        return "Place(***)"


# ------------------------------------------------------------------------------------------------ parts


def place_of(settings: Settings, context: Context) -> Place:
    """Return the database and the master key of the settings; without an address, start the embedded PostgreSQL.

    Blocks for a second or two then. Raises :class:`Misconfigured` for what is missing.
    """
    master = settings.master_key.get_secret_value() if settings.master_key is not None else None
    if settings.database_url is not None:
        if master is None:
            raise Misconfigured("TALLYBOOK_MASTER_KEY is needed with TALLYBOOK_DATABASE_URL")
        return Place(url=settings.database_url.get_secret_value(), master=master)
    if settings.env == "prod":
        raise Misconfigured("TALLYBOOK_DATABASE_URL is needed in prod: the embedded PostgreSQL is for laptops")
    server = embedded.start(settings.data_dir)
    migrate.upgrade(server.url(embedded.OWNER), embedded.SERVICE)
    return Place(url=server.url(embedded.SERVICE), master=master or embedded.master_key(settings.data_dir, context))


@asynccontextmanager
async def open_services(
    settings: Settings,
    context: Context,
    connectors: Mapping[str, Connector] | None = None,
    transport: httpx.AsyncBaseTransport | None = None,
) -> AsyncIterator[Services]:
    """Open the parts of a process and close them again: for the application and for commands.

    ``transport`` takes the place of the network towards platforms.
    Raises :class:`Misconfigured` for a role that sees too much, a wrong master key or missing settings.
    """
    place = await asyncio.to_thread(place_of, settings, context)
    async with AsyncExitStack() as stack:
        client = await stack.enter_async_context(new_client(transport=transport))
        engine = make_engine(place.url, settings.pool_size)
        stack.push_async_callback(engine.dispose)
        database, vault = Database(engine), Vault(place.master, context)
        await _prove(database, vault)
        lander = Lander(database, context, settings)
        await lander.start()
        known = _installed() if connectors is None else connectors
        token_http = _token_endpoints(client, settings, context)
        parts = (database, context, settings, vault)
        tokens, http_for = Tokens(*parts, token_http), _outgoing(client, settings, context, Budgets(database, context))
        stack.push_async_callback(lander.stop)
        yield Services(
            settings=settings,
            context=context,
            db=database,
            vault=vault,
            connectors=known,
            lander=lander,
            http_for=http_for,
            tokens=tokens,
            logins=Logins(*parts, known, token_http),
            subscriber=Subscriber(*parts, known, http_for, tokens),
            standings=Standings(*parts, known),
            revision=newest_revision(),
            record_version=record_version,
            reassign=reassign_campaigns,
            finish_moves=Mover(database, context).finish,
            settle_fall=settle,
            record_policy=record_policy,
        )


class _Nowhere:
    """The client of a connector that reaches out to nothing."""

    async def get(
        self, path: str, params: Mapping[str, str] | None = None, *, headers: Mapping[str, str] | None = None
    ) -> contract.Response:
        raise contract.NotSupported("this connector has no address to reach out to")

    async def post(
        self,
        path: str,
        params: Mapping[str, str] | None = None,
        body: bytes = b"",
        *,
        headers: Mapping[str, str] | None = None,
        reads: bool = False,
    ) -> contract.Response:
        raise contract.NotSupported("this connector has no address to reach out to")

    async def put(
        self,
        path: str,
        params: Mapping[str, str] | None = None,
        body: bytes = b"",
        *,
        headers: Mapping[str, str] | None = None,
    ) -> contract.Response:
        raise contract.NotSupported("this connector has no address to reach out to")

    def at(self, host: str) -> contract.Http:
        raise contract.NotSupported("this connector has no address to reach out to")


def _outgoing(client: httpx.AsyncClient, settings: Settings, context: Context, budgets: Budgets) -> HttpFor:
    """Return what gives a connector its client: the address is ours or the connector's own, never a row's."""

    def http_for(source: contract.Source, connector: Connector) -> contract.Http:
        given = settings.connector_urls
        address = given.get(connector.name) or connector.address(source.options)
        if not address:
            return _Nowhere()
        auth, app = connector.auth_for(source.options), app_of(settings, connector, source.credentials)
        try:
            return PlatformHttp(
                client,
                address,
                now=context.now,
                uniform=context.uniform,
                token=source.credentials.get(auth.token, ""),
                header=auth.header,
                scheme=auth.scheme,
                hosts={name: given.get(f"{connector.name}.{name}", url) for name, url in connector.hosts.items()},
                open_hosts=connector.open_hosts,
                limits=Limits(attempts=connector.attempts),
                hears=connector.hears,
                pace=budgets.of(connector, source, "" if app is None else app.client_id),
            )
        except (ValueError, httpx.InvalidURL):
            raise Misconfigured(f"TALLYBOOK_CONNECTOR_URLS: not the address of {connector.name}") from None

    return http_for


def _token_endpoints(client: httpx.AsyncClient, settings: Settings, context: Context) -> TokenHttp:
    """Return what gives the client of a token endpoint: a constant of the connector, or ``<connector>.oauth`` of ours.

    A call is made once: what a second one would do to a code or a refresh token nobody knows.
    """

    def token_http(connector: Connector, url: str) -> contract.Http:
        parts = urlsplit(url)
        address = settings.connector_urls.get(f"{connector.name}.oauth") or f"{parts.scheme}://{parts.netloc}"
        return PlatformHttp(
            client, address, now=context.now, uniform=context.uniform, limits=Limits(attempts=1), secret=True
        )

    return token_http


def rounds_of(services: Services) -> Rounds:
    """Return what plans and pulls: for the scheduler and for commands."""
    parts = (services.db, services.context)
    puller = Puller(
        *parts,
        services.settings,
        services.vault,
        services.http_for,
        services.lander.landed,
        services.tokens,
        Circuits(*parts),
    )
    return Rounds(*parts, services.connectors, puller)


async def _prove(database: Database, vault: Vault) -> None:
    """Refuse to start with a role that passes policies by, or with a master key that opens nothing."""
    async with database.control() as connection:
        await assert_role(connection)
        known = await tenants.known(connection, 1)
    for workspace_id in known:
        async with database.workspace(workspace_id) as connection:
            await tenants.open_vault(connection, workspace_id, vault)


def _installed() -> Mapping[str, Connector]:
    found = plugins.discover()
    telemetry.BROKEN_PLUGINS.set(len(found.broken))
    for name, reason in found.broken.items():
        _log.error("plugin.broken", name=name, reason=reason)
    return found.connectors


def newest_revision() -> str:
    """Return the newest migration that this code knows."""
    head = ScriptDirectory.from_config(migrate.config("", "")).get_current_head()
    if head is None:
        raise Misconfigured("there are no migrations beside the service")
    return head


# ------------------------------------------------------------------------------------------------ application


def build(
    settings: Settings,
    context: Context | None = None,
    *,
    roles: Iterable[str] = ("all",),
    connectors: Mapping[str, Connector] | None = None,
    transport: httpx.AsyncBaseTransport | None = None,
) -> FastAPI:
    """Return the application of a process. Its parts are opened and its loops started by its lifespan.

    Raises :class:`Misconfigured` for an unknown role.
    """
    chosen = _roles(roles)
    made = context or contexts.real()

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with open_services(settings, made, connectors, transport) as services:
            app.state.services = services
            async with _running(_loops(services, chosen)):
                yield

    return with_routes(Api(made, settings, lifespan), PUBLIC if "api" in chosen else ())


def openapi_document() -> dict[str, Any]:
    """Return the OpenAPI document of the public interface, without a database or an environment."""
    return with_routes(Api(contexts.real(), Settings.model_construct()), PUBLIC).openapi()


def _roles(roles: Iterable[str]) -> frozenset[str]:
    named = frozenset(roles)
    unknown = sorted(named - set(ROLES))
    if unknown or not named:
        raise Misconfigured(f"a role is one of {', '.join(ROLES)}")
    return frozenset(ROLES) if "all" in named else named


def _loops(services: Services, roles: frozenset[str]) -> dict[str, Loop]:
    """Return what runs beside the requests of this process, by role."""
    loops: dict[str, Loop] = {}
    if "worker" in roles:
        summer = Summer(services.db, services.context)
        loops["worker"] = Worker(
            services.db,
            services.context,
            services.settings,
            services.connectors,
            wake=services.lander.landed,
            post=summer.hearing(posting_with(services.vault)),
            vault=services.vault,
        )
        loops["mover"] = Mover(services.db, services.context)
        loops["summer"] = summer
    if "scheduler" in roles:
        rounds = rounds_of(services)
        loops["scheduler"] = Scheduler(services.db, services.context, services.settings, rounds, services.subscriber)
    return loops


@asynccontextmanager
async def _running(loops: Mapping[str, Loop]) -> AsyncIterator[None]:
    """Run loops until the block ends; then let each finish what it has in hand, within a limit."""
    stop = asyncio.Event()
    tasks = [asyncio.create_task(loop.run(stop), name=name) for name, loop in loops.items()]
    for task in tasks:
        task.add_done_callback(_ended)
    try:
        yield
    finally:
        stop.set()
        if tasks:
            _, late = await asyncio.wait(tasks, timeout=_STOP_SECONDS)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)


def _ended(task: asyncio.Task[None]) -> None:
    if not task.cancelled() and (error := task.exception()) is not None:
        _log.error("loop.died", loop=task.get_name(), error=type(error).__name__)


__all__ = [
    "ROLES",
    "Api",
    "Place",
    "build",
    "newest_revision",
    "open_services",
    "openapi_document",
    "place_of",
    "rounds_of",
]
