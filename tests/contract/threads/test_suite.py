"""The contract's own suite over the recordings, signed pushes and the fake account."""

from __future__ import annotations

from datetime import date, datetime, timedelta

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
from connectors.threads import CONNECTOR
from tests.contract.threads.desk import APP_SECRET, NOW, PROFILE, RECORDINGS, client, post, source, task
from tests.fakes.graph import signed
from tests.fakes.threads import ACCOUNT, FakeThreads, Thread

PAGES = {
    "account_totals": {"page": "account_totals", "day": "2026-08-01"},
    "account_views": {"page": "account_views"},
    "followers": {"page": "followers"},
    "insights": {"page": "insights", "media_id": "18030000000000001"},
    "posts": {"page": "posts"},
    "profile": {"page": "profile"},
    "replies": {"page": "replies"},
}
"""What each recorded page answers; a recording that is not here is a push."""

FIRST = post("18030000000000001")
SENT = datetime.fromisoformat("2024-08-09T18:07:57Z")
WRITTEN = datetime.fromisoformat("2024-08-09T18:07:50Z")
ITEMS: dict[str, tuple[Item, ...]] = {
    "posts": (
        SubjectSeen(
            subject=FIRST,
            published_at=datetime.fromisoformat("2026-08-02T10:11:12Z"),
            title="Sommer in #Köln",
            url="https://www.threads.net/@brand/post/A1",
            content_type="text",
            hashtags=("köln",),
            creator=ACCOUNT,
        ),
        SubjectSeen(
            subject=post("08030000000000002"),
            published_at=datetime.fromisoformat("2026-08-01T10:11:12Z"),
            url="https://www.threads.net/@brand/post/A2",
            content_type="video",
            creator=ACCOUNT,
            utm_campaign="summer",
            utm_source="threads",
        ),
        Drop(reason=DropReason.NOT_AVAILABLE, row=3, detail="REPOST_FACADE"),
    ),
    "replies": (
        SubjectSeen(
            subject=post("18030000000000009"),
            published_at=datetime.fromisoformat("2026-08-02T11:00:00Z"),
            title="and one more",
            content_type="text",
            hashtags=(),
            creator=ACCOUNT,
            parent="18030000000000001",
        ),
    ),
    "insights": (
        Observation(
            subject=FIRST,
            kind=Kind.LIFETIME,
            metrics={"views": 100, "likes": 9, "comments": 4, "shares": 3 + 2 + 1},
        ),
        Observation(subject=FIRST, kind=Kind.LIFETIME, scope="reposts", check=True, metrics={"shares": 3}),
        Observation(subject=FIRST, kind=Kind.LIFETIME, scope="quotes", check=True, metrics={"shares": 2}),
        Observation(subject=FIRST, kind=Kind.LIFETIME, scope="shares", check=True, metrics={"shares": 1}),
    ),
    "account_views": tuple(
        Observation(
            subject=PROFILE,
            kind=Kind.PERIOD,
            window=day_window(day, "America/Los_Angeles"),
            metrics={"profile_views": views},
        )
        for day, views in ((date(2026, 7, 31), 10), (date(2026, 8, 1), 20))
    ),
    "account_totals": (
        *(
            Observation(
                subject=PROFILE,
                kind=Kind.PERIOD,
                window=day_window(date(2026, 8, 1), "America/Los_Angeles"),
                scope=scope,
                check=bool(scope),
                metrics=metrics,
            )
            for scope, metrics in (
                ("account", {"likes": 5, "comments": 2}),
                ("account_reposts", {"shares": 1}),
                ("account_quotes", {"shares": 0}),
                ("", {"clicks_link": 3 + 4}),
            )
        ),
    ),
    "followers": (Observation(subject=PROFILE, kind=Kind.LEVEL, metrics={"followers": 1234}),),
    "profile": (
        CreatorSeen(external_id=ACCOUNT, handle="brand", name="The Brand"),
        SubjectSeen(subject=PROFILE, title="brand", creator=ACCOUNT),
    ),
    "reply_pushed": (
        RefreshHint(subject=FIRST, reason="replies"),
        RefreshHint(subject=post("18030000000000009"), reason="replies"),
    ),
    "publish_pushed": (
        SubjectSeen(
            subject=post("18030000000000010"),
            observed_at=SENT,
            published_at=WRITTEN,
            title="New #Drop",
            url="https://www.threads.net/@brand/post/C",
            content_type="image",
            hashtags=("drop",),
        ),
        RefreshHint(subject=post("18030000000000010"), reason="publish"),
    ),
    "delete_pushed": (SubjectSeen(subject=post("18030000000000002"), observed_at=SENT, removed_at=WRITTEN),),
}


def recordings() -> list[Recording]:
    return [
        Recording(name=path.stem, delivery=delivery(path.read_bytes(), path.stem), items=ITEMS[path.stem])
        for path in sorted(RECORDINGS.glob("*.json"))
    ]


def delivery(body: bytes, name: str) -> Delivery:
    if name not in PAGES:
        return Delivery(channel="webhook", body=body, received_at=NOW)
    return Delivery(channel="fetch", body=body, received_at=NOW, request={"account": ACCOUNT, **PAGES[name]})


def pushed(name: str) -> Signed:
    body = (RECORDINGS / f"{name}.json").read_bytes()
    request = WebhookRequest(method="POST", headers=signed(body, APP_SECRET), query={}, body=body)
    return Signed(name=name, request=request, source=source(), now=NOW, headers=("x-hub-signature-256",))


def platform() -> FakeThreads:
    """Return a new account with the same posts, a reply and twenty days."""
    numbers = {"views": 90, "likes": 2, "replies": 6, "reposts": 1, "quotes": 0, "shares": 3}
    posts = [
        Thread("1", text="#one", insights=numbers),
        Thread("2", media_type="REPOST_FACADE"),
        Thread("3", media_type="IMAGE", insights=numbers, without=("shares",)),
    ]
    days = {date(2026, 8, n): {"views": 40, "likes": 5, "replies": 1, "reposts": 2, "quotes": 0} for n in range(1, 21)}
    links = {date(2026, 8, 15): {"https://example.org/a": 3}}
    return FakeThreads(
        posts=posts, replies=[Thread("9", root="1", insights=numbers)], days=days, links=links, page_size=1
    )


def restated(after: timedelta) -> FakeThreads:
    """Return the same platform a cycle later, on which old numbers have changed."""
    fake = platform()
    fake.now += after
    fake.days[date(2026, 8, 14)] = {**fake.days[date(2026, 8, 14)], "views": 35, "likes": 4}
    fake.posts[0].insights = {**fake.posts[0].insights, "views": 85}
    return fake


def pull(wanted: Task, name: str = "") -> Pull:
    return Pull(name=name, task=wanted, http=lambda: client(platform()), now=NOW)


RESTATED = {"post_insights", "account_day"}


def cycle(kind: FetchKind) -> Pull:
    """Return a task of a kind; of those that read again what is old, with what has changed a cycle later."""
    plain = pull(task(kind.name))
    return (
        msgspec.structs.replace(plain, changed=lambda: client(restated(kind.every))) if kind.name in RESTATED else plain
    )


PULLS = [
    *map(cycle, CONNECTOR.capabilities.fetch),
    pull(task("post_insights", post(1), post(404), post(2), post(9)), "post_insights of four"),
]
PAIRS = (
    ("reply_pushed", "insights"),
    ("reply_pushed", "posts"),
)
"""A push, and a page that is fetched about the same."""
DELIVERIES = {one.name: one.delivery for one in recordings()}
AGREE = [Agreeing(name=f"{push} and {page}", first=DELIVERIES[push], second=DELIVERIES[page]) for push, page in PAIRS]
SIGNED = [pushed("reply_pushed"), pushed("publish_pushed")]


@pytest.mark.parametrize(
    "check", contract_suite(CONNECTOR, recordings(), signed=SIGNED, pulls=PULLS, agree=AGREE), ids=str
)
async def test_contract(check: Check) -> None:
    await check()
