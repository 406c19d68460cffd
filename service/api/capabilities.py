"""What the installed connectors can do, made of their own declarations."""

from __future__ import annotations

from typing import Any, Literal

from fastapi import APIRouter, Response

from service import capabilities, plugins
from service.api.auth import Anyone
from service.api.models import Output
from service.api.state import Parts
from service.errors import NotFound

router = APIRouter(prefix="/v1", tags=["capabilities"])


class FetchOutput(Output):
    """One kind of pulling. A task may name up to `batch` single `subjects`; every `sweep` one names none."""

    kind: str
    every: int
    look_back: int
    subjects: bool
    batch: int
    calls: int
    sweep: int


class BudgetLimitOutput(Output):
    """A documented rate limit: `calls` per `window`, for each account or for the whole app."""

    bucket: str
    calls: int
    window: int
    per: str


class SubscriptionOutput(Output):
    """`asked`: the service asks the platform to push; `lease`: that ends after so long and is renewed before."""

    asked: bool
    lease: int | None


class TokenCallOutput(Output):
    """One call to a token endpoint: its grant type, the parameter that carries the code or token, and the `method`."""

    url: str
    grant: str
    sends: str
    method: str
    basic: bool


class LoginOutput(Output):
    """The terms of a login; `refresh` null: a person must connect again. A lifetime of null has no stated end.

    `key` names the credential that signs for tokens where nobody logs in.
    """

    authorize_url: str
    parameters: dict[str, str]
    pkce: bool
    code: TokenCallOutput
    exchange: TokenCallOutput | None
    refresh: TokenCallOutput | None
    rotates: bool
    lifetime: int | None
    refresh_lifetime: int | None
    refresh_before: int
    key: str


class AuthOutput(Output):
    """How a source is authenticated and what it must be given."""

    kind: str
    credentials: dict[str, str]
    scopes: list[str]
    header: str
    scheme: str
    oauth2: LoginOutput | None


class AuthVariantOutput(Output):
    """Another way to authenticate, and the options that choose it."""

    options: dict[str, Any]
    auth: AuthOutput


class MappingOutput(Output):
    """One metric as the platform calls it and what it becomes.

    `use` says whether it is counted, a check that is never added, or not mapped; then `note` says why. `quality` is
    what the platform may say against it.
    """

    wire: str
    metric: str | None
    kind: str | None
    unit: str | None
    subject_types: list[str]
    use: Literal["counted", "check", "not_mapped"]
    counting: bool
    mapping: str
    note: str
    quality: list[str]


class CapabilityOutput(Output):
    """One connector. Durations are in seconds, `options` is a JSON Schema."""

    name: str
    title: str
    version: str
    platform: str | None
    simulated: bool
    webhook: bool
    signature_headers: list[str]
    subscription: SubscriptionOutput
    upload: bool
    fetch: list[FetchOutput]
    settle: int
    lag: int
    day_zone: str
    max_body: int
    rate_limit: str
    budgets: list[BudgetLimitOutput]
    hosts: list[str]
    auth: AuthOutput
    auth_variants: list[AuthVariantOutput]
    options: dict[str, Any]
    metrics: list[MappingOutput]
    has_schema: bool


class Capabilities(Output):
    """Every installed connector, by name."""

    connectors: list[CapabilityOutput]


@router.get("/capabilities")
async def get_capabilities(_caller: Anyone, parts: Parts) -> Capabilities:
    """Tell what the installed connectors can do."""
    told = capabilities.plain(parts.connectors.values())
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
