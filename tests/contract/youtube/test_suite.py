"""The contract's own suite over the recordings, a signed push and the fake platform."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
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
    SubjectRef,
    SubjectSeen,
    Task,
    WebhookRequest,
    day_window,
)
from connectors.testing import Agreeing, Check, Pull, Recording, Signed, contract_suite
from connectors.youtube import CONNECTOR
from tests.contract.youtube.desk import NOW, PROFILE, RECORDINGS, SECRET, client, source, task, video
from tests.fakes.youtube import CHANNEL, FakeYoutube, Video, signed

PAGES = {
    "channel.json": {"page": "channel"},
    "channel_days.json": {"page": "channel_days", "channel": CHANNEL},
    "channel_info.json": {"page": "channel"},
    "error_response.json": {"page": "videos", "ids": "dQw4w9WgXcQ"},
    "no_rows.json": {"page": "video_days", "video": "dQw4w9WgXcQ"},
    "video_days.json": {"page": "video_days", "video": "dQw4w9WgXcQ", "refused": "endScreenClicks"},
    "videos.json": {"page": "videos", "ids": "dQw4w9WgXcQ,00000000042,-_live_now_,gone0000000"},
    "videos_info_single.json": {"page": "videos", "ids": "D-lhorsDlUQ"},
}
"""What each recorded page answers; a recording that is not here is a push."""


FILM = video("dQw4w9WgXcQ")
ESTIMATED = (Quality.ESTIMATED,)


def day(subject: SubjectRef, number: int, scope: str = "", quality: tuple[Quality, ...] = (), **metrics: int) -> Item:
    return Observation(
        subject=subject,
        kind=Kind.PERIOD,
        window=day_window(date(2026, 8, number), "America/Los_Angeles"),
        scope=scope,
        check=bool(scope),
        quality=quality,
        metrics=metrics,
    )


def seen(**facts: Any) -> Item:
    return SubjectSeen(subject=FILM, url="https://www.youtube.com/watch?v=dQw4w9WgXcQ", creator=CHANNEL, **facts)


ITEMS: dict[str, tuple[Item, ...]] = {
    "channel.json": (
        CreatorSeen(external_id=CHANNEL, handle="@brand", name="Brand"),
        SubjectSeen(subject=PROFILE, title="Brand", creator=CHANNEL),
        Observation(subject=PROFILE, kind=Kind.LEVEL, metrics={"followers": 4320}, quality=ESTIMATED),
        Observation(subject=PROFILE, kind=Kind.LIFETIME, scope="channel", check=True, metrics={"views": 123_456}),
    ),
    "channel_days.json": (
        day(PROFILE, 13, followers_gained=12, followers_lost=3),
        day(PROFILE, 13, "channel", views=1900, likes=44, comments=9, shares=5, saves=4, clicks_all=3),
        day(PROFILE, 13, "channel", ESTIMATED, watch_time=156_000_000),
        day(PROFILE, 14, followers_gained=0, followers_lost=0),
        day(PROFILE, 14, "channel", views=800, likes=10, comments=1, shares=0, saves=1, clicks_all=0),
        day(PROFILE, 14, "channel", ESTIMATED, watch_time=54_000_000),
    ),
    # 2,100 and 2,500 minutes; of the second day more likes were taken back than given.
    "video_days.json": (
        day(FILM, 13, "analytics", views=1500, likes=40, comments=9),
        day(FILM, 13, shares=5, saves=4, clicks_all=3),
        day(FILM, 13, "", ESTIMATED, watch_time=126_000_000),
        day(FILM, 15, "analytics", views=2100, comments=0),
        day(FILM, 15, shares=0, saves=0, clicks_all=0),
        day(FILM, 15, "", ESTIMATED, watch_time=150_000_000),
        Drop(reason=DropReason.OUT_OF_RANGE, row=2, detail="likes"),
        Drop(reason=DropReason.NOT_AVAILABLE, detail="endScreenClicks"),
    ),
    "no_rows.json": (Drop(reason=DropReason.NO_NUMBERS),),
    "upload.xml": (
        seen(
            observed_at=datetime(2026, 8, 20, 10, 0, 1, 552_394, tzinfo=UTC),
            published_at=datetime(2026, 8, 20, 9, 59, tzinfo=UTC),
            title="T & J",
        ),
        RefreshHint(subject=FILM, reason="feed"),
    ),
    "deleted.xml": (
        SubjectSeen(
            subject=FILM,
            observed_at=datetime(2026, 8, 20, 11, 0, 0, 100_000, tzinfo=UTC),
            removed_at=datetime(2026, 8, 20, 11, 0, 0, 100_000, tzinfo=UTC),
        ),
        RefreshHint(subject=FILM, reason="deleted"),
    ),
}


def recordings() -> list[Recording]:
    return [recording(path.name, path.read_bytes()) for path in sorted(RECORDINGS.iterdir())]


def recording(name: str, body: bytes) -> Recording:
    delivery = Delivery(channel="webhook", body=body, received_at=NOW)
    if name in PAGES:
        delivery = Delivery(channel="fetch", body=body, received_at=NOW, request=PAGES[name])
    return Recording(name=name, delivery=delivery, items=ITEMS.get(name), unreadable=name == "error_response.json")


def pushed() -> Signed:
    body = (RECORDINGS / "upload.xml").read_bytes()
    request = WebhookRequest(method="POST", headers=signed(body, SECRET), query={}, body=body)
    return Signed(request=request, source=source(), now=NOW, headers=("x-hub-signature",))


def platform() -> FakeYoutube:
    """Return a new channel with three videos, a list of uploads in pages of one, and twenty days."""
    numbers = {"views": 90, "likes": 2, "shares": 1, "estimatedMinutesWatched": 30, "subscribersGained": 5}
    days = {date(2026, 8, number): numbers for number in range(1, 21)}
    videos = [Video(f"video_0000{n}", views=100 * n, published=datetime(2026, 8, n, tzinfo=UTC)) for n in (1, 2, 3)]
    videos[0].days = days
    return FakeYoutube(videos=videos, days=days, page_size=1)


def restated(after: timedelta) -> FakeYoutube:
    """Return the same platform a cycle later, on which old numbers have changed."""
    fake = platform()
    fake.now += after
    days = fake.days | {date(2026, 8, 14): {"views": 80, "likes": 1, "shares": 3, "subscribersGained": 4}}
    fake.days = fake.videos[0].days = days
    fake.videos[0].views = 95  # a spam audit took some back
    return fake


def pull(wanted: Task, name: str = "") -> Pull:
    return Pull(name=name, task=wanted, http=lambda: client(platform()), now=NOW)


RESTATED = {"videos", "channel_days", "video_days"}


def cycle(kind: FetchKind) -> Pull:
    """Return a task of a kind; of those that read again what is old, with what has changed a cycle later."""
    plain = pull(task(kind.name))
    return (
        msgspec.structs.replace(plain, changed=lambda: client(restated(kind.every))) if kind.name in RESTATED else plain
    )


PULLS = [
    *map(cycle, CONNECTOR.capabilities.fetch),
    pull(task("videos", *(video(f"{number:011d}") for number in range(120))), "videos of a hundred and twenty"),
]
PAIRS = (
    ("upload.xml", "videos.json"),
    ("deleted.xml", "videos.json"),
    ("upload.xml", "video_days.json"),
)
"""A push, and a page that is fetched about the same."""
DELIVERIES = {one.name: one.delivery for one in recordings()}
AGREE = [Agreeing(name=f"{push} and {page}", first=DELIVERIES[push], second=DELIVERIES[page]) for push, page in PAIRS]


@pytest.mark.parametrize(
    "check", contract_suite(CONNECTOR, recordings(), signed=[pushed()], pulls=PULLS, agree=AGREE), ids=str
)
async def test_contract(check: Check) -> None:
    await check()
