"""The HTTP application: routes, errors, the edge around all, the OpenAPI document. What they use is handed in."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import AbstractAsyncContextManager
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from fastapi import APIRouter, FastAPI
from starlette.types import ASGIApp

from service.api import (
    attribution,
    campaigns,
    capabilities,
    comparisons,
    connect,
    conversions,
    creators,
    customers,
    deliveries,
    falls,
    fees,
    influencers,
    keys,
    kpi_trails,
    kpis,
    live,
    metrics,
    openapi,
    operations,
    pacing,
    policies,
    problems,
    query,
    query_presets,
    signals,
    sources,
    strategies,
    subjects,
    tokens,
    uploads,
    webhooks,
    workspaces,
)
from service.api.cors import Cors
from service.api.direct import Direct, DirectWebhooks
from service.api.edge import Edge
from service.api.idempotency import Idempotency
from service.api.limits import Budgets, Limits
from service.api.unchanged import Unchanged
from service.context import Context
from service.settings import Settings

PUBLIC: tuple[APIRouter, ...] = (
    # First, because routes are tried in order and platforms call this one most.
    webhooks.router,
    workspaces.router,
    keys.router,
    tokens.router,
    strategies.router,
    campaigns.router,
    # Before the sources: its callback stands where an id may.
    connect.router,
    sources.router,
    uploads.router,
    creators.router,
    subjects.router,
    deliveries.router,
    kpis.router,
    query_presets.router,
    kpi_trails.router,
    metrics.router,
    query.router,
    live.router,
    conversions.router,
    falls.router,
    comparisons.router,
    signals.router,
    pacing.router,
    policies.router,
    fees.router,
    attribution.router,
    customers.router,
    influencers.router,
    capabilities.router,
)
_ALWAYS: tuple[APIRouter, ...] = (operations.router, problems.router)

Lifespan = Callable[[FastAPI], AbstractAsyncContextManager[None]]


class Api(FastAPI):
    """The application with its edge around everything and an OpenAPI document that says scopes and problems."""

    def __init__(self, context: Context, settings: Settings, lifespan: Lifespan | None = None) -> None:
        """Make an application without routes."""
        self.direct: Direct | None = None
        self._context = context
        self._settings = settings
        self._max_upload = settings.max_upload
        super().__init__(
            title="Tallybook",
            summary="Keeps the books of social-media campaigns and can prove every number",
            version=_version(),
            docs_url=None,
            redoc_url=None,
            redirect_slashes=False,
            generate_unique_id_function=openapi.operation_id,
            lifespan=lifespan,
        )
        problems.install(self)

    def build_middleware_stack(self) -> ASGIApp:
        """Put the edge outside of everything, the answers to unexpected errors included."""
        return Edge(self._fronted(super().build_middleware_stack()), self._context, self._max_upload)

    def _fronted(self, app: ASGIApp) -> ASGIApp:
        """Put in front of the routes what frontends need of all of them."""
        budgets = Budgets(self._settings.requests_per_minute, self._context)
        return Cors(Limits(Unchanged(Idempotency(app), self._context), budgets), self._settings.cors_origins)

    def take_webhooks_directly(self) -> None:
        """Offer the direct way of webhooks to the server."""
        self.direct = DirectWebhooks(self.state)

    def openapi(self) -> dict[str, Any]:
        """Return the document, made once."""
        if self.openapi_schema is None:
            self.openapi_schema = openapi.finished(super().openapi(), self)
        return self.openapi_schema


def with_routes(app: Api, routers: Iterable[APIRouter]) -> Api:
    """Add routes, and those that every process has; return the application."""
    for router in (*routers, *_ALWAYS):
        app.include_router(router, responses=problems.DECLARED)
        if router is webhooks.router:
            app.take_webhooks_directly()
    return app


def _version() -> str:
    try:
        return version("tallybook")
    except PackageNotFoundError:
        return "0"
