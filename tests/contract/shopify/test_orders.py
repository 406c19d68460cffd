"""Orders and refunds as events: what counts, what it is worth, and that both shapes say the same."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest

from connectors.contract import Conversion, Item, RefreshHint
from connectors.shopify_shop import ShopifyOptions
from tests.contract.reading import conversions, drops, only
from tests.contract.shopify.desk import EVERYTHING, NOW, OPTIONS, SUBJECT, at, parsed, pushed, recorded
from tests.fakes.shopify import SHOP, Order, Refund, _refund_node, escaped, node, refund_resource, resource

PLACED = ShopifyOptions(shop=SHOP, counts="placed")


def order(**more: Any) -> Order:
    return Order(1, at(9), **{"total": "100.00", **more})


def fetched(one: Order, options: ShopifyOptions = OPTIONS) -> list[Item]:
    """Return what the two pages of an order say: that of the listing and, if money went back, that of its refunds."""
    listing = {"data": {"orders": {"nodes": [node(one)]}}}
    items = parsed(json.dumps(listing).encode(), options, {"page": "orders"})
    if node(one)["totalRefundedSet"]["shopMoney"]["amount"] == "0.00":
        return items
    alone = {"data": {"order": {**node(one), "refunds": [_refund_node(refund, one) for refund in one.refunds]}}}
    return items + parsed(json.dumps(alone).encode(), options, {"page": "refunds"})


def worth(items: list[Item]) -> dict[tuple[str, str], tuple[int | None, bool]]:
    return {(item.kind, item.id): (item.value, item.cancelled) for item in conversions(items)}


# ------------------------------------------------------------------------------------------------ what counts


@pytest.mark.parametrize(
    ("state", "paid", "placed"),
    [
        ("paid", True, True),
        ("partially_paid", True, True),
        ("partially_refunded", True, True),
        ("refunded", True, True),
        ("authorized", False, True),
        ("pending", False, True),
        ("voided", False, None),
        ("expired", False, None),
    ],
)
def test_an_order_counts_when_its_money_has_come_or_when_it_is_placed(
    state: str, paid: bool, placed: bool | None
) -> None:
    for items in (pushed(order(state=state)), fetched(order(state=state))):
        assert bool(conversions(items)) is paid
        assert drops(items) == ([] if paid else [("not_mapped", "financial_status")])
    for items in (pushed(order(state=state), PLACED), fetched(order(state=state), PLACED)):
        assert only(items).cancelled is (placed is None)  # what will not be paid any more is taken back


def test_a_state_that_nobody_knows_is_a_drop() -> None:
    assert drops(pushed(order(state="bartered"))) == [("unknown_type", "financial_status")]
    assert drops(pushed(order(), financial_status=None)) == [("unknown_type", "financial_status")]


@pytest.mark.parametrize("channel", ["pos", "shopify_draft_order"])
def test_the_till_and_drafts_are_left_out_with_their_refunds(channel: str) -> None:
    one = order(source_name=channel)
    one.refund(Refund(5, at(10), "10.00"))
    for items in (pushed(one), fetched(one)):
        assert conversions(items) == []
        assert ("not_mapped", "source_name") in drops(items)
    assert len(conversions(pushed(one, EVERYTHING))) == len(conversions(fetched(one, EVERYTHING))) == 2


def test_a_test_order_and_its_refund_say_so() -> None:
    one = order(test=True)
    one.refund(Refund(5, at(10), "10.00"))
    for items in (pushed(one), fetched(one)):
        assert [item.test for item in conversions(items)] == [True, True]


def test_an_order_for_nothing_counts() -> None:
    for items in (pushed(order(total="0.00")), fetched(order(total="0.00"))):
        assert (only(items).value, only(items).currency) == (0, "EUR")


def test_an_order_stands_at_the_instant_it_was_processed() -> None:
    one = order(processed=at(7), updated=at(11))
    for items in (pushed(one), fetched(one)):
        assert (only(items).at, only(items).observed_at) == (at(7), at(11))
    assert only(pushed(one, processed_at=None)).at == at(9)


def test_a_customer_is_a_number_and_nothing_else() -> None:
    items = pushed(order(customer=115310627314723954, nth=1))
    assert only(items).customer == "115310627314723954"
    assert "example.org" not in repr(items)


def test_a_count_of_orders_is_of_the_sending() -> None:
    """The first order of a customer is sent again when the second was made: then the count says nothing of it."""
    assert [only(pushed(order(customer=7, nth=nth))).first_order for nth in (0, 1, 2, None)] == [True, True, None, None]


# ------------------------------------------------------------------------------------------------ money


def test_the_value_is_in_the_currency_of_the_shop() -> None:
    one = order(presented=("110.00", "USD"))
    assert (only(pushed(one)).value, only(pushed(one)).currency) == (100_000_000, "EUR")
    bare = only(pushed(one, total_price_set=None))
    assert (bare.value, bare.currency) == (100_000_000, "EUR")


@pytest.mark.parametrize(
    ("amount", "value"),
    [("0.10", 100_000), ("409.94", 409_940_000), ("1000000.01", 1_000_000_010_000), ("5", 5_000_000), (7, 7_000_000)],
)
def test_an_amount_is_exact(amount: str | int, value: int) -> None:
    assert only(pushed(order(), total_price=amount, total_price_set=None)).value == value


@pytest.mark.parametrize("amount", ["", "1,00", "1e3", "NaN", "9" * 40, "0.1234567", None, True, [], "\u0663.\u0660"])
def test_an_amount_that_is_none_is_a_drop(amount: Any) -> None:
    assert drops(pushed(order(), total_price=amount, total_price_set=None)) == [("bad_number", "total_price")]


@pytest.mark.parametrize(
    ("changes", "drop"),
    [
        ({"total_price": "-1.00", "total_price_set": None}, ("out_of_range", "total_price")),
        ({"currency": None, "total_price_set": None}, ("bad_currency", "currency")),
        ({"currency": "eur", "total_price_set": None}, ("bad_currency", "currency")),
        ({"id": None}, ("missing_id", "id")),
        ({"id": 8.2e17}, ("malformed", "id")),
        ({"id": "x1"}, ("malformed", "id")),
        ({"updated_at": None}, ("missing_time", "updated_at")),
        ({"updated_at": "yesterday"}, ("bad_time", "updated_at")),
        ({"updated_at": "2026-08-19T09:00:00"}, ("bad_time", "updated_at")),
        ({"updated_at": "2026-08-20T12:05:01Z"}, ("future_time", "updated_at")),
        ({"processed_at": "1970-01-01T00:00:00Z"}, ("bad_time", "processed_at")),
    ],
)
def test_an_order_that_cannot_be_read_is_a_drop(changes: dict[str, Any], drop: tuple[str, str]) -> None:
    assert drops(pushed(order(), **changes)) == [drop]


@pytest.mark.parametrize("number", [820982911946154508, 2**63 - 1, "450789469", "gid://shopify/Order/450789469"])
def test_an_id_is_kept_to_its_last_digit(number: Any) -> None:
    assert only(pushed(order(), id=number)).id == str(number).rpartition("/")[2]


def test_a_wrapped_order_of_the_older_api_is_read() -> None:
    assert parsed(escaped({"order": resource(order())})) == pushed(order())
    items = recorded("order_2008", PLACED)
    assert (only(items).value, only(items).promo_code, only(items).first_order) == (409_940_000, "TENOFF", True)


# ------------------------------------------------------------------------------------------------ refunds


def test_a_refund_is_an_event_of_its_own() -> None:
    one = order(landing="/?utm_campaign=spring", codes=["ANNA10"])
    one.refund(Refund(77, at(12), "30.00"))
    for items in (pushed(one), fetched(one)):
        found = conversions(items)[1]
        assert (found.kind, found.id, found.refund_of, found.at) == ("refund", "77", "1", at(12))
        assert (found.value, found.currency, found.utm_campaign, found.promo_code) == (
            30_000_000,
            "EUR",
            "spring",
            "ANNA10",
        )


@pytest.mark.parametrize(
    "refund",
    [
        Refund(77, at(12), "5.00", adjusted="5.00"),  # shipping alone, or by hand
        Refund(77, at(12), "30.00", worth="25.00", tax="5.00"),
        Refund(77, at(12), "38.00", worth="25.00", tax="5.00", adjusted="8.00"),
        Refund(77, at(12), "20.00", worth="25.00", tax="5.00"),  # less than the goods: a fee was kept
    ],
)
def test_a_refund_is_the_money_that_went_back_whatever_for(refund: Refund) -> None:
    one = order()
    one.refund(refund)
    value = int(float(refund.money or 0) * 1_000_000)
    for items in (pushed(one), fetched(one)):
        assert worth(items) == {("order", "1"): (100_000_000, False), ("refund", "77"): (value, False)}


@pytest.mark.parametrize("status", ["pending", "failure", "error"])
def test_money_that_has_not_gone_back_is_no_refund(status: str) -> None:
    one = order()
    one.refund(Refund(77, at(12), "30.00", status=status))
    assert worth(pushed(one)) == worth(fetched(one)) == {("order", "1"): (100_000_000, False)}
    assert drops(pushed(one)) == [("no_numbers", "refunds.transactions")]


@pytest.mark.parametrize(
    "refund",
    [
        Refund(77, at(12), "30.00", worth="25.00", tax="5.00", paid_in=("33.00", "USD")),
        Refund(77, at(12), "30.00", worth="30.00", tax="5.00", paid_in=("33.00", "USD")),  # prices hold the tax
        Refund(77, at(12), "30.00", adjusted="30.00", paid_in=("33.00", "USD")),
    ],
)
def test_a_refund_paid_in_another_currency_is_told_in_that_of_the_shop(refund: Refund) -> None:
    one = order(presented=("110.00", "USD"))
    one.refund(refund)
    expected = {("order", "1"): (100_000_000, False), ("refund", "77"): (30_000_000, False)}
    assert worth(pushed(one)) == worth(fetched(one)) == expected


def test_a_refund_whose_parts_do_not_add_up_is_asked_for() -> None:
    one = order(presented=("110.00", "USD"))
    one.refund(Refund(77, at(12), "30.00", worth="12.00", paid_in=("33.00", "USD")))
    items = pushed(one)
    assert worth(items) == {("order", "1"): (100_000_000, False)}
    assert drops(items) == [("conflict", "refunds.transactions")]
    assert RefreshHint(subject=SUBJECT, reason="a refund in another currency") in items
    assert worth(fetched(one))[("refund", "77")] == (30_000_000, False)


def test_one_bad_refund_takes_nothing_with_it() -> None:
    one = order()
    good = refund_resource(Refund(77, at(12), "30.00"), one)
    for bad in ({**good, "id": None}, {**good, "created_at": 5}, 7, {}):
        assert set(worth(pushed(one, refunds=[bad, good]))) == {("order", "1"), ("refund", "77")}


def test_amounts_of_lines_are_numbers_and_never_floats() -> None:
    body = escaped(refund_resource(Refund(77, at(12), "199.64", worth="195.66", tax="3.98"), order()))
    assert b"195.66," in body
    assert only(parsed(body, EVERYTHING)).value == 199_640_000


def test_a_refund_alone_waits_for_its_order_where_channels_are_left_out() -> None:
    body = escaped(refund_resource(Refund(77, at(12), "30.00"), order()))
    hint = RefreshHint(subject=SUBJECT, reason="refunds/create")
    assert parsed(body) == [hint]
    items = parsed(body, EVERYTHING)
    assert items[0] == hint
    assert only(items) == Conversion(
        id="77", at=at(12), kind="refund", value=30_000_000, currency="EUR", refund_of="1", observed_at=at(12)
    )


def test_a_refund_alone_in_another_currency() -> None:
    refund = Refund(77, at(12), "30.00", worth="30.00", paid_in=("33.00", "USD"))
    items = parsed(escaped(refund_resource(refund, order())), EVERYTHING)
    assert (only(items).value, only(items).currency) == (30_000_000, "EUR")


# ------------------------------------------------------------------------------------------------ cancelled, edited


def test_a_cancelled_order_is_taken_back_unless_money_went_back() -> None:
    one = order(cancelled=at(11), updated=at(11))
    assert worth(pushed(one)) == worth(fetched(one)) == {("order", "1"): (100_000_000, True)}
    one.refund(Refund(77, at(11), "100.00"), state="refunded")
    expected = {("order", "1"): (100_000_000, False), ("refund", "77"): (100_000_000, False)}
    assert worth(pushed(one)) == worth(fetched(one)) == expected


def test_a_cancelled_order_with_a_refund_that_cannot_be_told_stays() -> None:
    one = order(cancelled=at(11), presented=("110.00", "USD"))
    one.refund(Refund(77, at(11), "100.00", worth="1.00", paid_in=("110.00", "USD")), state="refunded")
    assert worth(pushed(one)) == {("order", "1"): (100_000_000, False)}


def test_an_edit_that_adds_raises_the_total() -> None:
    one = order(total="120.00", updated=at(11), state="partially_paid", owed="20.00")
    assert worth(pushed(one)) == worth(fetched(one)) == {("order", "1"): (120_000_000, False)}


def test_what_was_taken_out_before_it_was_paid_lowers_the_total() -> None:
    one = order(left="60.00", refunds=[Refund(77, at(10), None, worth="32.00", tax="8.00")])
    assert worth(pushed(one)) == worth(fetched(one)) == {("order", "1"): (60_000_000, False)}


def test_what_was_taken_out_after_it_was_paid_is_booked_when_its_money_goes_back() -> None:
    taken_out = Refund(77, at(10), None, worth="32.00", tax="8.00")
    one = order(left="60.00", owed="-40.00", refunds=[taken_out])
    assert worth(pushed(one)) == worth(fetched(one)) == {("order", "1"): (100_000_000, False)}
    one.owed = "0.00"
    one.refund(Refund(78, at(12), "40.00", adjusted="40.00"))
    expected = {("order", "1"): (100_000_000, False), ("refund", "78"): (40_000_000, False)}
    assert worth(pushed(one)) == worth(fetched(one)) == expected


def test_a_fee_that_was_kept_is_no_edit() -> None:
    """Goods for 50 came back and 40 were given: 60 of the 100 stayed."""
    one = order(left="60.00")
    one.refund(Refund(77, at(12), "40.00", worth="50.00"))
    expected = {("order", "1"): (100_000_000, False), ("refund", "77"): (40_000_000, False)}
    assert worth(pushed(one)) == worth(fetched(one)) == expected


def test_a_refund_before_and_an_edit_after_add_up() -> None:
    """Of 100, 30 were taken out before payment and 20 given back after it: 50 stay."""
    edit, back = Refund(77, at(10), None, worth="30.00"), Refund(78, at(12), "20.00", worth="20.00")
    one = order(left="50.00", refunds=[edit, back], state="partially_refunded", updated=at(12))
    expected = {("order", "1"): (70_000_000, False), ("refund", "78"): (20_000_000, False)}
    assert worth(pushed(one)) == worth(fetched(one)) == expected


# ------------------------------------------------------------------------------------------------ versions


def test_the_newest_version_stands_in_whatever_order_they_come() -> None:
    """As the books do it: of one event the reading with the newest ``observed_at``."""
    one = order(state="pending", owed="100.00")
    versions = [pushed(one)]
    one.state, one.owed, one.updated = "paid", "0.00", at(10)
    versions.append(pushed(one))
    one.refund(Refund(77, at(11), "30.00"))
    versions.append(pushed(one))
    one.updated = at(11) + timedelta(minutes=1)
    one.refund(Refund(78, at(12), "70.00"), state="refunded")
    versions += [pushed(one), fetched(one)]
    expected = {
        ("order", "1"): (100_000_000, False),
        ("refund", "77"): (30_000_000, False),
        ("refund", "78"): (70_000_000, False),
    }
    for arrival in ([0, 1, 2, 3, 4], [4, 3, 2, 1, 0], [2, 0, 4, 1, 3], [3, 3, 0, 2, 1]):
        books: dict[tuple[str, str], Conversion] = {}
        for item in (item for number in arrival for item in conversions(versions[number])):
            known = books.get((item.kind, item.id))
            if known is None or (item.observed_at or NOW) > (known.observed_at or NOW):
                books[item.kind, item.id] = item
        assert worth(list(books.values())) == expected


def test_both_ways_say_the_very_same() -> None:
    one = order(landing="/?utm_campaign=spring&ttclid=T", codes=["anna10"], customer=7, nth=1, updated=at(10))
    one.refund(Refund(77, at(11), "30.00", worth="30.00"))
    assert fetched(one) == pushed(one)
