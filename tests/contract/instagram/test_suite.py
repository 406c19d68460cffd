"""The contract's own suite over the recordings, a signed push and the fake Graph server."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import msgspec
import pytest

from connectors.contract import Delivery, FetchKind, Task, WebhookRequest
from connectors.instagram import CONNECTOR
from connectors.testing import Agreeing, Check, Pull, Recording, Signed, contract_suite
from tests.contract.instagram.desk import APP_SECRET, NOW, RECORDINGS, client, post, reel, source, task
from tests.fakes.graph import signed
from tests.fakes.instagram import ACCOUNT, FakeInstagram, Media

PAGES = {
    "account_follows": {"page": "account_follows", "day": "2026-08-13"},
    "account_series": {"page": "account_series"},
    "account_totals": {"page": "account_totals", "day": "2026-08-13"},
    "error_object_missing": {"page": "media_insights", "media_id": "1", "media_product_type": "FEED"},
    "media_insights_legacy": {"page": "media_insights", "media_id": "2", "media_product_type": "FEED"},
    "media_insights_reel": {"page": "media_insights", "media_id": "3", "media_product_type": "REELS"},
    "media_listing": {"page": "media"},
    "profile": {"page": "profile"},
    "user_insights_day": {"page": "account_series"},
    "user_insights_total_value_breakdown": {"page": "account_totals", "day": "2026-08-13"},
}
"""What each recorded page answers; a recording that is not here is a push."""


def recordings() -> list[Recording]:
    return [
        Recording(name=path.stem, delivery=delivery(path.read_bytes(), path.stem))
        for path in sorted(RECORDINGS.glob("*.json"))
    ]


def delivery(body: bytes, name: str) -> Delivery:
    if name not in PAGES:
        return Delivery(channel="webhook", body=body, received_at=NOW)
    return Delivery(channel="fetch", body=body, received_at=NOW, request={"account": ACCOUNT, **PAGES[name]})


def pushed() -> Signed:
    body = (RECORDINGS / "story_insights.json").read_bytes()
    request = WebhookRequest(method="POST", headers=signed(body, APP_SECRET), query={}, body=body)
    return Signed(request=request, source=source(), now=NOW, headers=("x-hub-signature-256",))


def platform() -> FakeInstagram:
    """Return a new account with the same three posts, two stories and twenty days."""
    numbers = {"views": 90, "reach": 70, "likes": 2, "comments": 6, "shares": 1, "saved": 0, "total_interactions": 9}
    day = {**numbers, "saves": 4, "profile_links_taps": 3, "follower_count": 5, "gained": 5, "lost": 2}
    stories = [
        Media(name, product="STORY", published=NOW - timedelta(hours=3), insights={"views": 17, "reach": 12})
        for name in ("180", "181")
    ]
    media = [
        Media("17", like_count=2, comments_count=6, caption="#one", insights=numbers),
        Media("18", "VIDEO", "REELS", like_count=None, comments_count=3, insights=numbers),
        Media("19", "CAROUSEL_ALBUM", comments_count=4, insights={"views": 50, "reach": 40, "saved": 2, "shares": 3}),
    ]
    return FakeInstagram(media=media, stories=stories, days={date(2026, 8, n): day for n in range(1, 21)}, page_size=1)


def restated(after: timedelta) -> FakeInstagram:
    """Return the same platform a cycle later, on which old numbers have changed."""
    fake = platform()
    fake.now += after
    fake.days[date(2026, 8, 14)] = {**fake.days[date(2026, 8, 14)], "views": 85, "profile_links_taps": 2}
    fake.media[0].insights = {**fake.media[0].insights, "views": 85}
    fake.media[0].like_count = 1
    return fake


def pull(wanted: Task, name: str = "") -> Pull:
    return Pull(name=name, task=wanted, http=lambda: client(platform()), now=datetime(2026, 8, 20, 12, tzinfo=UTC))


RESTATED = {"media", "media_insights", "account_day"}


def cycle(kind: FetchKind) -> Pull:
    """Return a task of a kind; of those that read again what is old, with what has changed a cycle later."""
    plain = pull(task(kind.name))
    return (
        msgspec.structs.replace(plain, changed=lambda: client(restated(kind.every))) if kind.name in RESTATED else plain
    )


PULLS = [
    *map(cycle, CONNECTOR.capabilities.fetch),
    pull(task("media_insights", post("17"), reel("18"), post("404")), "media_insights of three"),
]
PAIRS = (("comment_escaped", "media_listing"),)
"""A push, and a page that is fetched about the same."""
DELIVERIES = {one.name: one.delivery for one in recordings()}
AGREE = [Agreeing(name=f"{push} and {page}", first=DELIVERIES[push], second=DELIVERIES[page]) for push, page in PAIRS]


@pytest.mark.parametrize(
    "check", contract_suite(CONNECTOR, recordings(), signed=[pushed()], pulls=PULLS, agree=AGREE), ids=str
)
async def test_contract(check: Check) -> None:
    await check()
