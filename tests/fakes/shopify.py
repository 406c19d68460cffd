"""A fake shop: an ASGI application that answers the Admin API as Shopify does, and renders the pushes of its orders.

It holds orders and their refunds, keeps the points of its bucket, refuses what Shopify refuses (a wrong token, a query
beyond the bucket, a field without its scope) and can be told to fail in each way the platform fails. It is no copy of
the platform: amounts are what a test puts in, and it takes a query by its name and never reads its text.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

from tests.fakes.wire import Answer, Receive, Scope, Send, answered, body_of, headers_of, live

SHOP = "tally-test.myshopify.com"
TOKEN = "shpat_fake-token-of-the-app"
APP_SECRET = "shpss_fake-secret-of-the-app"
VERSION = "2026-04"
SHOP_TIME = timezone(timedelta(hours=-5))

_POINTS_OF_AN_ORDER = 16
_SEARCH = re.compile(r"updated_at:>='([^']+)' updated_at:<='([^']+)'")


@dataclass
class Refund:
    """Money that goes back. ``paid_in`` is (amount, currency) where the customer paid in another currency.

    Without ``money`` it only takes lines worth ``worth`` out, as an edit does. ``adjusted`` is what was given beside
    the lines: for shipping, or by hand.
    """

    id: int
    created: datetime
    money: str | None = None
    worth: str = "0.00"
    tax: str = "0.00"
    adjusted: str = "0.00"
    paid_in: tuple[str, str] | None = None
    status: str = "success"


@dataclass
class Order:
    """An order. ``left`` is the total after edits and refunds, ``owed`` what is still to be paid."""

    id: int
    created: datetime
    total: str = "49.90"
    currency: str = "EUR"
    presented: tuple[str, str] | None = None
    processed: datetime | None = None
    updated: datetime | None = None
    state: str = "paid"
    cancelled: datetime | None = None
    test: bool = False
    source_name: str = "web"
    landing: str | None = None
    referrer: str | None = None
    first_landing: str | None = None
    journey_ready: bool = True
    notes: dict[str, str] = field(default_factory=dict)
    codes: list[str] = field(default_factory=list)
    customer: int | None = None
    nth: int | None = None
    left: str | None = None
    owed: str = "0.00"
    refunds: list[Refund] = field(default_factory=list)

    @property
    def version(self) -> datetime:
        """The time of the last change."""
        return self.updated or self.created

    def refund(self, refund: Refund, *, state: str = "partially_refunded") -> None:
        """Take a refund in, as a merchant does."""
        self.refunds.append(refund)
        self.state, self.updated = state, refund.created


@dataclass
class Failure:
    """An answer to give instead of the right one, ``times`` times, to queries of this name (empty: any)."""

    status: int
    body: bytes
    name: str = ""
    times: int = 1
    headers: dict[str, str] = field(default_factory=dict)


@dataclass
class Call:
    """One request as it came."""

    path: str
    name: str
    variables: dict[str, Any]
    headers: dict[str, str]


def errors(code: str, message: str = "told by Shopify", **more: Any) -> bytes:
    """Return an answer that is an error alone."""
    return json.dumps({"errors": [{"message": message, "extensions": {"code": code}, **more}], "data": None}).encode()


def throttled(requested: float, available: float, restored: float) -> bytes:
    """Return a throttled answer, which says how many points it lacks."""
    cost = _cost(requested, None, 1000.0, available, restored)
    error = {"message": "Throttled", "extensions": {"code": "THROTTLED"}}
    return json.dumps({"errors": [error], "extensions": cost}).encode()


def _cost(requested: float, actual: float | None, most: float, available: float, restored: float) -> dict[str, Any]:
    status = {"maximumAvailable": most, "currentlyAvailable": available, "restoreRate": restored}
    return {"cost": {"requestedQueryCost": requested, "actualQueryCost": actual, "throttleStatus": status}}


WRONG_TOKEN = b'{"errors":"[API] Invalid API key or access token (unrecognized login or wrong password)"}'
FROZEN = b'{"errors":"Unavailable Shop"}'
TRUNCATED = b'{"data":{"orders":{"nodes":[{"legacyResourceId":"8209'
NO_JSON = b"<!DOCTYPE html><html><body>Something went wrong</body></html>"


@dataclass
class FakeShop:
    """The server. Set its fields, add to ``failures``, read ``calls``."""

    now: datetime = datetime(2026, 8, 20, 12, tzinfo=UTC)
    token: str = TOKEN
    name: str = "Tally Test"
    orders: list[Order] = field(default_factory=list)
    scopes: list[str] = field(default_factory=lambda: ["read_orders", "read_customers", "read_all_orders"])
    topics: dict[str, str] = field(default_factory=dict)
    denied: set[str] = field(default_factory=set)
    page_size: int = 50
    most_cost: float = 1000.0
    available: float = 1000.0
    restored: float = 50.0
    version: str = VERSION
    repeating_cursor: bool = False
    refuses_subscriptions: bool = False
    failures: list[Failure] = field(default_factory=list)
    calls: list[Call] = field(default_factory=list)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await live(receive, send)
            return
        asked = json.loads(await body_of(receive) or b"{}")
        headers = headers_of(scope)
        call = Call(scope["path"], asked.get("operationName", ""), asked.get("variables", {}), headers)
        self.calls.append(call)
        status, more, body = self._answer(call, scope["method"])
        told = {"content-type": "application/json", "x-shopify-api-version": self.version, **more}
        await answered(send, status, told, body)

    def names(self) -> list[str]:
        """Return the names of the queries so far."""
        return [call.name for call in self.calls]

    def _answer(self, call: Call, method: str) -> Answer:
        for failure in self.failures:
            if failure.times > 0 and failure.name in {"", call.name}:
                failure.times -= 1
                return failure.status, failure.headers, failure.body
        if call.headers.get("x-shopify-access-token") != self.token:
            return 401, {}, WRONG_TOKEN
        if method != "POST" or not re.fullmatch(r"/admin/api/20\d\d-\d\d/graphql\.json", call.path):
            return 404, {}, b'{"errors":"Not Found"}'
        return 200, {}, self._query(call)

    def _query(self, call: Call) -> bytes:
        requested = float(call.variables.get("first", 1) * _POINTS_OF_AN_ORDER)
        if requested > self.most_cost:
            return errors("MAX_COST_EXCEEDED", f"Query cost is {requested}, which exceeds the single query max cost")
        if requested > self.available:
            return throttled(requested, self.available, self.restored)
        data, problems = _QUERIES[call.name](self, call.variables)
        told = {"extensions": _cost(requested, 10, 1000.0, self.available - 10, self.restored)}
        return json.dumps({"data": data, **({"errors": problems} if problems else {}), **told}).encode()

    # -------------------------------------------------------------------------------------------- queries

    def _orders(self, variables: Mapping[str, Any]) -> tuple[Any, list[Any]]:
        if "orders" in self.denied:
            return None, [_denied(["orders"])]
        found = self._found(variables["query"], variables.get("after"))
        size = min(variables["first"], self.page_size)
        shown, problems = found[:size], []
        nodes = [node(order) for order in shown]
        for row, one in enumerate(nodes):
            for name in sorted(self.denied & one.keys()):
                one[name] = None
                problems.append(_denied(["orders", "nodes", row, name]))
        more = len(found) > size or self.repeating_cursor
        at = variables.get("after") if self.repeating_cursor and variables.get("after") else None
        info = {"hasNextPage": more, "endCursor": (at or _place(shown[-1])) if shown else None}
        return {"orders": {"nodes": nodes, "pageInfo": info}}, problems

    def _found(self, search: str, after: str | None) -> list[Order]:
        asked = _SEARCH.fullmatch(search)
        assert asked is not None, f"a search that Shopify would not understand: {search}"
        start, end = (datetime.fromisoformat(text) for text in asked.groups())
        listed = sorted((order for order in self.orders if start <= order.version <= end), key=_sorted_by)
        return [order for order in listed if after is None or self.repeating_cursor or _place(order) > after]

    def _refunds(self, variables: Mapping[str, Any]) -> tuple[Any, list[Any]]:
        number = int(variables["id"].rpartition("/")[2])
        order = next((one for one in self.orders if one.id == number), None)
        if order is None:
            return {"order": None}, []
        return {"order": {**node(order), "refunds": [_refund_node(one, order) for one in order.refunds]}}, []

    def _shop(self, _: Mapping[str, Any]) -> tuple[Any, list[Any]]:
        shop = {"myshopifyDomain": SHOP, "name": self.name, "currencyCode": "EUR", "ianaTimezone": "America/New_York"}
        return {"shop": {**shop, "primaryDomain": {"url": "https://shop.example"}}}, []

    def _access(self, _: Mapping[str, Any]) -> tuple[Any, list[Any]]:
        return {"currentAppInstallation": {"accessScopes": [{"handle": scope} for scope in self.scopes]}}, []

    def _probe(self, _: Mapping[str, Any]) -> tuple[Any, list[Any]]:
        if "orders" in self.denied:
            return None, [_denied(["orders"])]
        return {"orders": {"nodes": [{"legacyResourceId": str(order.id)} for order in self.orders[:1]]}}, []

    def _subscriptions(self, _: Mapping[str, Any]) -> tuple[Any, list[Any]]:
        nodes = [{"id": f"gid://shopify/W/{topic}", "topic": topic, "uri": uri} for topic, uri in self.topics.items()]
        return {"webhookSubscriptions": {"nodes": nodes}}, []

    def _subscribe(self, variables: Mapping[str, Any]) -> tuple[Any, list[Any]]:
        if self.refuses_subscriptions:
            refused = [{"field": ["webhookSubscription"], "message": "Address is not allowed"}]
            return {"webhookSubscriptionCreate": {"userErrors": refused}}, []
        self.topics[variables["topic"]] = variables["wanted"]["uri"]
        return {"webhookSubscriptionCreate": {"userErrors": []}}, []


_QUERIES: Mapping[str, Callable[[FakeShop, Mapping[str, Any]], tuple[Any, list[Any]]]] = {
    "Orders": FakeShop._orders,
    "Refunds": FakeShop._refunds,
    "Shop": FakeShop._shop,
    "Access": FakeShop._access,
    "Probe": FakeShop._probe,
    "Subscriptions": FakeShop._subscriptions,
    "Subscribe": FakeShop._subscribe,
}


def _denied(path: list[str | int]) -> dict[str, Any]:
    return {"message": "Access denied", "extensions": {"code": "ACCESS_DENIED"}, "path": path}


def _sorted_by(order: Order) -> tuple[datetime, int]:
    return order.version, order.id


def _place(order: Order) -> str:
    return base64.b64encode(f"{order.version.astimezone(UTC).isoformat()}|{order.id:020}".encode()).decode()


# ------------------------------------------------------------------------------------------------ the fetched shape


def stamp(at: datetime | None) -> str | None:
    """Return an instant as the API tells it."""
    return None if at is None else at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def node(order: Order) -> dict[str, Any]:
    """Return an order as it is fetched."""
    given = sum((Decimal(one.money) for one in order.refunds if one.money and one.status == "success"), Decimal("0.00"))
    left = order.left or str(Decimal(order.total) - given)
    received = Decimal(left) + given - Decimal(order.owed)
    amounts = {
        "totalPriceSet": order.total,
        "currentTotalPriceSet": left,
        "totalOutstandingSet": order.owed,
        "totalReceivedSet": str(received),
        "totalRefundedSet": str(given),
    }
    index = {"ready": order.journey_ready, "customerOrderIndex": order.nth if order.journey_ready else None}
    visits = {
        "firstVisit": _visit(order.first_landing or order.landing, order),
        "lastVisit": _visit(order.landing, order),
    }
    return {
        "legacyResourceId": str(order.id),
        "createdAt": stamp(order.created),
        "processedAt": stamp(order.processed or order.created),
        "updatedAt": stamp(order.version),
        "cancelledAt": stamp(order.cancelled),
        "test": order.test,
        "displayFinancialStatus": order.state.upper(),
        "sourceName": order.source_name,
        **{name: _bag(amount, order.currency) for name, amount in amounts.items()},
        "discountCodes": order.codes,
        "customAttributes": [{"key": name, "value": value} for name, value in order.notes.items()],
        "customer": {"legacyResourceId": str(order.customer)} if order.customer else None,
        "customerJourneySummary": {**index, **(visits if order.journey_ready else {})},
    }


def _visit(landing: str | None, order: Order) -> dict[str, Any] | None:
    if landing is None and order.referrer is None:
        return None
    page = None if landing is None else f"https://shop.example{landing}"
    return {"landingPage": page, "referrerUrl": order.referrer, "utmParameters": None}


def _bag(amount: str, currency: str) -> dict[str, Any]:
    return {"shopMoney": {"amount": amount, "currencyCode": currency}}


def _refund_node(refund: Refund, order: Order) -> dict[str, Any]:
    transactions = []
    if refund.money:
        money = {"kind": "REFUND", "status": refund.status.upper(), "test": order.test}
        transactions.append({**money, "amountSet": _bag(refund.money, order.currency)})
    told = {"legacyResourceId": str(refund.id), "createdAt": stamp(refund.created)}
    return {**told, "transactions": {"nodes": transactions}}


# ------------------------------------------------------------------------------------------------ the pushed shape


def local(at: datetime | None) -> str | None:
    """Return an instant as a push tells it: with the shop's offset."""
    return None if at is None else at.astimezone(SHOP_TIME).isoformat(timespec="seconds")


def resource(order: Order) -> dict[str, Any]:
    """Return an order as it is pushed, refunds and the customer's name within."""
    one = node(order)
    presented = order.presented or (order.total, order.currency)
    customer = {"id": order.customer, "email": "a.person@example.org", "first_name": "Ada"}
    return {
        "id": order.id,
        "admin_graphql_api_id": f"gid://shopify/Order/{order.id}",
        "name": "#1001",
        "order_number": 1001,
        "test": order.test,
        "created_at": local(order.created),
        "processed_at": local(order.processed or order.created),
        "updated_at": local(order.version),
        "cancelled_at": local(order.cancelled),
        "currency": order.currency,
        "presentment_currency": presented[1],
        "financial_status": order.state,
        "source_name": order.source_name,
        "taxes_included": False,
        "total_price": order.total,
        "total_price_set": two(order.total, order.currency, *presented),
        "current_total_price": one["currentTotalPriceSet"]["shopMoney"]["amount"],
        "total_outstanding": order.owed,
        "landing_site": order.landing,
        "referring_site": order.referrer,
        "note_attributes": [{"name": name, "value": value} for name, value in order.notes.items()],
        "discount_codes": [{"code": code, "amount": "1.00", "type": "percentage"} for code in order.codes],
        "customer": {**customer, "orders_count": order.nth} if order.customer else None,
        "line_items": [{"id": 1, "sku": "A", "quantity": 1, "price": order.total, "total_discount": "0.00"}],
        "refunds": [refund_resource(refund, order) for refund in order.refunds],
    }


def two(amount: str, currency: str, presented: str, presented_currency: str) -> dict[str, Any]:
    """Return an amount in the shop's currency and in the customer's."""
    return {
        "shop_money": {"amount": amount, "currency_code": currency},
        "presentment_money": {"amount": presented, "currency_code": presented_currency},
    }


def refund_resource(refund: Refund, order: Order) -> dict[str, Any]:
    """Return a refund as it is pushed; the amounts of its lines are numbers, those of its transactions texts."""
    amount, currency = refund.paid_in or (refund.money or "0.00", order.currency)
    rate = Decimal(amount) / Decimal(refund.money) if refund.money else Decimal(1)

    def bag(part: str) -> dict[str, Any]:
        return two(part, order.currency, f"{Decimal(part) * rate:.2f}", currency)

    lines = {"quantity": 1, "subtotal": float(refund.worth), "total_tax": float(refund.tax)}
    line = {**lines, "subtotal_set": bag(refund.worth), "total_tax_set": bag(refund.tax)}
    adjustment = {"kind": "shipping_refund", "amount_set": bag(f"-{refund.adjusted}"), "tax_amount_set": bag("0.00")}
    money = {"id": refund.id + 1, "kind": "refund", "status": refund.status, "amount": amount, "currency": currency}
    return {
        "id": refund.id,
        "order_id": order.id,
        "created_at": local(refund.created),
        "refund_line_items": [line] if Decimal(refund.worth) else [],
        "order_adjustments": [adjustment] if Decimal(refund.adjusted) else [],
        "transactions": [{**money, "test": order.test}] if refund.money else [],
    }


def escaped(body: Any) -> bytes:
    """Return JSON as Shopify sends it: compact, slashes and ampersands escaped."""
    return json.dumps(body, separators=(",", ":")).replace("/", "\\/").replace("&", "\\u0026").encode()


def signed(body: bytes, secret: str = APP_SECRET, topic: str = "orders/updated", shop: str = SHOP) -> dict[str, str]:
    """Return the headers of a push of this body."""
    digest = base64.b64encode(hmac.digest(secret.encode(), body, hashlib.sha256)).decode()
    return {
        "content-type": "application/json",
        "x-shopify-topic": topic,
        "x-shopify-shop-domain": shop,
        "x-shopify-api-version": VERSION,
        "x-shopify-webhook-id": "b54557e4-bdd9-4b37-8a5f-bf7d70bcd043",
        "x-shopify-triggered-at": "2026-08-20T11:59:58.000000000Z",
        "x-shopify-hmac-sha256": digest,
    }
