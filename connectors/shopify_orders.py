"""An order in the words of the contract, whether it was pushed or fetched.

The two ways tell the same order in two shapes: pushed as the older resource with its refunds within, fetched as a node
whose refunds are asked for apart. Each shape has one reader here, which gives an :class:`Order`; what an order becomes
is decided once, in :func:`sale_of`. The rules are in ``connectors.shopify``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

import msgspec

from connectors import shopify_metrics as metrics
from connectors import shopify_origin as origins
from connectors import shopify_values as values
from connectors.contract import Conversion, Drop, DropReason, Item, RefreshHint
from connectors.shopify_origin import Origin
from connectors.shopify_refunds import Refund, bounded, read_refund, worth
from connectors.shopify_shop import ShopifyOptions
from connectors.shopify_values import Refused


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


# ------------------------------------------------------------------------------------------------ pushed


def read_pushed(fields: Mapping[str, Any], options: ShopifyOptions, received_at: datetime) -> Iterator[Item]:
    """Read an order as it is pushed, with its refunds."""
    try:
        currency = values.currency(_money(fields, "total_price")[1] or fields.get("currency"), "currency")
        refunds, problems = _refunds(fields, currency, received_at)
        is_told = all(drop.reason is DropReason.NO_NUMBERS for drop in problems)
        given_back = sum(refund.value for refund in refunds) if is_told else None
        order = _of_push(fields, currency, given_back, received_at)
    except Refused as refused:
        yield Drop(reason=refused.reason, detail=refused.detail)
        return
    yield from sale_of(order, options)
    if uncounted(order, options, None) is not None:
        return
    yield from (refund_of(refund, order) for refund in refunds)
    yield from problems
    if any(drop.reason is DropReason.CONFLICT for drop in problems):
        yield RefreshHint(subject=options.subject, reason="a refund in another currency")
    yield from _more_codes(len(values.items(fields.get("discount_codes"))))


def _of_push(fields: Mapping[str, Any], currency: str, given_back: int | None, received_at: datetime) -> Order:
    total = _total(_money(fields, "total_price")[0], "total_price")
    return Order(
        id=values.identifier(fields.get("id", fields.get("admin_graphql_api_id")), "id"),
        at=values.instant(fields.get("processed_at") or fields.get("created_at"), "processed_at", received_at),
        observed_at=values.instant(fields.get("updated_at"), "updated_at", received_at),
        state=values.text(fields.get("financial_status"), 64) or "",
        source_name=values.text(fields.get("source_name"), 64) or "",
        total=total,
        currency=currency,
        unpaid=_unpaid_of_push(fields, total, given_back),
        given_back=given_back,
        is_test=fields.get("test") is True,
        is_cancelled=values.is_said(fields.get("cancelled_at")),
        customer=values.optional_identifier(values.mapping(fields.get("customer")).get("id")),
        first_order=_is_first(values.mapping(fields.get("customer")).get("orders_count")),
        origin=_pushed_origin(fields),
    )


def _unpaid_of_push(fields: Mapping[str, Any], total: int, given_back: int | None) -> int:
    """Return what edits took out before it was paid: refunds without any transaction, while nothing is owed back.

    Where something is owed to the customer, what was taken out had been paid: its money is booked when it goes back.
    """
    left = _optional_amount(_money(fields, "current_total_price")[0])
    owed = _optional_amount(_money(fields, "total_outstanding")[0])
    if left is None or owed is None or owed < 0 or given_back is None:
        return 0
    with_tax = fields.get("taxes_included") is not True
    taken_out = sum(worth(values.mapping(one), with_tax=with_tax) for one in values.items(fields.get("refunds")))
    return max(0, min(taken_out, total - left - given_back))


def _money(fields: Mapping[str, Any], name: str) -> tuple[Any, Any]:
    """Return (amount, currency) of the shop's side; the bare field is in the shop's currency too."""
    bag = values.mapping(values.mapping(fields.get(f"{name}_set")).get("shop_money"))
    return (bag.get("amount"), bag.get("currency_code")) if bag else (fields.get(name), None)


def _total(value: Any, field: str) -> int:
    total = values.amount(value, field)
    if total < 0:
        raise Refused(DropReason.OUT_OF_RANGE, field)
    return total


def _optional_amount(value: Any) -> int | None:
    try:
        return values.amount(value, "")
    except Refused:
        return None


def _is_first(orders_count: Any) -> bool | None:
    """Say whether it is a first order. The count is of the sending: with more, this may still be the first of them."""
    return True if type(orders_count) is int and orders_count in {0, 1} else None


def _refunds(
    fields: Mapping[str, Any], currency: str, received_at: datetime
) -> tuple[tuple[Refund, ...], tuple[Drop, ...]]:
    found, problems = [], []
    for row, one in enumerate(values.items(fields.get("refunds")), start=1):
        try:
            found.append(read_refund(values.mapping(one), currency, received_at))
        except Refused as refused:
            problems.append(Drop(reason=refused.reason, row=row, detail=refused.detail))
    return tuple(found), tuple(problems)


def _pushed_origin(fields: Mapping[str, Any]) -> Origin:
    entries = [values.mapping(entry) for entry in values.items(fields.get("note_attributes"))]
    notes = [(entry.get("name"), entry.get("value")) for entry in entries]
    landing, referring = fields.get("landing_site"), fields.get("referring_site")
    codes = [values.mapping(entry).get("code") for entry in values.items(fields.get("discount_codes"))]
    return origins.origin(
        [origins.of_address(landing), origins.of_attributes(notes), origins.of_address(referring)],
        [*codes, *origins.promo_attributes(notes), origins.linked_code(landing)],
        [referring],
    )


def _more_codes(number: int) -> Iterator[Drop]:
    """Say that an order has more codes than the one it is credited to."""
    if number > 1:
        yield Drop(reason=DropReason.NOT_MAPPED, detail="discount_codes")


# ------------------------------------------------------------------------------------------------ fetched


def read_node(node: Any, options: ShopifyOptions, received_at: datetime, row: int | None = None) -> Iterator[Item]:
    """Read an order as it is fetched, without its refunds."""
    try:
        order = order_of_node(values.mapping(node), received_at)
    except Refused as refused:
        yield Drop(reason=refused.reason, row=row, detail=refused.detail)
        return
    yield from sale_of(order, options, row)
    yield from _more_codes(len(values.items(values.mapping(node).get("discountCodes"))))


def order_of_node(node: Mapping[str, Any], received_at: datetime) -> Order:
    """Return what a node tells. Raises :class:`Refused`."""
    total, currency = _shop_money(node, "totalPriceSet")
    whole, given_back = _total(total, "totalPriceSet"), _amount_of(node, "totalRefundedSet")
    journey = values.mapping(node.get("customerJourneySummary"))
    return Order(
        id=values.identifier(node.get("legacyResourceId", node.get("id")), "legacyResourceId"),
        at=values.instant(node.get("processedAt") or node.get("createdAt"), "processedAt", received_at),
        observed_at=values.instant(node.get("updatedAt"), "updatedAt", received_at),
        state=(values.text(node.get("displayFinancialStatus"), 64) or "").lower(),
        source_name=values.text(node.get("sourceName"), 64) or "",
        total=whole,
        currency=values.currency(currency, "totalPriceSet"),
        unpaid=_unpaid_of_node(node, whole, given_back),
        given_back=given_back,
        is_test=node.get("test") is True,
        is_cancelled=values.is_said(node.get("cancelledAt")),
        customer=values.optional_identifier(values.mapping(node.get("customer")).get("legacyResourceId")),
        first_order=_is_first_by_journey(journey.get("customerOrderIndex")),
        origin=_fetched_origin(node, journey),
    )


def _unpaid_of_node(node: Mapping[str, Any], total: int, given_back: int | None) -> int:
    """Return what edits took out before it was paid: what is missing between the total and the payments."""
    left, owed, received = (
        _amount_of(node, name) for name in ("currentTotalPriceSet", "totalOutstandingSet", "totalReceivedSet")
    )
    if left is None or owed is None or received is None or given_back is None:
        return 0
    return max(0, min(total - left - given_back, total - received - max(0, owed)))


def _amount_of(node: Mapping[str, Any], name: str) -> int | None:
    return _optional_amount(_shop_money(node, name)[0])


def read_node_refunds(node: Mapping[str, Any], options: ShopifyOptions, received_at: datetime) -> Iterator[Item]:
    """Read the refunds of an order that was asked for by its id; the order itself stands on the page before."""
    try:
        order = order_of_node(node, received_at)
    except Refused as refused:
        yield Drop(reason=refused.reason, detail=refused.detail)
        return
    if uncounted(order, options, None) is not None:
        return
    for row, entry in enumerate(values.items(node.get("refunds")), start=1):
        try:
            yield refund_of(_refund_of_node(values.mapping(entry), received_at), order)
        except Refused as refused:
            yield Drop(reason=refused.reason, row=row, detail=refused.detail)


def _refund_of_node(entry: Mapping[str, Any], received_at: datetime) -> Refund:
    found = values.identifier(entry.get("legacyResourceId", entry.get("id")), "refunds.legacyResourceId")
    at = values.instant(entry.get("createdAt"), "refunds.createdAt", received_at)
    nodes = values.items(values.mapping(entry.get("transactions")).get("nodes"))
    given = [one for one in map(values.mapping, nodes) if (one.get("kind"), one.get("status")) == ("REFUND", "SUCCESS")]
    if not given:
        raise Refused(DropReason.NO_NUMBERS, "refunds.transactions")
    amounts = [_shop_money(one, "amountSet") for one in given]
    codes = {values.currency(code, "transactions.amountSet") for _, code in amounts}
    if len(codes) > 1:
        raise Refused(DropReason.CONFLICT, "transactions.amountSet")
    value = bounded(sum(_total(amount, "transactions.amountSet") for amount, _ in amounts))
    return Refund(
        id=found, at=at, value=value, currency=codes.pop(), test=any(one.get("test") is True for one in given)
    )


def _shop_money(fields: Mapping[str, Any], name: str) -> tuple[Any, Any]:
    money = values.mapping(values.mapping(fields.get(name)).get("shopMoney"))
    return money.get("amount"), money.get("currencyCode")


def _is_first_by_journey(index: Any) -> bool | None:
    return index <= 1 if type(index) is int and index >= 0 else None


def _fetched_origin(node: Mapping[str, Any], journey: Mapping[str, Any]) -> Origin:
    """Read the visits beside what pushed orders have; the last visit is the one that a pushed order tells of."""
    last, first = values.mapping(journey.get("lastVisit")), values.mapping(journey.get("firstVisit"))
    entries = [values.mapping(entry) for entry in values.items(node.get("customAttributes"))]
    notes = [(entry.get("key"), entry.get("value")) for entry in entries]
    places = [
        origins.of_address(last.get("landingPage")),
        origins.of_attributes(notes),
        origins.of_parameters(last.get("utmParameters")),
        origins.of_address(first.get("landingPage")),
        origins.of_parameters(first.get("utmParameters")),
        *(origins.of_address(visit.get("referrerUrl")) for visit in (last, first)),
    ]
    codes = values.items(node.get("discountCodes"))
    links = [origins.linked_code(visit.get("landingPage")) for visit in (last, first)]
    referrers = [visit.get("referrerUrl") for visit in (last, first)]
    return origins.origin(places, [*codes, *origins.promo_attributes(notes), *links], referrers)
