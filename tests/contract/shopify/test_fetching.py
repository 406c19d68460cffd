"""Whole fetches through the client and against the fake shop: every kind of task, every refusal, every resumption."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import msgspec
import pytest

from connectors.contract import (
    ConnectorError,
    NeedsReauth,
    NotPermitted,
    NotSupported,
    Page,
    Response,
    SubjectSeen,
    TryLater,
    Unreachable,
    Usage,
)
from connectors.shopify import CONNECTOR
from connectors.shopify_fetching import KINDS
from tests.contract.reading import conversions, drops
from tests.contract.shopify.desk import NOW, SUBJECT, at, client, fetch, read, source, task
from tests.fakes.shopify import (
    FROZEN,
    NO_JSON,
    TOKEN,
    TRUNCATED,
    VERSION,
    WRONG_TOKEN,
    Failure,
    FakeShop,
    Order,
    Refund,
    errors,
    throttled,
)


def shop(number: int = 5, **more: Any) -> FakeShop:
    return FakeShop(orders=[Order(one, at(one), total="10.00") for one in range(1, number + 1)], **more)


def windowed(kind: str = "orders") -> Any:
    look_back = next(one.look_back for one in KINDS if one.name == kind)
    return task(kind, start=NOW - look_back, end=NOW)


def ids(pages: list[Page]) -> list[str]:
    return [item.id for item in conversions(read(pages))]


# ------------------------------------------------------------------------------------------------ kinds of tasks


async def test_orders_are_listed_by_their_last_change_to_the_end() -> None:
    fake = shop(page_size=2)
    fake.orders[0].updated = at(11)
    pages = await fetch(fake, windowed())
    assert [page.request["page"] for page in pages] == ["orders"] * 3
    assert [page.last for page in pages] == [False, False, True]
    assert ids(pages) == ["2", "3", "4", "5", "1"]
    assert pages[-1].cursor == {}


async def test_refunds_are_asked_for_of_the_orders_that_have_some() -> None:
    fake = shop()
    fake.orders[1].refund(Refund(21, at(12), "4.00"))
    fake.orders[3].refund(Refund(41, at(13), "10.00"), state="refunded")
    fake.orders[4].refund(Refund(51, at(14), "1.00", status="pending"))
    pages = await fetch(fake, windowed())
    assert fake.names() == ["Orders", "Refunds", "Refunds"]
    assert [page.request.get("order_id") for page in pages] == [None, "2", "4"]
    found = [(item.kind, item.id, item.refund_of) for item in conversions(read(pages)) if item.kind == "refund"]
    assert found == [("refund", "21", "2"), ("refund", "41", "4")]


async def test_a_shop_without_orders_is_one_page() -> None:
    pages = await fetch(FakeShop(), windowed())
    assert [(page.last, page.cursor, read([page])) for page in pages] == [(True, {}, [])]


async def test_a_window_is_of_changes_and_ends_with_the_task() -> None:
    fake = FakeShop(
        orders=[
            Order(1, at(9, day=1)),
            Order(2, at(9, day=1), updated=NOW - timedelta(days=2)),
            Order(3, NOW - timedelta(hours=1)),
            Order(4, NOW + timedelta(minutes=1)),
        ]
    )
    assert ids(await fetch(fake, windowed())) == ["2", "3"]
    assert ids(await fetch(fake, windowed("reconcile"))) == ["1", "2", "3"]
    assert fake.calls[0].variables["query"] == "updated_at:>='2026-08-17T12:00:00Z' updated_at:<='2026-08-20T12:00:00Z'"


async def test_a_hint_reads_the_last_day_again() -> None:
    fake = FakeShop(orders=[Order(1, NOW - timedelta(days=2)), Order(2, NOW - timedelta(hours=2))])
    hinted = task("orders", SUBJECT, start=NOW - timedelta(days=3), end=NOW)
    assert ids(await fetch(fake, hinted)) == ["2"]


async def test_the_shop_is_a_subject() -> None:
    (seen,) = read(await fetch(FakeShop(), task("shop")))
    assert seen == SubjectSeen(subject=SUBJECT, title="Tally Test", url="https://shop.example", content_type="shop")


async def test_an_unknown_kind_is_not_supported() -> None:
    with pytest.raises(NotSupported):
        await fetch(FakeShop(), task("carts"))


async def test_nothing_but_what_is_read_is_asked_for() -> None:
    """No name, no address, no e-mail: what is not fetched need not be protected."""
    fake, heard = shop(1), list[Response]()
    fake.orders[0].customer = 7
    http = client(fake, heard)
    [page async for page in CONNECTOR.fetch(http, windowed(), NOW)]
    assert not any(word in heard[0].body for word in (b"email", b"Ada", b"address"))


# ------------------------------------------------------------------------------------------------ restated


async def test_what_changed_on_an_old_order_is_found_within_one_look() -> None:
    fake = FakeShop(orders=[Order(1, at(9, day=1), total="100.00"), Order(2, at(9, day=2))])
    assert ids(await fetch(fake, windowed())) == []
    fake.orders[0].refund(Refund(11, NOW - timedelta(minutes=30), "40.00"))
    fake.orders[1].cancelled = fake.orders[1].updated = NOW - timedelta(hours=50)
    found = [(item.kind, item.id, item.cancelled) for item in conversions(read(await fetch(fake, windowed())))]
    assert found == [("order", "2", True), ("order", "1", False), ("refund", "11", False)]


async def test_an_order_that_changes_while_a_listing_is_read_is_in_a_later_one() -> None:
    fake = shop(3, page_size=1)
    first = (await fetch(fake, windowed()))[0]
    fake.orders[2].updated = NOW + timedelta(seconds=1)
    rest = await fetch(fake, msgspec.structs.replace(windowed(), cursor=first.cursor))
    assert ids([first, *rest]) == ["1", "2"]
    later = NOW + timedelta(hours=1)
    assert ids(await fetch(fake, task("orders", start=later - timedelta(days=3), end=later))) == ["1", "2", "3"]


# ------------------------------------------------------------------------------------------------ throttling


async def test_a_throttled_fetch_waits_for_its_points() -> None:
    fake = shop(available=300.0)
    with pytest.raises(TryLater) as raised:
        await fetch(fake, windowed())
    assert raised.value.seconds == 10.0  # 800 points are asked for, 300 are there, 50 come back a second


async def test_a_throttled_answer_that_tells_nothing_leaves_the_wait_to_the_caller() -> None:
    with pytest.raises(TryLater) as raised:
        await fetch(shop(failures=[Failure(200, errors("THROTTLED"))]), windowed())
    assert raised.value.seconds is None


@pytest.mark.parametrize(("available", "restored", "seconds"), [(790.0, 50.0, 1.0), (0.0, 0.001, 600.0), (0, 0, None)])
async def test_the_wait_is_bounded(available: float, restored: float, seconds: float | None) -> None:
    with pytest.raises(TryLater) as raised:
        await fetch(shop(failures=[Failure(200, throttled(800.0, available, restored))]), windowed())
    assert raised.value.seconds == seconds


async def test_a_query_that_is_too_costly_is_asked_for_less() -> None:
    fake = shop(5, most_cost=80.0)
    pages = await fetch(fake, windowed())
    assert [call.variables["first"] for call in fake.calls] == [50, 25, 12, 6, 3, 3]
    assert ids(pages) == ["1", "2", "3", "4", "5"]
    assert pages[0].cursor["size"] == "3"
    fake.calls.clear()
    await fetch(fake, msgspec.structs.replace(windowed(), cursor=pages[0].cursor))
    assert [call.variables["first"] for call in fake.calls] == [3]


async def test_a_query_that_is_too_costly_for_one_order_is_an_error() -> None:
    with pytest.raises(ConnectorError, match="costs more"):
        await fetch(shop(most_cost=1.0), windowed())


async def test_the_points_that_are_left_are_told() -> None:
    heard: list[Response] = []
    http = client(FakeShop(available=760.0, most_cost=500.0), heard)
    [page async for page in CONNECTOR.fetch(http, windowed(), NOW)]
    told = Usage(bucket="graphql", used=0.25, remaining=750.0, limit=1000.0, reset=5.0)
    assert CONNECTOR.usage(heard[-1]) == (told,)
    bucket, points = CONNECTOR.cost("POST", "admin/api/2026-04/graphql.json")
    assert bucket == CONNECTOR.capabilities.budgets[0].bucket
    assert 0 < points < CONNECTOR.capabilities.budgets[0].calls


@pytest.mark.parametrize(
    "body",
    [
        b"",
        NO_JSON,
        b"[" * 100_000,
        b'{"extensions":{"cost":{}}}',
        b'{"extensions":null}',
        throttled(1, 5, -1),
        throttled(1, 1e300, 50),
        b"\xff",
    ],
)
def test_what_tells_no_points_says_nothing(body: bytes) -> None:
    assert CONNECTOR.usage(Response(status=200, headers={}, body=body, received_at=NOW)) == ()


# ------------------------------------------------------------------------------------------------ refusals


@pytest.mark.parametrize(
    ("failure", "error", "says"),
    [
        (Failure(401, WRONG_TOKEN), NeedsReauth, "connect the shop again"),
        (Failure(402, FROZEN), NotPermitted, "frozen"),
        (Failure(403, b'{"errors":"no"}'), NotPermitted, "read_orders"),
        (Failure(423, b'{"errors":"Locked"}'), NotPermitted, "locked"),
        (Failure(404, b'{"errors":"Not Found"}'), ConnectorError, "no such shop"),
        (Failure(430, b""), TryLater, "refuses requests"),
        (Failure(301, b"", headers={"location": "https://evil.example/"}), ConnectorError, "301"),
        (Failure(400, b"{}"), ConnectorError, "400"),
        (Failure(200, errors("ACCESS_DENIED")), NotPermitted, "read_orders"),
        (Failure(200, errors("SHOP_INACTIVE")), NotPermitted, "not active"),
        (Failure(200, errors("undefinedField")), ConnectorError, "version"),
        (Failure(200, b'{"errors":"a text"}'), ConnectorError, "version"),
        (Failure(200, errors("INTERNAL_SERVER_ERROR")), TryLater, "temporary"),
        (Failure(200, TRUNCATED), TryLater, "not JSON"),
        (Failure(200, NO_JSON), TryLater, "not JSON"),
        (Failure(200, b""), TryLater, "not JSON"),
        (Failure(200, b"{}"), TryLater, "without data"),
        (Failure(503, b"", times=9), TryLater, "503"),
        (Failure(429, b"", times=9, headers={"retry-after": "2"}), TryLater, "429"),
    ],
)
async def test_each_refusal_has_its_error(failure: Failure, error: type[ConnectorError], says: str) -> None:
    with pytest.raises(error, match=says) as raised:
        await fetch(shop(failures=[failure]), windowed())
    assert type(raised.value) in {error, Unreachable if error is TryLater else error}
    assert TOKEN not in str(raised.value)
    assert "Invalid API key" not in str(raised.value)


async def test_a_wrong_token_is_told() -> None:
    http = client(shop(), token="shpat_another")
    with pytest.raises(NeedsReauth):
        [page async for page in CONNECTOR.fetch(http, windowed(), NOW)]


async def test_a_field_without_its_scope_does_not_lose_the_orders() -> None:
    fake = shop(2, denied={"customer"})
    fake.orders[0].customer = 7
    items = read(await fetch(fake, windowed()))
    assert [(item.id, item.customer) for item in conversions(items)] == [("1", None), ("2", None)]
    assert drops(items) == [("not_available", "customer")]


async def test_orders_without_their_scope_are_not_permitted() -> None:
    with pytest.raises(NotPermitted, match="read_orders"):
        await fetch(shop(denied={"orders"}), windowed())


async def test_one_order_that_is_gone_or_refused_does_not_stop_the_others() -> None:
    fake = shop(3, failures=[Failure(200, errors("undefinedThing"), name="Refunds")])
    for order in fake.orders:
        order.refund(Refund(order.id * 10, at(order.id + 1), "1.00"))
    pages = await fetch(fake, windowed())
    assert [page.request["page"] for page in pages] == ["orders", "refunds", "refunds", "refunds"]
    items = read(pages)
    assert ("not_available", "order") in drops(items)
    assert [item.id for item in conversions(items) if item.kind == "refund"] == ["20", "30"]
    gone = msgspec.structs.replace(windowed(), cursor={"due": "404", "ended": "1"})
    assert drops(read(await fetch(fake, gone))) == [("not_available", "order")]


async def test_a_fault_between_two_pages_is_taken_up_where_it_was() -> None:
    fake = shop(3)
    for order in fake.orders:
        order.refund(Refund(order.id * 10, at(order.id + 1), "1.00"))
    whole = await fetch(fake, windowed())
    fake.failures.append(Failure(200, NO_JSON, name="Refunds"))
    pages, cursor = list[Page](), dict[str, str]()
    for _ in range(2):
        try:
            async for page in CONNECTOR.fetch(client(fake), msgspec.structs.replace(windowed(), cursor=cursor), NOW):
                pages.append(page)
                cursor = dict(page.cursor)
        except TryLater:
            continue
        break
    assert [page.request for page in pages] == [page.request for page in whole]


# ------------------------------------------------------------------------------------------------ endless


async def test_a_listing_that_comes_back_to_a_page_is_an_error() -> None:
    with pytest.raises(ConnectorError, match="comes back"):
        await fetch(shop(repeating_cursor=True), windowed())


@pytest.mark.parametrize("end", [b"null", b'""', b"7", b'"%s"' % (b"x" * 3000)])
async def test_a_listing_that_does_not_say_where_it_goes_on_is_an_error(end: bytes) -> None:
    body = b'{"data":{"orders":{"nodes":[],"pageInfo":{"hasNextPage":true,"endCursor":%s}}}}' % end
    with pytest.raises(ConnectorError, match="without saying where"):
        await fetch(shop(failures=[Failure(200, body)]), windowed())


@pytest.mark.parametrize(
    "cursor", [{"size": "0"}, {"size": "-1"}, {"size": "1000000"}, {"size": "x"}, {"due": "x,,\u0663,1.5"}, {"due": ""}]
)
async def test_a_cursor_that_was_changed_asks_for_nothing_odd(cursor: dict[str, str]) -> None:
    fake = shop()
    await fetch(fake, msgspec.structs.replace(windowed(), cursor=cursor))
    assert [(call.name, call.variables["first"]) for call in fake.calls] == [("Orders", 50)]


# ------------------------------------------------------------------------------------------------ requests


async def test_the_token_travels_in_its_header_and_nowhere_else() -> None:
    fake = shop()
    pages = await fetch(fake, windowed())
    (call,) = fake.calls
    assert call.headers["x-shopify-access-token"] == TOKEN
    assert "authorization" not in call.headers
    assert call.headers["host"] == source().options.shop
    assert call.path == f"/admin/api/{VERSION}/graphql.json"
    assert TOKEN not in repr(pages[0].request) + repr(pages[0].cursor)
