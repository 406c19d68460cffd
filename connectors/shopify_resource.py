"""Reads an order in the shape it is pushed in: the older resource, its refunds within."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

from connectors import origin as origins
from connectors import shopify_values as own
from connectors import values
from connectors.contract import Drop, DropReason, Item, RefreshHint
from connectors.origin import Origin
from connectors.shopify_orders import Order, more_codes, refund_of, sale_of, uncounted
from connectors.shopify_refunds import Refund, read_refund, worth
from connectors.shopify_shop import ShopifyOptions
from connectors.values import Refused


def read_pushed(fields: Mapping[str, Any], options: ShopifyOptions, received_at: datetime) -> Iterator[Item]:
    """Read an order as it is pushed, with its refunds."""
    try:
        currency = own.currency(_money(fields, "total_price")[1] or fields.get("currency"), "currency")
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
    yield from more_codes(len(values.items(fields.get("discount_codes"))))


def _of_push(fields: Mapping[str, Any], currency: str, given_back: int | None, received_at: datetime) -> Order:
    total = own.total(_money(fields, "total_price")[0], "total_price")
    return Order(
        id=own.identifier(fields.get("id", fields.get("admin_graphql_api_id")), "id"),
        at=own.instant(fields.get("processed_at") or fields.get("created_at"), "processed_at", received_at),
        observed_at=own.instant(fields.get("updated_at"), "updated_at", received_at),
        state=values.trimmed(fields.get("financial_status"), 64) or "",
        source_name=values.trimmed(fields.get("source_name"), 64) or "",
        total=total,
        currency=currency,
        unpaid=_unpaid_of_push(fields, total, given_back),
        given_back=given_back,
        is_test=fields.get("test") is True,
        is_cancelled=own.is_said(fields.get("cancelled_at")),
        customer=own.optional_identifier(values.mapping(fields.get("customer")).get("id")),
        first_order=_is_first(values.mapping(fields.get("customer")).get("orders_count")),
        origin=_pushed_origin(fields),
    )


def _unpaid_of_push(fields: Mapping[str, Any], total: int, given_back: int | None) -> int:
    """Return what edits took out before it was paid: refunds without any transaction, while nothing is owed back.

    Where something is owed to the customer, what was taken out had been paid: its money is booked when it goes back.
    """
    left = own.optional_amount(_money(fields, "current_total_price")[0])
    owed = own.optional_amount(_money(fields, "total_outstanding")[0])
    if left is None or owed is None or owed < 0 or given_back is None:
        return 0
    with_tax = fields.get("taxes_included") is not True
    taken_out = sum(worth(values.mapping(one), with_tax=with_tax) for one in values.items(fields.get("refunds")))
    return max(0, min(taken_out, total - left - given_back))


def _money(fields: Mapping[str, Any], name: str) -> tuple[Any, Any]:
    """Return (amount, currency) of the shop's side; the bare field is in the shop's currency too."""
    bag = values.mapping(values.mapping(fields.get(f"{name}_set")).get("shop_money"))
    return (bag.get("amount"), bag.get("currency_code")) if bag else (fields.get(name), None)


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
        [origins.of_address(landing), origins.of_pairs(notes), origins.of_address(referring)],
        [*codes, *origins.codes_among(notes), own.linked_code(landing)],
        [referring],
    )
