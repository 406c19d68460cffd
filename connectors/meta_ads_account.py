"""One ad account as a fetch and a check see it: options, the calls that both share, and what its refusals mean.

The Marketing API speaks the Graph dialect (``connectors.graph``) with words of its own: *too much data*, *a report that
is not ready*, and fields that a version no longer knows.
"""

from __future__ import annotations

import enum
import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal

import msgspec

from connectors import graph, pages, values
from connectors.contract import ConnectorError, Http, Page, Response, Source, TryLater
from connectors.graph import Fault

HOST = "https://graph.facebook.com"
NEEDS = "ads_read"
_ACCOUNT_FIELDS = "account_id,name,currency,timezone_name"
_TOO_MUCH = 1487534
_NOT_READY = 2601
_TEMPORARY = frozenset({104, 960})
_UNKNOWN_FIELD = ("valid for fields param", "nonexisting field")
_VERSION = re.compile(r"v[0-9]{1,3}\.[0-9]")


class MetaAdsOptions(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``conversion_action`` is the one action type whose numbers are the account's conversions ("" for none), and
    ``conversion_value`` whether it has a value (a lead has none).

    Attribution is each ad set's own setting, as the Ads Manager shows it, unless a window is named: then conversions
    are those of the click window and of the view window together. ``reports`` asks for days by background jobs.
    """

    account_id: Annotated[str, msgspec.Meta(pattern=r"^(act_)?[0-9]{0,32}\Z")] = ""
    graph_version: Annotated[str, msgspec.Meta(pattern=r"^v[0-9]{1,3}\.[0-9]\Z")] = "v25.0"
    conversion_action: Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9_.-]{0,64}\Z")] = "omni_purchase"
    conversion_value: bool = True
    click_window: Literal["", "1d_click", "7d_click", "28d_click"] = ""
    view_window: Literal["", "1d_view", "1d_engaged_view"] = ""
    reports: Literal["sync", "async"] = "sync"

    @property
    def windows(self) -> tuple[str, ...]:
        """The attribution windows that are named; one of each kind, since windows of a kind hold each other."""
        return tuple(window for window in (self.click_window, self.view_window) if window)


class Obstacle(enum.StrEnum):
    """Why a report was not answered, where asking in another way helps."""

    TOO_MUCH = "too_much"  # a smaller range, a smaller page or a background job
    NOT_READY = "not_ready"  # the same call a little later
    FIELDS = "fields"  # without the fields that are not known any more


class Account:
    """The ad account of a source and a client that is authorised for it."""

    def __init__(self, http: Http, source: Source) -> None:
        self.http = http
        self.options: MetaAdsOptions = source.options
        self.answered_as = ""
        self.id = (self.options.account_id or source.account).removeprefix("act_")
        if not (self.id.isascii() and self.id.isdigit()):
            raise ConnectorError("the id of an ad account is act_ and digits")

    def path(self, *parts: str) -> str:
        return "/".join((self.options.graph_version, *parts))

    def edge(self, *parts: str) -> str:
        """Return the path of the account or of one of its edges."""
        return self.path(f"act_{self.id}", *parts)

    def page(self, response: Response, cursor: Mapping[str, str], *, last: bool, **request: str) -> Page:
        """Return a page of this account that says which version answered."""
        told = {**request, "answered_as": _version(response)}
        return pages.page_of(response, cursor, last=last, account=self.id, **told)

    async def about(self) -> dict[str, Any]:
        """Return what the account says of itself. Raises for every fault."""
        response = await self.http.get(self.edge(), {"fields": _ACCOUNT_FIELDS})
        self.answered_as = _version(response)
        body, fault, _ = examine(response)
        if fault is not None:
            raise ConnectorError(f"the Graph API does not describe the ad account ({fault.label})")
        return body

    async def zone(self) -> str:
        """Return the IANA name of the account's zone. Raises :class:`ConnectorError` where it says none."""
        name = values.text((await self.about()).get("timezone_name"))
        if name not in values.ZONES:
            raise ConnectorError("the ad account names no known time zone, so its days cannot be placed")
        return name or ""


def _version(response: Response) -> str:
    """Return which version of the API answered: an older one than asked for is passed over in silence."""
    told = response.headers.get("facebook-api-version", "")
    return told if _VERSION.fullmatch(told) else ""


def examine(response: Response) -> tuple[dict[str, Any], Fault | None, Obstacle | None]:
    """Return the object of an answer, its fault and which obstacle that is. Raises every fault that is none."""
    found = _fault(response)
    told = found.told if found is not None else ""
    obstacle = None if found is None else _obstacle(found, told)
    if found is not None and obstacle is not None:
        return {}, found, obstacle
    if found is not None and found.code in _TEMPORARY:
        raise TryLater(f"the Graph API has a temporary fault ({found.label})")
    return graph.require(response, NEEDS), None, None


def is_too_much(response: Response) -> bool:
    """Tell whether an answer refuses a report for its size: that comes as a 500 as well, and no waiting helps."""
    found = _fault(response)
    return found is not None and _obstacle(found, found.told) is Obstacle.TOO_MUCH


def _fault(response: Response) -> Fault | None:
    body = values.readable(response.body)
    return graph.fault_of(body, response.status) if body else None


def _obstacle(fault: Fault, told: str) -> Obstacle | None:
    # The text decides as well: the same refusal comes with codes 1 and 2, which elsewhere are passing faults.
    if fault.subcode == _TOO_MUCH or "reduce the amount of data" in told:
        return Obstacle.TOO_MUCH
    if fault.code == _NOT_READY:
        return Obstacle.NOT_READY
    return Obstacle.FIELDS if any(words in told for words in _UNKNOWN_FIELD) else None


def without_refused(fault: Fault, asked: tuple[str, ...], needed: tuple[str, ...]) -> tuple[str, ...]:
    """Return the fields that are left after a refusal, fewer each time. Raises where a needed one is refused."""
    refused = graph.refused_metrics(fault, asked)
    if not refused or set(refused) & set(needed):
        raise ConnectorError(f"the Graph API refuses the fields of a report ({fault.label})")
    return tuple(name for name in asked if name not in refused)
