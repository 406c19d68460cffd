"""Whole fetches against the fake Marketing API: every kind of task, every refusal, every resumption."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime, timedelta
from typing import Any

import msgspec
import pytest

from connectors.contract import (
    ConnectorError,
    NeedsReauth,
    NotPermitted,
    NotSupported,
    Page,
    SubjectRef,
    SubjectSeen,
    SubjectType,
    Task,
    TryLater,
    Unreachable,
)
from connectors.meta_ads import CONNECTOR
from connectors.meta_ads_account import MetaAdsOptions
from tests.contract.meta_ads.desk import NOW, START, ad, by_day, client, fetch, read, source, task
from tests.contract.reading import counted, drops, observations
from tests.fakes.graph import DEAD_TOKEN, NO_PERMISSION, envelope
from tests.fakes.meta_ads import ACCOUNT, BUSINESS_USAGE, NOT_READY, THROTTLED, TOO_MUCH, Ad, Day, FakeMetaAds
from tests.fakes.wire import Failure

ASYNC = source(MetaAdsOptions(reports="async"))
RUNNING = ("Job Running", 50)


def platform(**more: Any) -> FakeMetaAds:
    """Return three ads with 20 days each: impressions name the ad and the day."""
    ads = [
        Ad(name, adset=f"62152934500{number}", days={date(2026, 8, n): day_of(number, n) for n in range(1, 21)})
        for number, name in enumerate(("6215293456071", "120215987654321098765", "007"), start=1)
    ]
    return FakeMetaAds(ads=ads, **more)


def day_of(number: int, day: int) -> Day:
    bought = {"omni_purchase": "1", "purchase": "1"}
    return Day(1000 * number + day, 9, 4, "3.50", 800, bought, {"omni_purchase": "20.00"})


def expected(last: int = 20) -> int:
    return sum(1000 * number + day for number in (1, 2, 3) for day in range(1, last + 1))


async def pages_until_wait(fake: FakeMetaAds, wanted: Task) -> tuple[list[Page], TryLater]:
    """Return the pages before a task has to wait, and the wait."""
    pages: list[Page] = []
    fetched = CONNECTOR.fetch(client(fake), wanted, fake.now)
    try:
        async for page in fetched:
            pages.append(page)  # noqa: PERF401 - what came before the wait is kept
    except TryLater as wait:
        return pages, wait
    raise AssertionError("nothing had to be waited for")


async def to_the_end(fake: FakeMetaAds, wanted: Task, most: int = 50) -> list[Page]:
    """Return all pages of a task that waits in between, as the service takes it up again."""
    pages: list[Page] = []
    for _ in range(most):
        try:
            async for page in CONNECTOR.fetch(client(fake), wanted, fake.now):
                pages.append(page)
                wanted = msgspec.structs.replace(wanted, cursor=page.cursor)
        except TryLater as wait:
            fake.now += timedelta(seconds=wait.seconds or 30)
        else:
            return pages
    raise AssertionError("the task has no end")


# ------------------------------------------------------------------------------------------------ days


async def test_days_of_all_ads_in_one_report() -> None:
    fake = platform()
    pages = await fetch(fake, task("ad_days"))
    assert fake.paths() == [f"GET act_{ACCOUNT}", f"GET act_{ACCOUNT}/insights"]
    asked = fake.calls[1].query
    assert (asked["level"], asked["time_increment"], asked["limit"]) == ("ad", "1", "500")
    assert json.loads(asked["time_range"]) == {"since": "2026-07-23", "until": "2026-08-20"}
    assert asked["use_unified_attribution_setting"] == "true"
    assert "breakdowns" not in asked
    assert json.loads(asked["action_breakdowns"]) == ["action_type"]
    assert [page.last for page in pages] == [True]
    assert counted(read(pages))["impressions"] == expected()


async def test_pages_are_followed_by_cursor_and_no_link_is() -> None:
    fake = platform(page_size=25)
    pages = await fetch(fake, task("ad_days"))
    assert len(pages) == 3
    assert [("after" in call.query) for call in fake.calls[1:]] == [False, True, True]
    assert not any("access_token" in call.query for call in fake.calls)
    assert counted(read(pages))["impressions"] == expected()


async def test_an_empty_last_page_is_no_surprise() -> None:
    pages = await fetch(platform(page_size=25, empty_last_page=True), task("ad_days"))
    assert [page.last for page in pages] == [False, False, False, True]


async def test_a_cursor_that_turns_is_an_error() -> None:
    with pytest.raises(ConnectorError, match="comes back"):
        await fetch(platform(page_size=25, repeating_cursor=True), task("ad_days"))


async def test_an_account_without_delivery_is_one_empty_page() -> None:
    pages = await fetch(FakeMetaAds(), task("ad_days"))
    assert [(page.last, page.cursor) for page in pages] == [(True, {})]
    assert read(pages) == []


@pytest.mark.parametrize(
    ("zone", "now", "until"),
    [
        ("Pacific/Auckland", datetime(2026, 8, 20, 12, 30, tzinfo=UTC), "2026-08-21"),
        ("America/Los_Angeles", datetime(2026, 8, 20, 6, 30, tzinfo=UTC), "2026-08-19"),
    ],
)
async def test_days_are_those_of_the_account(zone: str, now: datetime, until: str) -> None:
    fake = platform(zone=zone, now=now)
    await fetch(fake, task("ad_days", end=now))
    assert fake.ranges()[0][1] == until[5:]


async def test_a_start_before_all_history_is_moved_to_it() -> None:
    fake = platform()
    await fetch(fake, task("ad_days", start=NOW - timedelta(days=4000)))
    since = json.loads(fake.calls[1].query["time_range"])["since"]
    assert since == "2023-07-31"


async def test_ad_sets_and_campaigns_are_read_and_checked() -> None:
    fake = platform()
    pages = await fetch(fake, task("level_days"))
    assert [page.request["level"] for page in pages] == ["adset", "campaign"]
    items = read(pages)
    assert counted(items) == {}
    whole = [
        one.metrics["impressions"]
        for one in observations(items)
        if one.subject.type is SubjectType.AD_CAMPAIGN and "impressions" in one.metrics
    ]
    assert sum(whole) == expected()


async def test_named_ads_alone_are_asked_for_in_batches() -> None:
    fake = platform()
    named = [ad(str(n)) for n in range(1, 120)] + [ad("007"), ad("007"), SubjectRef("../me", SubjectType.AD)]
    pages = await fetch(fake, task("ad_days", *named, SubjectRef("5", SubjectType.POST)))
    batches = [json.loads(call.query["filtering"])[0]["value"] for call in fake.calls[1:]]
    assert [len(batch) for batch in batches] == [50, 50, 20]
    assert {one.subject for one in observations(read(pages))} == {ad("007")}


async def test_no_ad_named_is_nothing_to_ask() -> None:
    fake = platform()
    assert await fetch(fake, task("ad_days", SubjectRef("5", SubjectType.POST))) == []
    assert fake.calls == []


async def test_windows_are_asked_for_where_the_options_name_them() -> None:
    fake = platform()
    fake.ads[0].days[date(2026, 8, 20)].windows = {"omni_purchase": {"7d_click": "0.5", "28d_click": "3"}}
    wanted = source(MetaAdsOptions(click_window="7d_click", view_window="1d_view"))
    pages = await fetch(fake, task("ad_days", source=wanted, start=NOW - timedelta(hours=1)))
    asked = fake.calls[1].query
    assert json.loads(asked["action_attribution_windows"]) == ["7d_click", "1d_view"]
    assert "use_unified_attribution_setting" not in asked
    assert counted(read(pages, wanted.options))["conversions_platform"] == 500_000


# ------------------------------------------------------------------------------------------------ too much


async def test_too_much_data_is_halved_until_it_is_answered() -> None:
    fake = platform(longest=7)
    pages = await fetch(fake, task("ad_days"))
    assert fake.ranges()[:3] == [("07-23", "08-20"), ("07-23", "08-06"), ("07-23", "07-30")]
    answered = [(page.request["since"], page.request["until"]) for page in pages]
    assert answered[0] == ("2026-07-23", "2026-07-26")
    days = [(date.fromisoformat(until) - date.fromisoformat(since)).days + 1 for since, until in answered]
    assert (sum(days), max(days)) == (29, 7)
    assert counted(read(pages))["impressions"] == expected()


async def test_a_single_day_of_too_much_becomes_a_background_report() -> None:
    fake = platform()
    fake.failures = [Failure(400, TOO_MUCH, "insights", times=1)]
    pages = await fetch(fake, task("ad_days", start=NOW - timedelta(hours=1)))
    assert [page.request["page"] for page in pages] == ["report_run", "report_run", "insights"]
    assert counted(read(pages))["impressions"] == 6060


async def test_a_long_page_is_asked_for_in_smaller_ones_and_the_next_is_long_again() -> None:
    fake = platform(page_size=25)
    wanted = task("ad_days")
    first = (await fetch(fake, wanted))[0]
    fake.calls.clear()
    fake.failures = [Failure(400, TOO_MUCH, "insights", times=1)]
    rest = await fetch(fake, msgspec.structs.replace(wanted, cursor=first.cursor))
    assert [call.query["limit"] for call in fake.calls] == ["500", "100", "500"]
    assert counted(read([first, *rest]))["impressions"] == expected()


async def test_a_500_that_says_too_much_is_halved_at_once() -> None:
    fake = platform()
    fake.failures = [Failure(500, TOO_MUCH, "insights", times=1)]
    pages = await fetch(fake, task("ad_days", start=NOW - timedelta(days=3)))
    assert [(page.request["since"][8:], page.request["until"][8:]) for page in pages] == [("17", "18"), ("19", "20")]


async def test_a_500_that_says_nothing_is_tried_day_by_day_once() -> None:
    fake = platform()
    fake.failures = [Failure(500, b"", "insights", times=2)]  # as often as the client tries
    pages = await fetch(fake, task("ad_days", start=NOW - timedelta(days=3)))
    assert [page.request["since"][8:] for page in pages] == ["17", "18", "19", "20"]
    assert counted(read(pages))["impressions"] == sum(6000 + 3 * day for day in range(17, 21))


async def test_a_platform_that_is_down_is_left_alone_after_one_day() -> None:
    fake = platform(failures=[Failure(503, b"", "insights", times=99)])
    with pytest.raises(TryLater):
        await fetch(fake, task("ad_days"))
    assert len(fake.ranges()) == 4  # the range and one day, twice each


# ------------------------------------------------------------------------------------------------ background reports


async def test_a_report_is_begun_looked_at_and_read() -> None:
    fake = platform(states=[("Job Not Started", 0), RUNNING, ("Job Running", 100), ("Job Completed", 99)], page_size=50)
    pages = await to_the_end(fake, task("ad_days", source=ASYNC))
    job = next(iter(fake.jobs))
    assert fake.paths()[1:] == [
        f"POST act_{ACCOUNT}/insights",
        *[f"GET {job}"] * 5,  # 100 % is not complete while it runs, and complete is not all
        f"GET {job}/insights",
        f"GET {job}/insights",
    ]
    assert counted(read(pages))["impressions"] == expected()


async def test_a_wait_holds_nothing_and_knows_the_report() -> None:
    fake = platform(states=[RUNNING, RUNNING])
    pages, wait = await pages_until_wait(fake, task("ad_days", source=ASYNC))
    assert wait.seconds == 15
    assert [page.request["page"] for page in pages] == ["report_run", "report_run"]
    resumed = task("ad_days", source=ASYNC, cursor=pages[-1].cursor)
    again, wait = await pages_until_wait(fake, resumed)
    assert (len(again), wait.seconds) == (1, 30)
    assert sum(path.startswith("POST") for path in fake.paths()) == 1


async def test_a_report_that_went_wrong_is_made_again_in_halves() -> None:
    fake = platform(states=[("Job Failed", 12)])
    pages, wait = await pages_until_wait(fake, task("ad_days", source=ASYNC))
    assert wait.seconds == 60
    fake.states = []
    rest = await to_the_end(fake, task("ad_days", source=ASYNC, cursor=pages[-1].cursor))
    assert fake.ranges() == [("07-23", "08-20"), ("07-23", "08-06"), ("08-07", "08-20")]
    assert counted(read([*pages, *rest]))["impressions"] == expected()


async def test_a_report_that_hangs_is_given_up() -> None:
    fake = platform(states=[("Job Running", 0)] * 99)
    with pytest.raises(ConnectorError, match="went wrong 3 times"):
        await to_the_end(fake, task("ad_days", source=ASYNC), most=200)
    assert len(fake.jobs) == 3
    assert timedelta(minutes=15) < fake.now - NOW < timedelta(minutes=40)


async def test_a_report_that_is_complete_and_not_yet_readable() -> None:
    fake = platform()
    fake.failures = [Failure(400, NOT_READY, "/insights", times=0)]
    pages = [
        page
        async for page in CONNECTOR.fetch(client(fake), task("ad_days", source=ASYNC), NOW)
        if page.request["page"] == "report_run"
    ]
    fake.failures[0].times = 1
    _, wait = await pages_until_wait(fake, task("ad_days", source=ASYNC, cursor=pages[-1].cursor))
    assert wait.seconds == 15
    rest = await fetch(fake, task("ad_days", source=ASYNC, cursor=pages[-1].cursor))
    assert counted(read(rest))["impressions"] == expected()


async def test_a_report_that_is_too_much_is_begun_smaller() -> None:
    fake = platform(longest=7)
    pages = await to_the_end(fake, task("ad_days", source=ASYNC))
    assert counted(read(pages))["impressions"] == expected()
    assert len(fake.jobs) == 5


# ------------------------------------------------------------------------------------------------ refusals


async def test_throttling_waits_as_long_as_the_platform_says_and_goes_on() -> None:
    fake = platform()
    usage = {"x-business-use-case-usage": BUSINESS_USAGE}
    fake.failures = [Failure(400, THROTTLED, "insights", headers=usage)]
    with pytest.raises(TryLater) as caught:
        await fetch(fake, task("ad_days"))
    assert caught.value.seconds == 240
    assert counted(read(await fetch(fake, task("ad_days"))))["impressions"] == expected()


@pytest.mark.parametrize(
    ("status", "body", "error"),
    [
        (400, DEAD_TOKEN, NeedsReauth),
        (403, NO_PERMISSION, NotPermitted),
        (400, envelope(200, "Ad account owner has NOT grant ads_read permission"), NotPermitted),
        (400, envelope(1, "An unknown error occurred", 99), TryLater),
        (400, envelope(104, "Incorrect signature"), TryLater),
        (400, envelope(960, "Request aborted"), TryLater),
        (400, envelope(80000, "There have been too many calls from this ad-account."), TryLater),
        (400, envelope(80004, "There have been too many calls to this ad-account."), TryLater),
        (400, envelope(100, "Invalid parameter"), ConnectorError),
        (200, b'{"data":[{"ad_id":"6', TryLater),
        (200, b"<html>busy</html>", TryLater),
        (200, b"[]", TryLater),
        (502, b"", TryLater),
    ],
)
@pytest.mark.parametrize("path", ["act_", "insights"])
async def test_refusals(path: str, status: int, body: bytes, error: type[ConnectorError]) -> None:
    fake = platform(failures=[Failure(status, body, path, times=9)])
    with pytest.raises(error) as caught:
        await fetch(fake, task("ad_days", start=NOW - timedelta(hours=1)))
    assert type(caught.value) in {error, Unreachable if error is TryLater else error}
    assert "ads_read" in str(caught.value) or error is not NotPermitted


async def test_fields_that_a_version_no_longer_knows_are_left_out_and_said() -> None:
    fake = platform(retired={"video_play_actions", "clicks"})
    pages = await fetch(fake, task("ad_days"))
    assert len(fake.ranges()) == 2
    assert sorted(drops(read(pages))[-2:]) == [("not_available", "clicks"), ("not_available", "video_play_actions")]
    assert "clicks_all" not in counted(read(pages))  # unknown, and not zero
    assert counted(read(pages))["impressions"] == expected()


async def test_without_what_names_a_row_there_is_no_report() -> None:
    with pytest.raises(ConnectorError, match="refuses the fields"):
        await fetch(platform(retired={"ad_id"}), task("ad_days"))


async def test_a_zone_that_is_none_is_an_error() -> None:
    with pytest.raises(ConnectorError, match="time zone"):
        await fetch(platform(zone="Mars/Olympus"), task("ad_days"))


@pytest.mark.parametrize("account", ["", "act_", "act_x", "../me", "١٢"])
async def test_an_account_that_is_none(account: str) -> None:
    with pytest.raises(ConnectorError):
        await fetch(platform(), task("ad_days", source=source(account=account)))


async def test_unknown_kinds_and_cursors() -> None:
    with pytest.raises(NotSupported):
        await fetch(platform(), task("likes"))
    for cursor in ({"todo": "ad"}, {"todo": "ad:x:y:0:0", "zone": "UTC"}, {"edge": "pages"}):
        kind = "structure" if "edge" in cursor else "ad_days"
        with pytest.raises(ConnectorError, match="cursor"):
            await fetch(platform(), task(kind, cursor=cursor))


# ------------------------------------------------------------------------------------------------ resuming


@pytest.mark.parametrize("reports", ["sync", "async"])
async def test_a_task_resumed_anywhere_makes_the_remaining_calls(reports: str) -> None:
    wanted = task("ad_days", source=source(msgspec.convert({"reports": reports}, MetaAdsOptions)))
    fake = platform(page_size=11, longest=7)
    whole = await fetch(fake, wanted)
    calls = [(call.path, call.query) for call in fake.calls]
    for number, page in enumerate(whole[:-1], start=1):
        fake.calls.clear()
        rest = await fetch(fake, msgspec.structs.replace(wanted, cursor=page.cursor))
        assert rest == whole[number:]
        made = [(call.path, call.query) for call in fake.calls]
        assert made == calls[len(calls) - len(made) :]


async def test_the_structure_is_resumed_between_its_listings() -> None:
    fake = platform(page_size=1)
    whole = await fetch(fake, task("structure"))
    assert [page.request["page"] for page in whole] == ["campaigns", *["adsets"] * 3, *["ads"] * 3]
    for number, page in enumerate(whole[:-1], start=1):
        assert await fetch(fake, task("structure", cursor=page.cursor)) == whole[number:]
    seen = [item for item in read(whole) if isinstance(item, SubjectSeen)]
    assert [one.subject.type.value for one in seen] == ["ad_campaign", *["ad_set"] * 3, *["ad"] * 3]


@pytest.mark.parametrize("refusal", [TOO_MUCH, envelope(100, "(#100) Tried accessing nonexisting field (link_url)")])
async def test_a_listing_that_is_refused_is_asked_for_in_another_way(refusal: bytes) -> None:
    fake = platform(failures=[Failure(400, refusal, "/adsets")])
    seen = [item for item in read(await fetch(fake, task("structure"))) if isinstance(item, SubjectSeen)]
    assert len(seen) == 7
    first, second = (call.query for call in fake.calls if call.path.endswith("/adsets"))
    changed = {name for name in first if first[name] != second[name]}
    assert changed == ({"limit"} if refusal is TOO_MUCH else {"fields"})


async def test_a_listing_that_turns_is_an_error() -> None:
    with pytest.raises(ConnectorError, match="comes back"):
        await fetch(platform(page_size=1, repeating_cursor=True), task("structure"))


@pytest.mark.parametrize(("body", "error"), [(DEAD_TOKEN, NeedsReauth), (TOO_MUCH, ConnectorError)])
async def test_a_listing_that_is_not_answered(body: bytes, error: type[ConnectorError]) -> None:
    with pytest.raises(error):
        await fetch(platform(failures=[Failure(400, body, "/ads", times=9)]), task("structure"))


# ------------------------------------------------------------------------------------------------ restatement


async def test_everything_that_is_restated_in_the_look_back_converges_in_one_cycle() -> None:
    fake = platform()
    await fetch(fake, task("ad_days"))
    for number, one in enumerate(fake.ads, start=1):
        for n, day in one.days.items():
            day.actions = {"omni_purchase": str(number + n.day), "comment": "1"} if n.day % 2 else {}
            day.values = {"omni_purchase": "99.99"} if n.day % 2 else {}
            day.spend = "4.01"
            day.impressions += 5
    fake.now += timedelta(hours=3)
    items = read(await fetch(fake, task("ad_days", start=START + timedelta(hours=3), end=fake.now)))
    assert counted(items)["impressions"] == expected() + 3 * 20 * 5
    assert counted(items)["spend_media"] == 60 * 4_010_000
    odd = sum(number + n for number in (1, 2, 3) for n in range(1, 21, 2))
    assert counted(items)["conversions_platform"] == odd * 1_000_000
    # What was taken back whole is zero now, in number and in value: Meta leaves it out.
    assert by_day(items, "conversions_platform")[date(2026, 8, 2)] == 0
    assert by_day(items, "conversion_value_platform")[date(2026, 8, 2)] == 0
    assert "conversions_platform" in counted(items)


async def test_the_look_back_reaches_every_day_that_may_be_restated() -> None:
    (kind,) = [one for one in CONNECTOR.capabilities.fetch if one.name == "ad_days"]
    assert kind.look_back > CONNECTOR.capabilities.settle == timedelta(days=28)
