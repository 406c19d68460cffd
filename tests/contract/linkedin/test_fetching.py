"""Whole fetches through the client and against the fake server: every kind of task, every refusal, every resumption."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any

import msgspec
import pytest

from connectors import linkedin_account
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
    day_window,
)
from connectors.linkedin import CONNECTOR
from connectors.linkedin_account import LinkedInOptions
from tests.contract.linkedin.desk import NOW, PROFILE, client, fetch, post, read, source, task
from tests.contract.reading import drops, observations
from tests.fakes.linkedin import (
    BAD_QUERY,
    DENIED,
    EXPIRED,
    NO_VERSION,
    NOT_FOUND,
    NUMBER,
    OLD_VERSION,
    OVERLOAD,
    QUOTA,
    REVOKED,
    TOKEN,
    FakeLinkedIn,
    Post,
    envelope,
)
from tests.fakes.wire import Failure

KINDS = [kind.name for kind in CONNECTOR.capabilities.fetch]
NUMBERS: dict[str, int | float] = {"impressionCount": 240, "uniqueImpressionsCount": 150, "clickCount": 6}
VIDEO: dict[str, Any] = {
    "content": {"media": {"id": "urn:li:video:1"}},
    "video": {"VIDEO_VIEW": 88, "TIME_WATCHED": 90_000},
}


def a_post(number: int, kind: str = "share", **more: Any) -> Post:
    published = more.pop("published", NOW - timedelta(hours=number))
    return Post(f"urn:li:{kind}:{number}", published=published, numbers=dict(NUMBERS), **more)


def mixed(count: int) -> list[Post]:
    return [a_post(number, "share" if number % 2 else "ugcPost") for number in range(1, count + 1)]


def of(pages: list[Page], name: str) -> list[str]:
    return [page.request.get(name, "") for page in pages]


def impressions(pages: list[Page]) -> dict[str, int]:
    found = [one for one in observations(read(pages)) if "impressions" in one.metrics]
    return {one.subject.external_id: one.metrics["impressions"] for one in found}


# ------------------------------------------------------------------------------------------------ posts


async def test_a_listing_is_read_to_its_end_with_the_numbers_of_each_page() -> None:
    fake = FakeLinkedIn(posts=mixed(130))
    pages = await fetch(fake, task("posts"))
    # A hundred posts are 50 of each kind, 20 a call; then thirty, 15 of each kind.
    assert of(pages, "page") == ["posts", *["share_statistics"] * 6, "posts", *["share_statistics"] * 2]
    assert len(impressions(pages)) == 130
    kinds = [{urn.split(":")[2] for urn in text.split(",")} for text in of(pages, "posts") if text]
    assert all(len(kind) == 1 for kind in kinds)
    assert [call.headers.get("x-restli-method") for call in fake.calls][:2] == ["FINDER", None]


async def test_addresses_have_escaped_urns_and_raw_parentheses() -> None:
    fake = FakeLinkedIn(posts=mixed(2))
    await fetch(fake, task("posts"))
    listing, shares, _ = (call.query for call in fake.calls)
    assert listing == (f"q=author&author=urn%3Ali%3Aorganization%3A{NUMBER}&count=100&start=0&sortBy=LAST_MODIFIED")
    assert shares.endswith("&shares=List(urn%3Ali%3Ashare%3A1)")
    assert {call.headers["linkedin-version"] for call in fake.calls} == {"202606"}
    assert {call.headers["x-restli-protocol-version"] for call in fake.calls} == {"2.0.0"}


async def test_an_organisation_without_posts_is_one_page() -> None:
    pages = await fetch(FakeLinkedIn(), task("posts"))
    assert [(page.last, page.cursor) for page in pages] == [(True, {})]
    assert read(pages) == []


async def test_a_full_page_without_a_link_may_have_more_behind_it() -> None:
    fake = FakeLinkedIn(posts=mixed(100), has_links=False)
    pages = await fetch(fake, task("posts"))
    assert of(pages, "page").count("posts") == 2
    assert pages[-1].last


async def test_an_edited_old_post_comes_first_and_ends_nothing() -> None:
    old = NOW - timedelta(days=400)
    edited = [a_post(n, published=old, modified=NOW - timedelta(minutes=n)) for n in range(1, 101)]
    newer = [a_post(n, published=NOW - timedelta(days=1)) for n in range(200, 203)]
    untouched = [a_post(n, published=old) for n in range(300, 600)]
    fake = FakeLinkedIn(posts=[*untouched, *edited, *newer])
    pages = await fetch(fake, task("posts", start=NOW - timedelta(days=90)))
    # The old ones are facts, their numbers are not asked for; a page that nobody touched since ends the listing.
    assert set(impressions(pages)) == {one.urn for one in newer}
    assert of(pages, "page").count("posts") == 3


async def test_drafts_have_no_numbers_and_quiet_posts_are_no_zeros() -> None:
    quiet = a_post(2)
    quiet.numbers = {}
    fake = FakeLinkedIn(posts=[a_post(1, state="DRAFT"), quiet, a_post(3)])
    pages = await fetch(fake, task("posts"))
    assert of(pages, "posts") == ["", "urn:li:share:2,urn:li:share:3"]
    assert impressions(pages) == {"urn:li:share:3": 240}
    assert drops(read(pages)) == [("not_available", "lifecycleState"), ("no_numbers", "a post without activity")]


async def test_one_post_that_spoils_a_batch_does_not_spoil_the_others() -> None:
    fake = FakeLinkedIn(posts=[a_post(1), a_post(2, spoils=True), a_post(3)])
    pages = await fetch(fake, task("posts"))
    assert of(pages, "posts") == ["", "urn:li:share:1", "urn:li:share:2", "urn:li:share:3"]
    assert of(pages, "lack") == ["", "", "refused", ""]
    assert set(impressions(pages)) == {"urn:li:share:1", "urn:li:share:3"}
    assert drops(read(pages)) == [("not_available", "refused")]


async def test_named_posts_are_asked_for_themselves_and_their_numbers() -> None:
    fake = FakeLinkedIn(posts=[a_post(1), a_post(2, "ugcPost"), a_post(3, gone=True)])
    named = [post(one.urn) for one in fake.posts]
    pages = await fetch(fake, task("posts", *named, named[0], PROFILE, post("uci-1"), post("urn:li:share:../me")))
    # Only the one that has no numbers is asked for itself: it may be quiet, and is gone.
    assert of(pages, "page") == ["share_statistics", "share_statistics", "node"]
    assert of(pages, "post") == ["", "", named[2].external_id]
    items = read(pages)
    assert [item.subject for item in items if isinstance(item, SubjectSeen) and item.removed_at] == [named[2]]
    assert impressions(pages) == {"urn:li:share:1": 240, "urn:li:ugcPost:2": 240}
    assert await fetch(fake, task("posts", PROFILE, SubjectRef("urn:li:share:1", SubjectType.AD))) == []


async def test_a_named_post_that_is_refused_or_quiet_is_asked_for_itself() -> None:
    quiet = a_post(1)
    quiet.numbers = {}
    fake = FakeLinkedIn(posts=[quiet, a_post(2, spoils=True)])
    pages = await fetch(fake, task("posts", *(post(one.urn) for one in fake.posts)))
    assert of(pages, "page") == ["share_statistics", "share_statistics", "node", "node"]
    seen = [item for item in read(pages) if isinstance(item, SubjectSeen)]
    assert [(item.subject.external_id, item.removed_at) for item in seen] == [(one.urn, None) for one in fake.posts]


async def test_a_listing_that_does_not_end_is_left() -> None:
    fake = FakeLinkedIn()
    body = b'{"elements":[{"id":"urn:li:share:1"}],"paging":{"links":[{"rel":"next","href":"/x"}]}}'
    fake.failures = [Failure(200, body, "/posts", times=10**9)]
    with pytest.raises(ConnectorError, match="does not end"):
        await fetch(fake, task("posts", cursor={"start": "19999"}))
    assert len(fake.calls) <= 3


# ------------------------------------------------------------------------------------------------ videos, days, page


async def test_videos_are_asked_for_one_number_at_a_time() -> None:
    fake = FakeLinkedIn(posts=[a_post(1), a_post(2, **VIDEO)])
    pages = await fetch(fake, task("videos"))
    assert of(pages, "metric") == ["", "VIDEO_VIEW", "TIME_WATCHED"]
    assert [one.metrics for one in observations(read(pages))] == [
        {"views": 88, "video_views_3s": 88},
        {"watch_time": 90_000},
    ]
    fake.posts[1].video = {}
    items = read((await fetch(fake, task("videos")))[1:])
    assert drops(items) == [("no_numbers", "")] * 2


async def test_a_week_is_three_calls_over_complete_utc_days() -> None:
    days = {date(2026, 8, day): {"impressionCount": day} for day in range(1, 21)}
    gains = {date(2026, 8, 14): {"organicFollowerGain": 3, "paidFollowerGain": -1}}
    fake = FakeLinkedIn(share_days=days, follower_days=gains, page_days={date(2026, 8, 14): {"pageViews": 9}})
    pages = await fetch(fake, task("organization_day"))
    assert of(pages, "page") == ["share_days", "follower_days", "page_days"]
    assert set(of(pages, "start")) == {"2026-08-13"}
    # 2026-08-13 and 2026-08-20, both at 00:00Z
    within = "timeRange:(start:1786579200000,end:1787184000000),timeGranularityType:DAY"
    assert all(within in call.query for call in fake.calls)
    booked = observations(read(pages))
    assert [one.window for one in booked if one.check] == [day_window(date(2026, 8, n), "UTC") for n in range(13, 18)]
    assert [(one.metrics, one.paid) for one in booked if not one.check] == [
        ({"followers_gained": 3}, False),
        ({"followers_lost": 1}, True),
        ({"profile_views": 9}, None),
    ]


async def test_changed_days_converge_within_one_cycle() -> None:
    fake = FakeLinkedIn(page_days={date(2026, 8, 14): {"pageViews": 9}})
    wanted = task("organization_day", start=NOW - timedelta(days=7))
    await fetch(fake, wanted)
    fake.page_days[date(2026, 8, 14)] = {"pageViews": 11}
    (found,) = observations(read(await fetch(fake, wanted)))
    assert found.metrics == {"profile_views": 11}


@pytest.mark.parametrize(
    ("start", "first"),
    [
        (datetime(2020, 1, 1, tzinfo=UTC), "2025-08-20"),  # statistics reach back a year
        (datetime(2026, 8, 18, 23, 59, tzinfo=UTC), "2026-08-18"),
        (datetime(2026, 8, 20, 0, 1, tzinfo=UTC), ""),
    ],
)
async def test_the_window_is_of_whole_days_within_a_year(start: datetime, first: str) -> None:
    pages = await fetch(FakeLinkedIn(), task("organization_day", start=start, end=NOW + timedelta(days=3)))
    assert of(pages, "start")[:1] == ([first] if first else [])


async def test_the_organisation_is_itself_and_its_size() -> None:
    pages = await fetch(FakeLinkedIn(), task("organization"))
    assert of(pages, "page") == ["organization", "network_size"]
    assert [(one.subject, one.metrics) for one in observations(read(pages))] == [(PROFILE, {"followers": 4420})]


# ------------------------------------------------------------------------------------------------ resuming

TASKS = [
    *(task(kind) for kind in KINDS),
    task("posts", *(post(one.urn) for one in mixed(30)), post("urn:li:share:404")),
]


@pytest.mark.parametrize("wanted", TASKS, ids=lambda one: f"{one.kind}-{len(one.subjects)}")
async def test_a_fetch_resumes_after_every_page(wanted: Task) -> None:
    posts = [*mixed(120), a_post(200, **VIDEO), a_post(201, **VIDEO)]
    fake = FakeLinkedIn(posts=posts)
    whole = await fetch(fake, wanted)
    assert [page.last for page in whole] == [False] * (len(whole) - 1) + [True]
    made = len(fake.calls)
    assert made == len(whole)
    for index, page in enumerate(whole[:-1], start=1):
        fake.calls.clear()
        rest = await fetch(fake, msgspec.structs.replace(wanted, cursor=page.cursor))
        assert rest == whole[index:]
        assert len(fake.calls) == made - index


async def test_a_spoiled_batch_is_not_asked_for_again_after_a_pause() -> None:
    fake = FakeLinkedIn(posts=[a_post(1), a_post(2, spoils=True), a_post(3)])
    whole = await fetch(fake, task("posts"))
    fake.calls.clear()
    rest = await fetch(fake, task("posts", cursor=whole[1].cursor))
    assert rest == whole[2:]
    assert len(fake.calls) == 2


@pytest.mark.parametrize("cursor", [{"start": "-1"}, {"due": "x,y/z,!", "start": "0"}, {"done": "never"}])
@pytest.mark.parametrize("kind", KINDS)
async def test_a_cursor_of_another_version_is_no_trap(kind: str, cursor: dict[str, str]) -> None:
    pages = await fetch(FakeLinkedIn(posts=mixed(2)), task(kind, cursor=cursor))
    assert pages[-1].last


# ------------------------------------------------------------------------------------------------ refusals


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("failure", "error", "text"),
    [
        (Failure(401, EXPIRED), NeedsReauth, "EXPIRED_ACCESS_TOKEN"),
        (Failure(401, envelope(401, "Empty oauth2_access_token", service=401)), NeedsReauth, "connect the account"),
        (Failure(401, b""), NeedsReauth, "connect the account"),
        (Failure(403, DENIED), NotPermitted, "r_organization_social|rw_organization_admin"),
        (Failure(426, OLD_VERSION), ConnectorError, "option version"),
        (Failure(400, NO_VERSION), ConnectorError, "option version"),
        (Failure(429, QUOTA), TryLater, "answered 429"),
        (Failure(503, b""), TryLater, "answered 503"),
        (Failure(200, b'{"elements":[{"id"'), TryLater, "not JSON"),
        (Failure(200, b"<html>"), TryLater, "not JSON"),
        (Failure(400, BAD_QUERY), ConnectorError, "ILLEGAL_ARGUMENT"),
        (Failure(404, NOT_FOUND), ConnectorError, "NOT_FOUND"),
        (Failure(404, b"not found"), ConnectorError, "status 404"),
        (Failure(302, b"", headers={"location": "https://evil.example/"}), ConnectorError, "status 302"),
    ],
    ids=lambda one: one.__name__ if isinstance(one, type) else None,
)
async def test_what_concerns_the_whole_organisation_ends_the_task(
    kind: str, failure: Failure, error: type[ConnectorError], text: str
) -> None:
    fake = FakeLinkedIn(posts=mixed(2))
    fake.failures = [Failure(failure.status, failure.body, times=9, headers=failure.headers)]
    with pytest.raises(error, match=text) as caught:
        await fetch(fake, task(kind))
    assert TOKEN not in str(caught.value)


async def test_a_version_that_is_not_spoken_any_more() -> None:
    wanted = msgspec.structs.replace(task("posts"), source=source(LinkedInOptions(version="202401")))
    with pytest.raises(ConnectorError, match="NONEXISTENT_VERSION"):
        await fetch(FakeLinkedIn(), wanted)


async def test_a_token_that_was_only_just_made_is_tried_once_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(linkedin_account, "FRESH_TOKEN_PAUSE", 0)
    fake = FakeLinkedIn(is_token_young=True)
    assert len(await fetch(fake, task("posts"))) == 1
    assert len(fake.calls) == 2
    fake.failures = [Failure(401, REVOKED, times=2)]
    with pytest.raises(NeedsReauth):
        await fetch(fake, task("posts"))
    assert len(fake.calls) == 4


async def test_statistics_that_are_forbidden_end_the_task() -> None:
    fake = FakeLinkedIn(posts=mixed(2), failures=[Failure(403, DENIED, "ShareStatistics")])
    with pytest.raises(NotPermitted, match="rw_organization_admin"):
        await fetch(fake, task("posts"))


async def test_an_account_that_is_no_organisation() -> None:
    wanted = msgspec.structs.replace(task("posts"), source=msgspec.structs.replace(source(), account="brand"))
    with pytest.raises(ConnectorError, match="number of the organisation"):
        await fetch(FakeLinkedIn(), wanted)


async def test_an_unknown_kind_of_task_is_refused() -> None:
    with pytest.raises(NotSupported):
        await fetch(FakeLinkedIn(), task("followers"))


async def test_the_token_travels_in_a_header_and_nowhere_else() -> None:
    fake = FakeLinkedIn(posts=[*mixed(2), a_post(5, **VIDEO)])
    for kind in KINDS:
        pages = await fetch(fake, task(kind))
        assert TOKEN not in repr([(page.request, page.cursor) for page in pages])
    assert all(call.headers["authorization"] == f"Bearer {TOKEN}" for call in fake.calls)
    assert all(TOKEN not in call.query for call in fake.calls)


@pytest.mark.parametrize(("body", "wait"), [(QUOTA, 12 * 3600.0), (OVERLOAD, None)])
async def test_a_used_up_quota_is_left_alone_until_midnight(body: bytes, wait: float | None) -> None:
    heard: list[Response] = []
    fake = FakeLinkedIn(failures=[Failure(429, body, times=9)])
    with pytest.raises(TryLater):
        _ = [page async for page in CONNECTOR.fetch(client(fake, heard), task("organization"), NOW)]
    assert [one.wait for one in CONNECTOR.usage(heard[-1])] == ([] if wait is None else [wait])
    assert CONNECTOR.cost("GET", "posts") == ("day", 1.0)
