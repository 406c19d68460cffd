"""An order and what it becomes in the words of the contract, whether it was pushed or fetched.

The two ways tell the same order in two shapes: pushed as the older resource with its refunds within, fetched as a node
whose refunds are asked for apart. Each shape has a reader of its own (``connectors.shopify_resource`` and
``connectors.shopify_nodes``), which gives an :class:`Order`; what an order becomes is decided once, here. The rules are
told in ``connectors.shopify``.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

import msgspec

from connectors import shopify_metrics as metrics
from connectors.contract import Conversion, Drop, DropReason, Item
from connectors.origin import Origin
from connectors.shopify_refunds import Refund
from connectors.shopify_shop import ShopifyOptions


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of an order at ``observed_at``, its version. Amounts are millionths of the shop's currency.

    ``total`` is before refunds; ``unpaid`` what edits took out of it without money going back, as it was never paid;
    ``given_back`` the money of its refunds, None where it cannot be told.
    """

    id: str
    at: datetime
    observed_at: datetime
    state: str
    source_name: str
    total: int
    currency: str
    unpaid: int = 0
    given_back: int | None = None
    is_test: bool = False
    is_cancelled: bool = False
    customer: str | None = None
    first_order: bool | None = None
    origin: Origin = Origin()

    @property
    def value(self) -> int:
        """What the order is worth before refunds, edits included."""
        return max(0, self.total - self.unpaid)

    @property
    def is_void(self) -> bool:
        """Whether the order is off without any money having gone back; where it has, the refund says so."""
        return (self.is_cancelled or self.state in metrics.NEVER_PAID) and self.given_back == 0


# ------------------------------------------------------------------------------------------------ what it becomes


def sale_of(order: Order, options: ShopifyOptions, row: int | None = None) -> Iterator[Item]:
    """Yield an order as an event; a drop for one that is not (yet) to be counted."""
    if (drop := uncounted(order, options, row)) is not None:
        yield drop
        return
    yield Conversion(
        id=order.id,
        at=order.at,
        kind="order",
        value=order.value,
        currency=order.currency,
        customer=order.customer,
        first_order=order.first_order,
        cancelled=order.is_void,
        test=order.is_test,
        observed_at=order.observed_at,
        **msgspec.structs.asdict(order.origin),
    )


def refund_of(refund: Refund, order: Order) -> Conversion:
    """Return a refund as an event of its own, credited as its order is."""
    return Conversion(
        id=refund.id,
        at=refund.at,
        kind="refund",
        value=refund.value,
        currency=refund.currency,
        refund_of=order.id,
        customer=order.customer,
        first_order=order.first_order,
        test=refund.test or order.is_test,
        observed_at=order.observed_at,
        **msgspec.structs.asdict(order.origin),
    )


def uncounted(order: Order, options: ShopifyOptions, row: int | None) -> Drop | None:
    """Return why an order does not count, its refunds included; None for one that does."""
    if order.source_name in options.skip_sources:
        return Drop(reason=DropReason.NOT_MAPPED, row=row, detail="source_name")
    if order.state not in metrics.KNOWN_STATES:
        return Drop(reason=DropReason.UNKNOWN_TYPE, row=row, detail="financial_status")
    taken_back = options.counts == "placed" and order.state in metrics.NEVER_PAID
    if order.state not in metrics.COUNTED[options.counts] and not taken_back:
        return Drop(reason=DropReason.NOT_MAPPED, row=row, detail="financial_status")
    return None


def more_codes(number: int) -> Iterator[Drop]:
    """Say that an order has more codes than the one it is credited to."""
    if number > 1:
        yield Drop(reason=DropReason.NOT_MAPPED, detail="discount_codes")
