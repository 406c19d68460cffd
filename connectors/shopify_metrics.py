"""Shopify's numbers as data: which field becomes which key, and which payment states make an order count.

Reading goes by these tables; the decisions behind them are in ``connectors.shopify``.
"""

from __future__ import annotations

from collections.abc import Mapping

from connectors.contract import Kind, MetricMapping, SubjectType

COUNTED: Mapping[str, frozenset[str]] = {
    "paid": frozenset({"paid", "partially_paid", "partially_refunded", "refunded"}),
    "placed": frozenset({"authorized", "pending", "paid", "partially_paid", "partially_refunded", "refunded"}),
}
"""The payment states in which an order counts, by the option ``counts``."""
NEVER_PAID = frozenset({"voided", "expired"})
"""The payment states of an order that will not be paid any more: where placed orders count, it is taken back."""
KNOWN_STATES = COUNTED["placed"] | NEVER_PAID

_TYPES = (SubjectType.LINK, SubjectType.OTHER)  # what an order is credited to: a campaign's link, a code, or nothing
_BOOKED: Mapping[str, tuple[str, str]] = {
    "order": ("orders", "one per order id, in the newest version"),
    "order/goal": ("conversions", "every counted order is one"),
    "order/total_price": ("conversion_value", "shop currency; with tax and shipping, before refunds"),
    "refund": ("refunds", "one per refund through which money went back"),
    "refund/transactions": ("conversion_value", "shop currency; negative, at the instant of the refund"),
}
_LEFT_OUT: Mapping[str, str] = {
    "order/subtotal_price": "without tax and shipping, which refunds give back too: the total is booked",
    "order/current_total_price": "what is left after refunds, which are booked as their own events; it tells edits",
    "order/total_outstanding": "what is owed; it tells edits",
    "order/total_discounts": "taken off the total already",
    "order/total_tax": "part of the total",
    "order/total_price_usd": "another currency than the shop's",
    "order/presentment_money": "the customer's currency; amounts of two currencies are never mixed",
    "order/line_items": "no measure of a campaign",
    "order/fulfillments": "no measure of a campaign",
    "customer/orders_count": "a level of a person; it tells a first order",
    "customer/total_spent": "a level of a person",
    "refund/refund_line_items": "what came back; the money of it stands in the transactions",
    "checkout": "a cart that was not bought",
    "discount_code/usage_count": "uses for all time, cancelled orders among them: the orders name their codes",
    "journey/visits": "visits of buyers alone: booked as clicks they would make a false click rate",
}


def declared() -> tuple[MetricMapping, ...]:
    """Return what each number becomes."""
    booked = [
        MetricMapping(wire=wire, metric=key, kind=Kind.EVENT, subject_types=_TYPES, note=note)
        for wire, (key, note) in _BOOKED.items()
    ]
    left_out = [MetricMapping(wire=wire, metric=None, counting=False, note=note) for wire, note in _LEFT_OUT.items()]
    return (*booked, *left_out)
