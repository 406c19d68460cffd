"""Reads an order in the shape it is fetched in: a node, its refunds asked for apart."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

from connectors import origin as origins
from connectors import shopify_values as own
from connectors import values
from connectors.contract import Drop, DropReason, Item
from connectors.origin import Origin
from connectors.shopify_orders import Order, more_codes, refund_of, sale_of, uncounted
from connectors.shopify_refunds import Refund, bounded
from connectors.shopify_shop import ShopifyOptions
from connectors.values import Refused


def read_node(node: Any, options: ShopifyOptions, received_at: datetime, row: int | None = None) -> Iterator[Item]:
    """Read an order as it is fetched, without its refunds."""
    try:
        order = order_of_node(values.mapping(node), received_at)
    except Refused as refused:
        yield Drop(reason=refused.reason, row=row, detail=refused.detail)
        return
    yield from sale_of(order, options, row)
    yield from more_codes(len(values.items(values.mapping(node).get("discountCodes"))))


def order_of_node(node: Mapping[str, Any], received_at: datetime) -> Order:
    """Return what a node tells. Raises :class:`Refused`."""
    total, currency = _shop_money(node, "totalPriceSet")
    whole, given_back = own.total(total, "totalPriceSet"), _amount_of(node, "totalRefundedSet")
    journey = values.mapping(node.get("customerJourneySummary"))
    return Order(
        id=own.identifier(node.get("legacyResourceId", node.get("id")), "legacyResourceId"),
        at=own.instant(node.get("processedAt") or node.get("createdAt"), "processedAt", received_at),
        observed_at=own.instant(node.get("updatedAt"), "updatedAt", received_at),
        state=(values.trimmed(node.get("displayFinancialStatus"), 64) or "").lower(),
        source_name=values.trimmed(node.get("sourceName"), 64) or "",
        total=whole,
        currency=own.currency(currency, "totalPriceSet"),
        unpaid=_unpaid_of_node(node, whole, given_back),
        given_back=given_back,
        is_test=node.get("test") is True,
        is_cancelled=own.is_said(node.get("cancelledAt")),
        customer=own.optional_identifier(values.mapping(node.get("customer")).get("legacyResourceId")),
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
    return own.optional_amount(_shop_money(node, name)[0])


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
    found = own.identifier(entry.get("legacyResourceId", entry.get("id")), "refunds.legacyResourceId")
    at = own.instant(entry.get("createdAt"), "refunds.createdAt", received_at)
    nodes = values.items(values.mapping(entry.get("transactions")).get("nodes"))
    given = [one for one in map(values.mapping, nodes) if (one.get("kind"), one.get("status")) == ("REFUND", "SUCCESS")]
    if not given:
        raise Refused(DropReason.NO_NUMBERS, "refunds.transactions")
    amounts = [_shop_money(one, "amountSet") for one in given]
    codes = {own.currency(code, "transactions.amountSet") for _, code in amounts}
    if len(codes) > 1:
        raise Refused(DropReason.CONFLICT, "transactions.amountSet")
    value = bounded(sum(own.total(amount, "transactions.amountSet") for amount, _ in amounts))
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
        origins.of_pairs(notes),
        own.of_parameters(last.get("utmParameters")),
        origins.of_address(first.get("landingPage")),
        own.of_parameters(first.get("utmParameters")),
        *(origins.of_address(visit.get("referrerUrl")) for visit in (last, first)),
    ]
    codes = values.items(node.get("discountCodes"))
    links = [own.linked_code(visit.get("landingPage")) for visit in (last, first)]
    referrers = [visit.get("referrerUrl") for visit in (last, first)]
    return origins.origin(places, [*codes, *origins.codes_among(notes), *links], referrers)
