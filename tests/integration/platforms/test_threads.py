"""Threads from the fake Graph server to the campaign's KPIs."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

from connectors.threads import CONNECTOR
from tests.fakes.graph import escaped, signed
from tests.fakes.threads import ACCOUNT, TOKEN, FakeThreads, Thread, push
from tests.fakes.wire import transport
from tests.integration.platforms.road import road

NOW = datetime(2026, 8, 20, 12, tzinfo=UTC)
APP_SECRET = "app-secret-0123456789"
SOURCE = {"account": ACCOUNT, "credentials": {"access_token": TOKEN, "app_secret": APP_SECRET, "verify_token": "mine"}}
PACIFIC = "America/Los_Angeles"


def platform() -> FakeThreads:
    published = NOW - timedelta(days=5)
    numbers = {"views": 90, "likes": 2, "replies": 6, "reposts": 1, "quotes": 0, "shares": 3}
    return FakeThreads(
        now=NOW,
        posts=[
            Thread("1", published=published, text="#one", insights=numbers),
            Thread("2", published=published, media_type="REPOST_FACADE"),
        ],
        replies=[Thread("9", published=published, root="1", insights={**numbers, "views": 7, "replies": 0})],
    )


async def test_posts_and_replies_are_counted_once_and_restated(database_url: str) -> None:
    fake = platform()
    async with road(database_url, CONNECTOR, NOW, transport=transport(fake), source=SOURCE) as way:
        await way.fetch()
        asked = "views,impressions,likes,comments,shares,saves,clicks,engagements"
        expected = {
            "views": 97,
            "impressions": None,  # Threads has views alone
            "likes": 4,
            "comments": 6,
            "shares": (1 + 0 + 3) * 2,
            "saves": None,
            "clicks_link": None,
            "engagements": 18,
        }
        assert await way.totals(asked) == expected
        way.clock.forward(timedelta(hours=7))
        fake.now = way.clock.at
        fake.posts[0].insights |= {"views": 120, "reposts": 0}
        await way.fetch()
        assert await way.totals(asked) == {**expected, "views": 127, "shares": 7, "engagements": 17}


async def test_the_days_of_the_account_are_pacific_days(database_url: str) -> None:
    fake = platform()
    fake.days = {date(2026, 8, day): {"views": day, "likes": 50, "replies": 9} for day in (17, 18, 19)}
    fake.links = {date(2026, 8, 18): {"https://example.org/a": 3, "https://example.org/b": 4}}
    campaign = {"zone": PACIFIC}
    async with road(database_url, CONNECTOR, NOW, transport=transport(fake), source=SOURCE, campaign=campaign) as way:
        await way.fetch()
        days = await way.days("profile_views")
        assert {day: days[f"2026-08-{day}"] for day in (16, 17, 18, 19, 20)} == {
            16: None,
            17: 17,
            18: 18,
            19: 19,
            20: None,
        }
        assert (await way.days("clicks"))["2026-08-18"] == 7
        # The account's views are visits, and its likes are those of the posts once more.
        assert await way.totals("profile_views,views,likes,clicks") == {
            "profile_views": 54,
            "views": 97,
            "likes": 4,
            "clicks_link": 7,
        }
        fake.days[date(2026, 8, 17)]["views"] = 40
        way.clock.forward(timedelta(hours=13))
        fake.now = way.clock.at
        await way.fetch()
        assert (await way.days("profile_views"))["2026-08-17"] == 40


async def test_a_push_leads_to_newer_numbers(database_url: str) -> None:
    fake = platform()
    async with road(database_url, CONNECTOR, NOW, transport=transport(fake), source=SOURCE) as way:
        await way.fetch()
        way.clock.forward(timedelta(minutes=5))
        fake.now = way.clock.at
        sent = int(way.clock.at.timestamp())
        body = escaped(push("replies", {"id": "77", "root_post": {"id": "1"}}, at=sent, listed=True))
        assert (await way.push(body, signed(body, APP_SECRET))).status_code == 200
        fake.posts[0].insights["replies"] = 7
        await way.fetch()
        assert await way.totals("comments") == {"comments": 7}
        assert (await way.push(body, signed(body, "another secret"))).status_code == 401
