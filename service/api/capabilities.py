"""What the installed connectors can do, made of their own declarations."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Response

from service import plugins
from service.api.auth import Anyone
from service.api.models import Output
from service.api.state import Parts
from service.errors import NotFound

router = APIRouter(prefix="/v1", tags=["capabilities"])


class FetchOutput(Output):
    """One kind of pulling; seconds."""

    kind: str
    every: int
    look_back: int


class AuthOutput(Output):
    """How a source is authenticated and what it must be given."""

    kind: str
    credentials: dict[str, str]
    scopes: list[str]


class MappingOutput(Output):
    """One metric as the platform calls it and what it becomes; `metric` null: left out, `note` says why."""

    wire: str
    metric: str | None
    kind: str | None
    subject_types: list[str]
    counting: bool
    mapping: str
    note: str


class CapabilityOutput(Output):
    """One connector. Durations are in seconds, `options` is a JSON Schema."""

    name: str
    title: str
    version: str
    platform: str | None
    simulated: bool
    webhook: bool
    upload: bool
    fetch: list[FetchOutput]
    settle: int
    lag: int
    day_zone: str
    max_body: int
    rate_limit: str
    auth: AuthOutput
    options: dict[str, Any]
    metrics: list[MappingOutput]
    has_schema: bool


class Capabilities(Output):
    """Every installed connector, by name."""

    connectors: list[CapabilityOutput]


@router.get("/capabilities")
async def get_capabilities(_caller: Anyone, parts: Parts) -> Capabilities:
    """Tell what the installed connectors can do."""
    told = (plugins.describe(connector) for connector in parts.connectors.values())
    return Capabilities(connectors=[CapabilityOutput.model_validate(one) for one in told])


@router.get(
    "/schemas/{connector}",
    response_class=Response,
    responses={200: {"content": {"application/schema+json": {"schema": {"type": "object"}}}}},
)
async def get_schema(connector: str, parts: Parts) -> Response:
    """Return the JSON Schema of the bodies that a connector reads, for senders."""
    found = parts.connectors.get(connector)
    body = plugins.schema_text(found) if found is not None else None
    if body is None:
        raise NotFound("this connector has no schema")
    return Response(body, media_type="application/schema+json", headers={"Cache-Control": "public, max-age=3600"})
