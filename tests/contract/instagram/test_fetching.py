"""Whole fetches through the client and against the fake server: every kind of task, every refusal, every resumption."""

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
    Observation,
    Page,
    RefreshHint,
    SubjectSeen,
    SubjectType,
    Task,
    TryLater,
    day_window,
)
from connectors.instagram import CONNECTOR
from connectors.instagram_account import InstagramOptions
from tests.contract.instagram.desk import NOW, PROFILE, client, fetch, post, read, reel, source, story, task
from tests.contract.reading import drops, observations
from tests.fakes.graph import DEAD_TOKEN, NO_PERMISSION, THROTTLED, TOKEN, TRANSIENT, envelope
from tests.fakes.instagram import ACCOUNT, BUSINESS_USAGE, FakeInstagram, Media
from tests.fakes.wire import Failure

IMAGE = Media("17895695668004550", like_count=2, comments_count=6, caption="#one")
REEL = Media("17895695668004551", "VIDEO", "REELS", like_count=None, comments_count=3)
ALBUM = Media("00895695668004552", "CAROUSEL_ALBUM", like_count=31, comments_count=4)
IMAGE_INSIGHTS = {
    "views": 900,
    "reach": 700,
    "likes": 2,
    "comments": 6,
    "shares": 1,
    "saved": 0,
    "total_interactions": 9,
}
REEL_INSIGHTS = {**IMAGE_INSIGHTS, "views": 5120, "ig_reels_video_view_total_time": 18_432_000}


def full() -> FakeInstagram:
    """Return an account with one media of each type, three days of numbers and two stories."""
    return FakeInstagram(
        media=[
            varied(IMAGE, insights=IMAGE_INSIGHTS),
            varied(REEL, insights=REEL_INSIGHTS),
            varied(ALBUM, insights={"views": 50, "reach": 40, "saved": 2, "shares": 3}),
        ],
        stories=[
            Media("180", product="STORY", published=NOW - timedelta(hours=3), insights=story_insights(12)),
            Media("181", product="STORY", published=NOW - timedelta(hours=23), insights=story_insights(34)),
            Media("182", product="STORY", published=NOW - timedelta(hours=25), insights=story_insights(56)),
        ],
        days={date(2026, 8, day): day_of(day) for day in range(1, 21)},
        page_size=2,
    )


def varied(media: Media, **changes: Any) -> Media:
    return Media(**{**vars(media), **changes})


def story_insights(reach: int) -> dict[str, int]:
    return {"views": reach + 5, "reach": reach, "replies": 1, "shares": 0, "total_interactions": 4}


def day_of(day: int) -> dict[str, int]:
    totals = {"views": 800 + day, "likes": 40, "comments": 9, "shares": 5, "saves": 4, "total_interactions": 58}
    return {**totals, "profile_links_taps": 3, "reach": 600 + day, "follower_count": day, "gained": day, "lost": 2}


def of(pages: list[Page], name: str) -> list[str]:
    return [page.request.get(name, "") for page in pages]


# ------------------------------------------------------------------------------------------------ kinds of tasks


async def test_media_are_listed_to_the_last_page_and_not_beyond() -> None:
    fake = full()
    pages = await fetch(fake, task("media"))
    assert len(fake.calls) == len(pages) == 2
    assert [page.last for page in pages] == [False, True]
    assert [one.metrics for one in observations(read(pages))] == [
        {"likes": 2, "comments": 6},
        {"comments": 3},  # the owner hides likes
        {"likes": 31, "comments": 4},
    ]
    subjects = [item.subject for item in read(pages) if isinstance(item, SubjectSeen)]
    assert subjects == [post(IMAGE.id), reel(REEL.id), post(ALBUM.id)]


async def test_an_empty_page_with_more_behind_it_ends_nothing() -> None:
    fake = full()
    fake.empty_page_before_last = True
    pages = await fetch(fake, task("media"))
    assert len(pages) == 3
    assert len([item for item in read(pages) if isinstance(item, SubjectSeen)]) == 3


@pytest.mark.parametrize("kind", ["media", "media_insights", "stories"])
async def test_an_empty_last_page_is_no_surprise(kind: str) -> None:
    fake = full()
    fake.empty_last_page = True
    pages = await fetch(fake, task(kind))
    assert [page.last for page in pages] == [False] * (len(pages) - 1) + [True]


async def test_an_account_without_media_is_one_page() -> None:
    pages = await fetch(FakeInstagram(), task("media"))
    assert [(page.last, page.cursor) for page in pages] == [(True, {})]
    assert read(pages) == []


async def test_a_listing_stops_where_a_whole_page_lies_before_the_window() -> None:
    fake = FakeInstagram(media=[Media(str(n), published=NOW - timedelta(days=n)) for n in range(1, 8)], page_size=2)
    pages = await fetch(fake, task("media", start=NOW - timedelta(days=3, hours=1)))
    assert [item.subject.external_id for item in read(pages) if isinstance(item, SubjectSeen)] == list("123456")
    assert pages[-1].last


async def test_insights_of_everything_ask_each_media_for_what_it_knows() -> None:
    fake = full()
    pages = await fetch(fake, task("media_insights"))
    assert of(pages, "media_id") == [IMAGE.id, REEL.id, ALBUM.id]
    assert of(pages, "media_product_type") == ["FEED", "REELS", "FEED"]
    assert of(pages, "media_type") == ["IMAGE", "VIDEO", "CAROUSEL_ALBUM"]
    assert of(pages, "refused") == ["", "", ""]
    counting = [one for one in observations(read(pages)) if not one.check and one.kind is Kind.LIFETIME]
    assert [(one.subject, one.metrics) for one in counting] == [
        (
            post(IMAGE.id),
            {"views": 900, "impressions": 900, "saves": 0, "shares": 1, "engagements_platform": 9},
        ),
        (
            reel(REEL.id),
            {
                "views": 5120,
                "impressions": 5120,
                "saves": 0,
                "shares": 1,
                "engagements_platform": 9,
                "watch_time": 18_432_000,
            },
        ),
        (post(ALBUM.id), {"views": 50, "impressions": 50, "saves": 2, "shares": 3}),
    ]


async def test_due_media_are_asked_for_their_node_and_their_insights() -> None:
    fake = full()
    pages = await fetch(fake, task("media_insights", post(ALBUM.id), reel(REEL.id)))
    assert fake.paths() == [ALBUM.id, f"{ALBUM.id}/insights", REEL.id, f"{REEL.id}/insights"]
    assert of(pages, "page") == ["media_node", "media_insights"] * 2
    assert of(pages, "media_type") == ["", "CAROUSEL_ALBUM", "", "VIDEO"]
    likes = [(one.subject, one.metrics["likes"]) for one in observations(read(pages)) if "likes" in one.metrics]
    assert likes == [(post(ALBUM.id), 31), (reel(REEL.id), 2)]


async def test_due_subjects_that_are_no_media_of_instagram_are_not_asked_for() -> None:
    fake = full()
    pages = await fetch(fake, task("media_insights", post("uci-1"), PROFILE, story("180")))
    assert fake.paths() == ["180/insights"]
    assert [page.last for page in pages] == [True]
    assert await fetch(fake, task("media_insights", post("../me"))) == []


async def test_due_subjects_twice_are_asked_for_once() -> None:
    fake = full()
    await fetch(fake, task("media_insights", story("180"), story("181"), story("180")))
    assert fake.paths() == ["180/insights", "181/insights"]


async def test_stories_of_the_last_day_have_their_totals() -> None:
    fake = full()
    pages = await fetch(fake, task("stories"))
    assert of(pages, "page") == ["stories", "media_insights", "media_insights"]
    assert [(one.subject, one.kind, one.metrics) for one in observations(read(pages))] == [
        (
            story("180"),
            Kind.LIFETIME,
            {"views": 17, "impressions": 17, "comments": 1, "shares": 0, "engagements_platform": 4},
        ),
        (story("180"), Kind.UNIQUE, {"reach": 12}),
        (
            story("181"),
            Kind.LIFETIME,
            {"views": 39, "impressions": 39, "comments": 1, "shares": 0, "engagements_platform": 4},
        ),
        (story("181"), Kind.UNIQUE, {"reach": 34}),
    ]


async def test_what_the_listing_of_stories_shows_is_a_story_whatever_its_product() -> None:
    fake = full()
    listing = b'{"data":[{"id":"180","media_type":"VIDEO","media_product_type":"FEED"}]}'
    fake.failures = [Failure(200, listing, "/stories")]
    _, page = await fetch(fake, task("stories"))
    assert page.request["media_product_type"] == "STORY"
    assert "refused" not in page.request


async def test_no_stories_are_one_last_page() -> None:
    pages = await fetch(FakeInstagram(), task("stories"))
    assert [(page.last, page.request["page"]) for page in pages] == [(True, "stories")]


async def test_the_profile_is_one_call() -> None:
    fake = full()
    (page,) = await fetch(fake, task("profile"))
    assert page.last
    assert [one.metrics for one in observations(read([page]))] == [{"followers": 4321}]


async def test_a_week_of_the_account_is_a_series_and_totals_day_by_day() -> None:
    fake = full()
    pages = await fetch(fake, task("account_day"))
    days = [f"2026-08-{day}" for day in range(13, 20)]
    assert of(pages, "page") == ["account_series", *["account_totals", "account_follows"] * 7]
    assert of(pages, "day") == [days[0], *[day for day in days for _ in range(2)]]
    assert [page.last for page in pages] == [False] * 14 + [True]
    booked = observations(read(pages))
    for number in range(13, 20):
        window = day_window(date(2026, 8, number), "America/Los_Angeles")
        counting = [one for one in booked if one.window == window and not one.check]
        assert {key: value for one in counting for key, value in one.metrics.items()} == {
            "reach": 600 + number,
            "followers_gained": number,
            "clicks_all": 3,
            "followers_lost": 2,
        }
    assert {one.subject for one in booked} == {PROFILE}


async def test_old_days_that_are_restated_converge_in_one_cycle() -> None:
    fake = full()

    async def gained() -> dict[date | None, int]:
        booked = [one for one in observations(read(await fetch(fake, task("account_day")))) if not one.check]
        days = [one for one in booked if one.window and "followers_gained" in one.metrics]
        return {one.window.day: one.metrics["followers_gained"] for one in days if one.window}

    before = await gained()
    fake.days[date(2026, 8, 13)]["follower_count"] = 99  # a week ago
    after = await gained()
    assert (before[date(2026, 8, 13)], after[date(2026, 8, 13)]) == (13, 99)


MATRIX = {
    ("IMAGE", "FEED"): "views reach saved shares total_interactions likes comments",
    ("VIDEO", "FEED"): "views reach saved shares total_interactions likes comments",
    ("CAROUSEL_ALBUM", "FEED"): "views reach saved shares",
    ("VIDEO", "REELS"): "views reach saved shares total_interactions likes comments ig_reels_video_view_total_time",
    ("IMAGE", "AD"): "views reach saved shares total_interactions likes comments",
    ("VIDEO", "STORY"): "views reach replies shares total_interactions",
}


@pytest.mark.parametrize(("media_type", "product"), MATRIX)
async def test_every_type_of_media_answers_all_that_it_is_asked(media_type: str, product: str) -> None:
    wanted = MATRIX[media_type, product].split()
    fake = FakeInstagram(media=[Media("1", media_type, product, insights=dict.fromkeys(wanted, 3))])
    if product == "STORY":
        fake.media, fake.stories = [], [varied(fake.media[0], published=NOW - timedelta(hours=1))]
    pages = await fetch(fake, task("stories" if product == "STORY" else "media_insights"))
    assert (pages[-1].request["metrics"].split(","), of(pages, "refused")[-1]) == (wanted, "")
    keys = {key for one in observations(read(pages)) if not one.check for key in one.metrics}
    expected = {"views", "impressions", "reach", "shares"}
    expected |= {"saves"} if "saved" in wanted else {"comments"}
    expected |= {"engagements_platform"} if "total_interactions" in wanted else set()
    assert keys == expected | ({"watch_time"} if product == "REELS" else set())


async def test_totals_are_asked_for_pacific_days_of_23_24_and_25_hours() -> None:
    fake = FakeInstagram(now=datetime(2026, 3, 10, 12, tzinfo=UTC))
    await fetch(fake, task("account_day", start=datetime(2026, 3, 7, 12, tzinfo=UTC)))
    windows = [call.query for call in fake.calls if "metric_type" in call.query and "breakdown" not in call.query]
    # 2026-03-07T08:00Z, 2026-03-08T08:00Z, 2026-03-09T07:00Z, 2026-03-10T07:00Z
    assert [(query["since"], query["until"]) for query in windows] == [
        ("1772870400", "1772956800"),
        ("1772956800", "1773039600"),
        ("1773039600", "1773126000"),
    ]


async def test_long_windows_are_cut_in_months_and_new_followers_are_asked_for_where_they_reach() -> None:
    fake = full()
    await fetch(fake, task("account_day", start=NOW - timedelta(days=70)))
    series = [call.query["metric"] for call in fake.calls if "metric_type" not in call.query]
    assert series == ["reach", "reach", "reach,follower_count"]


async def test_a_window_without_a_complete_day_asks_for_nothing() -> None:
    fake = full()
    assert await fetch(fake, task("account_day", start=NOW - timedelta(hours=2))) == []
    assert fake.calls == []


async def test_the_window_of_the_task_bounds_the_days() -> None:
    window = {"start": datetime(2026, 8, 3, 12, tzinfo=UTC), "end": datetime(2026, 8, 5, 12, tzinfo=UTC)}
    pages = await fetch(full(), task("account_day", **window))
    assert set(of(pages, "day")) == {"2026-08-03", "2026-08-04"}


async def test_the_day_in_progress_and_the_future_are_not_asked_for() -> None:
    pages = await fetch(full(), task("account_day", start=NOW - timedelta(days=2), end=NOW + timedelta(days=5)))
    assert set(of(pages, "last_day")) == {"2026-08-18", "2026-08-19"}


async def test_an_unknown_kind_of_task_is_refused() -> None:
    with pytest.raises(NotSupported):
        await fetch(full(), task("followers"))


async def test_version_account_and_login_come_from_the_options() -> None:
    fake = full()
    options = InstagramOptions(graph_version="v26.0", ig_user_id=ACCOUNT, login="instagram")
    wanted = msgspec.structs.replace(task("profile"), source=source(options))
    await fetch(fake, wanted)
    assert [call.path for call in fake.calls] == [f"/v26.0/{ACCOUNT}"]
    assert CONNECTOR.address(options) == "https://graph.instagram.com"
    assert CONNECTOR.address(InstagramOptions()) == CONNECTOR.base_url == "https://graph.facebook.com"


async def test_the_token_travels_in_a_header_and_nowhere_else() -> None:
    fake = full()
    for kind in ("media", "media_insights", "account_day", "profile", "stories"):
        pages = await fetch(fake, task(kind))
        assert TOKEN not in repr([(page.request, page.cursor) for page in pages])
    assert all(call.headers["authorization"] == f"Bearer {TOKEN}" for call in fake.calls)
    assert all("access_token" not in call.query and TOKEN not in str(call.query) for call in fake.calls)
    assert TOKEN not in repr(client(fake))


# ------------------------------------------------------------------------------------------------ resuming

TASKS = [
    task("media"),
    task("media_insights"),
    task("media_insights", post(IMAGE.id), story("180"), reel(REEL.id), post("404"), post(ALBUM.id)),
    task("account_day"),
    task("profile"),
    task("stories"),
]


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


async def test_a_fetch_that_broke_off_goes_on_where_it_was() -> None:
    fake = full()
    wanted = task("media_insights", post(IMAGE.id), reel(REEL.id))
    fake.failures = [Failure(400, THROTTLED, f"{REEL.id}/insights")]
    pages = CONNECTOR.fetch(client(fake), wanted, NOW)
    landed = [await anext(pages) for _ in range(3)]
    with pytest.raises(TryLater):
        await anext(pages)
    assert of(landed, "page") == ["media_node", "media_insights", "media_node"]
    fake.calls.clear()
    (last,) = await fetch(fake, msgspec.structs.replace(wanted, cursor=landed[-1].cursor))
    assert fake.paths() == [f"{REEL.id}/insights"]
    assert (last.last, last.request["media_product_type"]) == (True, "REELS")


async def test_a_cursor_of_media_that_are_no_longer_due_starts_anew() -> None:
    fake = full()
    pages = await fetch(fake, task("media_insights", story("180"), story("181"), cursor={"done": "179"}))
    assert of(pages, "media_id") == ["180", "181"]


@pytest.mark.parametrize("cursor", [{"due": "::,x,1:2"}, {"due": ",,,"}, {"other": "1"}, {"done": "never"}])
@pytest.mark.parametrize("kind", ["media", "media_insights", "account_day", "stories"])
async def test_a_cursor_of_another_version_is_no_trap(kind: str, cursor: dict[str, str]) -> None:
    pages = await fetch(full(), task(kind, cursor=cursor))
    assert pages[-1].last


# ------------------------------------------------------------------------------------------------ refusals


async def test_a_metric_refused_for_one_media_is_left_out_and_named() -> None:
    fake = full()
    fake.media[0].media_type = "CAROUSEL_ALBUM"  # and the listing of the task calls it an image
    fake.media[0].insights = {"views": 1, "reach": 1, "saved": 0, "shares": 0}
    (page,) = await fetch(fake, task("media_insights", cursor={"due": f"{IMAGE.id}:FEED:IMAGE", "ended": "1"}))
    assert page.request["refused"] == "total_interactions,likes,comments"
    assert page.request["metrics"] == "views,reach,saved,shares"
    items = read([page])
    assert observations(items)[0].metrics == {"views": 1, "impressions": 1, "saves": 0, "shares": 0}
    assert drops(items) == [("not_available", name) for name in ("total_interactions", "likes", "comments")]


async def test_a_refusal_that_lists_what_is_allowed_is_understood() -> None:
    fake = full()
    fake.allowed_by_list = True
    cursor = {"due": f"{ALBUM.id}:FEED:IMAGE", "ended": "1"}
    (page,) = await fetch(fake, task("media_insights", cursor=cursor))
    assert page.request["metrics"] == "views,reach,saved,shares"


async def test_the_oldest_videos_answer_reach_and_saves() -> None:
    fake = full()
    fake.media = [varied(IMAGE, media_type="VIDEO", old_video=True, insights={"reach": 5, "saved": 1})]
    (page,) = await fetch(fake, task("media_insights"))
    assert page.request["metrics"] == "reach,saved"
    assert [one.metrics for one in observations(read([page]))] == [{"reach": 5}, {"saves": 1}]


async def test_a_refusal_that_names_no_metric_falls_back_once() -> None:
    fake = full()
    vague = envelope(100, "(#100) The value must be a valid insights metric")
    fake.failures = [Failure(400, vague, f"{IMAGE.id}/insights", times=1)]
    pages = await fetch(fake, task("media_insights"))
    assert of(pages, "metrics")[0] == "reach,saved"
    fake.calls.clear()
    fake.failures = [Failure(400, vague, f"{IMAGE.id}/insights", times=99)]
    pages = await fetch(fake, task("media_insights"))
    assert of(pages, "refusal") == ["bad_metric", "", ""]
    assert fake.paths().count(f"{IMAGE.id}/insights") == 2
    assert drops(read(pages[:1])) == [("unknown_metric", "bad_metric (code 100)")]


async def test_new_followers_are_refused_to_small_accounts_and_reach_is_not_lost() -> None:
    fake = full()
    fake.followers = 99
    pages = await fetch(fake, task("account_day"))
    assert (pages[0].request["metrics"], pages[0].request["refused"]) == ("reach", "follower_count")
    items = read(pages[:1])
    assert {key for one in observations(items) for key in one.metrics} == {"reach"}
    assert drops(items) == [("not_available", "follower_count")]


async def test_one_media_from_before_the_business_account_is_skipped() -> None:
    fake = full()
    fake.media[0].before_business = True
    pages = await fetch(fake, task("media_insights"))
    assert of(pages, "refusal") == ["before_business", "", ""]
    assert drops(read(pages)) == [("not_available", "before_business (code 100, subcode 2108006)")]


async def test_a_story_that_few_have_seen_is_no_missing_permission() -> None:
    fake = full()
    fake.stories[0].too_few_viewers = True
    pages = await fetch(fake, task("stories"))
    assert of(pages, "refusal") == ["", "too_few_viewers", ""]
    assert drops(read(pages)) == [("not_available", "too_few_viewers (code 10)")]


async def test_a_media_that_is_gone_is_removed_once_the_account_is_known_to_be_there() -> None:
    fake = full()
    fake.media[1].gone = True
    pages = await fetch(fake, task("media_insights", post(IMAGE.id), reel(REEL.id), post("404")))
    assert fake.paths() == [IMAGE.id, f"{IMAGE.id}/insights", REEL.id, ACCOUNT, "404"]
    gone = [item.subject for item in read(pages) if isinstance(item, SubjectSeen) and item.removed_at]
    assert gone == [reel(REEL.id), post("404")]


async def test_everything_gone_is_a_lost_permission_and_removes_nothing() -> None:
    fake = full()
    gone_too = envelope(100, "Object does not exist, cannot be loaded due to missing permission")
    fake.media[1].gone = True
    fake.failures = [Failure(400, gone_too, ACCOUNT)]
    with pytest.raises(NotPermitted, match="instagram_basic"):
        await fetch(fake, task("media_insights", reel(REEL.id)))


async def test_a_story_that_ran_out_between_listing_and_insights_is_skipped() -> None:
    fake = full()
    pages = await fetch(fake, task("stories"))
    fake.now = NOW + timedelta(hours=2)
    rest = await fetch(fake, task("stories", cursor=pages[1].cursor))
    assert of(rest, "refusal") == ["gone"]
    assert drops(read(rest)) == [("not_available", "gone (code 100, subcode 33)")]
    assert not [item for item in read(rest) if isinstance(item, SubjectSeen)]


async def test_a_media_without_numbers_says_nothing() -> None:
    fake = full()
    fake.media[0].silent = True
    items = read((await fetch(fake, task("media_insights")))[:1])
    assert (observations(items), drops(items)) == ([], [("no_numbers", "")])


@pytest.mark.parametrize("kind", ["media", "media_insights", "account_day", "profile", "stories"])
@pytest.mark.parametrize(
    ("failure", "error", "text"),
    [
        (Failure(400, DEAD_TOKEN, times=9), NeedsReauth, "connect the account again"),
        (Failure(401, b"", times=9), NeedsReauth, "connect the account again"),
        (Failure(200, DEAD_TOKEN, times=9), NeedsReauth, "connect the account again"),
        (Failure(403, NO_PERMISSION, times=9), NotPermitted, "instagram_"),
        (Failure(400, THROTTLED, times=9), TryLater, "throttles"),
        (Failure(500, TRANSIENT, times=9), TryLater, "answered 500"),
        (Failure(400, TRANSIENT, times=9), TryLater, "temporary"),
        (Failure(400, envelope(1, "reduce the amount of data"), times=9), TryLater, "temporary"),
        (Failure(200, b'{"data":[{"id"', times=9), TryLater, "not JSON"),
        (Failure(302, b"", times=9, headers={"location": "https://evil.example/"}), ConnectorError, "code 302"),
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


async def test_the_wait_is_the_one_that_the_platform_asks_for() -> None:
    fake = full()
    usage = {"x-business-use-case-usage": BUSINESS_USAGE}
    fake.failures = [Failure(400, THROTTLED, headers=usage)]
    with pytest.raises(TryLater) as caught:
        await fetch(fake, task("media"))
    assert caught.value.seconds == 7 * 60


async def test_a_listing_that_repeats_itself_ends() -> None:
    fake = full()
    fake.repeating_cursor = True
    with pytest.raises(ConnectorError, match="comes back"):
        await fetch(fake, task("media"))
    assert len(fake.calls) <= 3


async def test_insights_never_follow_the_links_to_other_windows() -> None:
    fake = full()
    pages = await fetch(fake, task("account_day"))
    assert len(fake.calls) == len(pages) == 15
    assert all(b"next" in page.body for page in pages)


async def test_a_hint_leads_to_the_same_subject_that_a_fetch_reads() -> None:
    hint = RefreshHint(subject=post(IMAGE.id))
    pages = await fetch(full(), task("media_insights", hint.subject))
    assert {item.subject for item in read(pages) if isinstance(item, Observation)} == {hint.subject}
    assert hint.subject.type is SubjectType.POST
