"""The contract's own suite over the recordings, a signed push and the fake platform."""

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
    Item,
    Kind,
    Observation,
    RefreshHint,
    SubjectSeen,
    Task,
    WebhookRequest,
    day_window,
)
from connectors.testing import Agreeing, Check, Pull, Recording, Signed, contract_suite
from connectors.tiktok import CONNECTOR
from tests.contract.tiktok.desk import APP_SECRET, NOW, PROFILE, RECORDINGS, client, photo, source, task, video
from tests.fakes.tiktok import ACCOUNT, FakeTiktok, Post, signed

PAGES = {
    "account_days": {"page": "account_days"},
    "error_missing": {"page": "videos", "ids": "7109065174526479622", "refusal": "gone"},
    "error_token": {"page": "videos"},
    "profile": {"page": "profile"},
    "videos": {"page": "videos", "refused": "full_video_watched_rate"},
    "videos_by_id": {"page": "videos", "ids": "7108684822863760646,7109064881462152453"},
}
"""What each recorded page answers; a recording that is not here is a push."""
FILM, OTHER = video("7109065174526479622"), video("7109064881462152453")
SLIDES = photo("7108684822863760646")


def account_day(number: int, kind: Kind = Kind.PERIOD, scope: str = "", goal: str = "", **metrics: int) -> Item:
    return Observation(
        subject=PROFILE,
        kind=kind,
        window=day_window(date(2026, 8, number), "UTC"),
        scope=scope,
        check=kind is Kind.PERIOD and bool(scope),
        goal=goal,
        metrics=metrics,
    )


ITEMS: dict[str, tuple[Item, ...]] = {
    "videos": (
        SubjectSeen(
            subject=FILM,
            published_at=datetime(2026, 8, 13, 11, 1, 46, tzinfo=UTC),
            title="Sommer in #Köln ☀️ #Summer2026#zwei",
            url="https://www.tiktok.com/@brand/video/7109065174526479622",
            content_type="video",
            hashtags=("köln", "summer2026", "zwei"),
            creator=ACCOUNT,
        ),
        Observation(
            subject=FILM,
            kind=Kind.LIFETIME,
            metrics={
                "views": 5120,
                "likes": 231,
                "comments": 12,
                "shares": 17,
                "saves": 9,
                "watch_time": 18_432_500,
                "clicks_link": 6,
                "clicks_all": 12,
            },
        ),
        Observation(subject=FILM, kind=Kind.UNIQUE, metrics={"reach": 4100}),
        Observation(
            subject=FILM, kind=Kind.LIFETIME, goal="lead_submission", metrics={"conversions_platform": 2_000_000}
        ),
        Observation(subject=FILM, kind=Kind.LIFETIME, scope="video", check=True, metrics={"profile_views": 40}),
        SubjectSeen(
            subject=SLIDES,
            published_at=datetime(2026, 8, 12, 11, 1, 46, tzinfo=UTC),
            content_type="image",
            hashtags=(),
            creator=ACCOUNT,
        ),
        Observation(
            subject=SLIDES,
            kind=Kind.LIFETIME,
            metrics={"views": 88, "likes": 4, "comments": 0, "shares": 0, "saves": 0},
        ),
        Drop(reason=DropReason.NOT_AVAILABLE, detail="full_video_watched_rate"),
    ),
    "videos_by_id": (
        SubjectSeen(subject=OTHER, published_at=datetime(2026, 8, 12, 11, 1, 46, tzinfo=UTC), creator=ACCOUNT),
        Observation(subject=OTHER, kind=Kind.LIFETIME, metrics={"views": 120, "likes": 9}),
        Observation(subject=OTHER, kind=Kind.UNIQUE, metrics={"reach": 100}),
        SubjectSeen(subject=video("7108684822863760646"), removed_at=NOW),
    ),
    "error_missing": (
        SubjectSeen(subject=FILM, removed_at=NOW),
        Drop(reason=DropReason.NOT_AVAILABLE, detail="gone (code 40007)"),
    ),
    "profile": (
        CreatorSeen(external_id=ACCOUNT, handle="brand", name="Brand"),
        SubjectSeen(subject=PROFILE, title="Brand", creator=ACCOUNT),
        Observation(subject=PROFILE, kind=Kind.LEVEL, metrics={"followers": 1200}),
        Observation(subject=PROFILE, kind=Kind.LIFETIME, scope="account", check=True, metrics={"likes": 43_210}),
    ),
    "account_days": (
        account_day(17, scope="account", views=310, likes=20, comments=1, shares=2, clicks_link=3, clicks_all=4),
        account_day(17, Kind.UNIQUE, "account", reach=270),
        account_day(17, profile_views=12, followers_gained=7, followers_lost=4),
        account_day(17, scope="account", goal="lead_submission", conversions_platform=1_000_000),
        Drop(reason=DropReason.NOT_MAPPED, row=1, detail="audience_activity"),
        account_day(18, scope="account", views=290, likes=18, comments=0, shares=0),
        account_day(18, profile_views=0),
    ),
    "comment": (RefreshHint(subject=FILM, reason="comment.update"),),
    "post_available": (RefreshHint(subject=FILM, reason="post.publish.publicaly_available"),),
    "publish_completed": (Drop(reason=DropReason.MISSING_ID, detail="video.publish.completed"),),
    "authorization_removed": (Drop(reason=DropReason.NOT_MAPPED, detail="authorization.removed"),),
}


def recordings() -> list[Recording]:
    return [recording(path.stem, path.read_bytes()) for path in sorted(RECORDINGS.glob("*.json"))]


def recording(name: str, body: bytes) -> Recording:
    delivery = Delivery(channel="webhook", body=body, received_at=NOW)
    if name in PAGES:
        request = {"account": ACCOUNT, **PAGES[name]}
        delivery = Delivery(channel="fetch", body=body, received_at=NOW, request=request)
    return Recording(name=name, delivery=delivery, items=ITEMS.get(name), unreadable=name == "error_token")


def pushed() -> Signed:
    body = (RECORDINGS / "comment.json").read_bytes()
    request = WebhookRequest(method="POST", headers=signed(body, APP_SECRET, NOW), query={}, body=body)
    return Signed(
        request=request, source=source(), now=NOW, headers=("tiktok-signature",), tolerance=timedelta(seconds=300)
    )


def platform() -> FakeTiktok:
    """Return a new account with three posts in pages of one, and twenty days."""
    numbers = {"video_views": 90, "reach": 70, "likes": 2, "total_time_watched": 31.5}
    posts = [Post(f"71090651745264796{n}", NOW - timedelta(days=n), "#one", numbers=numbers) for n in (11, 12, 13)]
    days = {date(2026, 8, number): {"video_views": 90, "profile_views": 4} for number in range(1, 21)}
    return FakeTiktok(posts=posts, days=days, page_size=1)


def spoilt() -> FakeTiktok:
    fake = platform()
    fake.missing_spoils = True
    return fake


def restated(after: timedelta) -> FakeTiktok:
    """Return the same platform a cycle later, on which old numbers have changed."""
    fake = platform()
    fake.now += after
    fake.days[date(2026, 8, 17)] = {"video_views": 85, "profile_views": 3}
    fake.posts[0].numbers = {**fake.posts[0].numbers, "video_views": 85}
    return fake


def pull(wanted: Task, name: str = "") -> Pull:
    return Pull(name=name, task=wanted, http=lambda: client(platform()), now=NOW)


RESTATED = {"videos", "account_days"}


def cycle(kind: FetchKind) -> Pull:
    """Return a task of a kind; of those that read again what is old, with what has changed a cycle later."""
    plain = pull(task(kind.name))
    return (
        msgspec.structs.replace(plain, changed=lambda: client(restated(kind.every))) if kind.name in RESTATED else plain
    )


MANY = task("videos", *(video(str(7_109_065_174_526_479_600 + number)) for number in range(23)))
PULLS = [
    *map(cycle, CONNECTOR.capabilities.fetch),
    pull(MANY, "videos of twenty-three"),
    Pull(name="videos one by one", task=MANY, http=lambda: client(spoilt()), now=NOW),
]
PAIRS = (
    ("comment", "videos"),
    ("post_available", "error_missing"),
)
"""A push, and a page that is fetched about the same."""
DELIVERIES = {one.name: one.delivery for one in recordings()}
AGREE = [Agreeing(name=f"{push} and {page}", first=DELIVERIES[push], second=DELIVERIES[page]) for push, page in PAIRS]


@pytest.mark.parametrize(
    "check", contract_suite(CONNECTOR, recordings(), signed=[pushed()], pulls=PULLS, agree=AGREE), ids=str
)
async def test_contract(check: Check) -> None:
    await check()
