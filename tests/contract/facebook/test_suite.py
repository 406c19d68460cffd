"""The contract's own suite over the recordings, a signed push and the fake page."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from typing import Any

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
    Quality,
    RefreshHint,
    SubjectSeen,
    Task,
    WebhookRequest,
)
from connectors.facebook import CONNECTOR
from connectors.testing import Agreeing, Check, Pull, Recording, Signed, contract_suite
from tests.contract.facebook.desk import (
    APP_SECRET,
    NOW,
    PROFILE,
    RECORDINGS,
    client,
    post,
    reel,
    source,
    task,
)
from tests.fakes.facebook import ACCOUNT, FakeFacebook, Post, Reel
from tests.fakes.graph import signed

POST_3344 = {"page": "insights", "object_id": f"{ACCOUNT}_3344", "object_type": "POST"}
PAGES = {
    "error_object_missing": POST_3344,
    "insights": POST_3344,
    "insights_plain": POST_3344,
    "insights_views": POST_3344,
    "page_days": {"page": "page_days"},
    "page_views": {"page": "page_views"},
    "posts": {"page": "posts"},
    "posts_by_time": {"page": "posts"},
    "profile": {"page": "profile"},
    "reels": {"page": "reels"},
    "video_insights": {"page": "video_insights", "object_id": "777001", "object_type": "REEL"},
}
"""What each recorded page answers; a recording that is not here is a push."""

_VIEWS: dict[str, Any] = {"subject": post(3344), "kind": Kind.LIFETIME}
ITEMS: dict[str, tuple[Item, ...]] = {
    "insights": (
        Observation(subject=post(3344), kind=Kind.UNIQUE, metrics={"reach": 401}, quality=(Quality.ESTIMATED,)),
        Observation(
            subject=post(3344), kind=Kind.LIFETIME, metrics={"clicks_all": 37, "clicks_link": 12, "likes": 30 + 9 + 2}
        ),
        Drop(reason=DropReason.NOT_MAPPED, detail="post_clicks_by_type"),
    ),
    "insights_views": (
        Observation(**_VIEWS, paid=False, metrics={"views": 450, "impressions": 450}),
        Observation(**_VIEWS, paid=True, scope="ads", check=True, metrics={"views": 62, "impressions": 62}),
    ),
    "video_insights": (
        Observation(
            subject=reel("777001"),
            kind=Kind.LIFETIME,
            metrics={"views": 5120, "watch_time": 18_432_000, "likes": 200 + 31, "comments": 12, "shares": 17},
        ),
        *(
            Drop(reason=DropReason.NOT_MAPPED, detail=name)
            for name in (
                "fb_reels_total_plays",
                "fb_reels_replay_count",
                "post_video_avg_time_watched",
                "post_video_followers",
            )
        ),
    ),
    "profile": (
        CreatorSeen(external_id=ACCOUNT, handle="brand", name="Brand"),
        SubjectSeen(subject=PROFILE, title="Brand", creator=ACCOUNT),
        Observation(subject=PROFILE, kind=Kind.LEVEL, metrics={"followers": 1210}),
    ),
    "feed_escaped": (
        SubjectSeen(
            subject=post(3300),
            observed_at=datetime.fromisoformat("2018-03-07T00:46:12Z"),
            removed_at=datetime.fromisoformat("2018-03-07T00:46:12Z"),
        ),
        RefreshHint(subject=post(3344), reason="comment add"),
        RefreshHint(subject=post(3345), reason="reaction add"),
    ),
}


def recordings() -> list[Recording]:
    return [
        Recording(name=path.stem, delivery=delivery(path.read_bytes(), path.stem), items=ITEMS.get(path.stem))
        for path in sorted(RECORDINGS.glob("*.json"))
    ]


def delivery(body: bytes, name: str) -> Delivery:
    if name not in PAGES:
        return Delivery(channel="webhook", body=body, received_at=NOW)
    return Delivery(channel="fetch", body=body, received_at=NOW, request={"account": ACCOUNT, **PAGES[name]})


def pushed() -> Signed:
    body = (RECORDINGS / "feed_escaped.json").read_bytes()
    request = WebhookRequest(method="POST", headers=signed(body, APP_SECRET), query={}, body=body)
    return Signed(request=request, source=source(), now=NOW, headers=("x-hub-signature-256",))


def platform() -> FakeFacebook:
    """Return a new page with the same posts, reels and days; one metric is retired."""
    numbers = {"post_media_view": 90, "post_total_media_view_unique": 70, "post_reactions_by_type_total": {"like": 2}}
    posts = [
        Post(f"{ACCOUNT}_1", message="#one", comments=6, shares=1, insights=numbers),
        Post(f"{ACCOUNT}_2", shown="video", insights=numbers),
        Post(f"{ACCOUNT}_3", shown="video", permalink="https://www.facebook.com/reel/31/"),
    ]
    reels = [Reel(found, insights={"blue_reels_play_count": 50}) for found in ("31", "32")]
    day = {"page_media_view": 800, "page_post_engagements": 40, "page_follows": 1200}
    days: dict[date, dict[str, Any]] = {date(2026, 8, n): day for n in range(1, 21)}
    return FakeFacebook(posts=posts, reels=reels, days=days, page_size=1, retired={"post_clicks", "page_video_views"})


def restated(after: timedelta) -> FakeFacebook:
    """Return the same platform a cycle later, on which old numbers have changed."""
    fake = platform()
    fake.now += after
    fake.days[date(2026, 8, 14)] = {**fake.days[date(2026, 8, 14)], "page_media_view": 790, "page_follows": 1100}
    fake.posts[0].insights = {**fake.posts[0].insights, "post_media_view": 85}
    fake.posts[0].comments = 5
    return fake


def pull(wanted: Task, name: str = "") -> Pull:
    return Pull(name=name, task=wanted, http=lambda: client(platform()), now=NOW)


RESTATED = {"posts", "post_insights", "page_day"}


def cycle(kind: FetchKind) -> Pull:
    """Return a task of a kind; of those that read again what is old, with what has changed a cycle later."""
    plain = pull(task(kind.name))
    return (
        msgspec.structs.replace(plain, changed=lambda: client(restated(kind.every))) if kind.name in RESTATED else plain
    )


PULLS = [
    *map(cycle, CONNECTOR.capabilities.fetch),
    pull(task("post_insights", post(1), reel("31"), post(404), post(3)), "post_insights of four"),
]
PAIRS = (
    ("feed_escaped", "insights"),
    ("feed_escaped", "posts"),
)
"""A push, and a page that is fetched about the same."""
DELIVERIES = {one.name: one.delivery for one in recordings()}
AGREE = [Agreeing(name=f"{push} and {page}", first=DELIVERIES[push], second=DELIVERIES[page]) for push, page in PAIRS]


@pytest.mark.parametrize(
    "check", contract_suite(CONNECTOR, recordings(), signed=[pushed()], pulls=PULLS, agree=AGREE), ids=str
)
async def test_contract(check: Check) -> None:
    await check()
