"""Whole fetches through the client and against the fake Stripe, and proving a source."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import msgspec
import pytest

from connectors.contract import (
    STORED,
    ConnectorError,
    NeedsReauth,
    NotPermitted,
    NotSupported,
    Page,
    Response,
    Source,
    TryLater,
    Unreachable,
    Usage,
)
from connectors.stripe import CONNECTOR
from connectors.stripe_events import ACCOUNT, StripeOptions
from connectors.stripe_fetching import KINDS
from connectors.stripe_metrics import ASKED, NEEDED
from tests.contract.reading import conversions, drops, only
from tests.contract.stripe.desk import NOW, PAYMENTS, at, client, fetch, pushed, read, source, task
from tests.fakes.stripe import (
    GONE,
    NO_JSON,
    NO_PERMISSION,
    THROTTLED,
    TOKEN,
    TRUNCATED,
    WRONG_KEY,
    FakeStripe,
    Payment,
    Refund,
    error,
)
from tests.fakes.wire import Failure


def account(number: int = 3, **more: Any) -> FakeStripe:
    return FakeStripe(payments=[Payment(str(one), at(one)) for one in range(1, number + 1)], **more)


def windowed(kind: str = "events", of: Source | None = None) -> Any:
    look_back = next(one.look_back for one in KINDS if one.name == kind)
    return task(kind, start=NOW - look_back, end=NOW, source=of or source())


def ids(pages: list[Page]) -> list[str]:
    return [item.id for item in conversions(read(pages))]


async def test_events_are_listed_to_the_end_of_their_window() -> None:
    fake = account(page_size=4)
    fake.payments.append(Payment("old", NOW - timedelta(days=10)))
    pages = await fetch(fake, windowed())
    assert [page.last for page in pages] == [False, False, True]
    assert ids(pages) == ["pi_3", "pi_2", "pi_1"]
    assert ids(await fetch(fake, windowed("reconcile"))) == ["pi_3", "pi_2", "pi_1", "pi_old"]
    asked = [value for name, value in fake.calls[0].query.items() if name.startswith("types[")]
    assert asked == list(ASKED)


async def test_what_is_listed_and_what_is_pushed_say_the_same() -> None:
    fake = account(2)
    fake.payments[0].refunds = [Refund("re_1", at(10), 500)]
    listed = conversions(read(await fetch(fake, windowed())))
    told = [item for one in fake.payments for event in one.events() for item in conversions(pushed(event))]
    assert sorted(map(repr, listed)) == sorted(map(repr, told))


async def test_a_hidden_code_is_asked_for_and_stands() -> None:
    fake = account(2)
    fake.payments[1].code = "anna10"
    pages = await fetch(fake, windowed())
    assert fake.paths() == ["events", "checkout/sessions/cs_live_2"]
    first, second = (item for item in conversions(read(pages)) if item.id == "pi_2")
    assert (first.promo_code, second.promo_code) == (None, "ANNA10")
    assert (first.at, first.value) == (second.at, second.value)
    assert first.observed_at is not None
    assert second.observed_at == NOW > first.observed_at
    fake.calls.clear()
    await fetch(fake, windowed(of=source(PAYMENTS)))
    assert fake.paths() == ["events"]


async def test_a_session_that_is_gone_does_not_stop_the_others() -> None:
    fake = account(2, failures=[Failure(404, GONE, path="cs_live_2")])
    for one in fake.payments:
        one.code = "ANNA10"
    items = read(await fetch(fake, windowed()))
    assert ("not_available", "session") in drops(items)
    assert [item.id for item in conversions(items) if item.promo_code] == ["pi_1"]


async def test_refunds_are_listed_with_their_payment() -> None:
    fake = account(2)
    fake.payments[0].metadata = {"utm_campaign": "spring"}
    fake.payments[0].refunds = [Refund("re_1", at(10), 500), Refund("re_2", NOW - timedelta(days=8), 100)]
    found = only(read(await fetch(fake, windowed("refunds"))))
    assert (found.id, found.refund_of, found.utm_campaign, found.at) == ("re_1", "pi_1", "spring", at(10))


async def test_a_hint_reads_the_last_day_again() -> None:
    fake = FakeStripe(payments=[Payment("1", NOW - timedelta(days=2)), Payment("2", NOW - timedelta(hours=2))])
    hinted = task("events", ACCOUNT, start=NOW - timedelta(days=3), end=NOW)
    assert ids(await fetch(fake, hinted)) == ["pi_2"]


async def test_what_happened_since_is_found_within_one_look() -> None:
    fake = FakeStripe(payments=[Payment("1", NOW - timedelta(days=20))])
    assert ids(await fetch(fake, windowed())) == []
    fake.payments[0].refunds.append(Refund("re_1", NOW - timedelta(minutes=5), 500))
    assert ids(await fetch(fake, windowed())) == ["re_1"]


async def test_an_empty_account_is_one_page() -> None:
    pages = await fetch(FakeStripe(), windowed())
    assert [(page.last, page.cursor, read([page])) for page in pages] == [(True, {}, [])]


async def test_a_connected_account_is_named_in_a_header() -> None:
    fake = account()
    await fetch(fake, windowed(of=source(StripeOptions(connected_account="acct_2"))))
    assert fake.calls[0].headers["stripe-account"] == "acct_2"
    assert fake.calls[0].headers["authorization"] == f"Bearer {TOKEN}"
    assert TOKEN not in repr(fake.calls[0].query)


@pytest.mark.parametrize(
    ("failure", "raised", "says"),
    [
        (Failure(401, WRONG_KEY), NeedsReauth, "no longer valid"),
        (Failure(403, NO_PERMISSION), NotPermitted, "Events: read"),
        (Failure(400, error("invalid_request_error")), ConnectorError, "400"),
        (Failure(404, GONE), ConnectorError, "404"),
        (Failure(409, error("idempotency_error")), TryLater, "409"),
        (Failure(400, b"{}", headers={"stripe-should-retry": "true"}), TryLater, "tried again"),
        (Failure(429, THROTTLED, times=9), TryLater, "429"),
        (Failure(500, error("api_error"), times=9), TryLater, "500"),
        (Failure(200, TRUNCATED), TryLater, "not JSON"),
        (Failure(200, NO_JSON), TryLater, "not JSON"),
        (Failure(200, error("api_error")), TryLater, "calls a success"),
    ],
)
async def test_each_refusal_has_its_error(failure: Failure, raised: type[ConnectorError], says: str) -> None:
    with pytest.raises(raised, match=says) as told:
        await fetch(account(failures=[failure]), windowed())
    assert type(told.value) in {raised, Unreachable if raised is TryLater else raised}
    assert "rk_live" not in str(told.value)


async def test_endless_listings_end() -> None:
    with pytest.raises(ConnectorError, match="comes back"):
        await fetch(account(repeating_cursor=True), windowed())
    with pytest.raises(ConnectorError, match="without saying where"):
        await fetch(account(failures=[Failure(200, b'{"data":[],"has_more":true}')]), windowed())


async def test_a_cursor_that_was_changed_asks_for_nothing_odd() -> None:
    fake = account()
    cursor = {"due": "../v1/charges:1,cs_1:x,cs_1", "ended": "1"}
    assert await fetch(fake, msgspec.structs.replace(windowed(), cursor=cursor)) == []
    assert fake.calls == []


async def test_an_unknown_kind_is_not_supported() -> None:
    with pytest.raises(NotSupported):
        await fetch(FakeStripe(), task("payouts"))


def test_limits_are_told_only_when_they_are_used_up() -> None:
    calm, full = (Response(status=status, headers={}, body=b"", received_at=NOW) for status in (200, 429))
    assert (CONNECTOR.usage(calm), CONNECTOR.usage(full)) == ((), (Usage(bucket="read", used=1.0),))
    assert CONNECTOR.cost("GET", "v1/events") == ("read", 1.0)


# ------------------------------------------------------------------------------------------------ proving a source


async def check(fake: FakeStripe, of: Source | None = None) -> list[tuple[bool, str]]:
    return [(finding.ok, finding.text) for finding in await CONNECTOR.check(client(fake), of or source())]


async def test_a_source_in_order() -> None:
    fake = FakeStripe(endpoints=[{"status": "enabled", "enabled_events": list(NEEDED["checkout"])}])
    assert await check(fake) == [
        (True, "the key is accepted and the events are readable"),
        (True, "Checkout Sessions are readable"),
        (True, "Refunds are readable"),
        (True, "a webhook endpoint is sent all that counts"),
    ]
    fake.endpoints = [{"status": "enabled", "enabled_events": ["*"]}]
    assert all(ok for ok, _ in await check(fake))


@pytest.mark.parametrize(
    "endpoint",
    [
        {"status": "disabled", "enabled_events": ["*"]},
        {"status": "enabled", "enabled_events": ["charge.refunded", {}, None]},
        {},
    ],
)
async def test_a_missing_endpoint_is_told(endpoint: dict[str, Any]) -> None:
    found = await check(FakeStripe(endpoints=[endpoint]))
    assert not found[-1][0]
    assert "checkout.session.completed" in found[-1][1]


async def test_what_is_missing_is_said() -> None:
    dead = await check(FakeStripe(token="another"))
    assert dead == [(False, "the key is not accepted: give a new one")]
    busy = await check(FakeStripe(failures=[Failure(429, THROTTLED, times=9)]))
    assert busy == [(False, "Stripe does not answer or throttles at the moment: try again later")]
    narrow = await check(FakeStripe(failures=[Failure(403, NO_PERMISSION, path="refunds")]))
    assert (False, "Refunds are not readable: the key lacks a permission: Refunds: read") in narrow
    blind = await check(FakeStripe(failures=[Failure(403, NO_PERMISSION, path="webhook_endpoints")]))
    assert blind[-1][0]
    bare = await check(FakeStripe(), source(secrets=()))
    assert (False, "no signing secret: webhooks cannot be verified and are refused") in bare


def test_every_mapping_is_to_a_stored_key_or_says_why_not() -> None:
    for mapping in CONNECTOR.metrics:
        assert mapping.metric in STORED if mapping.metric else mapping.note


@pytest.mark.parametrize("options", [{"counts": "all"}, {"connected_account": "me"}, {"connected_account": "acct_1\n"}])
def test_options_that_cannot_be(options: dict[str, str]) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(options, StripeOptions)
