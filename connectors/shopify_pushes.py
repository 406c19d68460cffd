"""Reads what Shopify pushes. What a body is, its shape tells: the topic is a header, and no header is signed.

An order is read whole, refunds included, under whichever topic it comes: created, paid, updated and cancelled tell the
same order at several versions. A refund alone (``refunds/create``) does not say where its order came from, nor whether
orders of its channel count; it is booked at once only where every channel counts, and else it is a hint: the order that
is pushed beside it, or the next fetch, tells all of it. An edit (``orders/edited``) tells lines and no total, and is a
hint too. So is the shop's own object, which ``app/uninstalled`` brings: the fetch that follows finds the token dead.

Requests about a person's data (``customers/redact`` and its like) are no numbers. Verifying a request is not done here:
see ``connectors.shopify``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from connectors import shopify_values as own
from connectors import values
from connectors.contract import Conversion, Delivery, Drop, DropReason, Item, RefreshHint
from connectors.shopify_refunds import read_refund
from connectors.shopify_resource import read_pushed
from connectors.shopify_shop import ShopifyOptions
from connectors.values import Refused

TOPICS = (
    "orders/create",
    "orders/paid",
    "orders/updated",
    "orders/cancelled",
    "refunds/create",
    "app/uninstalled",
)
"""What is asked for; ``orders/updated`` alone tells everything, the others tell it sooner."""
FIELDS = (
    "id",
    "admin_graphql_api_id",
    "created_at",
    "processed_at",
    "updated_at",
    "cancelled_at",
    "test",
    "financial_status",
    "source_name",
    "currency",
    "taxes_included",
    "total_price",
    "total_price_set",
    "current_total_price",
    "current_total_price_set",
    "total_outstanding",
    "landing_site",
    "referring_site",
    "note_attributes",
    "discount_codes",
    "customer.id",
    "customer.orders_count",
    "refunds",
)
"""The fields of an order that are read. Nothing else need be sent: no name, no address, no e-mail."""

_ORDER_SIGNS = frozenset({"financial_status", "total_price", "order_number"})
_REFUND_SIGNS = frozenset({"transactions", "refund_line_items"})


def read_push(delivery: Delivery, options: ShopifyOptions) -> Iterator[Item]:
    """Read a webhook into items. Raises :class:`connectors.contract.BadPayload` for a body that is no object."""
    body = values.document(delivery.body)
    within = values.mapping(body.get("order"))
    fields = within or body  # some senders of test bodies wrap the order as the older API did
    if _ORDER_SIGNS & fields.keys():
        yield from read_pushed(fields, options, delivery.received_at)
    elif "order_id" in body and _REFUND_SIGNS & body.keys():
        yield from _read_refund(body, delivery, options)
    elif "order_edit" in body:
        yield RefreshHint(subject=options.subject, reason="orders/edited")
    elif "myshopify_domain" in body:
        yield from _read_shop(body, options)
    elif "shop_id" in body and "shop_domain" in body:
        yield Drop(reason=DropReason.NOT_MAPPED, detail="a request about personal data")
    else:
        yield Drop(reason=DropReason.UNKNOWN_TYPE, detail="topic")


def _read_refund(body: Mapping[str, Any], delivery: Delivery, options: ShopifyOptions) -> Iterator[Item]:
    yield RefreshHint(subject=options.subject, reason="refunds/create")
    if options.skip_sources:
        return
    try:
        order = own.identifier(body.get("order_id"), "order_id")
        refund = read_refund(body, None, delivery.received_at)
    except Refused as refused:
        yield Drop(reason=refused.reason, detail=refused.detail)
        return
    yield Conversion(
        id=refund.id,
        at=refund.at,
        kind="refund",
        value=refund.value,
        currency=refund.currency,
        refund_of=order,
        test=refund.test,
        observed_at=refund.at,
    )


def _read_shop(body: Mapping[str, Any], options: ShopifyOptions) -> Iterator[Item]:
    if options.shop and body.get("myshopify_domain") != options.shop:
        yield Drop(reason=DropReason.CONFLICT, detail="myshopify_domain")
        return
    yield RefreshHint(subject=options.subject, reason="the shop has changed or the app was uninstalled")
