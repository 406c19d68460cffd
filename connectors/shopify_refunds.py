"""Reads the refunds of an order as it is pushed: which one gave money back, when, and how much in the shop's currency.

A refund is money that went back: its transactions of the kind *refund* that succeeded, whatever lines it names. So a
refund of shipping alone, a partial one and one of an amount typed by hand are all the same thing here, and goods taken
back without money are none.

The amounts of transactions are in the currency the customer paid in. Where that is not the shop's, the amount is put
together from the parts that are told in both (lines, their tax, adjustments), and only if those parts make exactly the
transactions' amount in the customer's currency. Otherwise the API is asked, which tells it in the shop's.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

import msgspec

from connectors import shopify_values as own
from connectors import values
from connectors.contract import INT64_MAX, DropReason
from connectors.values import Refused


class Refund(msgspec.Struct, frozen=True, kw_only=True):
    """Money that went back, in millionths of ``currency``, the shop's."""

    id: str
    at: datetime
    value: int
    currency: str
    test: bool = False


def read_refund(fields: Mapping[str, Any], shop_currency: str | None, received_at: datetime) -> Refund:
    """Return a refund. Raises :class:`Refused`, with NO_NUMBERS where no money has gone back, or not yet."""
    found = own.identifier(fields.get("id", fields.get("admin_graphql_api_id")), "refunds.id")
    at = own.instant(fields.get("created_at"), "refunds.created_at", received_at)
    given = [one for one in _transactions(fields) if one.get("kind") == "refund" and one.get("status") == "success"]
    if not given:
        raise Refused(DropReason.NO_NUMBERS, "refunds.transactions")
    paid_in = {own.currency(one.get("currency"), "transactions.currency") for one in given}
    if len(paid_in) > 1:
        raise Refused(DropReason.CONFLICT, "transactions.currency")
    total = sum(own.amount(one.get("amount"), "transactions.amount") for one in given)
    (currency,) = paid_in
    home = shop_currency or _told_currency(fields) or currency
    value = bounded(total if home == currency else _at_home(fields, home, currency, total))
    return Refund(id=found, at=at, value=value, currency=home, test=any(one.get("test") is True for one in given))


def bounded(value: int) -> int:
    """Return an amount that may be booked. Raises :class:`Refused` for one below zero or beyond 64 bits."""
    if not 0 <= value <= INT64_MAX:
        raise Refused(DropReason.OUT_OF_RANGE, "transactions.amount")
    return value


def worth(fields: Mapping[str, Any], *, with_tax: bool) -> int:
    """Return what goods taken out without any transaction were worth, in the shop's currency; 0 for any other refund.

    ``with_tax`` adds the tax of the lines, for a shop whose prices are without it.
    """
    if values.items(fields.get("transactions")):
        return 0
    sets = ("subtotal_set", "total_tax_set") if with_tax else ("subtotal_set",)
    amounts = [
        values.mapping(bag.get("shop_money")).get("amount") for _, bag in _parts(fields, "refund_line_items", 1, sets)
    ]
    try:
        return sum(own.amount(amount, "") for amount in amounts)
    except Refused:
        return 0


def _transactions(fields: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [values.mapping(one) for one in values.items(fields.get("transactions"))]


_Bag = tuple[int, Mapping[str, Any]]
"""A sign and an amount in two currencies."""


def _at_home(fields: Mapping[str, Any], home: str, currency: str, total: int) -> int:
    """Return what the transactions came to in the shop's currency."""
    # Tax is told beside the lines: in a shop whose prices hold it, it is a part of them.
    for bags in (_bags(fields, taxes=True), _bags(fields, taxes=False)):
        if bags and _sum(bags, "presentment_money", currency) == total:
            return _sum(bags, "shop_money", home)
    raise Refused(DropReason.CONFLICT, "refunds.transactions")


def _bags(fields: Mapping[str, Any], *, taxes: bool) -> list[_Bag]:
    return list(
        _parts(fields, "refund_line_items", 1, ("subtotal_set", *(("total_tax_set",) if taxes else ())))
    ) + list(
        # An adjustment is told from the shop's side: what goes to the customer is negative.
        _parts(fields, "order_adjustments", -1, ("amount_set", *(("tax_amount_set",) if taxes else ())))
    )


def _parts(fields: Mapping[str, Any], name: str, sign: int, sets: tuple[str, ...]) -> Iterator[_Bag]:
    for part in map(values.mapping, values.items(fields.get(name))):
        yield from ((sign, values.mapping(part.get(one))) for one in sets)


def _sum(bags: list[_Bag], side: str, currency: str) -> int:
    """Return the sum of one side. Raises :class:`Refused` where a part is missing or in another currency."""
    total = 0
    for sign, bag in bags:
        money = values.mapping(bag.get(side))
        if money.get("currency_code") != currency:
            raise Refused(DropReason.CONFLICT, "refunds.currency_code")
        total += sign * own.amount(money.get("amount"), "refunds.amount")
    return total


def _told_currency(fields: Mapping[str, Any]) -> str | None:
    """Return the shop's currency where a part of the refund tells it."""
    bags = [bag for _, bag in _bags(fields, taxes=True)]
    bags += [values.mapping(one.get("total_unsettled_set")) for one in _transactions(fields)]
    for bag in bags:
        money = values.mapping(bag.get("shop_money"))
        code = money.get("currency_code", money.get("currency"))
        if code is not None:
            return own.currency(code, "refunds.currency_code")
    return None
