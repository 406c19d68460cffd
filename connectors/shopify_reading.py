"""Reads the pages that a fetch of a shop landed: pure, total, one bad order never the loss of its neighbours.

What a page is stands in its request (``page``), never in its body. Pushed bodies are read in
``connectors.shopify_pushes``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from connectors import values
from connectors.contract import BadPayload, Delivery, Drop, DropReason, Item, SubjectRef, SubjectSeen, SubjectType
from connectors.shopify_fetching import MOST_REFUNDS
from connectors.shopify_nodes import read_node, read_node_refunds
from connectors.shopify_shop import ShopifyOptions, missing

Body = Mapping[str, Any]


def _read_orders(data: Body, delivery: Delivery, options: ShopifyOptions) -> Iterator[Item]:
    orders = values.mapping(data.get("orders"))
    if not isinstance(orders.get("nodes"), list):
        raise BadPayload("the page has no list of orders")
    for row, node in enumerate(orders["nodes"], start=1):
        yield from read_node(node, options, delivery.received_at, row)


def _read_refunds(data: Body, delivery: Delivery, options: ShopifyOptions) -> Iterator[Item]:
    order = values.mapping(data.get("order"))
    if not order:
        # Orders can be deleted; nothing says that their money came back, so what is booked of them stays.
        yield Drop(reason=DropReason.NOT_AVAILABLE, detail="order")
        return
    yield from read_node_refunds(order, options, delivery.received_at)
    if len(values.items(order.get("refunds"))) >= MOST_REFUNDS:
        yield Drop(reason=DropReason.OUT_OF_RANGE, detail="refunds")


def _read_shop(data: Body, _: Delivery, options: ShopifyOptions) -> Iterator[Item]:
    yield from shop_seen(values.mapping(data.get("shop")), "myshopifyDomain", options)


def shop_seen(fields: Mapping[str, Any], domain: str, options: ShopifyOptions) -> Iterator[Item]:
    """Yield the shop as a subject; ``domain`` is the field of its permanent name."""
    name = values.trimmed(fields.get(domain), 255)
    if name is None:
        yield Drop(reason=DropReason.MISSING_ID, detail=domain)
        return
    address = values.trimmed(values.mapping(fields.get("primaryDomain")).get("url"), 2000)
    yield SubjectSeen(
        subject=SubjectRef(options.shop or name, SubjectType.SHOP),
        title=values.trimmed(fields.get("name"), 255),
        url=address or f"https://{name}",
        content_type="shop",
    )


_READERS: Mapping[str, Callable[[Body, Delivery, ShopifyOptions], Iterator[Item]]] = {
    "orders": _read_orders,
    "refunds": _read_refunds,
    "shop": _read_shop,
}


def read_page(delivery: Delivery, options: ShopifyOptions) -> Iterator[Item]:
    """Read a fetched page into items. Raises :class:`BadPayload` for a body or a request that cannot be read."""
    reader = _READERS.get(delivery.request.get("page", ""))
    if reader is None:
        raise BadPayload("the request of the page does not say which page it is")
    body = values.document(delivery.body)
    yield from reader(values.mapping(body.get("data")), delivery, options)
    for name in missing(body):
        yield Drop(reason=DropReason.NOT_AVAILABLE, detail=name)
