"""Whole fetches through the client and against the fake server: every kind of task, every refusal, every resumption."""

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
    Response,
    SubjectRef,
    SubjectSeen,
    SubjectType,
    Task,
    TryLater,
)
from connectors.x import CONNECTOR
from connectors.x_account import XOptions
from tests.contract.reading import counted, drops, observations
from tests.contract.x.desk import NOW, OWNER, PROFILE, PUBLIC, client, fetch, post, read, source, task
from tests.fakes.wire import Failure
from tests.fakes.x import (
    ACCOUNT,
    APP_TOKEN,
    CAPPED,
    CREDITS,
    FORBIDDEN,
    HYDRATION,
    THROTTLED,
    THROTTLED_OLD,
    TOKEN,
    UNAUTHORIZED,
    FakeX,
    Post,
    problem,
    snowflake,
)

ORGANIC = {"impression_count": 90, "like_count": 7, "reply_count": 1, "retweet_count": 2, "url_link_clicks": 3}
PUBLIC_NUMBERS = {"impression_count": 95, "like_count": 8, "reply_count": 1, "retweet_count": 2}
COUNTED = {"impressions": 90, "likes": 7, "comments": 1, "shares": 3, "clicks_link": 3, "saves": 2}


def a_post(age: int, sequence: int = 0, **more: Any) -> Post:
    at = NOW - timedelta(days=age)
    parts = {
        "organic_metrics": dict(ORGANIC),
        "public_metrics": {**PUBLIC_NUMBERS, "quote_count": 1, "bookmark_count": 2},
        "non_public_metrics": {"engagements": 13},
    }
    return Post(snowflake(at, sequence), published=at, parts=parts, **more)


def of(pages: list[Page], name: str) -> list[str]:
    return [page.request.get(name, "") for page in pages]


def seen(pages: list[Page], options: XOptions = OWNER) -> list[str]:
    return [item.subject.external_id for item in read(pages, options) if isinstance(item, SubjectSeen)]


# ------------------------------------------------------------------------------------------------ timelines


async def test_a_timeline_is_read_to_its_end_and_an_empty_page_ends_nothing() -> None:
    fake = FakeX(posts=[a_post(days) for days in (1, 2, 3)], page_size=1, empty_page_before_last=True)
    pages = await fetch(fake, task("posts", start=NOW - timedelta(days=30)))
    assert [page.last for page in pages] == [False, False, False, True]
    assert seen(pages) == [one.id for one in fake.posts]
    query = fake.calls[0].query
    assert query["exclude"] == "retweets,replies"
    assert query["start_time"] == "2026-07-21T12:00:00Z"
    assert {"organic_metrics", "promoted_metrics", "non_public_metrics"} <= set(query["tweet.fields"].split(","))


async def test_an_empty_account_is_one_page_without_data() -> None:
    pages = await fetch(FakeX(), task("posts"))
    assert [(page.last, page.cursor) for page in pages] == [(True, {})]
    assert read(pages) == []


async def test_replies_are_posts_where_that_is_wanted() -> None:
    reply = a_post(1, references=[{"type": "replied_to", "id": "1"}])
    retweet = a_post(2, references=[{"type": "retweeted", "id": "2"}])
    fake = FakeX(posts=[reply, retweet, a_post(3)])
    assert len(seen(await fetch(fake, task("posts")))) == 1
    wanted = XOptions(replies=True)
    assert len(seen(await fetch(fake, task("posts", options=wanted)), wanted)) == 2


async def test_both_generations_of_names_are_the_same_numbers() -> None:
    fake = FakeX(posts=[a_post(1)])
    older = read(await fetch(fake, task("posts")))
    fake.newer_names = True
    assert read(await fetch(fake, task("posts"))) == older
    assert counted(older) == COUNTED | {"engagements_platform": 13}


async def test_an_app_alone_sees_public_numbers() -> None:
    fake = FakeX(posts=[a_post(1)])
    pages = await fetch(fake, task("posts", options=PUBLIC), APP_TOKEN)
    assert "organic_metrics" not in fake.calls[0].query["tweet.fields"]
    assert counted(read(pages, PUBLIC)) == {"impressions": 95, "likes": 8, "comments": 1, "shares": 3, "saves": 2}


async def test_private_numbers_end_after_thirty_days_and_the_public_ones_are_checks() -> None:
    fake = FakeX(posts=[a_post(31)])
    items = read(await fetch(fake, task("posts")))
    assert counted(items) == {"shares": 1, "saves": 2}
    assert {key: value for one in observations(items) if one.check for key, value in one.metrics.items()} == {
        "impressions": 95,
        "likes": 8,
        "comments": 1,
        "shares": 2,
    }
    assert ("not_available", "organic_metrics") in drops(items)
    assert drops(items).count(("not_available", "not-authorized-for-field")) == 3


async def test_a_timeline_that_turns_in_circles_ends() -> None:
    fake = FakeX(posts=[a_post(1)], repeating_token=True)
    with pytest.raises(ConnectorError, match="comes back"):
        await fetch(fake, task("posts"))
    assert len(fake.calls) <= 2


async def test_a_token_that_has_run_out_begins_the_timeline_anew() -> None:
    fake = FakeX(posts=[a_post(1)])
    pages = await fetch(fake, task("posts", cursor={"after": "old"}))
    assert seen(pages) == [fake.posts[0].id]
    assert [("pagination_token" in call.query) for call in fake.calls] == [True, False]


# ------------------------------------------------------------------------------------------------ named posts


async def test_named_posts_are_asked_for_a_hundred_at_a_time() -> None:
    posts = [a_post(1, number) for number in range(120)]
    fake = FakeX(posts=posts)
    pages = await fetch(fake, task("posts", *(post(one.id) for one in posts), post(posts[0].id), PROFILE))
    assert [len(call.query.get("ids", "").split(",")) for call in fake.calls] == [100, 20, 1]
    assert of(pages, "page") == ["posts", "posts", "user"]
    assert len(set(seen(pages))) == 121


async def test_what_is_no_post_of_x_is_not_asked_for() -> None:
    fake = FakeX()
    named = [post("uci-1"), post("../me"), SubjectRef("7_1", SubjectType.VIDEO), SubjectRef("1", SubjectType.AD)]
    assert await fetch(fake, task("posts", *named)) == []
    assert fake.calls == []


async def test_a_lost_post_is_removed_and_a_hidden_one_is_not() -> None:
    fake = FakeX(posts=[a_post(1), a_post(2, gone=True), a_post(3, protected=True)])
    items = read(await fetch(fake, task("posts", *(post(one.id) for one in fake.posts))))
    removed = [item.subject.external_id for item in items if isinstance(item, SubjectSeen) and item.removed_at]
    assert removed == [fake.posts[1].id]
    told = ("resource-not-found", "not-authorized-for-resource")
    assert drops(items)[-2:] == [("not_available", name) for name in told]


async def test_an_edited_post_is_one_subject_and_its_newest_version_speaks() -> None:
    edited = a_post(1, 5)
    edited.versions = [snowflake(NOW - timedelta(days=1, minutes=5))]
    fake = FakeX(posts=[edited])
    first = edited.versions[0]
    pages = await fetch(fake, task("posts", post(first)))
    assert [call.query["ids"] for call in fake.calls] == [first, edited.id]
    assert of(pages, "page") == ["posts", "versions"]
    items = read(pages)
    assert {item.subject for item in observations(items)} == {post(first)}
    assert counted(items) == COUNTED | {"engagements_platform": 13}
    assert ("conflict", "a version that a newer one has replaced") in drops(items)
    listed = read(await fetch(fake, task("posts")))
    assert observations(listed) == observations(items)
    assert {item.subject for item in listed if isinstance(item, SubjectSeen)} == {post(first)}


# ------------------------------------------------------------------------------------------------ days


async def test_days_are_asked_for_the_posts_of_each_page_and_for_complete_days() -> None:
    posts = [a_post(1, days={date(2026, 8, 19): {"impressions": 5}}), a_post(2), a_post(3)]
    fake = FakeX(posts=posts, page_size=2)
    pages = await fetch(fake, task("analytics", start=NOW - timedelta(days=7)))
    assert of(pages, "page") == ["listing", "analytics", "listing", "analytics"]
    asked = [call.query for call in fake.calls if call.path.endswith("analytics")]
    assert [len(query["ids"].split(",")) for query in asked] == [2, 1]
    assert {(query["start_time"], query["end_time"], query["granularity"]) for query in asked} == {
        ("2026-08-13T00:00:00Z", "2026-08-20T00:00:00Z", "daily")
    }
    checks = [one for one in observations(read(pages)) if one.check]
    assert [(one.subject.external_id, one.metrics) for one in checks] == [(posts[0].id, {"impressions": 5})]
    assert counted(read(pages)) == {}


async def test_changed_days_converge_within_one_cycle() -> None:
    old = {date(2026, 8, 14): {"impressions": 5}}
    fake = FakeX(posts=[a_post(10, days=dict(old))])
    wanted = task("analytics", start=NOW - timedelta(days=7))
    await fetch(fake, wanted)
    fake.posts[0].days[date(2026, 8, 14)] = {"impressions": 50}
    (found,) = observations(read(await fetch(fake, wanted)))
    assert found.metrics == {"impressions": 50}


async def test_an_edited_posts_days_stand_on_its_first_id() -> None:
    edited = a_post(1, 5, days={date(2026, 8, 19): {"impressions": 5}})
    edited.versions = [snowflake(NOW - timedelta(days=1, minutes=5))]
    (found,) = observations(read(await fetch(FakeX(posts=[edited]), task("analytics"))))
    assert found.subject == post(edited.versions[0])


@pytest.mark.parametrize(
    "wanted",
    [task("analytics", options=PUBLIC), task("analytics", start=datetime(2026, 8, 20, 1, tzinfo=UTC))],
)
async def test_days_that_cannot_be_are_not_asked_for(wanted: Task) -> None:
    fake = FakeX(posts=[a_post(1)])
    assert await fetch(fake, wanted) == []
    assert fake.calls == []


async def test_the_followers_are_one_call() -> None:
    (page,) = await fetch(FakeX(), task("profile"))
    assert page.last
    assert [one.metrics for one in observations(read([page]))] == [{"followers": 5502}]


# ------------------------------------------------------------------------------------------------ resuming

EDITED = a_post(2, 5, versions=[snowflake(NOW - timedelta(days=2, minutes=5))])
TASKS = [
    task("posts"),
    task("posts", post(EDITED.versions[0]), post(a_post(1).id), PROFILE),
    task("profile"),
    task("analytics"),
]


@pytest.mark.parametrize("wanted", TASKS, ids=lambda one: f"{one.kind}-{len(one.subjects)}")
@pytest.mark.parametrize("page_size", [1, 2, 100])
async def test_a_fetch_resumes_after_every_page(wanted: Task, page_size: int) -> None:
    fake = FakeX(posts=[a_post(1), EDITED, a_post(3)], page_size=page_size)
    whole = await fetch(fake, wanted)
    assert [page.last for page in whole] == [False] * (len(whole) - 1) + [True]
    made = len(fake.calls)
    for index, page in enumerate(whole[:-1], start=1):
        fake.calls.clear()
        rest = await fetch(fake, msgspec.structs.replace(wanted, cursor=page.cursor))
        assert rest == whole[index:]
        assert len(fake.calls) == made - index


@pytest.mark.parametrize("cursor", [{"done": "never"}, {"other": "1"}, {"due": "x", "after": ""}])
@pytest.mark.parametrize("kind", ["posts", "profile", "analytics"])
async def test_a_cursor_of_another_version_is_no_trap(kind: str, cursor: dict[str, str]) -> None:
    pages = await fetch(FakeX(posts=[a_post(1)]), task(kind, cursor=cursor))
    assert pages[-1].last


# ------------------------------------------------------------------------------------------------ refusals


@pytest.mark.parametrize("kind", ["posts", "profile", "analytics"])
@pytest.mark.parametrize(
    ("failure", "error", "text"),
    [
        (Failure(401, UNAUTHORIZED.encode()), NeedsReauth, "connect the account again"),
        (Failure(403, b'{"errors":[{"code":89,"message":"Invalid or expired token."}]}'), NeedsReauth, "again"),
        (Failure(403, FORBIDDEN), NotPermitted, "client-forbidden"),
        (Failure(403, problem("unsupported-authentication")), NotPermitted, "tweet.read"),
        (Failure(403, CAPPED), TryLater, "cap"),
        (Failure(402, CREDITS.encode()), TryLater, "credits"),
        (Failure(429, THROTTLED.encode()), TryLater, "answered 429"),
        (Failure(400, THROTTLED_OLD.encode()), TryLater, "throttles"),
        (Failure(503, b""), TryLater, "answered 503"),
        (Failure(400, HYDRATION), TryLater, "temporary"),
        (Failure(200, b'{"data":[{"id"'), TryLater, "not JSON"),
        (Failure(200, b"<html>"), TryLater, "not JSON"),
        (Failure(400, problem("invalid-request")), ConnectorError, "invalid-request"),
        (Failure(302, b"", headers={"location": "https://evil.example/"}), ConnectorError, "status 302"),
        (Failure(404, b"{}"), ConnectorError, "status 404"),
    ],
    ids=lambda one: one.__name__ if isinstance(one, type) else None,
)
async def test_what_concerns_the_whole_account_ends_the_task(
    kind: str, failure: Failure, error: type[ConnectorError], text: str
) -> None:
    fake = FakeX(posts=[a_post(1)])
    fake.failures = [Failure(failure.status, failure.body, times=9, headers=failure.headers)]
    with pytest.raises(error, match=text) as caught:
        await fetch(fake, task(kind))
    assert TOKEN not in str(caught.value)


@pytest.mark.parametrize(("body", "status", "seconds"), [(CAPPED, 403, 86_400), (CREDITS.encode(), 402, 21_600)])
async def test_a_used_up_account_is_left_alone_for_long(body: bytes, status: int, seconds: float) -> None:
    fake = FakeX(failures=[Failure(status, body)])
    with pytest.raises(TryLater) as caught:
        await fetch(fake, task("posts"))
    assert (caught.value.seconds, len(fake.calls)) == (seconds, 1)


async def test_throttling_by_code_waits_for_the_window() -> None:
    fake = FakeX(failures=[Failure(400, THROTTLED_OLD.encode())])
    with pytest.raises(TryLater) as caught:
        await fetch(fake, task("posts"))
    assert caught.value.seconds == 7 * 60


@pytest.mark.parametrize(
    ("slug", "error"),
    [
        ("not-authorized-for-resource", NotPermitted),
        ("resource-not-found", ConnectorError),
        ("field-hydration-failure", TryLater),
    ],
)
async def test_an_answer_with_nothing_but_errors(slug: str, error: type[ConnectorError]) -> None:
    body = b'{"errors":[{"type":"https://api.twitter.com/2/problems/%s"}]}' % slug.encode()
    with pytest.raises(error, match=slug):
        await fetch(FakeX(failures=[Failure(200, body)]), task("posts"))


async def test_a_handle_is_no_account() -> None:
    wanted = msgspec.structs.replace(task("posts"), source=msgspec.structs.replace(source(), account="brand"))
    with pytest.raises(ConnectorError, match="not the handle"):
        await fetch(FakeX(), wanted)


async def test_an_unknown_kind_of_task_is_refused() -> None:
    with pytest.raises(NotSupported):
        await fetch(FakeX(), task("followers"))


async def test_the_token_travels_in_a_header_and_nowhere_else() -> None:
    fake = FakeX(posts=[a_post(1)])
    for kind in ("posts", "profile", "analytics"):
        pages = await fetch(fake, task(kind))
        assert TOKEN not in repr([(page.request, page.cursor) for page in pages])
    assert all(call.headers["authorization"] == f"Bearer {TOKEN}" for call in fake.calls)
    assert all(TOKEN not in str(call.query) for call in fake.calls)
    assert {call.path.split("/")[1] for call in fake.calls} == {"2"}
    assert ACCOUNT in fake.calls[0].path


# ------------------------------------------------------------------------------------------------ limits


async def test_limits_are_read_from_every_answer() -> None:
    heard: list[Any] = []
    fake = FakeX()
    account = client(fake, heard)
    await account.get("2/users/me")
    await account.get(f"2/users/{ACCOUNT}/tweets", {"max_results": "5"})
    told = [CONNECTOR.usage(response)[0] for response in heard]
    assert [(one.bucket, one.limit, one.remaining, one.reset) for one in told] == [
        ("me", 75.0, 74.0, 420.0),
        ("timeline", 900.0, 899.0, 420.0),
    ]
    paths = ("2/users/me", f"2/users/{ACCOUNT}/tweets", "2/tweets", "2/tweets/analytics")
    assert [CONNECTOR.cost("GET", path)[0] for path in paths] == ["me", "timeline", "posts", "posts"]


@pytest.mark.parametrize(("status", "body", "wait"), [(429, THROTTLED.encode(), 420), (403, CAPPED, 86_400)])
async def test_a_refusal_says_how_long_to_wait(status: int, body: bytes, wait: float) -> None:
    heard: list[Any] = []
    fake = FakeX(failures=[Failure(status, body, times=9)])
    with pytest.raises(ConnectorError):
        _ = [page async for page in CONNECTOR.fetch(client(fake, heard), task("profile"), NOW)]
    told = CONNECTOR.usage(heard[-1])
    assert {one.wait for one in told} == {wait}
    assert {one.bucket for one in told} == ({"timeline"} if status == 429 else {"timeline", "me", "posts"})


def test_an_answer_without_limits_says_nothing() -> None:
    for headers in ({}, {"x-rate-limit-reset": "never", "x-rate-limit-limit": "-1"}):
        response = Response(status=200, headers=headers, body=b"{}", received_at=NOW)
        assert not CONNECTOR.usage(response)
