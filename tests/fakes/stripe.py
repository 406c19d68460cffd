"""A fake Stripe: an ASGI application that lists events and refunds and gives sessions, as the platform does.

It keeps payments and makes their events, refuses what Stripe refuses (a wrong key, a missing permission) and can be
told to fail in each way the platform fails. It is no copy of the platform: amounts are what a test puts in.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from tests.fakes.wire import Answer, Call, Failure, Receive, Scope, Send, failing, served

HOST = "https://api.stripe.com"
TOKEN = "rk_live_fake-key-of-the-account"
SECRET = "whsec_fake-signing-secret"

_STARTED = 600  # seconds between a checkout's start and its payment


def seconds(at: datetime) -> int:
    """Return an instant as Stripe tells it."""
    return int(at.timestamp())


@dataclass
class Refund:
    """Money that goes back of a payment."""

    id: str
    created: datetime
    amount: int
    status: str = "succeeded"


@dataclass
class Payment:
    """A checkout that was paid at ``paid``, or completed then with its payment under way."""

    number: str
    paid: datetime
    amount: int = 2000
    currency: str = "eur"
    status: str = "paid"
    mode: str = "payment"
    metadata: dict[str, str] = field(default_factory=dict)
    reference: str | None = None
    code: str | None = None
    customer: str | None = None
    livemode: bool = True
    refunds: list[Refund] = field(default_factory=list)

    @property
    def intent(self) -> str:
        """The id of its payment intent."""
        return f"pi_{self.number}"

    def session(self, *, expanded: bool = False) -> dict[str, Any]:
        """Return its session; ``expanded`` tells the text of its promotion code."""
        promo: Any = {"id": "promo_1", "object": "promotion_code", "code": self.code} if expanded else "promo_1"
        return {
            "id": f"cs_live_{self.number}",
            "object": "checkout.session",
            "mode": self.mode,
            "status": "complete",
            "payment_status": self.status,
            "amount_subtotal": self.amount + 500,
            "amount_total": self.amount,
            "currency": self.currency,
            "client_reference_id": self.reference,
            "payment_intent": self.intent if self.mode == "payment" else None,
            "customer": self.customer,
            "customer_details": {"email": "a.person@example.org"},
            "discounts": [{"coupon": None, "promotion_code": promo}] if self.code else [],
            "metadata": self.metadata,
            "livemode": self.livemode,
            "created": seconds(self.paid) - _STARTED,
        }

    def payment_intent(self) -> dict[str, Any]:
        """Return its payment intent."""
        return {
            "id": self.intent,
            "object": "payment_intent",
            "amount": self.amount,
            "amount_received": self.amount,
            "currency": self.currency,
            "status": "succeeded",
            "customer": self.customer,
            "invoice": None,
            "latest_charge": f"ch_{self.number}",
            "metadata": self.metadata,
            "livemode": self.livemode,
            "created": seconds(self.paid) - _STARTED,
        }

    def charge(self, **more: Any) -> dict[str, Any]:
        """Return its charge; the sum of its refunds is cumulative."""
        return {
            "id": f"ch_{self.number}",
            "object": "charge",
            "amount": self.amount,
            "amount_captured": self.amount,
            "amount_refunded": sum(one.amount for one in self.refunds if one.status == "succeeded"),
            "currency": self.currency,
            "captured": True,
            "paid": True,
            "payment_intent": self.intent,
            "customer": self.customer,
            "metadata": {},
            "livemode": self.livemode,
            "created": seconds(self.paid),
            **more,
        }

    def refund(self, refund: Refund, *, expanded: bool = False) -> dict[str, Any]:
        """Return one of its refunds; ``expanded`` tells the payment intent whole."""
        return {
            "id": refund.id,
            "object": "refund",
            "amount": refund.amount,
            "currency": self.currency,
            "charge": f"ch_{self.number}",
            "payment_intent": self.payment_intent() if expanded else self.intent,
            "status": refund.status,
            "metadata": {},
            "created": seconds(refund.created),
        }

    def events(self) -> list[dict[str, Any]]:
        """Return what Stripe tells of it: the session, the intent and the charge, then each refund."""
        told = [
            event("checkout.session.completed", self.session(), self.paid, livemode=self.livemode),
            event("payment_intent.succeeded", self.payment_intent(), self.paid, livemode=self.livemode),
            event("charge.succeeded", self.charge(), self.paid, livemode=self.livemode),
        ]
        return told + [
            event("refund.created", self.refund(one), one.created, livemode=self.livemode) for one in self.refunds
        ]


def event(kind: str, about: Mapping[str, Any], created: datetime, **more: Any) -> dict[str, Any]:
    """Return an event; its id is made of what it tells, so that the same one is the same everywhere."""
    return {
        "id": f"evt_{about.get('id', 'none')}_{kind.replace('.', '_')}",
        "object": "event",
        "api_version": "2026-01-28.x",
        "created": seconds(created),
        "livemode": True,
        "pending_webhooks": 1,
        "request": {"id": None, "idempotency_key": None},
        "type": kind,
        "data": {"object": dict(about)},
        **more,
    }


def error(kind: str, message: str = "told by Stripe", **more: Any) -> bytes:
    """Return an error as Stripe writes it."""
    return json.dumps({"error": {"type": kind, "message": message, **more}}).encode()


WRONG_KEY = error("authentication_error", "Invalid API Key provided: rk_live_****unt")
NO_PERMISSION = error("invalid_request_error", "The provided key does not have the required permissions")
THROTTLED = error("rate_limit_error", code="rate_limit")
GONE = error("invalid_request_error", "No such checkout.session", code="resource_missing")
TRUNCATED = b'{"object":"list","data":[{"id":"evt_1'
NO_JSON = b"<html><body>Bad gateway</body></html>"


@dataclass
class FakeStripe:
    """The server. Set its fields, add to ``failures``, read ``calls``."""

    now: datetime = datetime(2026, 8, 20, 12, tzinfo=UTC)
    token: str = TOKEN
    payments: list[Payment] = field(default_factory=list)
    more_events: list[dict[str, Any]] = field(default_factory=list)
    endpoints: list[dict[str, Any]] = field(default_factory=list)
    page_size: int = 100
    repeating_cursor: bool = False
    failures: list[Failure] = field(default_factory=list)
    calls: list[Call] = field(default_factory=list)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await served(scope, receive, send, self._heard)

    def _heard(self, call: Call) -> Answer:
        self.calls.append(call)
        status, headers, body = self._answer(call)
        return status, {"request-id": "req_1", **headers}, body

    def paths(self) -> list[str]:
        """Return the paths called so far, without the version."""
        return [call.path.removeprefix("/v1/") for call in self.calls]

    def _answer(self, call: Call) -> Answer:
        failed = failing(self.failures, call.path)
        if failed is not None:
            return failed
        if call.headers.get("authorization") != f"Bearer {self.token}":
            return 401, {}, WRONG_KEY
        found = self._route(call)
        return (404, {}, GONE) if found is None else (200, {}, json.dumps(found).encode())

    def _route(self, call: Call) -> dict[str, Any] | None:
        name = call.path.removeprefix("/v1/")
        if name == "events":
            return self._events(call.query)
        if name == "refunds":
            whole = call.query.get("expand[]") == "data.payment_intent"
            listed = [one.refund(refund, expanded=whole) for one in self.payments for refund in one.refunds]
            return self._listing(listed, call.query)
        if name == "webhook_endpoints":
            return {"object": "list", "data": self.endpoints, "has_more": False}
        if name == "checkout/sessions":
            return self._listing([one.session() for one in self.payments], call.query)
        session = name.removeprefix("checkout/sessions/")
        whole = call.query.get("expand[]") == "discounts.promotion_code"
        return next((found for one in self.payments if (found := one.session(expanded=whole))["id"] == session), None)

    def _events(self, query: Mapping[str, str]) -> dict[str, Any]:
        wanted = {value for name, value in query.items() if name.startswith("types[")}
        made = [told for one in self.payments for told in one.events()]
        return self._listing(
            [told for told in (*made, *self.more_events) if not wanted or told["type"] in wanted], query
        )

    def _listing(self, listed: list[dict[str, Any]], query: Mapping[str, str]) -> dict[str, Any]:
        """Return a page, newest first; ``has_more`` says whether another one follows."""
        first, last = int(query.get("created[gte]", "0")), int(query.get("created[lte]", "99999999999"))
        found = sorted((one for one in listed if first <= one["created"] <= last), key=_newest_first)
        ids = [one["id"] for one in found]
        after = query.get("starting_after")
        start = 0 if self.repeating_cursor or after is None else ids.index(after) + 1
        size = min(int(query.get("limit", "10")), self.page_size)
        more = self.repeating_cursor or start + size < len(found)
        return {"object": "list", "data": found[start : start + size], "has_more": more, "url": "/v1/events"}


def _newest_first(one: Mapping[str, Any]) -> tuple[int, str]:
    return -int(one["created"]), str(one["id"])


def written(body: Any) -> bytes:
    """Return JSON as Stripe sends it: indented by two."""
    return json.dumps(body, indent=2).encode()


def signed(body: bytes, at: datetime, secret: str = SECRET) -> dict[str, str]:
    """Return the headers of a push of this body."""
    stamp = str(seconds(at))
    digest = hmac.digest(secret.encode(), f"{stamp}.".encode() + body, hashlib.sha256).hex()
    return {"content-type": "application/json", "stripe-signature": f"t={stamp},v1={digest},v0={'0' * 64}"}
