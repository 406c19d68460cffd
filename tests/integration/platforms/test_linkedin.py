"""LinkedIn from the fake server, or a signed push, to the campaign's KPIs. Expected numbers are written by hand."""

from __future__ import annotations

import hashlib
import hmac
from datetime import UTC, date, datetime, timedelta
from typing import Any

from connectors.linkedin import CONNECTOR
from tests.fakes.linkedin import CLIENT_SECRET, NUMBER, TOKEN, FakeLinkedIn, Post, batch, notification, signed
from tests.fakes.wire import transport
from tests.integration.platforms.road import Road, road

NOW = datetime(2026, 8, 20, 12, tzinfo=UTC)
SOURCE: dict[str, Any] = {"account": NUMBER, "credentials": {"access_token": TOKEN, "app_secret": CLIENT_SECRET}}
SHARE, UGC, QUIET = "urn:li:share:7001", "urn:li:ugcPost:7002", "urn:li:share:7003"


def numbers(impressions: int, likes: int) -> dict[str, int | float]:
    told: dict[str, int | float] = {"impressionCount": impressions, "uniqueImpressionsCount": impressions - 90}
    return told | {"clickCount": 6, "likeCount": likes, "commentCount": 1, "shareCount": 2, "engagement": 0.05}


def platform(**more: Any) -> FakeLinkedIn:
    """Return an organisation with three posts of August, one of them quiet, and days that hold the same again."""
    posts = [
        Post(SHARE, published=NOW - timedelta(days=5), numbers=numbers(240, 4)),
        Post(UGC, published=NOW - timedelta(days=3), numbers=numbers(100, 3)),
        Post(QUIET, published=NOW - timedelta(days=2)),
    ]
    days = {date(2026, 8, 16): {"impressionCount": 300, "likeCount": 6}}
    return FakeLinkedIn(now=NOW, posts=posts, share_days=days, **more)


async def step(way: Road, fake: FakeLinkedIn, ahead: timedelta) -> None:
    way.clock.forward(ahead)
    fake.now = way.clock.at
    await way.fetch()


async def test_posts_count_once_and_days_of_all_posts_do_not(database_url: str) -> None:
    fake = platform()
    async with road(database_url, CONNECTOR, NOW, transport=transport(fake), source=SOURCE) as way:
        await way.fetch()
        expected = {
            "impressions": 340,
            "likes": 7,
            "comments": 2,
            "shares": 4,
            "clicks_all": 12,
            "clicks_link": None,
            "saves": None,
            "engagements": 13,
        }
        assert await way.totals(",".join(expected)) == expected
        await step(way, fake, timedelta(hours=13))
        assert await way.totals(",".join(expected)) == expected


async def test_lifetime_numbers_are_restated_and_a_post_that_becomes_quiet_keeps_what_it_had(database_url: str) -> None:
    fake = platform()
    async with road(database_url, CONNECTOR, NOW, transport=transport(fake), source=SOURCE) as way:
        await way.fetch()
        fake.posts[0].numbers |= {"impressionCount": 260, "likeCount": 3}
        fake.posts[1].numbers = {}
        await step(way, fake, timedelta(hours=7))
        assert await way.totals("impressions,likes") == {"impressions": 360, "likes": 6}


async def test_followers_of_days_are_restated_within_the_look_back_and_may_change_sides(database_url: str) -> None:
    days = {date(2026, 8, 16): {"organicFollowerGain": 5, "paidFollowerGain": 2}}
    fake = platform(follower_days={**days, date(2026, 8, 17): {"organicFollowerGain": 3}})
    async with road(database_url, CONNECTOR, NOW, transport=transport(fake), source=SOURCE) as way:
        await way.fetch()
        assert await way.totals("followers_gained,followers_lost") == {"followers_gained": 10, "followers_lost": None}
        fake.follower_days[date(2026, 8, 17)] = {"organicFollowerGain": -4}
        await step(way, fake, timedelta(hours=13))
        assert await way.totals("followers_gained,followers_lost") == {"followers_gained": 7, "followers_lost": 4}
        fake.follower_days[date(2026, 8, 17)] = {"organicFollowerGain": 1}
        await step(way, fake, timedelta(hours=13))
        assert await way.totals("followers_gained,followers_lost") == {"followers_gained": 8, "followers_lost": None}


async def test_days_are_utc_days_and_the_last_two_come_late(database_url: str) -> None:
    """A day is told when it is two days old: the newest ones are missing, not zero."""
    fake = platform(page_days={date(2026, 8, day): {"pageViews": day} for day in range(14, 21)})
    async with road(database_url, CONNECTOR, NOW, transport=transport(fake), source=SOURCE) as way:
        await way.fetch()
        days = await way.days("profile_views")
        assert [days[f"2026-08-{day}"] for day in (14, 16, 17)] == [14, 16, 17]
        assert days["2026-08-18"] is None
        await step(way, fake, timedelta(hours=24))
        days = await way.days("profile_views")
        assert [days[f"2026-08-{day}"] for day in (18, 19)] == [18, None]


async def test_growth_at_the_edge_of_a_day_lands_on_the_local_day(database_url: str) -> None:
    """From 21:00Z to 23:00Z 40 impressions come; in Berlin the day ends at 22:00Z, so half of them on either side."""
    start = datetime(2026, 8, 18, 21, tzinfo=UTC)
    post = Post(SHARE, published=start, numbers=numbers(0, 0) | {"uniqueImpressionsCount": 0})
    fake = FakeLinkedIn(now=start, posts=[post])
    zone = "Europe/Berlin"
    async with road(database_url, CONNECTOR, start, transport=transport(fake), source=SOURCE, zone=zone) as way:
        await way.fetch()
        post.numbers |= {"impressionCount": 40}
        await step(way, fake, timedelta(hours=2))
        days = await way.days("impressions")
        assert (days["2026-08-18"], days["2026-08-19"]) == (20, 20)


async def test_a_notification_asks_for_its_post(database_url: str) -> None:
    fake = platform()
    async with road(database_url, CONNECTOR, NOW, transport=transport(fake), source=SOURCE) as way:
        body = batch(notification("LIKE", SHARE, 1), notification("COMMENT", SHARE, 2))
        again = batch(notification("COMMENT", SHARE, 2), notification("LIKE", SHARE, 1))
        for one in (body, again):
            assert (await way.push(one, signed(one))).status_code == 200
        wrong = {"x-li-signature": hmac.digest(CLIENT_SECRET.encode(), body, hashlib.sha256).hex()}
        assert (await way.push(body, wrong)).status_code == 401
        assert await way.totals("likes") == {"likes": None}
        await way.fetch()
        assert await way.totals("likes") == {"likes": 7}


async def test_the_challenge_is_answered(database_url: str) -> None:
    async with road(database_url, CONNECTOR, NOW, transport=transport(platform()), source=SOURCE) as way:
        challenge = "890e4665-4dfe-4ab1-b689-ed553bceeed0"
        answer = await way.knock("GET", params={"challengeCode": challenge, "applicationId": "7"})
        assert answer.status_code == 200
        assert answer.json() == {
            "challengeCode": challenge,
            "challengeResponse": hmac.digest(CLIENT_SECRET.encode(), challenge.encode(), hashlib.sha256).hex(),
        }
