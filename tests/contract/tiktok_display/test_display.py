"""Whole fetches against the fake, refusals, readings and the check of the Display API connector."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import msgspec
import pytest

from connectors.contract import (
    BadPayload,
    ConnectorError,
    NeedsReauth,
    NotPermitted,
    NotSupported,
    SubjectRef,
    SubjectSeen,
    SubjectType,
    Task,
    TryLater,
)
from connectors.tiktok_display import CONNECTOR
from tests.contract.reading import drops, observations
from tests.contract.tiktok_display.desk import (
    APP_SECRET,
    NOW,
    PROFILE,
    client,
    fetch,
    parsed,
    read,
    source,
    task,
    video,
)
from tests.fakes.tiktok_display import (
    DEAD_TOKEN,
    INTERNAL,
    INVALID,
    NO_SCOPE,
    NOT_AUTHORISED,
    THROTTLED,
    TOKEN,
    Clip,
    FakeDisplay,
)
from tests.fakes.wire import Failure

KINDS = [kind.name for kind in CONNECTOR.capabilities.fetch]


def name_of(number: int) -> str:
    return str(7_109_065_174_526_479_000 + number)


def full(count: int = 5, page_size: int = 2) -> FakeDisplay:
    clips = [
        Clip(name_of(n), NOW - timedelta(days=n), numbers={"view_count": 100 * n, "like_count": n})
        for n in range(1, count + 1)
    ]
    return FakeDisplay(clips=clips, page_size=page_size)


def views(items: list[Any]) -> dict[str, int]:
    found = [one for one in observations(items) if "views" in one.metrics]
    return {one.subject.external_id: one.metrics["views"] for one in found}


# ------------------------------------------------------------------------------------------------ fetching


async def test_videos_are_listed_to_the_last_page() -> None:
    fake = full()
    pages = await fetch(fake, task("catalogue"))
    assert [page.last for page in pages] == [False, False, True]
    assert views(read(pages)) == {name_of(n): 100 * n for n in range(1, 6)}
    assert fake.asked(0) == {"max_count": 20}
    assert fake.asked(1) == {"max_count": 20, "cursor": int((NOW - timedelta(days=2)).timestamp()) * 1000}
    assert {call.headers["authorization"] for call in fake.calls} == {f"Bearer {TOKEN}"}


async def test_an_empty_page_with_more_behind_it_ends_nothing() -> None:
    fake = full()
    fake.short_page = True
    assert len(views(read(await fetch(fake, task("videos"))))) == 5


async def test_a_list_stops_where_a_whole_page_lies_before_the_window() -> None:
    pages = await fetch(full(9), task("videos", start=NOW - timedelta(days=3, hours=1)))
    assert len(pages) == 3


async def test_named_videos_twenty_at_a_time_and_one_is_no_longer_public() -> None:
    fake = full(45)
    fake.clips[6].gone = True
    pages = await fetch(fake, task("videos", *(video(name_of(n)) for n in (*range(1, 46), 1))))
    assert [len(fake.asked(n)["filters"]["video_ids"]) for n in range(3)] == [20, 20, 5]
    items = read(pages)
    assert len(views(items)) == 44
    gone = [item.subject for item in items if isinstance(item, SubjectSeen) and item.removed_at]
    assert gone == [video(name_of(7))]


async def test_what_is_no_video_of_tiktok_is_not_asked_for() -> None:
    fake = full()
    assert await fetch(fake, task("videos", PROFILE, SubjectRef("uci-1", SubjectType.POST))) == []
    assert fake.calls == []


async def test_restated_counters_are_read_again() -> None:
    fake = full()
    await fetch(fake, task("catalogue"))
    fake.clips[-1].numbers["view_count"] = 1
    assert views(read(await fetch(fake, task("catalogue"))))[name_of(5)] == 1


async def test_without_the_profile_permission_the_numbers_are_still_there() -> None:
    fake = full()
    fake.scopes -= {"user.info.profile"}
    (page,) = await fetch(fake, task("profile"))
    assert page.request["refused"] == "username"
    assert [one.metrics for one in observations(read([page]))] == [{"followers": 87}, {"likes": 500}]


async def test_without_the_permission_for_counts_the_profile_is_refused() -> None:
    fake = full()
    fake.scopes -= {"user.info.stats"}
    with pytest.raises(NotPermitted, match=r"user\.info\.stats"):
        await fetch(fake, task("profile"))


async def test_a_source_need_not_name_its_account() -> None:
    fake = full()
    bare = source(account="")
    (page,) = await fetch(fake, msgspec.structs.replace(task("profile"), source=bare))
    assert {one.subject for one in observations(read([page]))} == {PROFILE}
    first, *_ = read(await fetch(fake, msgspec.structs.replace(task("videos"), source=bare)))
    assert isinstance(first, SubjectSeen)
    assert first.creator is None


TASKS = [*(task(kind) for kind in KINDS), task("videos", *(video(name_of(n)) for n in range(1, 46)))]


@pytest.mark.parametrize("wanted", TASKS, ids=lambda one: f"{one.kind}-{len(one.subjects)}")
@pytest.mark.parametrize("page_size", [1, 2, 20])
async def test_a_fetch_resumes_after_every_page(wanted: Task, page_size: int) -> None:
    fake = full(5, page_size)
    whole = await fetch(fake, wanted)
    assert [page.last for page in whole] == [False] * (len(whole) - 1) + [True]
    for index, page in enumerate(whole[:-1]):
        assert await fetch(fake, msgspec.structs.replace(wanted, cursor=page.cursor)) == whole[index + 1 :]


async def test_a_list_that_repeats_itself_ends() -> None:
    fake = full()
    fake.repeating_cursor = True
    with pytest.raises(ConnectorError, match="comes back"):
        await fetch(fake, task("videos"))


async def test_a_list_that_does_not_say_how_it_goes_on() -> None:
    fake = full()
    fake.failures = [Failure(200, b'{"data":{"videos":[],"has_more":true},"error":{"code":"ok"}}')]
    with pytest.raises(ConnectorError, match="without saying where"):
        await fetch(fake, task("videos"))


async def test_an_unknown_kind_of_task_is_refused() -> None:
    with pytest.raises(NotSupported):
        await fetch(full(), task("days"))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("status", "body", "error", "text"),
    [
        (401, DEAD_TOKEN, NeedsReauth, "connect the account again"),
        (200, DEAD_TOKEN, NeedsReauth, "connect the account again"),
        (400, b'{"error":"invalid_grant","error_description":"x","log_id":"1"}', NeedsReauth, "invalid_grant"),
        (401, b"", NeedsReauth, "connect the account again"),
        (401, NOT_AUTHORISED, NotPermitted, r"user\.info|video\.list"),
        (400, NO_SCOPE, NotPermitted, r"user\.info|video\.list"),
        (429, THROTTLED, TryLater, "answered 429"),
        (200, THROTTLED, TryLater, "throttles"),
        (500, INTERNAL, TryLater, "answered 500"),
        (200, INTERNAL, TryLater, "temporary"),
        (400, INVALID, ConnectorError, "invalid_params"),
        (404, b"<html>", ConnectorError, "404"),
        (200, b"{}", TryLater, "temporary"),
        (200, b'{"error":{"code":"ok"}}', TryLater, "without data"),
        (200, b'{"data":{"vid', TryLater, "not JSON"),
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
    assert "secret text" not in str(caught.value)


# ------------------------------------------------------------------------------------------------ reading


def test_a_bad_video_is_a_drop_and_its_neighbours_count() -> None:
    entries = [
        {"create_time": 1786618906, "view_count": 1},
        "no object",
        {"id": "7109065174526479622", "create_time": 1786618906, "view_count": "many", "like_count": 2},
        {"id": "1", "view_count": -1},
    ]
    body = msgspec.json.encode({"data": {"videos": entries}, "error": {"code": "ok"}})
    items = parsed(body, {"page": "videos", "ids": "1,77"})
    assert [one.metrics for one in observations(items)] == [{"likes": 2}]
    assert drops(items) == [
        ("missing_id", "id"),
        ("malformed", "id"),
        ("bad_number", "view_count"),
        ("missing_time", "create_time"),
        ("out_of_range", "view_count"),
        ("no_numbers", ""),
    ]
    assert not any(isinstance(item, SubjectSeen) and item.removed_at for item in items)


@pytest.mark.parametrize(
    ("body", "page"),
    [
        (b"", "videos"),
        (b"{}", "videos"),
        (DEAD_TOKEN, "profile"),
        (b'{"data":{},"error":{"code":"ok"}}', "videos"),
        (b'{"data":{},"error":{"code":"ok"}}', "days"),
    ],
)
def test_a_page_that_cannot_be_read_is_one_clear_line(body: bytes, page: str) -> None:
    with pytest.raises(BadPayload) as caught:
        parsed(body, {"page": page})
    assert "\n" not in str(caught.value)


def test_impressions_are_never_known_and_each_metric_counts_once() -> None:
    counting = [mapping.metric for mapping in CONNECTOR.metrics if mapping.counting]
    assert sorted(filter(None, counting)) == ["comments", "followers", "likes", "shares", "views"]
    assert all(mapping.metric or mapping.note for mapping in CONNECTOR.metrics)


# ------------------------------------------------------------------------------------------------ check


async def check(fake: FakeDisplay, account: str | None = None) -> list[tuple[bool, str]]:
    findings = await CONNECTOR.check(client(fake), source() if account is None else source(account=account))
    assert TOKEN not in repr(findings)
    assert APP_SECRET not in repr(findings)
    return [(finding.ok, finding.text) for finding in findings]


async def test_a_source_in_order() -> None:
    assert await check(FakeDisplay()) == [
        (True, "the token is accepted and the account is readable"),
        (True, "the followers are readable"),
        (True, "the videos are readable"),
        (True, "webhooks can be verified; their address is set in the developer portal"),
    ]


async def test_what_a_source_lacks_is_named() -> None:
    found = await check(FakeDisplay(scopes={"user.info.basic"}))
    assert [ok for ok, _ in found] == [True, False, False, True]
    assert "user.info.stats" in found[1][1]
    assert "video.list" in found[2][1]
    fake = FakeDisplay(token="another")
    assert (await check(fake))[0] == (False, "the access token is not accepted: connect the account again")
    assert len(fake.calls) == 1
    busy = FakeDisplay(failures=[Failure(200, INTERNAL)])
    assert (await check(busy))[0][1].endswith("try again later")
    other = await check(FakeDisplay(), "somebody-else")
    assert other[0] == (False, "the token belongs to another account than the source names")
    bare = await CONNECTOR.check(client(FakeDisplay()), source(secrets=()))
    assert bare[-1].text == "no client secret: webhooks cannot be verified and are refused"


def test_a_person_connects_with_a_token_that_turns() -> None:
    flow = CONNECTOR.auth.oauth2
    assert flow is not None
    assert (flow.rotates, flow.client_id, flow.code.client_id, flow.code.answer) == (
        True,
        "client_key",
        "client_key",
        (),
    )
