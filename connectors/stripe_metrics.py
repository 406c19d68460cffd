"""Stripe's events as data: which are asked for and read, and what each number becomes.

Reading and asking both go by these tables; the decisions behind them are in ``connectors.stripe``.
"""

from __future__ import annotations

from collections.abc import Mapping

from connectors.contract import Kind, MetricMapping, SubjectType

SESSIONS = ("checkout.session.completed", "checkout.session.async_payment_succeeded")
PAYMENTS = ("payment_intent.succeeded",)
CHARGES = ("charge.succeeded", "charge.captured")
REFUNDS = ("refund.created", "refund.updated", "refund.failed", "charge.refund.updated")
CHARGE_REFUNDED = "charge.refunded"
DISPUTE = "charge.dispute.closed"
UNREAD: Mapping[str, str] = {
    "checkout.session.async_payment_failed": "was never counted: an unpaid session waits",
    "checkout.session.expired": "a checkout that was left",
    "payment_intent.payment_failed": "no money came",
    "charge.failed": "no money came",
    "charge.dispute.created": "a dispute costs nothing until it is lost",
    "invoice.paid": "a renewal is no new conversion; the first payment is counted by its session",
}

ASKED = (*SESSIONS, *PAYMENTS, *CHARGES, *REFUNDS[:3], DISPUTE)
"""The events that are fetched, and that a webhook endpoint should send."""
NEEDED: Mapping[str, tuple[str, ...]] = {
    "checkout": (*SESSIONS, *REFUNDS[:3]),
    "payments": (*PAYMENTS, *REFUNDS[:3]),
}
"""The events without which numbers come late, by the option ``counts``."""

_TYPES = (SubjectType.LINK, SubjectType.OTHER)  # what a payment is credited to: a campaign's link, a code, or nothing
_BOOKED: Mapping[str, tuple[str, str]] = {
    "payment": ("orders", "one per payment intent; a session without one by its own id"),
    "payment/goal": ("conversions", "every counted payment is one"),
    "checkout.session/amount_total": ("conversion_value", "after discount, with tax and shipping"),
    "payment_intent/amount_received": ("conversion_value", "counts where payments do and sessions do not"),
    "charge/amount_captured": ("conversion_value", "charges without a payment intent, where payments count"),
    "refund": ("refunds", "one per refund that succeeded"),
    "refund/amount": ("conversion_value", "negative, at the instant of the refund"),
    "dispute/amount": ("conversion_value", "negative; a lost dispute, where the option says so"),
}
_LEFT_OUT: Mapping[str, str] = {
    "checkout.session/amount_subtotal": "before discount, without tax and shipping",
    "checkout.session/total_details": "parts of the total",
    "charge/amount_refunded": "cumulative over all refunds, which are booked one by one",
    "payment_intent/amount": "what was asked for; what was received counts",
    "invoice/amount_paid": UNREAD["invoice.paid"],
    "promotion_code/times_redeemed": "uses for all time: the sessions name their codes",
}


def declared() -> tuple[MetricMapping, ...]:
    """Return what each number becomes."""
    booked = [
        MetricMapping(wire=wire, metric=key, kind=Kind.EVENT, subject_types=_TYPES, note=note)
        for wire, (key, note) in _BOOKED.items()
    ]
    left_out = [MetricMapping(wire=wire, metric=None, counting=False, note=note) for wire, note in _LEFT_OUT.items()]
    return (*booked, *left_out)
