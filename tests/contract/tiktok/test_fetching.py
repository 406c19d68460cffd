"""Whole fetches through the client and against the fake platform: every kind of task, every refusal, resumptions."""

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
    day_window,
)
from connectors.tiktok import CONNECTOR
from connectors.tiktok_metrics import INSIGHTS, VIDEO_FIELDS
from tests.contract.reading import drops, observations
from tests.contract.tiktok.desk import NOW, PROFILE, client, fetch, read, source, task, video
from tests.fakes.tiktok import (
    ACCOUNT,
    BAD_PARAMETER,
    DEAD_TOKEN,
    EXPIRED,
    MISSING,
    NO_PERMISSION,
    SERVER,
    THROTTLED,
    TIMED_OUT,
    TOKEN,
    FakeTiktok,
    Post,
    envelope,
)
from tests.fakes.wire import Failure

KINDS = [kind.name for kind in CONNECTOR.capabilities.fetch]
LIST = "business/video/list"


def name_of(number: int) -> str:
    return str(7_109_065_174_526_479_000 + number)


def full(count: int = 5, page_size: int = 2) -> FakeTiktok:
    """Return an account whose post n was published n days ago and has 100 n views, with twenty days."""
    numbers = {"reach": 70, "likes": 2, "total_time_watched": 31.5}
    posts = [
        Post(name_of(n), NOW - timedelta(days=n), numbers={**numbers, "video_views": 100 * n})
        for n in range(1, count + 1)
    ]
    days = {date(2026, 8, day): {"video_views": 9, "profile_views": day} for day in range(1, 21)}
    return FakeTiktok(posts=posts, days=days, page_size=page_size)


def of(pages: list[Page], name: str) -> list[str]:
    return [page.request.get(name, "") for page in pages]


def views(pages: list[Page]) -> dict[str, int]:
    found = [one for one in observations(read(pages)) if not one.check and "views" in one.metrics]
    return {one.subject.external_id: one.metrics["views"] for one in found}


# ------------------------------------------------------------------------------------------------ kinds of tasks


async def test_posts_are_listed_to_the_last_page_and_not_beyond() -> None:
    fake = full()
    pages = await fetch(fake, task("videos"))
    assert len(fake.calls) == len(pages) == 3
    assert [page.last for page in pages] == [False, False, True]
    assert views(pages) == {name_of(n): 100 * n for n in range(1, 6)}
    query = fake.calls[0].query
    assert (query["business_id"], query["max_count"]) == (ACCOUNT, "20")
    assert json.loads(query["fields"]) == list(VIDEO_FIELDS)
    assert all(call.path.endswith("/business/video/list/") for call in fake.calls)


async def test_an_empty_page_with_more_behind_it_ends_nothing() -> None:
    fake = full()
    fake.empty_page_before_last = True
    pages = await fetch(fake, task("videos"))
    assert len(pages) == 4
    assert views(pages) == {name_of(n): 100 * n for n in range(1, 6)}


async def test_a_list_stops_where_a_whole_page_lies_before_the_window() -> None:
    fake = full(9)
    pages = await fetch(fake, task("videos", start=NOW - timedelta(days=3, hours=1)))
    assert len(pages) == 3
    assert pages[-1].last


async def test_an_account_without_posts_is_one_page() -> None:
    pages = await fetch(FakeTiktok(), task("videos"))
    assert [(page.last, page.cursor) for page in pages] == [(True, {})]
    assert read(pages) == []


async def test_named_posts_are_asked_for_twenty_at_a_time() -> None:
    fake = full(45)
    named = [video(name_of(n)) for n in (*range(1, 46), 1)]
    pages = await fetch(fake, task("videos", *named))
    asked = [json.loads(call.query["filters"])["video_ids"] for call in fake.calls]
    assert [len(ids) for ids in asked] == [20, 20, 5]
    assert views(pages) == {name_of(n): 100 * n for n in range(1, 46)}


async def test_a_named_post_that_is_not_there_was_taken_down() -> None:
    fake = full(3)
    fake.posts[1].gone = True
    (page,) = await fetch(fake, task("videos", *(video(name_of(n)) for n in (1, 2, 3))))
    gone = [item.subject for item in read([page]) if isinstance(item, SubjectSeen) and item.removed_at]
    assert gone == [video(name_of(2))]
    assert views([page]) == {name_of(1): 100, name_of(3): 300}


async def test_a_missing_post_does_not_spoil_its_batch() -> None:
    fake = full(3)
    fake.posts[1].gone = True
    fake.missing_spoils = True
    pages = await fetch(fake, task("videos", *(video(name_of(n)) for n in (1, 2, 3))))
    assert of(pages, "ids") == [name_of(1), name_of(2), name_of(3)]
    assert of(pages, "refusal") == ["", "gone", ""]
    assert views(pages) == {name_of(1): 100, name_of(3): 300}
    items = read(pages)
    assert [item.subject for item in items if isinstance(item, SubjectSeen) and item.removed_at] == [video(name_of(2))]
    assert drops(items) == [("not_available", "gone (code 40007)")]


async def test_what_is_no_post_of_tiktok_is_not_asked_for() -> None:
    fake = full()
    odd = [PROFILE, SubjectRef("uci-1", SubjectType.POST), video("../get"), video("v_pub_url~v2.1")]
    assert await fetch(fake, task("videos", *odd)) == []
    assert fake.calls == []


async def test_the_profile_is_one_call() -> None:
    (page,) = await fetch(full(), task("profile"))
    assert [(one.metrics, one.check) for one in observations(read([page]))] == [
        ({"followers": 1200}, False),
        ({"likes": 99}, True),
    ]
    assert drops(read([page])) == []


async def test_days_of_the_account_are_one_call_and_end_where_the_platform_ends() -> None:
    fake = full()
    (page,) = await fetch(fake, task("account_days", start=NOW - timedelta(days=4)))
    query = fake.calls[0].query
    assert (query["start_date"], query["end_date"]) == ("2026-08-16", "2026-08-19")
    found = {one.window: one.metrics for one in observations(read([page])) if not one.check}
    assert found == {day_window(date(2026, 8, day), "UTC"): {"profile_views": day} for day in (16, 17, 18)}


async def test_days_reach_back_sixty_days_at_most() -> None:
    fake = full()
    await fetch(fake, task("account_days", start=NOW - timedelta(days=300)))
    assert fake.calls[0].query["start_date"] == "2026-06-21"


async def test_a_day_begins_in_utc() -> None:
    fake = full()
    fake.now = datetime(2026, 8, 20, 0, 0, 1, tzinfo=UTC)
    await fetch(fake, task("account_days", start=fake.now - timedelta(seconds=2)))
    assert (fake.calls[0].query["start_date"], fake.calls[0].query["end_date"]) == ("2026-08-19", "2026-08-19")
    fake.calls.clear()
    assert await fetch(fake, task("account_days", start=fake.now)) == []
    assert fake.calls == []


async def test_an_unknown_kind_of_task_is_refused() -> None:
    with pytest.raises(NotSupported):
        await fetch(full(), task("comments"))


@pytest.mark.parametrize("account", ["", "a b", "../x"])
async def test_a_source_needs_its_account(account: str) -> None:
    wanted = msgspec.structs.replace(task("profile"), source=source(account=account))
    with pytest.raises(ConnectorError, match="open_id"):
        await fetch(full(), wanted)


async def test_the_token_travels_in_its_own_header_and_nowhere_else() -> None:
    fake = full()
    for kind in KINDS:
        pages = await fetch(fake, task(kind))
        assert TOKEN not in repr([(page.request, page.cursor) for page in pages])
    assert all(call.headers["access-token"] == TOKEN for call in fake.calls)
    assert all(TOKEN not in str(call.query) and "authorization" not in call.headers for call in fake.calls)


# ------------------------------------------------------------------------------------------------ restatements


async def test_restated_numbers_are_read_again_by_the_next_round() -> None:
    fake = full()
    look_back = {kind.name: kind.look_back for kind in CONNECTOR.capabilities.fetch}
    for kind in KINDS:
        await fetch(fake, task(kind, start=NOW - look_back[kind]))
    fake.posts[-1].numbers["video_views"] = 1
    fake.days[date(2026, 8, 2)]["profile_views"] = 77
    assert views(await fetch(fake, task("videos", start=NOW - look_back["videos"])))[name_of(5)] == 1
    days = observations(read(await fetch(fake, task("account_days", start=NOW - look_back["account_days"]))))
    window = day_window(date(2026, 8, 2), "UTC")
    assert {"profile_views": 77} in [one.metrics for one in days if one.window == window]


# ------------------------------------------------------------------------------------------------ resuming


MANY = tuple(video(name_of(number)) for number in range(1, 24))
TASKS = [*(task(kind) for kind in KINDS), task("videos", *MANY)]


@pytest.mark.parametrize("wanted", TASKS, ids=lambda one: f"{one.kind}-{len(one.subjects)}")
@pytest.mark.parametrize(("page_size", "spoils"), [(1, False), (2, True), (20, False)])
async def test_a_fetch_resumes_after_every_page(wanted: Task, page_size: int, spoils: bool) -> None:
    fake = full(5, page_size)
    fake.missing_spoils = spoils
    whole = await fetch(fake, wanted)
    assert [page.last for page in whole] == [False] * (len(whole) - 1) + [True]
    for index, page in enumerate(whole[:-1]):
        assert await fetch(fake, msgspec.structs.replace(wanted, cursor=page.cursor)) == whole[index + 1 :]


async def test_a_resumed_fetch_does_not_ask_again_for_what_was_refused() -> None:
    fake = full()
    fake.insights = False
    pages = await fetch(fake, task("videos"))
    assert len(fake.calls) == 4  # the first page twice
    fake.calls.clear()
    await fetch(fake, task("videos", cursor=pages[0].cursor))
    assert len(fake.calls) == 2


async def test_a_fetch_that_broke_off_goes_on_where_it_was() -> None:
    fake = full()
    pages = CONNECTOR.fetch(client(fake), task("videos"), NOW)
    first = await anext(pages)
    fake.failures = [Failure(200, THROTTLED)]
    with pytest.raises(TryLater):
        await anext(pages)
    rest = await fetch(fake, task("videos", cursor=first.cursor))
    assert views([first, *rest]) == {name_of(n): 100 * n for n in range(1, 6)}


@pytest.mark.parametrize("cursor", [{"at": "x"}, {"at": "-1"}, {"done": "never"}, {"refused": ",,"}, {"other": "1"}])
@pytest.mark.parametrize("kind", KINDS)
async def test_a_cursor_of_another_version_is_no_trap(kind: str, cursor: dict[str, str]) -> None:
    pages = await fetch(full(), task(kind, cursor=cursor))
    assert pages[-1].last


async def test_a_list_that_repeats_itself_ends() -> None:
    fake = full()
    fake.repeating_cursor = True
    with pytest.raises(ConnectorError, match="comes back"):
        await fetch(fake, task("videos"))
    assert len(fake.calls) <= 3


@pytest.mark.parametrize("cursor", ["null", '"next"', "0", "-5", "1e3", str(2**70), "true"])
async def test_a_list_that_does_not_say_how_it_goes_on(cursor: str) -> None:
    fake = full()
    body = f'{{"code":0,"data":{{"videos":[],"has_more":true,"cursor":{cursor}}}}}'.encode()
    fake.failures = [Failure(200, body)]
    with pytest.raises(ConnectorError, match="without saying where"):
        await fetch(fake, task("videos"))


# ------------------------------------------------------------------------------------------------ refusals


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("status", "body", "error", "text"),
    [
        (200, DEAD_TOKEN, NeedsReauth, "connect the account again"),
        (200, EXPIRED, NeedsReauth, "connect the account again"),
        (401, b"", NeedsReauth, "connect the account again"),
        (200, NO_PERMISSION, NotPermitted, "user.in|video.list"),
        (403, b"<html>", NotPermitted, "user.in|video.list"),
        (200, THROTTLED, TryLater, "throttles"),
        (200, SERVER, TryLater, "temporary"),
        (200, TIMED_OUT, TryLater, "temporary"),
        (429, b"", TryLater, "answered 429"),
        (502, b"<html>", TryLater, "answered 502"),
        (200, BAD_PARAMETER, ConnectorError, "40002"),
        (200, MISSING, ConnectorError, "40007"),
        (200, envelope(41000, "no such thing"), ConnectorError, "41000"),
        (404, b"<html>", ConnectorError, "404"),
        (302, b"", ConnectorError, "302"),
        (200, b"{}", TryLater, "temporary"),
        (200, b'{"code":"0","data":{}}', TryLater, "temporary"),
        (200, b'{"code":0}', TryLater, "without data"),
        (200, b'{"code":0,"data":[]}', TryLater, "without data"),
        (200, b'{"code":0,"da', TryLater, "not JSON"),
        (200, b"<html>", TryLater, "not JSON"),
        (200, b"[" * 100_000, TryLater, "not JSON"),
    ],
    ids=lambda one: one.__name__ if isinstance(one, type) else "",
)
async def test_what_concerns_the_whole_account_ends_the_task(
    kind: str, status: int, body: bytes, error: type[ConnectorError], text: str
) -> None:
    fake = full()
    fake.failures = [Failure(status, body, times=9)]
    with pytest.raises(error, match=text) as caught:
        await fetch(fake, task(kind))
    assert TOKEN not in str(caught.value)
    assert "no such thing" not in str(caught.value)


async def test_throttling_is_over_in_a_minute() -> None:
    fake = full()
    heard: list[Any] = []
    fake.failures = [Failure(200, THROTTLED)]
    with pytest.raises(TryLater) as caught:
        _ = [page async for page in CONNECTOR.fetch(client(fake, heard), task("profile"), NOW)]
    assert caught.value.seconds == 60
    (told,) = CONNECTOR.usage(heard[0])
    assert (told.bucket, told.wait) == ("account", 60)


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b"{}", DEAD_TOKEN, SERVER])
async def test_other_answers_tell_nothing_of_the_limits(body: bytes) -> None:
    fake = full()
    heard: list[Any] = []
    fake.failures = [Failure(200, body)]
    with pytest.raises(ConnectorError):
        _ = [page async for page in CONNECTOR.fetch(client(fake, heard), task("profile"), NOW)]
    assert CONNECTOR.usage(heard[0]) == ()


async def test_without_the_permission_for_insights_the_plain_numbers_are_read() -> None:
    fake = full(1)
    fake.insights = False
    (page,) = await fetch(fake, task("videos"))
    assert set(page.request["refused"].split(",")) == INSIGHTS
    items = read([page])
    assert views([page]) == {name_of(1): 100}
    assert {detail for reason, detail in drops(items) if reason == "not_available"} == INSIGHTS


@pytest.mark.parametrize("kind", KINDS)
async def test_a_field_that_is_no_more_is_left_out_and_named(kind: str) -> None:
    fake = full(1)
    fake.unknown_fields = {"favorites", "total_likes", "comments"}
    (page,) = await fetch(fake, task(kind))
    wanted = {"videos": "comments,favorites", "profile": "total_likes", "account_days": "comments"}
    assert page.request["refused"] == wanted[kind]
    assert observations(read([page]))


async def test_a_refusal_that_names_no_field_falls_back_once() -> None:
    fake = full(1)
    fake.unknown_fields = {"favorites"}
    fake.vague = True
    (page,) = await fetch(fake, task("videos"))
    assert json.loads(fake.calls[-1].query["fields"]) == [
        "item_id",
        "create_time",
        "video_views",
        "likes",
        "comments",
        "shares",
    ]
    assert views([page]) == {name_of(1): 100}


async def test_ids_and_times_are_never_left_out() -> None:
    fake = full(1)
    fake.unknown_fields = {"item_id"}
    with pytest.raises(ConnectorError, match="40002"):
        await fetch(fake, task("videos"))


async def test_what_is_missing_of_an_idle_post_is_not_said() -> None:
    fake = full(1)
    fake.posts[0].idle = True
    pages = await fetch(fake, task("videos"))
    keys = {key for one in observations(read(pages)) for key in one.metrics}
    assert keys == {"views", "likes"}
