"""The contract's own suite over the recordings, signed pushes and the fake server."""

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
    SubjectRef,
    SubjectSeen,
    SubjectType,
    Task,
    WebhookRequest,
    day_window,
)
from connectors.testing import Agreeing, Check, Pull, Recording, Signed, contract_suite
from connectors.x import CONNECTOR
from connectors.x_account import XOptions
from tests.contract.x.desk import NOW, OWNER, PROFILE, PUBLIC, RECORDINGS, client, post, source, task
from tests.fakes.x import ACCOUNT, FakeX, Media, Post, signed, snowflake

FIRST = post("2080761390344937796")
VIDEO = SubjectRef("7_2080761300000000000", SubjectType.VIDEO)
OLDER = post("2069999000000000000")
LOST = "2080000000000000001"
SEEN = SubjectSeen(
    subject=FIRST,
    published_at=datetime(2026, 7, 24, 21, 5, 48, tzinfo=UTC),
    title="Sommer in #Köln ☀️ https://t.co/a",
    url="https://x.com/i/status/2080761390344937796",
    content_type="video",
    hashtags=("köln",),
    creator=ACCOUNT,
    utm_campaign="summer",
    utm_source="x",
    utm_medium="social",
)


def number(
    subject: SubjectRef, paid: bool | None, kind: Kind = Kind.LIFETIME, scope: str = "", **metrics: int
) -> Observation:
    return Observation(subject=subject, kind=kind, paid=paid, scope=scope, check=scope != "", metrics=dict(metrics))


def dropped(reason: DropReason, detail: str, row: int | None = None) -> Drop:
    return Drop(reason=reason, detail=detail, row=row)


TIMELINE: tuple[Item, ...] = (
    SEEN,
    number(FIRST, paid=False, impressions=5400, likes=230, comments=12, shares=48, clicks_link=89),
    number(FIRST, paid=True, impressions=1032, likes=4, comments=0, shares=2, clicks_link=10),
    number(FIRST, paid=None, engagements_platform=345, shares=5, saves=8),
    number(FIRST, paid=None, scope="non_public_metrics", clicks_link=99),
    number(FIRST, paid=None, scope="public_metrics", impressions=6432, likes=234, comments=12, shares=50),
    dropped(DropReason.NOT_MAPPED, "a retweet has the numbers of another post", 2),
    SubjectSeen(
        subject=OLDER,
        # The first id holds 493,526,220,321 ms after 2010-11-04T01:42:54.657Z.
        published_at=datetime(2026, 6, 25, 4, 19, 54, 978000, tzinfo=UTC),
        title="An older one",
        url="https://x.com/i/status/2070000000000000001",
        content_type="text",
        hashtags=(),
        creator=ACCOUNT,
    ),
    number(OLDER, paid=None, scope="public_metrics", impressions=500, likes=3, comments=2, shares=1),
    number(OLDER, paid=None, shares=0, saves=4),
    dropped(DropReason.NOT_AVAILABLE, "organic_metrics", 3),
    SubjectSeen(
        subject=VIDEO,
        published_at=datetime(2026, 7, 24, 21, 5, 27, 252000, tzinfo=UTC),
        title=SEEN.title,
        url=SEEN.url,
        content_type="video",
        hashtags=("köln",),
        creator=ACCOUNT,
        utm_campaign="summer",
        utm_source="x",
        utm_medium="social",
        parent=FIRST.external_id,
    ),
    number(VIDEO, paid=False, views=850, video_completions=400),
    number(VIDEO, paid=True, views=50, video_completions=10),
    number(VIDEO, paid=None, scope="non_public_metrics", video_completions=410),
    number(VIDEO, paid=None, scope="public_metrics", views=900),
    dropped(DropReason.NOT_AVAILABLE, "not-authorized-for-field"),
)
NEWER: tuple[Item, ...] = (
    SubjectSeen(
        subject=post("1346889436626259968"),
        published_at=datetime(2021, 1, 6, 18, 40, 40, tzinfo=UTC),
        title="Learn how to use the tag #Tea_Time and #tea",
        url="https://x.com/i/status/1346889436626259968",
        content_type="text",
        hashtags=("tea_time", "tea"),
        creator=ACCOUNT,
    ),
    number(post("1346889436626259968"), paid=None, impressions=5432, likes=234, comments=12, shares=55, saves=8),
)
USER: tuple[Item, ...] = (
    CreatorSeen(external_id=ACCOUNT, handle="brand", name="The Brand"),
    SubjectSeen(subject=PROFILE, title="brand", creator=ACCOUNT),
    number(PROFILE, None, Kind.LEVEL, followers=694887),
)
DAYS: tuple[Item, ...] = (
    Observation(
        subject=OLDER,
        kind=Kind.PERIOD,
        scope="analytics",
        check=True,
        window=day_window(date(2026, 8, 18), "UTC"),
        metrics={
            "impressions": 700,
            "engagements_platform": 31,
            "likes": 20,
            "comments": 2,
            "shares": 4,
            "saves": 4,
            "clicks_link": 9,
            "views": 60,
            "followers_gained": 2,
        },
    ),
    Observation(
        subject=OLDER,
        kind=Kind.PERIOD,
        scope="analytics",
        check=True,
        window=day_window(date(2026, 8, 19), "UTC"),
        metrics={"impressions": 0, "likes": 0, "clicks_link": 0},
    ),
    dropped(DropReason.BAD_TIME, "timestamp", 1),
)
LOOKUP: tuple[Item, ...] = (
    SubjectSeen(subject=post(LOST), removed_at=NOW),
    dropped(DropReason.NOT_AVAILABLE, "resource-not-found"),
    dropped(DropReason.NOT_AVAILABLE, "not-authorized-for-resource"),
)
CREATED: tuple[Item, ...] = (
    SubjectSeen(
        subject=FIRST,
        published_at=SEEN.published_at,
        title="Sommer in #Köln ☀️",
        url=SEEN.url,
        content_type="text",
        hashtags=("köln",),
        creator=ACCOUNT,
    ),
    RefreshHint(subject=FIRST, reason="post.create"),
)
BATCH: tuple[Item, ...] = (
    SubjectSeen(
        subject=FIRST,
        published_at=SEEN.published_at,
        title="Sommer in #Köln",
        url=SEEN.url,
        hashtags=("köln",),
        creator=ACCOUNT,
    ),
    dropped(DropReason.MALFORMED, "tweet_create_events.id"),
    SubjectSeen(subject=post(LOST), removed_at=datetime(2026, 7, 24, 21, 15, 48, tzinfo=UTC)),
    dropped(DropReason.NOT_MAPPED, "direct_message_events"),
    RefreshHint(subject=FIRST, reason="tweet_create_events"),
    RefreshHint(subject=PROFILE, reason="follow_events"),
)
PAGES: dict[str, tuple[dict[str, str], XOptions, tuple[Item, ...] | None]] = {
    "timeline_owner": ({"page": "timeline"}, OWNER, TIMELINE),
    "timeline_public_newer_names": ({"page": "timeline"}, PUBLIC, NEWER),
    "timeline_empty": ({"page": "timeline"}, OWNER, ()),
    "lookup_partial": ({"page": "posts", "ids": f"{LOST},2080000000000000002"}, OWNER, LOOKUP),
    "user": ({"page": "user"}, OWNER, USER),
    "analytics": (
        {"page": "analytics", "ids": "2070000000000000001", "subjects": OLDER.external_id},
        OWNER,
        DAYS,
    ),
    "public_tweets": ({"page": "posts", "ids": "1261326399320715264"}, PUBLIC, None),
    "problem_invalid_request": (
        {"page": "timeline"},
        OWNER,
        (dropped(DropReason.NOT_AVAILABLE, "a name that is none"),),
    ),
}
PUSHES: dict[str, tuple[Item, ...]] = {"post_create": CREATED, "batch": BATCH}


def recordings() -> list[Recording]:
    found = []
    for path in sorted(RECORDINGS.glob("*.json")):
        body = path.read_bytes()
        if path.stem in PUSHES:
            delivery = Delivery(channel="webhook", body=body, received_at=NOW)
            found.append(Recording(name=path.stem, delivery=delivery, items=PUSHES[path.stem]))
            continue
        request, options, items = PAGES[path.stem]
        delivery = Delivery(channel="fetch", body=body, received_at=NOW, request={"account": ACCOUNT, **request})
        found.append(Recording(name=path.stem, delivery=delivery, options=options, items=items))
    return found


def signed_push(name: str) -> Signed:
    body = (RECORDINGS / f"{name}.json").read_bytes()
    request = WebhookRequest(method="POST", headers=signed(body), query={}, body=body)
    return Signed(name=name, request=request, source=source(), now=NOW, headers=("x-twitter-webhooks-signature",))


def platform() -> FakeX:
    """Return a new account with a few posts, one of them with a video, one of them edited."""
    part = {"impression_count": 90, "like_count": 7, "reply_count": 1, "retweet_count": 2, "url_link_clicks": 3}
    public = {**part, "quote_count": 1, "bookmark_count": 2}
    numbers = {"organic_metrics": part, "public_metrics": public, "non_public_metrics": {"engagements": 13}}
    day: dict[str, int | None] = {"impressions": 40, "likes": 3, "url_clicks": None}
    posts = [
        Post(
            snowflake(at, sequence),
            published=at,
            parts=numbers,
            days={date(2026, 8, 18): day},
            media=[Media(f"7_{snowflake(at)}", parts={"organic_metrics": {"view_count": 50}})] if sequence == 2 else [],
            versions=[snowflake(at)] if sequence == 1 else [],
        )
        for sequence, at in enumerate(NOW - timedelta(days=days) for days in (1, 2, 3, 40))
    ]
    return FakeX(posts=posts, page_size=5)


def restated(after: timedelta) -> FakeX:
    """Return the same platform a cycle later, on which old numbers have changed."""
    fake = platform()
    fake.now += after
    for one in fake.posts[:3]:
        one.parts = {**one.parts, "organic_metrics": {**one.parts["organic_metrics"], "impression_count": 80}}
        one.days = {day: {**numbers, "impressions": 35} for day, numbers in one.days.items()}
    return fake


def pull(wanted: Task, name: str = "", page_size: int = 1) -> Pull:
    def http() -> object:
        fake = platform()
        fake.page_size = page_size
        return client(fake)

    return Pull(name=name, task=wanted, http=http, now=NOW)  # type: ignore[arg-type]


RESTATED = {"posts", "analytics"}


def cycle(kind: FetchKind) -> Pull:
    """Return a task of a kind; of those that read again what is old, with what has changed a cycle later."""
    plain = pull(task(kind.name))
    return (
        msgspec.structs.replace(plain, changed=lambda: client(restated(kind.every))) if kind.name in RESTATED else plain
    )


SUBJECTS = [SubjectRef((one.versions or [one.id])[0]) for one in platform().posts]
PULLS = [
    *map(cycle, CONNECTOR.capabilities.fetch),
    pull(task("posts", *SUBJECTS, SubjectRef("404"), PROFILE), "posts that are named"),
    pull(task("posts", options=PUBLIC), "posts as anyone sees them", 2),
]
PAIRS = (
    ("post_create", "timeline_owner"),
    ("batch", "timeline_owner"),
)
"""A push, and a page that is fetched about the same."""
DELIVERIES = {one.name: one.delivery for one in recordings()}
AGREE = [Agreeing(name=f"{push} and {page}", first=DELIVERIES[push], second=DELIVERIES[page]) for push, page in PAIRS]
SIGNED = [signed_push("post_create"), signed_push("batch")]


@pytest.mark.parametrize(
    "check", contract_suite(CONNECTOR, recordings(), signed=SIGNED, pulls=PULLS, agree=AGREE), ids=str
)
async def test_contract(check: Check) -> None:
    await check()
