"""One GA4 property as a fetch and a check see it: options, reports by POST, and what the API's refusals mean."""

from __future__ import annotations

import re
from collections.abc import Mapping
from http import HTTPStatus
from typing import Annotated, Any

import msgspec

from connectors.contract import (
    BadPayload,
    ConnectorError,
    Http,
    NeedsReauth,
    NotPermitted,
    Page,
    Response,
    Source,
    TryLater,
)
from connectors.ga4_metrics import REVENUE, SESSIONS, of_event

HOST = "https://analyticsdata.googleapis.com"
SCOPE = "https://www.googleapis.com/auth/analytics.readonly"
_DECODER = msgspec.json.Decoder(float_hook=str)
_JSON = {"content-type": "application/json"}
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9:_]{0,99}")
_WORD = re.compile(r"[A-Za-z][A-Za-z0-9:_]*")
_QUOTA_WAITS = (("per day", 6 * 3600.0), ("per hour", 3600.0), ("concurrent", 60.0))
_OTHER_QUOTA = 600.0
REVENUE_EVENTS = frozenset({"purchase", "in_app_purchase", "ecommerce_purchase"})


class Ga4Options(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``key_event`` is the one event whose numbers are the property's conversions ("" for none), ``revenue`` whether
    the revenue of purchases is their value. ``mediums`` limits the reports to some values of ``utm_medium`` (none:
    every tracked link).

    ``today`` asks for the day in progress as well, which the platform reports with more rows lumped together.
    """

    property_id: Annotated[str, msgspec.Meta(pattern=r"^[0-9]{0,20}\Z")] = ""
    key_event: Annotated[str, msgspec.Meta(pattern=r"^([A-Za-z][A-Za-z0-9_]{0,39})?\Z")] = "purchase"
    revenue: bool = True
    mediums: Annotated[tuple[Annotated[str, msgspec.Meta(max_length=100)], ...], msgspec.Meta(max_length=50)] = ()
    today: bool = False

    @property
    def metrics(self) -> tuple[str, ...]:
        """What a report is asked for."""
        event = (of_event(self.key_event),) if self.key_event else ()
        return (SESSIONS, *event, *((REVENUE,) if event and self.revenue else ()))


class Refusal(msgspec.Struct, frozen=True, kw_only=True):
    """An error of the API. ``told`` is its text, for classing only: it is never passed on."""

    code: int
    status: str
    told: str

    def __repr__(self) -> str:
        """Leave out what the platform told."""
        return f"Refusal({self.label})"

    @property
    def label(self) -> str:
        return f"{self.code} {self.status}".strip()


def document(body: bytes) -> dict[str, Any]:
    """Return the JSON object of a body; a number with a fraction stays text. Raises :class:`BadPayload`."""
    try:
        value = _DECODER.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        value = None
    if not isinstance(value, dict):
        raise BadPayload("the body is not a JSON object")
    return value


def mapping(value: Any) -> dict[str, Any]:
    """Return a JSON object, or an empty one for anything else."""
    return value if isinstance(value, dict) else {}


def items(value: Any) -> list[Any]:
    """Return a JSON array, or an empty list for anything else."""
    return value if isinstance(value, list) else []


def refusal_of(body: Mapping[str, Any], status: int = HTTPStatus.OK) -> Refusal | None:
    """Return the error of an answer, or None. A 200 with an error in it is an error too."""
    error = body.get("error")
    if not isinstance(error, dict):
        return None if status == HTTPStatus.OK else Refusal(code=status, status="", told="")
    code = error["code"] if type(error.get("code")) is int else status
    named, told = error.get("status"), error.get("message")
    word = named if isinstance(named, str) and _NAME.fullmatch(named) else ""
    return Refusal(code=code, status=word, told=told if isinstance(told, str) else "")


class Property:
    """The property of a source and a client that is authorised for it."""

    def __init__(self, http: Http, source: Source) -> None:
        self.http = http
        self.options: Ga4Options = source.options
        self.id = self.options.property_id or source.account.removeprefix("properties/")
        if not (self.id.isascii() and self.id.isdigit()):
            raise ConnectorError("the id of a property is digits; a G- id names a stream of its data")

    @property
    def path(self) -> str:
        return f"v1beta/properties/{self.id}"

    async def report(self, asked: Mapping[str, Any]) -> Response:
        """Ask for a report. It reads and changes nothing, so it may be sent again."""
        return await self.http.post(
            f"{self.path}:runReport", body=msgspec.json.encode(asked), headers=_JSON, reads=True
        )

    def page(self, response: Response, cursor: Mapping[str, str], *, last: bool, **request: str) -> Page:
        """Return a page whose request says all that reading it takes; a last page leaves no cursor."""
        said = {"property": self.id, **{name: value for name, value in request.items() if value}}
        after = {} if last else {key: value for key, value in cursor.items() if value}
        return Page(body=response.body, request=said, cursor=after, received_at=response.received_at, last=last)


def examine(response: Response) -> tuple[dict[str, Any], Refusal | None]:
    """Return the object of an answer and the refusal of what was asked, if any. Raises every other fault."""
    try:
        body = document(response.body)
    except BadPayload:
        if response.status == HTTPStatus.OK:
            raise TryLater("GA4 answered with something that is not JSON") from None
        body = {}
    refusal = refusal_of(body, response.status)
    if refusal is not None and refusal.code != HTTPStatus.BAD_REQUEST:
        raise_refusal(refusal)
    return body, refusal


def require(response: Response) -> dict[str, Any]:
    """Return the object of an answer. Raises for every fault."""
    body, refusal = examine(response)
    if refusal is not None:
        raise_refusal(refusal)
    return body


def raise_refusal(refusal: Refusal) -> None:
    """Raise what a refusal means for the whole property."""
    if refusal.code == HTTPStatus.UNAUTHORIZED:
        raise NeedsReauth(f"the access token is not accepted ({refusal.label}): connect the account again")
    if refusal.code == HTTPStatus.TOO_MANY_REQUESTS or refusal.status == "RESOURCE_EXHAUSTED":
        raise TryLater(f"a quota of the property is used up ({refusal.label})", quota_wait(refusal.told))
    if refusal.code >= HTTPStatus.INTERNAL_SERVER_ERROR:
        raise TryLater(f"GA4 has a temporary fault ({refusal.label})")
    if refusal.code in {HTTPStatus.FORBIDDEN, HTTPStatus.NOT_FOUND}:
        needs = "at least the role Viewer on the property, and the Analytics Data API switched on"
        raise NotPermitted(f"the property is not readable: {needs} ({refusal.label})")
    raise ConnectorError(f"GA4 refuses a request ({refusal.label})")


def quota_wait(told: str) -> float:
    """Return how long a used-up quota is waited for: hourly ones come back within the hour, daily ones at midnight."""
    text = told.lower()
    return next((seconds for words, seconds in _QUOTA_WAITS if words in text), _OTHER_QUOTA)


def names_in(refusal: Refusal, asked: tuple[str, ...]) -> tuple[str, ...]:
    """Return which of the asked names a refusal speaks of."""
    told = set(_WORD.findall(refusal.told))
    return tuple(name for name in asked if name in told)
