"""The contract's own suite over the recordings, a signed push and the fake platform."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

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
    WebhookRequest,
)
from connectors.testing import Agreeing, Check, Pull, Recording, Signed, contract_suite
from connectors.tiktok_display import CONNECTOR
from tests.contract.tiktok_display.desk import APP_SECRET, NOW, PROFILE, RECORDINGS, client, source, task, video
from tests.fakes.tiktok import signed
from tests.fakes.tiktok_display import ACCOUNT, Clip, FakeDisplay

FILM, SLIDES = video("7109065174526479622"), video("7108684822863760646")
PAGES = {
    "error_token": {"page": "videos"},
    "profile": {"page": "profile", "refused": "username"},
    "videos": {"page": "videos", "ids": f"{FILM.external_id},{SLIDES.external_id},77"},
}
ITEMS: dict[str, tuple[Item, ...]] = {
    "videos": (
        SubjectSeen(
            subject=FILM,
            published_at=datetime(2026, 8, 13, 11, 1, 46, tzinfo=UTC),
            title="Mein Tag mit #Brand #anzeige",
            url="https://www.tiktok.com/@creator/video/7109065174526479622",
            hashtags=("brand", "anzeige"),
            creator=ACCOUNT,
        ),
        Observation(subject=FILM, kind=Kind.LIFETIME, metrics={"views": 120, "likes": 9, "comments": 1, "shares": 0}),
        SubjectSeen(
            subject=SLIDES,
            published_at=datetime(2026, 8, 12, 11, 1, 46, tzinfo=UTC),
            title="Photos",
            creator=ACCOUNT,
        ),
        Observation(subject=SLIDES, kind=Kind.LIFETIME, metrics={"views": 0, "likes": 4}),
        SubjectSeen(subject=video("77"), removed_at=NOW),
    ),
    "profile": (
        CreatorSeen(external_id=ACCOUNT, name="Creator"),
        SubjectSeen(subject=PROFILE, title="Creator", creator=ACCOUNT),
        Observation(subject=PROFILE, kind=Kind.LEVEL, metrics={"followers": 87}),
        Observation(subject=PROFILE, kind=Kind.LIFETIME, scope="account", check=True, metrics={"likes": 500}),
        Drop(reason=DropReason.NOT_AVAILABLE, detail="username"),
    ),
    "comment": (RefreshHint(subject=FILM, reason="comment.update"),),
}


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


def platform() -> FakeDisplay:
    clips = [Clip(f"71090651745264796{n}", NOW - timedelta(days=n), "#one") for n in (11, 12, 13)]
    return FakeDisplay(clips=clips, page_size=1)


def restated(after: timedelta) -> FakeDisplay:
    """Return the same platform a cycle later, on which old numbers have changed."""
    fake = platform()
    fake.now += after
    fake.clips[0].numbers = {**fake.clips[0].numbers, "view_count": 1}
    return fake


RECORDED = [recording(path.stem, path.read_bytes()) for path in sorted(RECORDINGS.glob("*.json"))]


RESTATED = {"videos"}


def cycle(kind: FetchKind) -> Pull:
    """Return a task of a kind; of those that read again what is old, with what has changed a cycle later."""
    plain = Pull(task=task(kind.name), http=lambda: client(platform()), now=NOW)
    return (
        msgspec.structs.replace(plain, changed=lambda: client(restated(kind.every))) if kind.name in RESTATED else plain
    )


PULLS = [
    *map(cycle, CONNECTOR.capabilities.fetch),
    Pull(
        name="videos of forty-five",
        task=task("videos", *(video(str(7_109_065_174_526_479_600 + number)) for number in range(45))),
        http=lambda: client(platform()),
        now=NOW,
    ),
]
PAIRS = (("comment", "videos"),)
"""A push, and a page that is fetched about the same."""
DELIVERIES = {one.name: one.delivery for one in RECORDED}
AGREE = [Agreeing(name=f"{push} and {page}", first=DELIVERIES[push], second=DELIVERIES[page]) for push, page in PAIRS]


@pytest.mark.parametrize(
    "check", contract_suite(CONNECTOR, RECORDED, signed=[pushed()], pulls=PULLS, agree=AGREE), ids=str
)
async def test_contract(check: Check) -> None:
    await check()
