"""Whole fetches through the client and against the fake platform: every kind of task, every refusal, resumptions."""

from __future__ import annotations

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
from connectors.youtube import CONNECTOR
from connectors.youtube_channel import YoutubeOptions
from tests.contract.reading import drops, observations
from tests.contract.youtube.desk import NOW, PROFILE, client, fetch, read, source, task, video
from tests.fakes.wire import Failure
from tests.fakes.youtube import (
    BACKEND,
    CHANNEL,
    DEAD_TOKEN,
    FORBIDDEN,
    MISLEADING,
    NOT_ENABLED,
    QUOTA,
    RATE,
    TOKEN,
    FakeYoutube,
    Video,
    envelope,
)

PACIFIC = "America/Los_Angeles"
KINDS = [kind.name for kind in CONNECTOR.capabilities.fetch]


def name_of(number: int) -> str:
    return f"{number:011d}"


def full(count: int = 3, page_size: int = 2) -> FakeYoutube:
    """Return a channel whose video n was published n days ago and has 100 n views, with days of reports."""
    videos = [
        Video(name_of(n), NOW - timedelta(days=n), views=100 * n, likes=n, comments=1) for n in range(1, count + 1)
    ]
    for one in videos:
        one.days = {date(2026, 8, day): {"views": day, "likes": 1, "shares": 2} for day in range(1, 21)}
    days = {date(2026, 8, day): {"views": 10 * day, "subscribersGained": day} for day in range(1, 21)}
    return FakeYoutube(videos=videos, days=days, page_size=page_size)


def of(pages: list[Page], name: str) -> list[str]:
    return [page.request.get(name, "") for page in pages]


def views(pages: list[Page]) -> dict[str, int]:
    found = [one for one in observations(read(pages)) if not one.check and "views" in one.metrics]
    return {one.subject.external_id: one.metrics["views"] for one in found}


# ------------------------------------------------------------------------------------------------ kinds of tasks


async def test_fifty_videos_are_one_call() -> None:
    fake = full(120, page_size=50)
    pages = await fetch(fake, task("catalogue"))
    assert [len(ids.split(",")) for ids in of(pages, "ids")] == [50, 50, 20]
    assert [page.last for page in pages] == [False, False, True]
    assert fake.paths().count("videos") == 3
    assert fake.paths().count("playlistItems") == 3
    assert views(pages) == {name_of(n): 100 * n for n in range(1, 121)}


async def test_only_uploads_of_the_window_are_asked_for() -> None:
    fake = full(10)
    pages = await fetch(fake, task("videos", start=NOW - timedelta(days=3, hours=1)))
    assert views(pages) == {name_of(n): 100 * n for n in (1, 2, 3)}
    # Two pages of two have some of the window, the third has left it.
    assert fake.paths().count("playlistItems") == 3


async def test_a_channel_that_never_had_an_upload() -> None:
    fake = FakeYoutube(no_uploads=True)
    assert await fetch(fake, task("videos")) == []
    assert fake.paths() == ["channels", "playlistItems"]


async def test_named_videos_are_asked_for_without_a_list() -> None:
    fake = full(3)
    fake.videos[1].gone = True
    named = [video(name_of(n)) for n in (1, 2, 3, 1)]
    (page,) = await fetch(fake, task("videos", *named))
    assert fake.paths() == ["videos"]
    assert views([page]) == {name_of(1): 100, name_of(3): 300}
    gone = [item for item in read([page]) if isinstance(item, SubjectSeen) and item.removed_at]
    assert gone == [SubjectSeen(subject=video(name_of(2)), removed_at=fake.now)]


async def test_what_is_no_video_of_youtube_is_not_asked_for() -> None:
    fake = full()
    odd = [PROFILE, SubjectRef("uci-1", SubjectType.POST), video("../channels"), video("a,b,c,d,e,f")]
    assert await fetch(fake, task("videos", *odd)) == []
    assert fake.calls == []


async def test_the_channel_is_one_call() -> None:
    (page,) = await fetch(full(), task("channel"))
    assert [one.metrics for one in observations(read([page]))] == [{"followers": 4320}, {"views": 600}]


async def test_days_of_the_channel_end_where_the_platform_ends() -> None:
    fake = full()
    (page,) = await fetch(fake, task("channel_days", start=NOW - timedelta(days=7)))
    query = fake.calls[0].query
    assert (query["startDate"], query["endDate"], query["ids"]) == ("2026-08-13", "2026-08-19", f"channel=={CHANNEL}")
    gained = {one.window: one.metrics for one in observations(read([page])) if not one.check}
    assert gained == {
        day_window(date(2026, 8, day), PACIFIC): {"followers_gained": day, "followers_lost": 0} for day in range(13, 18)
    }


async def test_days_of_each_video_are_asked_for_alone() -> None:
    fake = full(3)
    pages = await fetch(fake, task("video_days", start=NOW - timedelta(days=2, hours=1)))
    assert of(pages, "video") == [name_of(1), name_of(2)]
    filters = [call.query["filters"] for call in fake.calls if call.path == "/v2/reports"]
    assert filters == [f"video=={name_of(1)}", f"video=={name_of(2)}"]
    assert {call.host for call in fake.calls} == {"www.googleapis.com", "youtubeanalytics.googleapis.com"}


async def test_days_reach_back_four_weeks_at_most() -> None:
    fake = full(1)
    await fetch(fake, task("video_days", start=NOW - timedelta(days=90)))
    assert fake.calls[-1].query["startDate"] == "2026-07-23"


async def test_the_pacific_day_counts_and_not_the_one_of_utc() -> None:
    fake = full()
    fake.now = datetime(2026, 8, 20, 6, 30, tzinfo=UTC)  # still the evening of the nineteenth in California
    await fetch(fake, task("channel_days", start=fake.now - timedelta(days=1)))
    assert (fake.calls[0].query["startDate"], fake.calls[0].query["endDate"]) == ("2026-08-18", "2026-08-18")


async def test_a_window_without_a_complete_day_asks_for_nothing() -> None:
    fake = full()
    assert await fetch(fake, task("channel_days", start=NOW - timedelta(hours=2))) == []
    assert fake.calls == []


async def test_reports_of_somebody_elses_channel_are_not_asked_for() -> None:
    fake = full()
    other = source(YoutubeOptions(reports=False))
    for kind in ("channel_days", "video_days"):
        assert await fetch(fake, msgspec.structs.replace(task(kind), source=other)) == []
    assert fake.calls == []


async def test_a_token_knows_its_own_channel() -> None:
    fake = full(1)
    for kind in KINDS:
        wanted = msgspec.structs.replace(task(kind), source=source(account=""))
        subjects = {item.subject for item in observations(read(await fetch(fake, wanted)))}
        assert subjects <= {PROFILE, video(name_of(1))}
        assert subjects
    assert all(call.query.get("mine") == "true" for call in fake.calls if call.path.endswith("/channels"))


async def test_an_unknown_channel_is_said() -> None:
    wanted = msgspec.structs.replace(task("videos"), source=source(account="UC_nobody"))
    with pytest.raises(ConnectorError, match="no such channel"):
        await fetch(full(), wanted)
    broken = msgspec.structs.replace(task("videos"), source=source(account="UC/../x"))
    with pytest.raises(ConnectorError, match="not the id of a channel"):
        await fetch(full(), broken)


async def test_an_unknown_kind_of_task_is_refused() -> None:
    with pytest.raises(NotSupported):
        await fetch(full(), task("search"))


async def test_the_token_travels_in_a_header_and_nowhere_else() -> None:
    fake = full()
    for kind in KINDS:
        pages = await fetch(fake, task(kind))
        assert TOKEN not in repr([(page.request, page.cursor) for page in pages])
    assert all(call.headers["authorization"] == f"Bearer {TOKEN}" for call in fake.calls)
    assert all(TOKEN not in str(call.query) for call in fake.calls)


async def test_search_is_never_asked() -> None:
    fake = full()
    for kind in KINDS:
        await fetch(fake, task(kind))
    assert set(fake.paths()) == {"channels", "playlistItems", "videos", "reports"}


# ------------------------------------------------------------------------------------------------ restatements


async def test_a_restated_day_is_read_again_by_the_next_round() -> None:
    fake = full(1)
    look_back = next(kind.look_back for kind in CONNECTOR.capabilities.fetch if kind.name == "video_days")
    wanted = task("video_days", start=NOW - look_back)
    await fetch(fake, wanted)
    fake.videos[0].days[date(2026, 8, 11)]["shares"] = 50
    window = day_window(date(2026, 8, 11), PACIFIC)
    found = [one.metrics for one in observations(read(await fetch(fake, wanted))) if one.window == window]
    assert {"shares": 50, "saves": 0, "clicks_all": 0} in found


# ------------------------------------------------------------------------------------------------ resuming


TASKS = [*(task(kind) for kind in KINDS), task("videos", *(video(name_of(number)) for number in range(1, 120)))]


@pytest.mark.parametrize("wanted", TASKS, ids=lambda one: f"{one.kind}-{len(one.subjects)}")
@pytest.mark.parametrize("page_size", [1, 2, 50])
async def test_a_fetch_resumes_after_every_page(wanted: Task, page_size: int) -> None:
    fake = full(5, page_size)
    whole = await fetch(fake, wanted)
    assert [page.last for page in whole] == [False] * (len(whole) - 1) + [True]
    for index, page in enumerate(whole[:-1]):
        assert await fetch(fake, msgspec.structs.replace(wanted, cursor=page.cursor)) == whole[index + 1 :]


async def test_a_fetch_that_broke_off_makes_the_calls_that_are_left() -> None:
    fake = full(3, 1)
    fake.failures = [Failure(403, RATE, "/v2/reports")]
    pages = CONNECTOR.fetch(client(fake), task("video_days"), NOW)
    with pytest.raises(TryLater):
        await anext(pages)
    whole = await fetch(fake, task("video_days"))
    fake.calls.clear()
    (last,) = await fetch(fake, task("video_days", cursor=whole[1].cursor))
    assert fake.paths() == ["reports"]
    assert last.last


@pytest.mark.parametrize("cursor", [{"due": "x,,y"}, {"done": "never"}, {"row": "-1"}, {"token": "P1"}, {"row": "x"}])
@pytest.mark.parametrize("kind", KINDS)
async def test_a_cursor_of_another_version_is_no_trap(kind: str, cursor: dict[str, str]) -> None:
    pages = await fetch(full(), task(kind, cursor=cursor))
    assert pages[-1].last


async def test_a_page_token_that_ran_out_while_waiting_begins_the_list_anew() -> None:
    fake = full(120, 50)
    first, *_ = await fetch(fake, task("catalogue"))
    assert "P100" in first.cursor.values()
    fake.stale_tokens = {"P100"}
    with pytest.raises(TryLater, match="ran out"):
        await fetch(fake, task("catalogue"))
    fake.calls.clear()
    fake.stale_tokens = {"stale"}
    cursor = {**first.cursor, "token": "stale"}
    pages = await fetch(fake, task("catalogue", cursor=cursor))
    assert views(pages) == {name_of(n): 100 * n for n in range(1, 121)}


async def test_a_page_token_that_is_stale_again_and_again_ends() -> None:
    fake = full(120, 50)
    fake.stale_tokens = {"P50"}
    with pytest.raises(TryLater, match="ran out"):
        await fetch(fake, task("catalogue"))
    assert len(fake.calls) < 8


async def test_a_list_that_repeats_itself_ends() -> None:
    fake = full()
    fake.repeating_token = True
    with pytest.raises(ConnectorError, match="comes back"):
        await fetch(fake, task("catalogue"))
    assert len(fake.calls) <= 4


@pytest.mark.parametrize("token", [b"7", b'""', b"{}", b'"' + b"x" * 600 + b'"'])
async def test_a_list_that_does_not_say_how_it_goes_on(token: bytes) -> None:
    fake = full()
    fake.failures = [Failure(200, b'{"items":[],"nextPageToken":' + token + b"}", "playlistItems")]
    with pytest.raises(ConnectorError, match="without saying where"):
        await fetch(fake, task("catalogue"))


# ------------------------------------------------------------------------------------------------ refusals


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("status", "body", "error", "text"),
    [
        (401, DEAD_TOKEN, NeedsReauth, "connect the channel again"),
        (401, b"", NeedsReauth, "connect the channel again"),
        (200, DEAD_TOKEN, NeedsReauth, "connect the channel again"),
        (400, b'{"error":"invalid_grant","error_description":"revoked"}', NeedsReauth, "invalid_grant"),
        (403, FORBIDDEN, NotPermitted, "readonly"),
        (403, MISLEADING, NotPermitted, "readonly"),
        (403, NOT_ENABLED, NotPermitted, "not enabled"),
        (403, b"<html>", NotPermitted, "readonly"),
        (403, QUOTA, TryLater, "quota"),
        (403, RATE, TryLater, "throttles"),
        (429, envelope(429, "RESOURCE_EXHAUSTED"), TryLater, "answered 429"),
        (503, BACKEND, TryLater, "answered 503"),
        (400, envelope(400, "keyInvalid"), ConnectorError, "keyInvalid"),
        (404, b"<html>Not Found</html>", ConnectorError, "gone"),
        (302, b"", ConnectorError, "302"),
        (200, b'{"items":[{"id"', TryLater, "not JSON"),
        (200, b"<html>", TryLater, "not JSON"),
        (200, b"[" * 100_000, TryLater, "not JSON"),
    ],
    ids=lambda one: one.__name__ if isinstance(one, type) else "",
)
async def test_what_concerns_the_whole_channel_ends_the_task(
    kind: str, status: int, body: bytes, error: type[ConnectorError], text: str
) -> None:
    fake = full()
    fake.failures = [Failure(status, body, times=9)]
    with pytest.raises(error, match=text) as caught:
        await fetch(fake, task(kind))
    assert TOKEN not in str(caught.value)
    assert "<b>" not in str(caught.value)


async def test_the_quota_is_waited_for_until_midnight_in_california() -> None:
    fake = full()
    fake.failures = [Failure(403, QUOTA)]
    with pytest.raises(TryLater) as caught:
        await fetch(fake, task("channel"))
    assert caught.value.seconds == 19 * 3600  # from 05:00 in California to midnight


async def test_a_refused_metric_is_left_out_and_named() -> None:
    fake = full(1)
    fake.metrics -= {"cardClicks"}
    (page,) = await fetch(fake, task("video_days"))
    assert page.request["refused"] == "cardClicks"
    items = read([page])
    assert ("not_available", "cardClicks") in drops(items)
    assert any("shares" in one.metrics for one in observations(items))


async def test_a_refusal_that_names_no_metric_falls_back_once() -> None:
    fake = full(1)
    fake.metrics -= {"cardClicks"}
    fake.vague = True
    (page,) = await fetch(fake, task("video_days"))
    assert page.request["refused"] == "videosAddedToPlaylists,cardClicks"
    fake.metrics = set()
    with pytest.raises(ConnectorError, match="bad_request"):
        await fetch(fake, task("video_days"))


async def test_errors_of_tasks_hold_no_text_of_the_platform() -> None:
    fake = full()
    fake.failures = [Failure(400, envelope(400, "bad reason <script>", "secret text"))]
    with pytest.raises(ConnectorError) as caught:
        await fetch(fake, task("channel"))
    assert "script" not in str(caught.value)
    assert "secret" not in str(caught.value)


# ------------------------------------------------------------------------------------------------ limits


def test_costs_are_those_of_the_quota() -> None:
    assert CONNECTOR.cost("GET", "youtube/v3/videos") == ("data", 1.0)
    assert CONNECTOR.cost("GET", "youtube/v3/search") == ("data", 100.0)
    assert CONNECTOR.cost("GET", "v2/reports") == ("", 1.0)
    assert CONNECTOR.cost("POST", "subscribe") == ("", 1.0)


async def test_an_exhausted_quota_is_told_to_the_budget() -> None:
    fake = full()
    heard: list[Any] = []
    fake.failures = [Failure(403, QUOTA)]
    with pytest.raises(TryLater):
        _ = [page async for page in CONNECTOR.fetch(client(fake, heard), task("channel"), NOW)]
    (told,) = CONNECTOR.usage(heard[0])
    assert (told.bucket, told.used, told.reset) == ("data", 1.0, 19 * 3600)


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b"{}", RATE, DEAD_TOKEN])
async def test_other_answers_tell_nothing_of_the_quota(body: bytes) -> None:
    fake = full()
    heard: list[Any] = []
    fake.failures = [Failure(403, body)]
    with pytest.raises(ConnectorError):
        _ = [page async for page in CONNECTOR.fetch(client(fake, heard), task("channel"), NOW)]
    assert CONNECTOR.usage(heard[0]) == ()
