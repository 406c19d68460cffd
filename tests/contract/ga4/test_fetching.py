"""Whole fetches against the fake Data API: days, pages, refusals, resumption, restatement."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import msgspec
import pytest

from connectors.contract import (
    ConnectorError,
    NeedsReauth,
    NotPermitted,
    NotSupported,
    Response,
    TryLater,
    Unreachable,
)
from connectors.ga4 import CONNECTOR
from connectors.ga4_metrics import DIMENSIONS
from connectors.ga4_property import Ga4Options
from tests.contract.ga4.desk import NOW, client, fetch, links, newest, observations, read, source, task
from tests.contract.reading import drops
from tests.fakes.ga4 import DEAD_TOKEN, EXHAUSTED, NO_PERMISSION, PROPERTY, FakeGa4, Utm, Visits, error
from tests.fakes.wire import Failure

SPRING = Utm("spring", "instagram", "paid_social", "1")
TIKTOK = Utm("spring", "tiktok", "social")
NOBODY = Utm()
NAME = "utm_campaign=spring&utm_source=instagram&utm_medium=paid_social&utm_content=1"


def platform(**more: Any) -> FakeGa4:
    """Return a property with two links and the rest on every day of August so far."""
    days = {
        date(2026, 8, n): {
            SPRING: Visits(100 + n, str(n % 3), f"{n % 3 * 20}.50"),
            TIKTOK: Visits(n),
            NOBODY: Visits(999, "9", "999"),
        }
        for n in range(1, 21)
    }
    return FakeGa4(days=days, **more)


# ------------------------------------------------------------------------------------------------ days


async def test_days_are_asked_for_singly_and_today_is_not() -> None:
    fake = platform()
    pages = await fetch(fake, task(3))
    assert fake.ranges() == [(f"2026-08-{n}", f"2026-08-{n}") for n in (17, 18, 19)]
    assert [page.last for page in pages] == [False, False, True]
    assert all(call.method == "POST" for call in fake.calls)
    visits = newest(read(pages), "sessions")
    assert {day: number for (name, day), number in visits.items() if name == NAME} == {
        date(2026, 8, 17): 117,
        date(2026, 8, 18): 118,
        date(2026, 8, 19): 119,
    }


async def test_what_a_report_is_asked_for() -> None:
    fake = platform()
    await fetch(fake, task())
    asked = fake.bodies[0]
    assert [one["name"] for one in asked["dimensions"]] == list(DIMENSIONS)
    assert [one["name"] for one in asked["metrics"]] == ["sessions", "keyEvents:purchase", "purchaseRevenue"]
    assert (asked["limit"], asked["offset"], asked["returnPropertyQuota"]) == ("10000", "0", True)
    assert len(asked["dimensions"]) <= 9
    assert "dimensionFilter" not in asked


async def test_today_is_asked_for_with_the_day_before_it() -> None:
    fake = platform()
    pages = await fetch(fake, task(3, source=source(Ga4Options(today=True))))
    assert fake.ranges() == [
        ("2026-08-17", "2026-08-17"),
        ("2026-08-18", "2026-08-18"),
        ("2026-08-19", "2026-08-20"),
    ]
    assert pages[-1].last
    assert newest(read(pages), "sessions")[NAME, date(2026, 8, 20)] == 120


@pytest.mark.parametrize(
    ("zone", "now", "last"),
    [
        ("Pacific/Auckland", datetime(2026, 8, 20, 12, 30, tzinfo=UTC), "2026-08-20"),
        ("America/Los_Angeles", datetime(2026, 8, 20, 6, 30, tzinfo=UTC), "2026-08-18"),
        ("Europe/Berlin", datetime(2026, 8, 20, 6, 30, tzinfo=UTC), "2026-08-19"),
    ],
)
async def test_where_midnight_is_the_answer_tells(zone: str, now: datetime, last: str) -> None:
    fake = platform(zone=zone, now=now)
    await fetch(fake, task(3, start=now - timedelta(days=3), end=now))
    assert fake.ranges()[-1] == (last, last)
    assert fake.ranges()[0][0] <= "2026-08-17"


@pytest.mark.parametrize("zone", ["Pacific/Pago_Pago", "Pacific/Kiritimati"])
async def test_no_day_of_the_window_is_left_out_in_any_zone(zone: str) -> None:
    for hour in range(24):
        now = datetime(2026, 8, 20, hour, tzinfo=UTC)
        fake = platform(zone=zone, now=now)
        start = now - timedelta(days=3)
        await fetch(fake, task(start=start, end=now))
        days = [date.fromisoformat(first) for first, _ in fake.ranges()]
        assert days[0] <= start.astimezone(ZoneInfo(zone)).date()
        assert days[-1] == now.astimezone(ZoneInfo(zone)).date() - timedelta(days=1)


async def test_mediums_limit_the_report() -> None:
    fake = platform()
    items = read(await fetch(fake, task(source=source(Ga4Options(mediums=("social",))))))
    assert {one.utm_source for one in links(items)} == {"tiktok"}
    assert fake.bodies[0]["dimensionFilter"]["filter"]["inListFilter"]["values"] == ["social"]


async def test_without_a_key_event_there_are_visits_alone() -> None:
    fake = platform()
    options = Ga4Options(key_event="")
    items = read(await fetch(fake, task(source=source(options))), options)
    assert {key for one in observations(items) for key in one.metrics} == {"sessions"}


async def test_visits_that_no_link_brought_are_left_out() -> None:
    items = read(await fetch(platform(), task()))
    assert len(links(items)) == 3 * 2
    assert drops(items) == [("not_mapped", "visits of no tracked link")] * 3


# ------------------------------------------------------------------------------------------------ pages


async def test_pages_are_asked_for_until_all_rows_are_there() -> None:
    fake = platform(page_size=2)
    pages = await fetch(fake, task(2))
    assert [body["offset"] for body in fake.bodies] == ["0", "2"] * 2
    assert len(observations(read(pages), "sessions")) == 4


async def test_an_empty_property_is_asked_day_by_day_all_the_same() -> None:
    fake = FakeGa4()
    pages = await fetch(fake, task(3))
    assert (len(pages), read(pages)) == (3, [])


async def test_a_report_that_goes_on_without_rows_is_tried_later() -> None:
    fake = platform(page_size=0)
    with pytest.raises(TryLater, match="without rows"):
        await fetch(fake, task())


async def test_columns_in_another_order_say_the_same() -> None:
    plain = read(await fetch(platform(), task()))
    turned = read(await fetch(platform(reversed_columns=True), task()))
    assert newest(plain, "conversion_value_platform") == newest(turned, "conversion_value_platform")


@pytest.mark.parametrize("options", [Ga4Options(), Ga4Options(today=True)])
async def test_a_task_resumed_anywhere_makes_the_remaining_calls(options: Ga4Options) -> None:
    fake = platform(page_size=2, known="conversions")
    wanted = task(4, source=source(options))
    whole = await fetch(fake, wanted)
    asked = list(fake.bodies)
    for number, page in enumerate(whole[:-1], start=1):
        fake.bodies.clear()
        assert await fetch(fake, msgspec.structs.replace(wanted, cursor=page.cursor)) == whole[number:]
        assert fake.bodies == asked[len(asked) - len(fake.bodies) :]


# ------------------------------------------------------------------------------------------------ refusals


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (401, DEAD_TOKEN, NeedsReauth),
        (403, NO_PERMISSION, NotPermitted),
        (404, error(404, "NOT_FOUND", "no such property"), NotPermitted),
        (400, error(400, "INVALID_ARGUMENT", "Did you mean something else?"), ConnectorError),
        (400, error(400, "INVALID_ARGUMENT", "Field sessions is not a valid metric."), ConnectorError),
        (429, EXHAUSTED, TryLater),
        (500, error(500, "INTERNAL", "Internal error"), TryLater),
        (503, b"", TryLater),
        (200, b'{"rows": [', TryLater),
        (200, b"<html></html>", TryLater),
        (200, EXHAUSTED, TryLater),
        (418, b"{}", ConnectorError),
    ],
)
async def test_refusals(status: int, body: bytes, kind: type[ConnectorError]) -> None:
    fake = platform(failures=[Failure(status, body, times=9)])
    options = Ga4Options(key_event="")
    with pytest.raises(kind) as caught:
        await fetch(fake, task(source=source(options)))
    assert type(caught.value) in {kind, Unreachable if kind is TryLater else kind}


@pytest.mark.parametrize(
    ("words", "seconds"), [("tokens per hour", 3600), ("tokens per day", 21_600), ("concurrent", 60), ("", 600)]
)
async def test_a_used_up_quota_is_waited_for(words: str, seconds: int) -> None:
    body = error(429, "RESOURCE_EXHAUSTED", f"Exhausted {words}.")
    fake = platform(failures=[Failure(200, body)])
    with pytest.raises(TryLater) as caught:
        await fetch(fake, task())
    assert caught.value.seconds == seconds


async def test_key_events_by_their_former_name() -> None:
    fake = platform(known="conversions")
    pages = await fetch(fake, task())
    assert [one["name"] for one in fake.bodies[-1]["metrics"]][1] == "conversions:purchase"
    assert len(fake.bodies) == 3 + 1
    assert newest(read(pages), "conversions_platform")[NAME, date(2026, 8, 19)] == 1_000_000


async def test_a_key_event_that_the_property_does_not_have_is_left_out_and_said() -> None:
    fake = platform(events=())
    items = read(await fetch(fake, task()))
    assert not observations(items, "conversions_platform")
    assert drops(items)[0] == ("not_available", "keyEvents:purchase")
    assert newest(items, "sessions")[NAME, date(2026, 8, 19)] == 119


async def test_a_metric_that_is_gone_is_left_out_and_said() -> None:
    items = read(await fetch(platform(without={"purchaseRevenue"}), task()))
    assert ("not_available", "purchaseRevenue") in drops(items)
    assert observations(items, "conversions_platform")


@pytest.mark.parametrize("account", ["", "G-ABC123", "properties/", "1/../2", "\u0661"])
async def test_a_property_that_is_none(account: str) -> None:
    with pytest.raises(ConnectorError, match="digits"):
        await fetch(platform(), task(source=source(account=account)))


async def test_the_resource_name_of_a_property_does_as_well() -> None:
    assert await fetch(platform(), task(source=source(account=f"properties/{PROPERTY}")))


async def test_unknown_kinds_and_cursors() -> None:
    with pytest.raises(NotSupported):
        await fetch(platform(), task(kind="pages"))
    for cursor in ({"offset": "1"}, {"day": "soon"}, {"day": "2026-08-01", "offset": "x"}):
        with pytest.raises(ConnectorError, match="cursor"):
            await fetch(platform(), task(cursor=cursor))


async def test_a_refused_connection_apart_nothing_is_sent_twice_in_vain() -> None:
    fake = platform(failures=[Failure(503, b"", times=1)])
    assert len(await fetch(fake, task())) == 3  # a report changes nothing and may be asked for again
    assert len(fake.calls) == 4


async def test_quotas_of_every_answer_are_heard() -> None:
    fake = platform(remaining=0)
    heard: list[Response] = []
    async for _ in CONNECTOR.fetch(client(fake, heard), task(), NOW):
        pass
    left = {one.bucket: one.remaining for one in CONNECTOR.usage(heard[0])}
    assert left == {
        "tokens_per_day": 199_997,
        "property_tokens_per_hour": 0,  # a zero is left out of the answer
        "tokens_per_hour": 13_997,
        "requests_at_a_time": 10,
        "server_errors_per_hour": 10,
        "thresholded_requests_per_hour": 120,
    }


# ------------------------------------------------------------------------------------------------ restatement


async def test_everything_that_is_restated_in_the_look_back_converges_in_one_cycle() -> None:
    (kind,) = CONNECTOR.capabilities.fetch
    wanted = task(start=NOW - kind.look_back)
    fake = platform()
    before = newest(read(await fetch(fake, wanted)), "conversions_platform")
    for day in fake.days.values():
        day[SPRING] = Visits(day[SPRING].sessions + 1, "0", "0")  # its events went to the other link
        day[TIKTOK] = Visits(day[TIKTOK].sessions, "1.5", "30")
    fake.now += timedelta(hours=6)
    items = read(await fetch(fake, msgspec.structs.replace(wanted, start=fake.now - kind.look_back, end=fake.now)))
    after = newest(items, "conversions_platform")
    assert set(before) <= set(after)
    assert {value for (name, _), value in after.items() if name == NAME} == {0}
    assert {value for (name, _), value in after.items() if name != NAME} == {1_500_000}
    assert newest(items, "sessions")[NAME, date(2026, 8, 7)] == 108


async def test_the_look_back_reaches_as_far_as_numbers_may_move() -> None:
    (kind,) = CONNECTOR.capabilities.fetch
    assert kind.look_back >= CONNECTOR.capabilities.settle >= timedelta(days=12)
