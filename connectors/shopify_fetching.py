"""Fetches a shop: the orders that changed in a window, the refunds of those that have any, and the shop itself.

Orders are listed by the time of their last change, oldest first, so that whatever happened to an order (paid, edited,
refunded, cancelled) brings it back into the next look, however old it is. A page of orders is followed by one page for
each of its orders that gave money back: within a listing the refunds would multiply the cost of every query.

The cursor names the work that is left: where the listing goes on, how many orders a page may have, and whose refunds of
the page at hand are still to be asked for. Nothing is read here beyond what the next call needs.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from datetime import datetime, timedelta
from typing import Any

import msgspec

from connectors import shopify_values as own
from connectors import values
from connectors.contract import ConnectorError, FetchKind, NotSupported, Page, Task
from connectors.shopify_shop import Shop, TooCostly, examine

RECENT = timedelta(days=3)
READABLE = timedelta(days=60)
"""How far back orders are readable without the scope ``read_all_orders``."""
_HINTED = timedelta(days=1)
_NAMED = 500  # one listing finds them, however many there are
KINDS = (
    FetchKind(name="orders", every=timedelta(hours=1), look_back=RECENT, subjects=True, batch=_NAMED),
    FetchKind(name="reconcile", every=timedelta(days=7), look_back=READABLE),
    FetchKind(name="shop", every=timedelta(days=1)),
)

SCOPE = "read_orders"
_PAGE = 50
_MOST_PAGES = 5000
_LONGEST_CURSOR = 2048

_MONEY = "{shopMoney{amount currencyCode}}"
_VISIT = "{landingPage referrerUrl utmParameters{source medium campaign content}}"
_FIELDS = f"""fragment Fields on Order{{
legacyResourceId createdAt processedAt updatedAt cancelledAt test displayFinancialStatus sourceName
totalPriceSet{_MONEY} currentTotalPriceSet{_MONEY} totalOutstandingSet{_MONEY} totalReceivedSet{_MONEY}
totalRefundedSet{_MONEY} discountCodes customAttributes{{key value}} customer{{legacyResourceId}}
customerJourneySummary{{ready customerOrderIndex firstVisit{_VISIT} lastVisit{_VISIT}}}}}"""
_ORDERS = f"""query Orders($first:Int!,$after:String,$query:String!){{
orders(first:$first,after:$after,query:$query,sortKey:UPDATED_AT){{
nodes{{...Fields}} pageInfo{{hasNextPage endCursor}}}}}}
{_FIELDS}"""
MOST_REFUNDS = 50
_REFUNDS = f"""query Refunds($id:ID!){{order(id:$id){{...Fields refunds(first:{MOST_REFUNDS}){{
legacyResourceId createdAt transactions(first:5){{nodes{{kind status test amountSet{_MONEY}}}}}}}}}}}
{_FIELDS}"""
SHOP = "query Shop{shop{myshopifyDomain name currencyCode ianaTimezone primaryDomain{url}}}"


class _Left(msgspec.Struct, frozen=True):
    """The work that is left of a task: ``due`` are orders whose refunds are, ``ended`` says that the listing has."""

    after: str = ""
    due: tuple[str, ...] = ()
    size: int = _PAGE
    ended: bool = False

    @property
    def is_done(self) -> bool:
        return self.ended and not self.due

    def cursor(self) -> dict[str, str]:
        said = {"after": self.after, "due": ",".join(self.due), "ended": "1" if self.ended else ""}
        return {"size": str(self.size), **{name: value for name, value in said.items() if value}}


def _left_of(cursor: Mapping[str, str]) -> _Left:
    due = tuple(order for order in cursor.get("due", "").split(",") if order.isascii() and order.isdigit())
    size = cursor.get("size", "")
    wanted = int(size) if size in {str(number) for number in range(1, _PAGE)} else _PAGE
    return _Left(after=cursor.get("after", ""), due=due, size=wanted, ended="ended" in cursor)


# ------------------------------------------------------------------------------------------------ orders


async def _orders(shop: Shop, task: Task, now: datetime) -> AsyncIterator[Page]:
    start, end = _window(task, now)
    left, seen = _left_of(task.cursor), set[str]()
    while not left.is_done:
        if left.due:
            page, left = await _refunds(shop, task, left)
        else:
            page, left = await _listing(shop, task, left, _search(start, end))
            if not left.ended and left.after in seen:
                raise ConnectorError("a listing comes back to a page it has shown")
            seen.add(left.after)
        if len(seen) > _MOST_PAGES:
            raise ConnectorError(f"a listing does not end after {_MOST_PAGES} pages")
        yield page


def _window(task: Task, now: datetime) -> tuple[datetime, datetime]:
    """Return the times of change that are asked for; a hint says that something has just happened."""
    end = task.end or now
    start = task.start or end - READABLE
    return (max(start, end - _HINTED) if task.subjects else start), end


def _search(start: datetime, end: datetime) -> str:
    first, last = (at.strftime("%Y-%m-%dT%H:%M:%SZ") for at in (start, end))
    return f"updated_at:>='{first}' updated_at:<='{last}'"


async def _listing(shop: Shop, task: Task, left: _Left, search: str) -> tuple[Page, _Left]:
    """Return a page of orders; a query that is too costly is asked again for half as many."""
    while True:
        try:
            response, data = await shop.ask(
                _ORDERS, "Orders", SCOPE, first=left.size, after=left.after or None, query=search
            )
        except TooCostly:
            if left.size == 1:
                raise
            left = msgspec.structs.replace(left, size=left.size // 2)
            continue
        orders = values.mapping(data.get("orders"))
        after = _next(values.mapping(orders.get("pageInfo")))
        rest = _Left(after=after, due=_with_refunds(orders), size=left.size, ended=not after)
        page = shop.page(response, rest.cursor(), last=rest.is_done, kind=task.kind, page="orders")
        return page, rest


def _next(info: Mapping[str, Any]) -> str:
    """Return where a listing goes on; empty at its end."""
    if info.get("hasNextPage") is not True:
        return ""
    after = info.get("endCursor")
    if not isinstance(after, str) or not 0 < len(after) <= _LONGEST_CURSOR:
        raise ConnectorError("a listing goes on without saying where")
    return after


def _with_refunds(orders: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the orders of a page that gave money back."""
    found = []
    for node in map(values.mapping, values.items(orders.get("nodes"))):
        order = own.optional_identifier(node.get("legacyResourceId"))
        money = values.mapping(values.mapping(node.get("totalRefundedSet")).get("shopMoney")).get("amount")
        if order is not None and isinstance(money, str) and money.strip("0."):
            found.append(order)
    return tuple(dict.fromkeys(found))


async def _refunds(shop: Shop, task: Task, left: _Left) -> tuple[Page, _Left]:
    order, rest = left.due[0], msgspec.structs.replace(left, due=left.due[1:])
    response = await shop.post(_REFUNDS, "Refunds", id=f"gid://shopify/Order/{order}")
    examine(response, SCOPE, of_one=True)
    page = shop.page(response, rest.cursor(), last=rest.is_done, kind=task.kind, page="refunds", order_id=order)
    return page, rest


# ------------------------------------------------------------------------------------------------ the shop


async def _shop(shop: Shop, task: Task, _: datetime) -> AsyncIterator[Page]:
    response, _data = await shop.ask(SHOP, "Shop")
    yield shop.page(response, {}, last=True, kind=task.kind, page="shop")


_FETCHERS = {"orders": _orders, "reconcile": _orders, "shop": _shop}


def pages_of(shop: Shop, task: Task, now: datetime) -> AsyncIterator[Page]:
    """Return the pages of a task from its cursor on. Raises :class:`NotSupported` for an unknown kind."""
    if task.kind not in _FETCHERS:
        raise NotSupported(f"Shopify has no task of the kind {task.kind!r}")
    return _FETCHERS[task.kind](shop, task, now)
