"""Whole fetches through the client and against the fake page: every kind of task, every refusal, every resumption."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any

import msgspec
import pytest

from connectors.contract import (
    ConnectorError,
    Kind,
    NeedsReauth,
    NotPermitted,
    NotSupported,
    Page,
    Task,
    TryLater,
    day_window,
)
from connectors.facebook import CONNECTOR
from connectors.facebook_account import FacebookOptions
from tests.contract.facebook.desk import NOW, PROFILE, client, fetch, post, read, reel, source, task, video
from tests.contract.reading import counting, drops, observations, sight
from tests.fakes.facebook import ACCOUNT, BUSINESS_USAGE, NOT_A_PAGE, FakeFacebook, Post, Reel
from tests.fakes.graph import DEAD_TOKEN, NO_PERMISSION, THROTTLED, TOKEN, TRANSIENT, envelope
from tests.fakes.wire import Failure

INSIGHTS = {
    "post_media_view": 450,
    "post_total_media_view_unique": 401,
    "post_clicks": 37,
    "post_clicks_by_type": {"link clicks": 12, "other clicks": 25},
    "post_reactions_by_type_total": {"like": 30, "love": 11},
}
FILM = {**INSIGHTS, "post_video_views": 120, "post_video_view_time": 90_000}
PLAYS = {"blue_reels_play_count": 500, "post_video_social_actions": {"COMMENT": 3, "SHARE": 4}}
KINDS = [kind.name for kind in CONNECTOR.capabilities.fetch]


def full() -> FakeFacebook:
    """Return a page with a post, a film, a reel that stands among the posts too, one that does not, and twenty days."""
    return FakeFacebook(
        posts=[
            Post(
                f"{ACCOUNT}_1", message="#one", comments=5, reactions=41, shares=3, insights=dict(INSIGHTS), by_ads=62
            ),
            Post(f"{ACCOUNT}_2", shown="video", comments=2, insights=dict(FILM)),
            Post(f"{ACCOUNT}_3", shown="video", comments=9, permalink="https://www.facebook.com/reel/31/"),
        ],
        reels=[Reel("31", insights=dict(PLAYS)), Reel("32", insights={"blue_reels_play_count": 7})],
        days={date(2026, 8, day): day_of(day) for day in range(1, 21)},
        ads_days={date(2026, 8, day): 5 for day in range(1, 21)},
    )


def day_of(day: int) -> dict[str, Any]:
    return {
        "page_media_view": 800 + day,
        "page_total_media_view_unique": 600 + day,
        "page_post_engagements": 40,
        "page_views_total": 20,
        "page_video_views": 7,
        "page_daily_follows_unique": day,
        "page_daily_unfollows_unique": 2,
        "page_follows": 1200 + day,
    }


def of(pages: list[Page], name: str) -> list[str]:
    return [page.request.get(name, "") for page in pages]


# ------------------------------------------------------------------------------------------------ kinds of tasks


async def test_posts_and_reels_are_two_listings() -> None:
    fake = full()
    fake.page_size = 2
    pages = await fetch(fake, task("posts"))
    assert of(pages, "page") == ["posts", "posts", "reels"]
    assert [page.last for page in pages] == [False, False, True]
    items = read(pages)
    assert [one.subject for one in sight(items)] == [post(1), video(2), reel("31"), reel("31"), reel("32")]
    assert counting(items) == [(post(1), {"comments": 5, "shares": 3}), (video(2), {"comments": 2})]
    # One call to find out whether counts may be read, then the pages.
    assert fake.paths() == [f"{ACCOUNT}/published_posts"] * 3 + [f"{ACCOUNT}/video_reels"]


async def test_a_page_without_reels_loses_nothing_else() -> None:
    fake = full()
    fake.has_reels = False
    pages = await fetch(fake, task("posts"))
    assert of(pages, "refusal") == ["", "bad_request"]
    assert pages[-1].last
    assert drops(read(pages)) == [("not_available", "bad_request (code 100)")]
    assert (await fetch(fake, task("post_insights")))[-1].last


async def test_counts_that_are_not_permitted_do_not_take_the_posts_with_them() -> None:
    fake = full()
    fake.counts_allowed = False
    pages = await fetch(fake, task("posts"))
    items = read(pages)
    assert [one.subject for one in sight(items)][:3] == [post(1), video(2), reel("31")]
    assert counting(items) == [(post(1), {"shares": 3})]
    named = [drop for drop in drops(items) if drop[0] == "not_available"]
    assert named == [("not_available", "reactions"), ("not_available", "comments")]
    likes = [metrics for _, metrics in counting(read(await fetch(fake, task("post_insights")))) if "likes" in metrics]
    assert likes[0]["likes"] == 41


async def test_a_listing_stops_where_a_whole_page_lies_before_the_window() -> None:
    posts = [Post(f"{ACCOUNT}_{n}", published=NOW - timedelta(days=n)) for n in range(1, 8)]
    fake = FakeFacebook(posts=posts, page_size=2)
    pages = await fetch(fake, task("posts", start=NOW - timedelta(days=3, hours=1)))
    assert of(pages, "page") == ["posts"] * 3 + ["reels"]


async def test_a_listing_paged_by_time_goes_on_and_its_link_is_not_followed() -> None:
    first = {"id": f"{ACCOUNT}_1", "created_time": "2026-08-13T08:25:28+0000"}
    link = f"https://evil.example/v25.0/{ACCOUNT}/published_posts?access_token=T&until=1624385168&__paging_token=P"
    fake = full()
    fake.counts_allowed = False
    body = msgspec.json.encode({"data": [first], "paging": {"next": link}})
    fake.failures = [Failure(403, NO_PERMISSION, "published_posts"), Failure(200, body, "published_posts")]
    pages = await fetch(fake, task("posts"))
    asked = [call.query for call in fake.calls if "until" in call.query]
    assert [(query["until"], query["__paging_token"]) for query in asked] == [("1624385168", "P")]
    assert pages[-1].last


async def test_every_post_is_asked_for_its_views_and_the_rest_and_reels_for_all() -> None:
    fake = full()
    pages = await fetch(fake, task("post_insights"))
    assert of(pages, "object_id") == [
        *[f"{ACCOUNT}_1"] * 2,
        *[f"{ACCOUNT}_2"] * 2,
        "31",  # led to by the third post
        "31",
        "32",
    ]
    assert counting(read(pages))[:5] == [
        (post(1), {"views": 450, "impressions": 450}),
        (post(1), {"clicks_all": 37, "clicks_link": 12, "likes": 41}),
        (video(2), {"views": 450, "impressions": 450}),
        (
            video(2),
            {"clicks_all": 37, "clicks_link": 12, "likes": 41, "video_views_3s": 120, "watch_time": 90_000},
        ),
        (reel("31"), {"views": 500, "comments": 3, "shares": 4}),
    ]
    assert f"{ACCOUNT}_3/insights" not in fake.paths()
    assert all("metric" not in call.query for call in fake.calls if "video_insights" in call.path)


async def test_what_ads_brought_is_no_view_of_the_post() -> None:
    pages = await fetch(full(), task("post_insights", post(1)))
    by_ads = [(one.metrics, one.paid) for one in observations(read(pages)) if one.scope == "ads"]
    assert by_ads == [({"views": 62, "impressions": 62}, True)]


async def test_where_views_are_not_told_apart_they_are_asked_for_as_they_are() -> None:
    fake = full()
    fake.has_breakdown = False
    pages = await fetch(fake, task("post_insights", post(1), video(2)))
    views = [metrics["views"] for _, metrics in counting(read(pages)) if "views" in metrics]
    assert views == [450 + 62, 450]
    assert len([call for call in fake.calls if "breakdown" in call.query]) == 1  # once per task


async def test_a_retired_metric_is_found_once_and_left_out() -> None:
    fake = full()
    fake.retired = {"post_clicks_by_type"}
    pages = await fetch(fake, task("post_insights"))
    rest = [page for page in pages if page.request.get("metrics", "").startswith("post_total")]
    assert of(rest, "refused") == ["post_clicks_by_type"] * 2
    assert [metrics["clicks_all"] for _, metrics in counting(read(pages)) if "clicks_all" in metrics] == [37, 37]
    alone = [call.query["metric"] for call in fake.calls if "," not in call.query.get("metric", ",")]
    assert alone.count("post_clicks_by_type") == 1


async def test_a_task_that_goes_on_does_not_find_out_again_what_it_knows() -> None:
    fake = full()
    fake.retired = {"post_clicks_by_type"}
    pages = await fetch(fake, task("post_insights"))
    fake.calls.clear()
    await fetch(fake, task("post_insights", cursor=pages[1].cursor))
    assert not [call for call in fake.calls if "post_clicks_by_type" in call.query.get("metric", "")]
    assert not [call for call in fake.calls if call.query.get("limit") == "1"]


async def test_metrics_that_are_all_retired_are_an_error_of_the_page_and_end_nothing() -> None:
    fake = full()
    fake.retired = set(INSIGHTS)
    pages = await fetch(fake, task("post_insights", post(1), post(1), video(2), reel("31")))
    assert pages[-1].last
    assert counting(read(pages))[-1] == (reel("31"), {"views": 500, "comments": 3, "shares": 4})
    assert ("unknown_metric", "bad_metric (code 100)") in drops(read(pages))


async def test_due_objects_are_asked_for_their_node_first() -> None:
    fake = full()
    pages = await fetch(fake, task("post_insights", post(1), reel("32"), post(3)))
    assert of(pages, "page") == ["post", "insights", "insights", "reel", "video_insights", "post", "video_insights"]
    assert of(pages, "object_id")[-2:] == [f"{ACCOUNT}_3", "31"]


async def test_a_due_post_of_a_visitor_is_not_asked_for_numbers() -> None:
    fake = full()
    fake.posts[0].author = "5"
    pages = await fetch(fake, task("post_insights", post(1)))
    assert of(pages, "page") == ["post"]
    assert pages[0].last
    assert drops(read(pages)) == [("not_mapped", "from")]


async def test_due_subjects_of_other_makers_are_not_asked_for() -> None:
    fake = full()
    assert await fetch(fake, task("post_insights", PROFILE, post("../me"), reel("uci"))) == []


async def test_the_profile_is_one_call() -> None:
    (page,) = await fetch(full(), task("profile"))
    assert counting(read([page])) == [(PROFILE, {"followers": 1200})]


async def test_a_week_of_the_page_is_two_calls() -> None:
    fake = full()
    pages = await fetch(fake, task("page_day"))
    assert of(pages, "page") == ["page_days", "page_views"]
    assert set(of(pages, "day") + of(pages, "last_day")) == {"2026-08-13", "2026-08-19"}
    booked = observations(read(pages))
    for number in range(13, 20):
        window = day_window(date(2026, 8, number), "America/Los_Angeles")
        counted = [one for one in booked if one.window == window and not one.check]
        assert {key: value for one in counted for key, value in one.metrics.items()} == {
            "reach": 600 + number,
            "engagements_platform": 40,
            "profile_views": 20,
            "followers_gained": number,
            "followers_lost": 2,
        }
    assert {one.window.day for one in booked if one.window} == {date(2026, 8, number) for number in range(13, 20)}
    assert [one.metrics for one in booked if one.scope == "account_ads"] == [{"views": 5, "impressions": 5}] * 7


async def test_long_windows_are_cut_at_ninety_days_of_24_23_and_25_hours() -> None:
    fake = full()
    fake.now = datetime(2026, 3, 20, 12, tzinfo=UTC)
    pages = await fetch(fake, task("page_day", start=fake.now - timedelta(days=200)))
    assert all(page.request.get("refusal") is None for page in pages)
    assert len(pages) == 3 * 2


async def test_a_page_under_a_hundred_likes_has_no_insights_and_no_zeros() -> None:
    fake = full()
    fake.under_hundred_likes = True
    for kind in ("page_day", "post_insights"):
        items = read(await fetch(fake, task(kind)))
        assert not [one for one in observations(items) if one.subject.type in {"profile", "post"}]
        assert ("no_numbers", "") in drops(items)


async def test_old_days_that_are_restated_converge_in_one_cycle() -> None:
    fake = full()

    async def days() -> dict[date | None, int]:
        booked = observations(read(await fetch(fake, task("page_day"))))
        return {one.window.day: one.metrics["profile_views"] for one in booked if one.window and _counts(one.metrics)}

    before = await days()
    fake.days[date(2026, 8, 13)]["page_views_total"] = 999  # a week ago
    after = await days()
    assert (before[date(2026, 8, 13)], after[date(2026, 8, 13)]) == (20, 999)


def _counts(metrics: dict[str, int]) -> bool:
    return "profile_views" in metrics


async def test_an_unknown_kind_of_task_is_refused() -> None:
    with pytest.raises(NotSupported):
        await fetch(full(), task("stories"))


async def test_version_and_page_come_from_the_options() -> None:
    fake = full()
    options = FacebookOptions(graph_version="v26.0", page_id=ACCOUNT)
    await fetch(fake, msgspec.structs.replace(task("profile"), source=source(options)))
    assert [call.path for call in fake.calls] == [f"/v26.0/{ACCOUNT}"]


async def test_the_token_travels_in_a_header_and_nowhere_else() -> None:
    fake = full()
    for kind in KINDS:
        pages = await fetch(fake, task(kind))
        assert TOKEN not in repr([(page.request, page.cursor) for page in pages])
    assert all(call.headers["authorization"] == f"Bearer {TOKEN}" for call in fake.calls)
    assert all("access_token" not in call.query for call in fake.calls)


# ------------------------------------------------------------------------------------------------ resuming

TASKS = [
    *(task(kind) for kind in KINDS),
    task("post_insights", post(1), reel("31"), post(404), post(3), video(2)),
]


@pytest.mark.parametrize("wanted", TASKS, ids=lambda one: f"{one.kind}-{len(one.subjects)}")
@pytest.mark.parametrize("page_size", [1, 2, 100])
@pytest.mark.parametrize("retired", [set(), {"post_clicks", "page_video_views"}], ids=["all", "retired"])
async def test_a_fetch_resumes_after_every_page(wanted: Task, page_size: int, retired: set[str]) -> None:
    fake = full()
    fake.page_size, fake.retired = page_size, retired
    whole = await fetch(fake, wanted)
    assert [page.last for page in whole] == [False] * (len(whole) - 1) + [True]
    for index, page in enumerate(whole[:-1]):
        rest = await fetch(fake, msgspec.structs.replace(wanted, cursor=page.cursor))
        assert rest == whole[index + 1 :]


@pytest.mark.parametrize(
    "cursor", [{"due": "::,x,1:2"}, {"edge": "none"}, {"other": "1"}, {"done": "never"}, {"at": "1", "counts": "?"}]
)
@pytest.mark.parametrize("kind", KINDS)
async def test_a_cursor_of_another_version_is_no_trap(kind: str, cursor: dict[str, str]) -> None:
    pages = await fetch(full(), task(kind, cursor=cursor))
    assert pages[-1].last


# ------------------------------------------------------------------------------------------------ refusals


async def test_a_post_that_is_gone_is_removed_once_the_page_is_known_to_be_there() -> None:
    fake = full()
    fake.posts[0].gone = fake.reels[1].gone = True
    pages = await fetch(fake, task("post_insights", post(1), reel("32"), video(2)))
    assert [one.subject for one in sight(read(pages)) if one.removed_at] == [post(1), reel("32")]
    assert fake.paths().count(ACCOUNT) == 1


async def test_everything_gone_is_a_lost_permission_and_removes_nothing() -> None:
    fake = full()
    fake.posts[0].gone = True
    fake.counts_allowed = False
    gone_too = envelope(100, "Object does not exist, cannot be loaded due to missing permission")
    wanted = task("post_insights", post(1), cursor={"counts": "no"})
    fake.failures = [Failure(400, gone_too, f"{ACCOUNT}_1"), Failure(400, gone_too, ACCOUNT)]
    with pytest.raises(NotPermitted, match="pages_read_engagement"):
        await fetch(fake, wanted)


async def test_a_persons_token_is_told_apart_from_a_dead_one() -> None:
    fake = full()
    fake.persons_token = True
    with pytest.raises(NotPermitted, match="the page's own is asked for"):
        await fetch(fake, task("page_day"))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("failure", "error", "text"),
    [
        (Failure(400, DEAD_TOKEN), NeedsReauth, "connect the account again"),
        (Failure(401, b""), NeedsReauth, "connect the account again"),
        (Failure(200, DEAD_TOKEN), NeedsReauth, "connect the account again"),
        (Failure(400, NOT_A_PAGE), NotPermitted, "the page's own"),
        (Failure(400, envelope(100, "requires an appsecret_proof argument")), NotPermitted, "proof of its secret"),
        (Failure(403, NO_PERMISSION), NotPermitted, "lacks a permission: (pages_|read_)"),
        (Failure(400, THROTTLED), TryLater, "throttles"),
        (Failure(400, envelope(80001, "too many calls")), TryLater, "throttles"),
        (Failure(500, TRANSIENT), TryLater, "answered 500"),
        (Failure(400, TRANSIENT), TryLater, "temporary"),
        (Failure(400, envelope(1, "reduce the amount of data")), TryLater, "temporary"),
        (Failure(200, b'{"data":[{"id"'), TryLater, "not JSON"),
        (Failure(200, b"<html>"), TryLater, "not JSON"),
        (Failure(302, b"", headers={"location": "https://evil.example/"}), ConnectorError, "code 302"),
    ],
    ids=lambda one: one.__name__ if isinstance(one, type) else None,
)
async def test_what_concerns_the_whole_page_ends_the_task(
    kind: str, failure: Failure, error: type[ConnectorError], text: str
) -> None:
    fake = full()
    fake.failures = [Failure(failure.status, failure.body, times=9, headers=failure.headers)]
    with pytest.raises(error, match=text) as caught:
        await fetch(fake, task(kind))
    assert TOKEN not in str(caught.value)


async def test_the_wait_is_the_one_that_the_platform_asks_for() -> None:
    fake = full()
    usage = {"x-business-use-case-usage": BUSINESS_USAGE}
    fake.failures = [Failure(400, envelope(80001, "too many calls"), headers=usage)]
    with pytest.raises(TryLater) as caught:
        await fetch(fake, task("posts"))
    assert caught.value.seconds == 2 * 60


async def test_a_listing_that_repeats_itself_ends() -> None:
    fake = full()
    fake.repeating_cursor = True
    with pytest.raises(ConnectorError, match="comes back"):
        await fetch(fake, task("posts"))
    assert len(fake.calls) <= 4


async def test_insights_never_follow_the_links_to_other_windows() -> None:
    fake = full()
    pages = await fetch(fake, task("page_day"))
    assert len(fake.calls) == len(pages) == 2
    assert all(b"next" in page.body for page in pages)


async def test_the_same_kinds_of_numbers_whichever_way_a_post_is_read() -> None:
    by_listing = {
        (one.subject, key, one.kind, one.scope, one.paid, one.check)
        for one in observations(read(await fetch(full(), task("post_insights"))))
        for key in one.metrics
        if one.subject == post(1)
    }
    by_hint = {
        (one.subject, key, one.kind, one.scope, one.paid, one.check)
        for one in observations(read(await fetch(full(), task("post_insights", post(1)))))
        for key in one.metrics
    }
    assert by_listing <= by_hint
    assert {key for _, key, kind, *_ in by_hint - by_listing if kind is Kind.LIFETIME} == {
        "comments",
        "shares",
        "likes",
    }


async def test_a_client_shows_no_token() -> None:
    assert TOKEN not in repr(client(full()))
