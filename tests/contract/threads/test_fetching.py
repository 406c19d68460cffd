"""Whole fetches through the client, against the fake account: every kind of task, every refusal, every resumption."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import msgspec
import pytest

from connectors.contract import (
    ConnectorError,
    NeedsReauth,
    NotPermitted,
    NotSupported,
    Page,
    Task,
    TryLater,
    day_window,
)
from connectors.threads import CONNECTOR
from connectors.threads_account import ThreadsOptions
from tests.contract.reading import counting, drops, observations, sight
from tests.contract.threads.desk import NOW, PROFILE, fetch, post, read, source, task
from tests.fakes.graph import DEAD_TOKEN, NO_PERMISSION, THROTTLED, TRANSIENT, envelope
from tests.fakes.threads import ACCOUNT, TOKEN, FakeThreads, Thread
from tests.fakes.wire import Failure

INSIGHTS = {"views": 90, "likes": 2, "replies": 6, "reposts": 1, "quotes": 0, "shares": 3}
KINDS = [kind.name for kind in CONNECTOR.capabilities.fetch]


def full() -> FakeThreads:
    """Return an account with two posts, a repost, a reply and twenty days."""
    return FakeThreads(
        posts=[
            Thread("1", text="#one", insights=dict(INSIGHTS)),
            Thread("2", media_type="REPOST_FACADE"),
            Thread("3", media_type="IMAGE", insights={**INSIGHTS, "views": 40}, without=("shares",)),
        ],
        replies=[Thread("9", root="1", insights={**INSIGHTS, "views": 7})],
        days={date(2026, 8, day): day_of(day) for day in range(1, 21)},
        links={date(2026, 8, 15): {"https://example.org/a": 3, "https://example.org/b": 4}},
    )


def day_of(day: int) -> dict[str, int]:
    return {"views": 100 + day, "likes": 5, "replies": 2, "reposts": 1, "quotes": 0}


def of(pages: list[Page], name: str) -> list[str]:
    return [page.request.get(name, "") for page in pages]


# ------------------------------------------------------------------------------------------------ kinds of tasks


@pytest.mark.parametrize("page_size", [1, 2, 100])
async def test_posts_and_replies_are_two_listings_to_their_ends(page_size: int) -> None:
    fake = full()
    fake.page_size = page_size
    pages = await fetch(fake, task("posts"))
    assert len(fake.calls) == len(pages) == -(-3 // page_size) + 1
    assert [page.last for page in pages] == [False] * (len(pages) - 1) + [True]
    items = read(pages)
    assert [(one.subject, one.parent) for one in sight(items)] == [(post(1), None), (post(3), None), (post(9), "1")]
    assert drops(items) == [("not_available", "REPOST_FACADE")]


async def test_an_empty_page_ends_a_listing_that_names_a_place_after_it() -> None:
    body = b'{"data":[],"paging":{"cursors":{"before":"a","after":"b"}}}'
    fake = FakeThreads(failures=[Failure(200, body, "/threads")])
    assert of(await fetch(fake, task("posts")), "page") == ["posts", "replies"]


async def test_replies_may_be_left_out_or_missing() -> None:
    fake = full()
    wanted = msgspec.structs.replace(task("posts"), source=source(ThreadsOptions(with_replies=False)))
    assert of(await fetch(fake, wanted), "page") == ["posts"]
    fake.failures = [Failure(400, envelope(100, "(#100) Tried accessing nonexisting field (replies)"), "/replies")]
    pages = await fetch(fake, task("posts"))
    assert (of(pages, "refusal"), pages[-1].last) == (["", "bad_request"], True)


async def test_a_listing_stops_where_a_whole_page_lies_before_the_window() -> None:
    posts = [Thread(str(n), published=NOW - timedelta(days=n)) for n in range(1, 8)]
    fake = FakeThreads(posts=posts, page_size=2)
    pages = await fetch(fake, task("posts", start=NOW - timedelta(days=3, hours=1)))
    assert of(pages, "page") == ["posts"] * 3 + ["replies"]


async def test_every_post_and_reply_has_its_insights_and_a_repost_is_not_asked() -> None:
    fake = full()
    pages = await fetch(fake, task("post_insights"))
    assert of(pages, "media_id") == ["1", "3", "9"]
    assert counting(read(pages)) == [
        (post(1), {"views": 90, "likes": 2, "comments": 6, "shares": 1 + 0 + 3}),
        (post(3), {"views": 40, "likes": 2, "comments": 6, "shares": 1 + 0}),
        (post(9), {"views": 7, "likes": 2, "comments": 6, "shares": 4}),
    ]


async def test_a_metric_that_a_kind_of_post_refuses_is_left_out_and_named() -> None:
    pages = await fetch(full(), task("post_insights"))
    assert of(pages, "refused") == ["", "shares", ""]
    assert ("not_available", "shares") in drops(read(pages))


async def test_due_posts_are_asked_for_their_node_first() -> None:
    fake = full()
    pages = await fetch(fake, task("post_insights", post(1), post(2), post(9)))
    assert of(pages, "page") == ["post", "insights", "post", "post", "insights"]
    assert fake.paths() == ["1", "1/insights", "2", "9", "9/insights"]
    assert await fetch(fake, task("post_insights", PROFILE, post("uci-1"))) == []


async def test_the_profile_and_who_follows_are_two_calls() -> None:
    fake = full()
    pages = await fetch(fake, task("profile"))
    assert of(pages, "page") == ["profile", "followers"]
    assert counting(read(pages)) == [(PROFILE, {"followers": 987})]
    assert "since" not in fake.calls[-1].query


async def test_a_week_of_the_account_is_a_series_and_totals_day_by_day() -> None:
    fake = full()
    pages = await fetch(fake, task("account_day"))
    assert of(pages, "page") == ["account_views", *["account_totals"] * 7]
    booked = observations(read(pages))
    for number in range(13, 20):
        window = day_window(date(2026, 8, number), "America/Los_Angeles")
        counted = [one for one in booked if one.window == window and not one.check]
        clicks = {"clicks_link": 7} if number == 15 else {}
        found = {key: value for one in counted for key, value in one.metrics.items()}
        assert found == {"profile_views": 100 + number, **clicks}
    likes = [one.metrics["likes"] for one in booked if "likes" in one.metrics]
    assert likes == [5] * 7
    assert all(one.check for one in booked if "likes" in one.metrics)


async def test_totals_are_asked_for_pacific_days_of_23_and_25_hours() -> None:
    fake = full()
    fake.now = datetime(2026, 3, 10, 12, tzinfo=UTC)
    await fetch(fake, task("account_day", start=datetime(2026, 3, 7, 12, tzinfo=UTC)))
    windows = [(call.query["since"], call.query["until"]) for call in fake.calls[1:]]
    assert windows == [("1772870400", "1772956800"), ("1772956800", "1773039600"), ("1773039600", "1773126000")]


async def test_days_before_threads_had_insights_are_not_asked_for() -> None:
    fake = full()
    fake.now = datetime(2024, 4, 16, 12, tzinfo=UTC)
    pages = await fetch(fake, task("account_day", start=datetime(2024, 1, 1, tzinfo=UTC)))
    assert set(of(pages, "day")) == {"2024-04-13", "2024-04-14", "2024-04-15"}
    assert int(fake.calls[0].query["since"]) == 1_712_991_600
    fake.now = datetime(2024, 4, 1, tzinfo=UTC)
    assert await fetch(fake, task("account_day")) == []


async def test_old_days_that_are_restated_converge_in_one_cycle() -> None:
    fake = full()

    async def views() -> dict[date | None, int]:
        booked = observations(read(await fetch(fake, task("account_day"))))
        return {one.window.day: one.metrics["profile_views"] for one in booked if one.window and is_view(one.metrics)}

    before = await views()
    fake.days[date(2026, 8, 13)]["views"] = 999
    after = await views()
    assert (before[date(2026, 8, 13)], after[date(2026, 8, 13)]) == (113, 999)


def is_view(metrics: dict[str, int]) -> bool:
    return "profile_views" in metrics


async def test_an_unknown_kind_of_task_is_refused() -> None:
    with pytest.raises(NotSupported):
        await fetch(full(), task("stories"))


async def test_the_account_comes_from_the_options_and_the_version_is_one() -> None:
    fake = full()
    wanted = msgspec.structs.replace(task("profile"), source=source(ThreadsOptions(user_id=ACCOUNT)))
    await fetch(fake, wanted)
    assert [call.path for call in fake.calls] == [f"/v1.0/{ACCOUNT}", f"/v1.0/{ACCOUNT}/threads_insights"]


async def test_the_token_travels_in_a_header_and_nowhere_else() -> None:
    fake = full()
    for kind in KINDS:
        pages = await fetch(fake, task(kind))
        assert TOKEN not in repr([(page.request, page.cursor) for page in pages])
    assert all(call.headers["authorization"] == f"Bearer {TOKEN}" for call in fake.calls)
    assert all("access_token" not in call.query for call in fake.calls)


# ------------------------------------------------------------------------------------------------ resuming

TASKS = [*(task(kind) for kind in KINDS), task("post_insights", post(1), post(404), post(2), post(9), post(3))]


@pytest.mark.parametrize("wanted", TASKS, ids=lambda one: f"{one.kind}-{len(one.subjects)}")
@pytest.mark.parametrize("page_size", [1, 2, 100])
async def test_a_fetch_resumes_after_every_page(wanted: Task, page_size: int) -> None:
    fake = full()
    fake.page_size = page_size
    whole = await fetch(fake, wanted)
    assert [page.last for page in whole] == [False] * (len(whole) - 1) + [True]
    for index, page in enumerate(whole[:-1]):
        rest = await fetch(fake, msgspec.structs.replace(wanted, cursor=page.cursor))
        assert rest == whole[index + 1 :]


@pytest.mark.parametrize("cursor", [{"due": "::,x,1:2"}, {"edge": "none"}, {"other": "1"}, {"done": "never"}])
@pytest.mark.parametrize("kind", KINDS)
async def test_a_cursor_of_another_version_is_no_trap(kind: str, cursor: dict[str, str]) -> None:
    pages = await fetch(full(), task(kind, cursor=cursor))
    assert pages[-1].last


# ------------------------------------------------------------------------------------------------ refusals


async def test_a_post_that_is_gone_is_removed_once_the_account_is_known_to_be_there() -> None:
    fake = full()
    fake.posts[0].gone = True
    pages = await fetch(fake, task("post_insights", post(1), post(404), post(3)))
    assert [one.subject for one in sight(read(pages)) if one.removed_at] == [post(1), post(404)]
    assert fake.paths().count(ACCOUNT) == 1


async def test_everything_gone_is_a_lost_permission_and_removes_nothing() -> None:
    fake = full()
    fake.posts[0].gone = True
    gone_too = envelope(100, "Object does not exist, cannot be loaded due to missing permission")
    fake.failures = [Failure(400, gone_too, ACCOUNT)]
    with pytest.raises(NotPermitted, match="threads_basic"):
        await fetch(fake, task("post_insights", post(1)))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("failure", "error", "text"),
    [
        (Failure(400, DEAD_TOKEN), NeedsReauth, "connect the account again"),
        (Failure(401, b""), NeedsReauth, "connect the account again"),
        (Failure(400, envelope(190, "Error validating access token")), NeedsReauth, "connect the account again"),
        (Failure(403, NO_PERMISSION), NotPermitted, "threads_"),
        (Failure(400, envelope(200, "no permission")), NotPermitted, "threads_"),
        (Failure(400, THROTTLED), TryLater, "throttles"),
        (Failure(400, envelope(4, "too many calls")), TryLater, "throttles"),
        (Failure(500, TRANSIENT), TryLater, "answered 500"),
        (Failure(400, TRANSIENT), TryLater, "temporary"),
        (Failure(200, b'{"data":[{"id"'), TryLater, "not JSON"),
        (Failure(302, b"", headers={"location": "https://evil.example/"}), ConnectorError, "code 302"),
    ],
    ids=lambda one: one.__name__ if isinstance(one, type) else None,
)
async def test_what_concerns_the_whole_account_ends_the_task(
    kind: str, failure: Failure, error: type[ConnectorError], text: str
) -> None:
    fake = full()
    fake.failures = [Failure(failure.status, failure.body, times=9, headers=failure.headers)]
    with pytest.raises(error, match=text) as caught:
        await fetch(fake, task(kind))
    assert TOKEN not in str(caught.value)


async def test_a_listing_that_repeats_itself_ends() -> None:
    fake = full()
    fake.repeating_cursor = True
    with pytest.raises(ConnectorError, match="comes back"):
        await fetch(fake, task("posts"))
    assert len(fake.calls) <= 3
