"""What a connector is and does, in one shape: for ``GET /v1/capabilities``, ``tallybook connectors --json`` and the
page of the connectors.

Everything is made of what the connector declares. Durations are whole seconds; what is not declared is null.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable, Iterator
from datetime import timedelta
from typing import Any

import msgspec
from msgspec import inspect

from connectors.contract import METRICS, Auth, Budget, Connector, FetchKind, MetricMapping, OAuth2, TokenCall


class Use(enum.StrEnum):
    """What becomes of a number of the platform."""

    COUNTED = "counted"
    CHECK = "check"  # kept and reconciled, never added
    NOT_MAPPED = "not_mapped"  # left out; the note says why


class Fetch(msgspec.Struct, frozen=True, kw_only=True):
    """One kind of pulling: how often, how far back it reads again, whether and how it asks for single subjects."""

    kind: str
    every: int
    look_back: int
    subjects: bool
    batch: int
    calls: int
    sweep: int


class Limit(msgspec.Struct, frozen=True, kw_only=True):
    """A documented rate limit: ``calls`` per ``window``, for each account or the whole app (``per``)."""

    bucket: str
    calls: int
    window: int
    per: str


class Subscription(msgspec.Struct, frozen=True, kw_only=True):
    """``asked``: the service asks the platform to push. ``lease``: it ends after this, and is renewed in time."""

    asked: bool
    lease: int | None


class Call(msgspec.Struct, frozen=True, kw_only=True):
    """One call to a token endpoint: its grant type ("" for none), the parameter that carries the code or token, and how
    it is sent (form, json, query).
    """

    url: str
    grant: str
    sends: str
    method: str
    basic: bool


class Login(msgspec.Struct, frozen=True, kw_only=True):
    """The terms of a login (OAuth 2.0): where it begins, how tokens are had and renewed, and how long they live.

    ``key`` names the credential that signs for tokens where an account of a machine has no login.
    """

    authorize_url: str
    parameters: dict[str, str]
    pkce: bool
    code: Call
    exchange: Call | None
    refresh: Call | None
    rotates: bool
    lifetime: int | None
    refresh_lifetime: int | None
    refresh_before: int
    key: str


class Access(msgspec.Struct, frozen=True, kw_only=True):
    """How a source is authenticated, what it must be given, and in which header its token travels."""

    kind: str
    credentials: dict[str, str]
    scopes: list[str]
    header: str
    scheme: str
    oauth2: Login | None


class Variant(msgspec.Struct, frozen=True, kw_only=True):
    """Another way to authenticate, and the options that choose it."""

    options: dict[str, Any]
    auth: Access


class Mapped(msgspec.Struct, frozen=True, kw_only=True):
    """One metric as the platform calls it, and what it becomes."""

    wire: str
    metric: str | None
    kind: str | None
    unit: str | None
    subject_types: list[str]
    use: Use
    counting: bool
    mapping: str
    note: str
    quality: list[str]


class Described(msgspec.Struct, frozen=True, kw_only=True):
    """One connector. ``hosts`` are the addresses it talks to, ``options`` is a JSON Schema."""

    name: str
    title: str
    version: str
    platform: str | None
    simulated: bool
    webhook: bool
    signature_headers: list[str]
    subscription: Subscription
    upload: bool
    fetch: list[Fetch]
    settle: int
    lag: int
    day_zone: str
    max_body: int
    rate_limit: str
    budgets: list[Limit]
    hosts: list[str]
    auth: Access
    auth_variants: list[Variant]
    options: dict[str, Any]
    metrics: list[Mapped]
    has_schema: bool


def describe(connector: Connector) -> Described:
    """Return what a connector declares."""
    can = connector.capabilities
    asked = type(connector).subscribe is not Connector.subscribe
    return Described(
        name=connector.name,
        title=connector.title,
        version=connector.version,
        platform=connector.platform,
        simulated=can.simulated,
        webhook=can.webhook,
        signature_headers=list(can.signature_headers),
        subscription=Subscription(asked=asked, lease=_span(can.lease)),
        upload=can.upload,
        fetch=[_fetch(kind) for kind in can.fetch],
        settle=_seconds(can.settle),
        lag=_seconds(can.lag),
        day_zone=can.day_zone,
        max_body=can.max_body,
        rate_limit=can.rate_limit,
        budgets=[_limit(budget) for budget in can.budgets],
        hosts=_hosts(connector),
        auth=_access(connector.auth),
        auth_variants=list(_variants(connector)),
        options=msgspec.json.schema(connector.options),
        metrics=[_mapped(mapping) for mapping in connector.metrics],
        has_schema=connector.schema() is not None,
    )


def plain(connectors: Iterable[Connector]) -> list[dict[str, Any]]:
    """Return what connectors declare as the plain data of JSON, in the order given."""
    told: list[dict[str, Any]] = msgspec.json.decode(msgspec.json.encode([describe(one) for one in connectors]))
    return told


def ways_of(connector: Connector) -> Iterator[Auth]:
    """Yield every way in which sources of a connector authenticate, the default one first."""
    yield connector.auth
    yield from (connector.auth_for(options) for _, options in _chosen(connector))


# ------------------------------------------------------------------------------------------------ parts


def _fetch(kind: FetchKind) -> Fetch:
    return Fetch(
        kind=kind.name,
        every=_seconds(kind.every),
        look_back=_seconds(kind.look_back),
        subjects=kind.subjects,
        batch=kind.batch,
        calls=kind.calls,
        sweep=_seconds(kind.sweep or kind.every),
    )


def _limit(budget: Budget) -> Limit:
    return Limit(bucket=budget.bucket, calls=budget.calls, window=_seconds(budget.window), per=budget.per)


def _hosts(connector: Connector) -> list[str]:
    chosen = (connector.address(options) for _, options in _chosen(connector))
    return [address for address in dict.fromkeys((connector.base_url, *chosen, *connector.hosts.values())) if address]


def _access(auth: Auth) -> Access:
    return Access(
        kind=auth.kind.value,
        credentials=dict(auth.credentials),
        scopes=list(auth.scopes),
        header=auth.header,
        scheme=auth.scheme,
        oauth2=None if auth.oauth2 is None else _login(auth.oauth2),
    )


def _login(login: OAuth2) -> Login:
    return Login(
        authorize_url=login.authorize_url,
        parameters=dict(login.parameters),
        pkce=login.pkce,
        code=_call(login.code),
        exchange=None if login.exchange is None else _call(login.exchange),
        refresh=None if login.refresh is None else _call(login.refresh),
        rotates=login.rotates,
        lifetime=_span(login.lifetime),
        refresh_lifetime=_span(login.refresh_lifetime),
        refresh_before=_seconds(login.refresh_before),
        key=login.key,
    )


def _call(call: TokenCall) -> Call:
    return Call(url=call.url, grant=call.grant, sends=call.sends, method=call.method, basic=call.basic)


def _variants(connector: Connector) -> Iterator[Variant]:
    for choice, options in _chosen(connector):
        found = connector.auth_for(options)
        if found != connector.auth:
            yield Variant(options=choice, auth=_access(found))


def _chosen(connector: Connector) -> Iterator[tuple[dict[str, Any], Any]]:
    """Yield every choice of one option, and the options with it: only when asked does a connector say what differs."""
    for field, choices in _choices(connector.options):
        for choice in choices:
            yield {field: choice}, msgspec.convert({field: choice}, connector.options)


def _choices(options: type[msgspec.Struct]) -> Iterator[tuple[str, list[Any]]]:
    """Yield the fields that choose from a closed set; none where some field must be given."""
    form = inspect.type_info(options)
    if not isinstance(form, inspect.StructType) or any(field.required for field in form.fields):
        return
    for field in form.fields:
        match field.type:
            case inspect.LiteralType(values=choices):
                yield field.encode_name, list(choices)
            case inspect.EnumType(cls=members):
                yield field.encode_name, [member.value for member in members]


def _mapped(mapping: MetricMapping) -> Mapped:
    return Mapped(
        wire=mapping.wire,
        metric=mapping.metric,
        kind=None if mapping.kind is None else mapping.kind.value,
        unit=None if mapping.metric is None else METRICS[mapping.metric].unit.value,
        subject_types=[kind.value for kind in mapping.subject_types],
        use=_use(mapping),
        counting=mapping.counting,
        mapping=mapping.mapping,
        note=mapping.note,
        quality=[quality.value for quality in mapping.quality],
    )


def _use(mapping: MetricMapping) -> Use:
    if mapping.metric is None:
        return Use.NOT_MAPPED
    return Use.COUNTED if mapping.counting else Use.CHECK


def _seconds(duration: timedelta) -> int:
    return int(duration.total_seconds())


def _span(duration: timedelta | None) -> int | None:
    return None if duration is None else _seconds(duration)
