"""One GA4 property as a fetch and a check see it: options, reports by POST, and what the API's refusals mean."""

from __future__ import annotations

import re
from collections.abc import Mapping
from http import HTTPStatus
from typing import Annotated, Any, Literal

import msgspec

from connectors import pages
from connectors.contract import ConnectorError, Http, NotPermitted, Page, Response, Source, TryLater
from connectors.faults import Fault, Refusal, body_of, by_status, named_in, raise_refusal
from connectors.ga4_metrics import REVENUE, SESSIONS, of_event

HOST = "https://analyticsdata.googleapis.com"
SCOPE = "https://www.googleapis.com/auth/analytics.readonly"
_JSON = {"content-type": "application/json"}
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9:_]{0,99}")
_WORD = re.compile(r"[A-Za-z][A-Za-z0-9:_]*")
_QUOTA_WAITS = (("per day", 6 * 3600.0), ("per hour", 3600.0), ("concurrent", 60.0))
_OTHER_QUOTA = 600.0
_EXHAUSTED = "RESOURCE_EXHAUSTED"
REVENUE_EVENTS = frozenset({"purchase", "in_app_purchase", "ecommerce_purchase"})


class Ga4Options(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``key_event`` is the one event whose numbers are the property's conversions ("" for none), ``revenue`` whether
    the revenue of purchases is their value. ``mediums`` limits the reports to some values of ``utm_medium`` (none:
    every tracked link).

    ``today`` asks for the day in progress as well, which the platform reports with more rows lumped together.
    ``login`` says who reads: a ``person`` who let the app do so, or a ``service_account`` by its key.
    """

    property_id: Annotated[str, msgspec.Meta(pattern=r"^[0-9]{0,20}\Z")] = ""
    key_event: Annotated[str, msgspec.Meta(pattern=r"^([A-Za-z][A-Za-z0-9_]{0,39})?\Z")] = "purchase"
    revenue: bool = True
    mediums: Annotated[tuple[Annotated[str, msgspec.Meta(max_length=100)], ...], msgspec.Meta(max_length=50)] = ()
    today: bool = False
    login: Literal["person", "service_account"] = "person"

    @property
    def metrics(self) -> tuple[str, ...]:
        """What a report is asked for."""
        event = (of_event(self.key_event),) if self.key_event else ()
        return (SESSIONS, *event, *((REVENUE,) if event and self.revenue else ()))


def fault_of(body: Mapping[str, Any], status: int = HTTPStatus.OK) -> Fault | None:
    """Return the error of an answer, or None. A 200 with an error in it is an error too."""
    error = body.get("error")
    if not isinstance(error, dict):
        return None if status == HTTPStatus.OK else Fault(refusal=by_status(status), label=str(status))
    code = error["code"] if type(error.get("code")) is int else status
    named, told = error.get("status"), error.get("message")
    word = named if isinstance(named, str) and _NAME.fullmatch(named) else ""
    refusal = Refusal.THROTTLED if word == _EXHAUSTED else by_status(code)
    return Fault(refusal=refusal, label=f"{code} {word}".strip(), told=told if isinstance(told, str) else "")


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
        """Return a page of this property."""
        return pages.page_of(response, cursor, last=last, property=self.id, **request)


def examine(response: Response) -> tuple[dict[str, Any], Fault | None]:
    """Return the object of an answer and the refusal of what was asked, if any. Raises every other fault."""
    body = body_of(response, "GA4")
    fault = fault_of(body, response.status)
    if fault is not None and fault.refusal is not Refusal.BAD_REQUEST:
        raise_fault(fault)
    return body, fault


def require(response: Response) -> dict[str, Any]:
    """Return the object of an answer. Raises for every fault."""
    body, fault = examine(response)
    if fault is not None:
        raise_fault(fault)
    return body


def raise_fault(fault: Fault) -> None:
    """Raise what a fault means for the whole property."""
    if fault.refusal is Refusal.THROTTLED:
        raise TryLater(f"a quota of the property is used up ({fault.label})", quota_wait(fault.told))
    if fault.refusal in {Refusal.PERMISSION, Refusal.GONE}:
        needs = "at least the role Viewer on the property, and the Analytics Data API switched on"
        raise NotPermitted(f"the property is not readable: {needs} ({fault.label})")
    raise_refusal(fault.refusal, "GA4", fault.label, "")


def quota_wait(told: str) -> float:
    """Return how long a used-up quota is waited for: hourly ones come back within the hour, daily ones at midnight."""
    text = told.lower()
    return next((seconds for words, seconds in _QUOTA_WAITS if words in text), _OTHER_QUOTA)


def names_in(fault: Fault, asked: tuple[str, ...]) -> tuple[str, ...]:
    """Return which of the asked names a refusal speaks of."""
    return named_in(fault.told, asked, _WORD)
