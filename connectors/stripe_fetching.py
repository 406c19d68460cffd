"""Fetches Stripe: the events of a window, the sessions whose code an event left out, the refunds with their payments.

Events are kept for 30 days and are what webhooks carry, so that listing them finds what was never pushed. A listing is
newest first and ends where its window does. The cursor names the work that is left: where the listing goes on, and
which sessions of the page at hand are still to be asked for. Nothing is read here beyond what the next call needs.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Mapping
from datetime import datetime, timedelta
from http import HTTPStatus
from typing import Any

import msgspec

from connectors import stripe_metrics as metrics
from connectors import stripe_values as own
from connectors import values
from connectors.contract import (
    BadPayload,
    ConnectorError,
    FetchKind,
    Http,
    NeedsReauth,
    NotPermitted,
    NotSupported,
    Page,
    Response,
    Source,
    Task,
    TryLater,
)
from connectors.stripe_events import StripeOptions

RECENT = timedelta(days=3)
KEPT = timedelta(days=30)
"""How long Stripe keeps events."""
_HINTED = timedelta(days=1)
_REFUNDED = timedelta(days=7)
_NAMED = 500  # one listing finds them, however many there are
KINDS = (
    FetchKind(name="events", every=timedelta(hours=1), look_back=RECENT, subjects=True, batch=_NAMED),
    FetchKind(name="reconcile", every=timedelta(days=7), look_back=KEPT),
    FetchKind(name="refunds", every=timedelta(hours=6), look_back=_REFUNDED),
)

EVENTS_SCOPE = "Events: read"
_PAGE = "100"
_MOST_PAGES = 2000
_DUE = re.compile(r"(cs_[A-Za-z0-9_]{1,124}):([0-9]{1,12})")


class Account:
    """The account of a source and a client that is authorised for it."""

    def __init__(self, http: Http, source: Source) -> None:
        self.http = http
        self.options: StripeOptions = source.options
        connected = self.options.connected_account
        self._headers = {"stripe-account": connected} if connected else None

    async def get(self, path: str, params: Mapping[str, str] | None = None) -> Response:
        return await self.http.get(f"v1/{path}", params, headers=self._headers)

    def page(self, response: Response, cursor: Mapping[str, str], *, last: bool, **request: str) -> Page:
        """Return a page whose request says all that reading it takes; a last page leaves no cursor."""
        after = {} if last else dict(cursor)
        return Page(body=response.body, request=request, cursor=after, received_at=response.received_at, last=last)


# ------------------------------------------------------------------------------------------------ errors


def require(response: Response, needs: str = "") -> dict[str, Any]:
    """Return the object of an answer. Raises for every error; ``needs`` names the permission that the call takes."""
    if response.status != HTTPStatus.OK:
        raise_status(response, needs)
    try:
        body = values.document(response.body)
    except BadPayload:
        raise TryLater("Stripe answered with something that is not JSON") from None
    if "error" in body:
        raise TryLater("Stripe answered with an error that it calls a success")
    return body


def raise_status(response: Response, needs: str) -> None:
    """Raise what a status means, the word of the platform on trying again first."""
    status = response.status
    if status == HTTPStatus.UNAUTHORIZED:
        raise NeedsReauth("the key is no longer valid: give a new one")
    if status == HTTPStatus.FORBIDDEN:
        raise NotPermitted(f"the key lacks a permission: {needs or 'unknown'}")
    if response.headers.get("stripe-should-retry") == "true" or status == HTTPStatus.CONFLICT:
        raise TryLater(f"Stripe answered {status} and asks to be tried again")
    raise ConnectorError(f"Stripe answered {status}")


# ------------------------------------------------------------------------------------------------ listings


class _Left(msgspec.Struct, frozen=True):
    """The work that is left of a task; ``due`` are sessions with the instant they were paid, as ``id:seconds``."""

    after: str = ""
    due: tuple[str, ...] = ()
    ended: bool = False

    @property
    def is_done(self) -> bool:
        return self.ended and not self.due

    def cursor(self) -> dict[str, str]:
        said = {"after": self.after, "due": ",".join(self.due), "ended": "1" if self.ended else ""}
        return {name: value for name, value in said.items() if value}


def _left_of(cursor: Mapping[str, str]) -> _Left:
    due = tuple(one for one in cursor.get("due", "").split(",") if _DUE.fullmatch(one))
    return _Left(after=cursor.get("after", ""), due=due, ended="ended" in cursor)


async def _walk(account: Account, task: Task, now: datetime) -> AsyncIterator[Page]:
    """Yield a listing page by page, each followed by the sessions it left something out of."""
    left, seen = _left_of(task.cursor), set[str]()
    while not left.is_done:
        if left.due:
            page, left = await _session(account, task, left)
        else:
            page, left = await _listing(account, task, left, now)
            if not left.ended and left.after in seen:
                raise ConnectorError("a listing comes back to a page it has shown")
            seen.add(left.after)
            if len(seen) > _MOST_PAGES:
                raise ConnectorError(f"a listing does not end after {_MOST_PAGES} pages")
        yield page


async def _listing(account: Account, task: Task, left: _Left, now: datetime) -> tuple[Page, _Left]:
    name = "refunds" if task.kind == "refunds" else "events"
    more = {"expand[]": "data.payment_intent"} if name == "refunds" else _types()
    after = {"starting_after": left.after} if left.after else {}
    response = await account.get(name, {"limit": _PAGE, **_window(task, now), **more, **after})
    body = require(response, "Refunds: read" if name == "refunds" else EVENTS_SCOPE)
    data = [values.mapping(one) for one in values.items(body.get("data"))]
    last = own.optional_identifier(data[-1].get("id")) if data else None
    goes_on = body.get("has_more") is True
    if goes_on and last is None:
        raise ConnectorError("a listing goes on without saying where")
    due = _due(data) if name == "events" and account.options.counts == "checkout" else ()
    rest = _Left(after=last or "" if goes_on else "", due=due, ended=not goes_on)
    return account.page(response, rest.cursor(), last=rest.is_done, kind=task.kind, page=name), rest


def _window(task: Task, now: datetime) -> dict[str, str]:
    end = task.end or now
    start = task.start or end - KEPT
    start = max(start, end - _HINTED) if task.subjects else start
    return {"created[gte]": str(int(start.timestamp())), "created[lte]": str(int(end.timestamp()))}


def _types() -> dict[str, str]:
    return {f"types[{number}]": name for number, name in enumerate(metrics.ASKED)}


def _due(events: list[dict[str, Any]]) -> tuple[str, ...]:
    """Return the paid sessions of a page whose code an event does not tell."""
    found: dict[str, None] = {}
    for event in events:
        session = values.mapping(values.mapping(event.get("data")).get("object"))
        one = f"{session.get('id')}:{event.get('created')}"
        if event.get("type") in metrics.SESSIONS and own.hidden_code(session) and _DUE.fullmatch(one):
            found[one] = None
    return tuple(found)


async def _session(account: Account, task: Task, left: _Left) -> tuple[Page, _Left]:
    session, _, paid_at = left.due[0].partition(":")
    response = await account.get(f"checkout/sessions/{session}", {"expand[]": "discounts.promotion_code"})
    if response.status != HTTPStatus.NOT_FOUND:  # one session that is gone is no error of the others
        require(response, "Checkout Sessions: read")
    rest = msgspec.structs.replace(left, due=left.due[1:])
    said = {"kind": task.kind, "page": "session", "session_id": session, "paid_at": paid_at}
    return account.page(response, rest.cursor(), last=rest.is_done, **said), rest


def pages_of(account: Account, task: Task, now: datetime) -> AsyncIterator[Page]:
    """Return the pages of a task from its cursor on. Raises :class:`NotSupported` for an unknown kind."""
    if task.kind not in {kind.name for kind in KINDS}:
        raise NotSupported(f"Stripe has no task of the kind {task.kind!r}")
    return _walk(account, task, now)
