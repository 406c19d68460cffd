"""Instagram from the fake Graph server to the campaign's KPIs."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

from connectors.instagram import CONNECTOR
from tests.fakes.graph import TOKEN, escaped, signed
from tests.fakes.instagram import ACCOUNT, FakeInstagram, Media, change, push
from tests.fakes.wire import transport
from tests.integration.platforms.road import road

NOW = datetime(2026, 8, 20, 12, tzinfo=UTC)
APP_SECRET = "app-secret-0123456789"
SOURCE = {"account": ACCOUNT, "credentials": {"access_token": TOKEN, "app_secret": APP_SECRET, "verify_token": "mine"}}
PACIFIC = "America/Los_Angeles"


def platform() -> FakeInstagram:
    numbers = {"views": 90, "reach": 70, "likes": 2, "comments": 6, "shares": 1, "saved": 0, "total_interactions": 9}
    published = NOW - timedelta(days=5)
    return FakeInstagram(
        now=NOW, media=[Media("17", published=published, like_count=2, comments_count=6, insights=numbers)]
    )


async def test_a_post_is_counted_once_and_restated(database_url: str) -> None:
    fake = platform()
    async with road(database_url, CONNECTOR, NOW, transport=transport(fake), source=SOURCE) as way:
        await way.fetch()
        # Likes stand on the node and in the insights: they count once. What has no number is null, not zero.
        asked = "impressions,likes,comments,shares,saves,clicks,engagements"
        assert await way.totals(asked) == {
            "impressions": 90,
            "likes": 2,
            "comments": 6,
            "shares": 1,
            "saves": 0,
            "clicks_link": None,
            "engagements": 9,
        }
        fake.media[0].insights["views"] = 130
        way.clock.forward(timedelta(hours=7))
        fake.now = way.clock.at
        await way.fetch()
        assert await way.totals("impressions,likes") == {"impressions": 130, "likes": 2}


async def test_the_days_of_the_account_are_pacific_days(database_url: str) -> None:
    fake = platform()
    # The bucket of the 18th ends at 07:00Z of the 19th: by its UTC date it would stand a day too late.
    fake.days = {
        date(2026, 8, day): {
            "follower_count": day,
            "profile_links_taps": 100 + day,
            "gained": day,
            "lost": 1,
            "likes": 7,
        }
        for day in (17, 18, 19)
    }
    campaign = {"zone": PACIFIC}
    async with road(database_url, CONNECTOR, NOW, transport=transport(fake), source=SOURCE, campaign=campaign) as way:
        await way.fetch()
        days = await way.days("followers_gained")
        assert {day: days[f"2026-08-{day}"] for day in (16, 17, 18, 19, 20)} == {
            16: None,
            17: 17,
            18: 18,
            19: 19,
            20: None,
        }
        # The day's likes hold the post's once more: a check, never added. The gain is told twice and counts once.
        assert await way.totals("followers_gained,followers_lost,clicks_all,likes") == {
            "followers_gained": 17 + 18 + 19,
            "followers_lost": 3,
            "clicks_all": 117 + 118 + 119,
            "likes": 2,
        }
        fake.days[date(2026, 8, 18)]["follower_count"] = 30
        way.clock.forward(timedelta(hours=13))
        fake.now = way.clock.at
        await way.fetch()
        assert (await way.days("followers_gained"))["2026-08-18"] == 30


async def test_the_totals_of_a_story_polled_and_pushed_are_one(database_url: str) -> None:
    fake = platform()
    insights = {"views": 20, "reach": 12, "replies": 1, "shares": 0, "total_interactions": 4}
    fake.stories = [Media("180", product="STORY", published=NOW - timedelta(hours=23), insights=insights)]
    async with road(database_url, CONNECTOR, NOW, transport=transport(fake), source=SOURCE) as way:
        await way.fetch()
        assert await way.totals("impressions,comments") == {"impressions": 90 + 20, "comments": 6 + 1}
        way.clock.forward(timedelta(hours=2))
        sent = int(way.clock.at.timestamp())
        last = {"media_id": "180", "impressions": 28, "reach": 17, "replies": 2, "exits": 1}
        body = escaped(push(change("story_insights", last, at=sent)))
        assert (await way.push(body, signed(body, APP_SECRET))).status_code == 200
        assert (await way.push(body, signed(body, APP_SECRET))).status_code == 200  # a retry
        assert await way.totals("impressions,comments") == {"impressions": 90 + 28, "comments": 6 + 2}
        assert (await way.push(body, signed(body, "another secret"))).status_code == 401


async def test_a_handshake_is_answered(database_url: str) -> None:
    async with road(database_url, CONNECTOR, NOW, transport=transport(platform()), source=SOURCE) as way:
        query = {"hub.mode": "subscribe", "hub.challenge": "1158201444", "hub.verify_token": "mine"}
        answer = await way.knock("GET", params=query)
        assert (answer.status_code, answer.text) == (200, "1158201444")
        assert (await way.knock("GET", params={**query, "hub.verify_token": "x"})).status_code == 403
