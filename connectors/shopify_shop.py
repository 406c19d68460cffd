"""One shop as a fetch and a check see it: options, the one address of the API, its errors and its throttling.

The API is one GraphQL address. It answers 200 to nearly everything, errors included: what went wrong is in ``errors``,
and a part of the data may stand beside it (a field that the token may not read is null, with an error naming it).
A query costs points that are known before it runs; how many are left stands in every answer.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Annotated, Any, Literal

import msgspec

from connectors import values
from connectors.contract import (
    BadPayload,
    ConnectorError,
    Http,
    NeedsReauth,
    NotPermitted,
    Page,
    Response,
    Source,
    SubjectRef,
    SubjectType,
    TryLater,
    Usage,
)

BUCKET = "graphql"
"""The limit of a shop: points, refilled by the second."""
VERSION_HEADER = "x-shopify-api-version"

_SECURITY_REJECTION = 430  # Shopify's own: it takes the caller for a machine that does harm
_LONG_WAIT = 600.0
_HEADERS = {"content-type": "application/json"}
_LARGEST_FIGURE = 10**9


class ShopifyOptions(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``shop`` is the permanent name of the shop, ``example.myshopify.com``; its own domain is none.

    ``counts`` says which orders are counted: those for which money has come, or every order that was placed.
    ``skip_sources`` names the channels whose orders are not (their ``source_name``). ``api_version`` is that of the API
    and should be that of the webhooks. ``webhook_url`` is where the webhooks are to be sent when asked for.
    """

    shop: Annotated[str, msgspec.Meta(pattern=r"^([a-z0-9][a-z0-9-]{0,62}\.myshopify\.com)?\Z")] = ""
    counts: Literal["paid", "placed"] = "paid"
    skip_sources: tuple[Annotated[str, msgspec.Meta(min_length=1, max_length=64)], ...] = ("pos", "shopify_draft_order")
    api_version: Annotated[str, msgspec.Meta(pattern=r"^20[0-9]{2}-(01|04|07|10)\Z")] = "2026-04"
    webhook_url: Annotated[str, msgspec.Meta(pattern=r"^(https://[!-~]{1,500})?\Z")] = ""

    @property
    def subject(self) -> SubjectRef:
        """The shop as a subject."""
        return SubjectRef(self.shop or "shop", SubjectType.SHOP)


class TooCostly(ConnectorError):  # noqa: N818 - reads as a verdict
    """A single query asks for more points than a bucket holds: ask for less at once."""


class Shop:
    """The shop of a source and a client that is authorised for it."""

    def __init__(self, http: Http, source: Source) -> None:
        self.http = http
        self.options: ShopifyOptions = source.options
        # The source's own address, unless an option names another: a gateway in front of it.
        self.webhook_url = self.options.webhook_url or source.webhook_url
        self.path = f"admin/api/{self.options.api_version}/graphql.json"

    async def post(self, query: str, name: str, /, **variables: Any) -> Response:
        """Return the answer to a query, whatever it says."""
        return await self.http.post(self.path, None, _body(query, name, variables), headers=_HEADERS, reads=True)

    async def ask(self, query: str, name: str, needs: str = "", /, **variables: Any) -> tuple[Response, dict[str, Any]]:
        """Return the answer to a query and its data. Raises what :func:`examine` raises."""
        response = await self.post(query, name, **variables)
        return response, examine(response, needs)

    async def change(self, query: str, name: str, /, **variables: Any) -> dict[str, Any]:
        """Return the data of a mutation, which is not repeated."""
        response = await self.http.post(self.path, None, _body(query, name, variables), headers=_HEADERS)
        return examine(response, "write access to what is changed")

    def page(self, response: Response, cursor: Mapping[str, str], *, last: bool, **request: str) -> Page:
        """Return a page whose request says all that reading it takes; a last page leaves no cursor."""
        said = {name: value for name, value in request.items() if value}
        after = {} if last else dict(cursor)
        return Page(body=response.body, request=said, cursor=after, received_at=response.received_at, last=last)


def _body(query: str, name: str, variables: Mapping[str, Any]) -> bytes:
    return msgspec.json.encode({"query": query, "operationName": name, "variables": variables})


# ------------------------------------------------------------------------------------------------ errors


def examine(response: Response, needs: str = "", *, of_one: bool = False) -> dict[str, Any]:
    """Return the data of an answer; what a part of it lacks is told by :func:`missing`.

    ``of_one`` says that the query is about one object alone: then a refusal without a known reason concerns nothing
    else and is no error of the fetch.

    Raises :class:`TryLater` when throttled, for a fault of theirs and for what is no JSON; :class:`TooCostly`;
    :class:`NeedsReauth`, :class:`NotPermitted` (``needs`` names the scope) or :class:`ConnectorError`.
    """
    if response.status != HTTPStatus.OK:
        _raise_status(response.status)
    try:
        body = values.document(response.body)
    except BadPayload:
        raise TryLater("Shopify answered with something that is not JSON") from None
    codes = _codes(body)
    data = values.mapping(body.get("data"))
    if "THROTTLED" in codes:
        raise TryLater("Shopify throttles", _wait(response.body))
    if "MAX_COST_EXCEEDED" in codes:
        raise TooCostly("a query costs more than Shopify allows")
    if codes & {"INTERNAL_SERVER_ERROR", "TIMEOUT"}:
        raise TryLater("Shopify has a temporary fault")
    if any(part is not None for part in data.values()):
        return data
    if codes:
        _raise_codes(codes, needs, of_one=of_one)
    elif not data:
        raise TryLater("Shopify answered without data")
    return data


def _raise_codes(codes: frozenset[str], needs: str, *, of_one: bool) -> None:
    if "ACCESS_DENIED" in codes:
        raise NotPermitted(f"the token lacks a scope: {needs or 'unknown'}")
    if "SHOP_INACTIVE" in codes:
        raise NotPermitted("the shop is not active")
    if not of_one:
        raise ConnectorError("Shopify refuses a query: is the API version too old?")


def _raise_status(status: int) -> None:
    if status == HTTPStatus.UNAUTHORIZED:
        raise NeedsReauth("the access token is no longer valid, as after uninstalling: connect the shop again")
    if status == HTTPStatus.PAYMENT_REQUIRED:
        raise NotPermitted("the shop is frozen: its owner has to settle its bill")
    if status == HTTPStatus.FORBIDDEN:
        raise NotPermitted("the token may not use the API of this shop: read_orders")
    if status == HTTPStatus.LOCKED:
        raise NotPermitted("the shop is locked by Shopify")
    if status == _SECURITY_REJECTION:
        raise TryLater("Shopify refuses requests for the moment", _LONG_WAIT)
    if status == HTTPStatus.NOT_FOUND:
        raise ConnectorError("there is no such shop, or not this version of the API")
    raise ConnectorError(f"Shopify answered {status}")


def _codes(body: Mapping[str, Any]) -> frozenset[str]:
    """Return the codes of all errors; one without a code counts as *UNKNOWN*, and so do errors that are a text."""
    errors = body.get("errors")
    if not isinstance(errors, list):
        return frozenset({"UNKNOWN"}) if errors else frozenset()
    codes = (values.mapping(values.mapping(error).get("extensions")).get("code") for error in errors)
    return frozenset(code if isinstance(code, str) else "UNKNOWN" for code in codes)


def missing(body: Mapping[str, Any]) -> list[str]:
    """Return the names of the fields that an answer was refused, each once."""
    found: dict[str, None] = {}
    for error in map(values.mapping, values.items(body.get("errors"))):
        names = [part for part in values.items(error.get("path")) if isinstance(part, str)]
        found[values.shown(names[-1]) if names else "errors"] = None
    return list(found)


# ------------------------------------------------------------------------------------------------ throttling


class _Throttle(msgspec.Struct, frozen=True, rename="camel"):
    maximum_available: float
    currently_available: float
    restore_rate: float


class _Cost(msgspec.Struct, frozen=True, rename="camel"):
    throttle_status: _Throttle
    requested_query_cost: float | None = None


class _Extensions(msgspec.Struct, frozen=True):
    cost: _Cost


class _Told(msgspec.Struct, frozen=True):
    extensions: _Extensions


_TOLD = msgspec.json.Decoder(_Told)


def _cost_of(body: bytes) -> _Cost | None:
    try:
        cost = _TOLD.decode(body).extensions.cost
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None
    told = cost.throttle_status
    sound = 0 < told.restore_rate <= _LARGEST_FIGURE and 0 < told.maximum_available <= _LARGEST_FIGURE
    return cost if sound and abs(told.currently_available) <= _LARGEST_FIGURE else None


def usage(response: Response) -> Sequence[Usage]:
    """Return what the body says of the points that are left. Raises nothing."""
    cost = _cost_of(response.body)
    if cost is None:
        return ()
    told = cost.throttle_status
    left = min(max(told.currently_available, 0.0), told.maximum_available)
    reset = (told.maximum_available - left) / told.restore_rate
    return (
        Usage(
            bucket=BUCKET,
            used=1.0 - left / told.maximum_available,
            remaining=left,
            limit=told.maximum_available,
            reset=reset,
        ),
    )


def _wait(body: bytes) -> float | None:
    """Return the seconds until a throttled query has its points; None where the answer does not tell."""
    cost = _cost_of(body)
    if cost is None or cost.requested_query_cost is None:
        return None
    lacking = cost.requested_query_cost - cost.throttle_status.currently_available
    return min(max(lacking / cost.throttle_status.restore_rate, 1.0), _LONG_WAIT)
