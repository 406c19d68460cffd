"""The contract's own suite over the recordings, a signed push and the fake server."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import msgspec
import pytest

from connectors.contract import (
    CreatorSeen,
    Delivery,
    Drop,
    DropReason,
    FetchKind,
    Http,
    Item,
    Kind,
    Observation,
    RefreshHint,
    SubjectRef,
    SubjectSeen,
    Task,
    WebhookRequest,
    Withdrawal,
    day_window,
)
from connectors.linkedin import CONNECTOR
from connectors.testing import Agreeing, Check, Pull, Recording, Signed, contract_suite
from tests.contract.linkedin.desk import NOW, PROFILE, RECORDINGS, client, post, source, task
from tests.fakes.linkedin import ORGANISATION, FakeLinkedIn, Post, signed

SHARE = post("urn:li:share:7094637247487995904")
UGC = post("urn:li:ugcPost:7094637247487995905")
IMAGES = post("urn:li:share:7094637247487995907")
MONDAY = day_window(date(2026, 8, 17), "UTC")
TUESDAY = day_window(date(2026, 8, 18), "UTC")


def seen(subject: SubjectRef, day: int, **more: object) -> SubjectSeen:
    facts = SubjectSeen(
        subject=subject,
        published_at=datetime(2026, 8, day, 9, tzinfo=UTC),
        url=f"https://www.linkedin.com/feed/update/{subject.external_id}",
        creator=ORGANISATION,
    )
    return type(facts)(**{name: getattr(facts, name) for name in facts.__struct_fields__} | more)


def dropped(reason: DropReason, detail: str = "", row: int | None = None) -> Drop:
    return Drop(reason=reason, detail=detail, row=row)


POSTS: tuple[Item, ...] = (
    seen(
        SHARE,
        15,
        title="Sommer in #Köln mit The Company #keiner",
        content_type="video",
        hashtags=("köln", "summer2026"),
    ),
    seen(UGC, 14, title="Plain text", content_type="text", hashtags=()),
    dropped(DropReason.NOT_AVAILABLE, "lifecycleState", 3),
    dropped(DropReason.MALFORMED, "id", 4),
    seen(IMAGES, 13, content_type="carousel", hashtags=()),
)
STATISTICS: tuple[Item, ...] = (
    Observation(
        subject=SHARE,
        kind=Kind.LIFETIME,
        paid=False,
        metrics={"impressions": 240, "clicks_all": 6, "likes": 4, "comments": 1, "shares": 1},
    ),
    Observation(subject=SHARE, kind=Kind.UNIQUE, paid=False, metrics={"reach": 150}),
    Observation(
        subject=IMAGES,
        kind=Kind.LIFETIME,
        paid=False,
        metrics={"impressions": 0, "clicks_all": 0, "likes": 0, "comments": 0, "shares": 0},
    ),
    Observation(subject=IMAGES, kind=Kind.UNIQUE, paid=False, metrics={"reach": 0}),
    dropped(DropReason.MISSING_ID, "share", 3),
    dropped(DropReason.NO_NUMBERS, "a post without activity"),
)
SHARE_DAYS: tuple[Item, ...] = (
    Observation(
        subject=PROFILE,
        kind=Kind.PERIOD,
        paid=False,
        scope="organization",
        check=True,
        window=MONDAY,
        metrics={"impressions": 700, "clicks_all": 31, "comments": 3, "shares": 1},
    ),
    Observation(
        subject=PROFILE,
        kind=Kind.UNIQUE,
        paid=False,
        scope="organization",
        window=MONDAY,
        metrics={"reach": 512},
    ),
    dropped(DropReason.OUT_OF_RANGE, "likeCount", 1),
    dropped(DropReason.BAD_TIME, "timeRange", 2),
)


def net(window: object, paid: bool, booked: str, other: str, number: int) -> tuple[Item, Item]:
    gone = Withdrawal(subject=PROFILE, kind=Kind.PERIOD, window=window, metrics=(other,), paid=paid)  # type: ignore[arg-type]
    told = Observation(subject=PROFILE, kind=Kind.PERIOD, window=window, metrics={booked: number}, paid=paid)  # type: ignore[arg-type]
    return gone, told


FOLLOWER_DAYS: tuple[Item, ...] = (
    *net(MONDAY, False, "followers_gained", "followers_lost", 12),
    *net(MONDAY, True, "followers_gained", "followers_lost", 3),
    *net(TUESDAY, False, "followers_lost", "followers_gained", 4),
)
PAGE_DAYS: tuple[Item, ...] = (
    Observation(subject=PROFILE, kind=Kind.PERIOD, window=MONDAY, metrics={"profile_views": 61}),
)
ITSELF: tuple[Item, ...] = (
    CreatorSeen(external_id=ORGANISATION, handle="thecompany", name="The Company"),
    SubjectSeen(subject=PROFILE, title="The Company", creator=ORGANISATION),
)
PAGES: dict[str, tuple[dict[str, str], tuple[Item, ...]]] = {
    "posts": ({"page": "posts"}, POSTS),
    "share_statistics": (
        {"page": "share_statistics", "posts": f"{SHARE.external_id},{IMAGES.external_id},urn:li:share:1"},
        STATISTICS,
    ),
    "share_days": ({"page": "share_days"}, SHARE_DAYS),
    "follower_days": ({"page": "follower_days"}, FOLLOWER_DAYS),
    "page_days": ({"page": "page_days"}, PAGE_DAYS),
    "organization": ({"page": "organization"}, ITSELF),
    "network_size": (
        {"page": "network_size"},
        (Observation(subject=PROFILE, kind=Kind.LEVEL, metrics={"followers": 4420}),),
    ),
    "video": (
        {"page": "video", "post": SHARE.external_id, "metric": "VIDEO_VIEW"},
        (Observation(subject=SHARE, kind=Kind.LIFETIME, paid=False, metrics={"views": 88, "video_views_3s": 88}),),
    ),
    "error_not_found": (
        {"page": "node", "post": SHARE.external_id, "lack": "gone"},
        (SubjectSeen(subject=SHARE, removed_at=NOW), dropped(DropReason.NOT_AVAILABLE, "gone")),
    ),
}
NOTIFIED: tuple[Item, ...] = (
    dropped(DropReason.NOT_MAPPED, "SHARE_MENTION", 3),
    dropped(DropReason.UNKNOWN_TYPE, "BRAND_NEW", 4),
    dropped(DropReason.MISSING_ID, "decoratedSourcePost.entity", 5),
    RefreshHint(subject=SHARE, reason="COMMENT"),
    RefreshHint(subject=UGC, reason="LIKE"),
)


def recordings() -> list[Recording]:
    found = []
    for path in sorted(RECORDINGS.glob("*.json")):
        body = path.read_bytes()
        if path.stem == "notifications":
            delivery = Delivery(channel="webhook", body=body, received_at=NOW)
            found.append(Recording(name=path.stem, delivery=delivery, items=NOTIFIED))
            continue
        request, items = PAGES[path.stem]
        delivery = Delivery(channel="fetch", body=body, received_at=NOW, request={"account": ORGANISATION, **request})
        found.append(Recording(name=path.stem, delivery=delivery, items=items))
    return found


def pushed() -> Signed:
    body = (RECORDINGS / "notifications.json").read_bytes()
    request = WebhookRequest(method="POST", headers=signed(body), query={}, body=body)
    return Signed(request=request, source=source(), now=NOW, headers=("x-li-signature",))


def platform() -> FakeLinkedIn:
    """Return a new organisation with a hundred and some posts of both kinds, two of them quiet, and some days."""
    numbers: dict[str, int | float] = {
        "impressionCount": 240,
        "uniqueImpressionsCount": 150,
        "clickCount": 6,
        "likeCount": 4,
        "commentCount": 1,
        "shareCount": 1,
        "engagement": 0.05,
    }
    posts = [
        Post(
            f"urn:li:{'share' if number % 3 else 'ugcPost'}:{7000 + number}",
            published=NOW - timedelta(hours=number),
            numbers=numbers if number % 50 else {},
            content={"media": {"id": "urn:li:video:1"}} if number == 5 else None,
            video={"VIDEO_VIEW": 88, "TIME_WATCHED": 90_000} if number == 5 else {},
        )
        for number in range(1, 111)
    ]
    days = {date(2026, 8, day): {"impressionCount": day, "likeCount": -1} for day in range(1, 21)}
    gains = {date(2026, 8, day): {"organicFollowerGain": day - 15, "paidFollowerGain": 1} for day in range(1, 21)}
    visits = {date(2026, 8, day): {"pageViews": day, "uniquePageViews": 1} for day in range(1, 21)}
    return FakeLinkedIn(posts=posts, share_days=days, follower_days=gains, page_days=visits)


def restated(after: timedelta) -> FakeLinkedIn:
    """Return the same platform a cycle later, on which old numbers have changed."""
    fake = platform()
    fake.now += after
    fake.share_days[date(2026, 8, 15)] = {"impressionCount": 14, "likeCount": 2}
    fake.follower_days[date(2026, 8, 15)] = {"organicFollowerGain": -3, "paidFollowerGain": 2}
    fake.posts[0].numbers = {**fake.posts[0].numbers, "impressionCount": 230}
    for one in fake.posts:
        one.video = {**one.video, "VIDEO_VIEW": 80} if one.video else {}
    return fake


def pull(wanted: Task, name: str = "") -> Pull:
    def http() -> Http:
        return client(platform())

    return Pull(name=name, task=wanted, http=http, now=NOW)


RESTATED = {"posts", "videos", "organization_day"}


def cycle(kind: FetchKind) -> Pull:
    """Return a task of a kind; of those that read again what is old, with what has changed a cycle later."""
    plain = pull(task(kind.name))
    return (
        msgspec.structs.replace(plain, changed=lambda: client(restated(kind.every))) if kind.name in RESTATED else plain
    )


NAMED = [post(one.urn) for one in platform().posts[:25]]
PULLS = [
    *map(cycle, CONNECTOR.capabilities.fetch),
    pull(task("posts", *NAMED, post("urn:li:share:404"), PROFILE), "posts that are named"),
]
PAIRS = (
    ("notifications", "share_statistics"),
    ("notifications", "posts"),
)
"""A push, and a page that is fetched about the same."""
DELIVERIES = {one.name: one.delivery for one in recordings()}
AGREE = [Agreeing(name=f"{push} and {page}", first=DELIVERIES[push], second=DELIVERIES[page]) for push, page in PAIRS]


@pytest.mark.parametrize(
    "check", contract_suite(CONNECTOR, recordings(), signed=[pushed()], pulls=PULLS, agree=AGREE), ids=str
)
async def test_contract(check: Check) -> None:
    await check()
