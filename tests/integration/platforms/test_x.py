"""X from the fake server, or a signed push, to the campaign's KPIs. Expected numbers are written by hand."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime, timedelta
from typing import Any

from connectors.x import CONNECTOR
from tests.fakes.wire import transport
from tests.fakes.x import ACCOUNT, CONSUMER_SECRET, TOKEN, FakeX, Media, Post, event, signed, snowflake
from tests.integration.platforms.road import Road, road

NOW = datetime(2026, 8, 20, 12, tzinfo=UTC)
PUBLISHED = datetime(2026, 8, 15, 9, tzinfo=UTC)
SOURCE: dict[str, Any] = {
    "account": ACCOUNT,
    "credentials": {"access_token": TOKEN, "app_secret": CONSUMER_SECRET},
}
ORGANIC = {"impression_count": 5400, "like_count": 230, "reply_count": 12, "retweet_count": 48, "url_link_clicks": 89}
PROMOTED = {"impression_count": 1000, "like_count": 4, "reply_count": 0, "retweet_count": 2, "url_link_clicks": 10}
OPEN = {"impression_count": 6400, "like_count": 234, "reply_count": 12, "retweet_count": 50}


def a_post(**more: Any) -> Post:
    parts = {
        "organic_metrics": dict(ORGANIC),
        "promoted_metrics": dict(PROMOTED),
        "public_metrics": {**OPEN, "quote_count": 5, "bookmark_count": 8},
        "non_public_metrics": {"impression_count": 6400, "url_link_clicks": 99, "engagements": 345},
    }
    return Post(snowflake(PUBLISHED), published=PUBLISHED, parts=parts, **more)


async def step(way: Road, fake: FakeX, ahead: timedelta) -> None:
    way.clock.forward(ahead)
    fake.now = way.clock.at
    await way.fetch()


async def test_organic_and_promoted_parts_count_once_and_public_totals_do_not(database_url: str) -> None:
    fake = FakeX(now=NOW, posts=[a_post(days={date(2026, 8, 16): {"impressions": 6000, "likes": 200}})])
    async with road(database_url, CONNECTOR, NOW, transport=transport(fake), source=SOURCE) as way:
        await way.fetch()
        # 5400 + 1000, 230 + 4, 12 + 0, 48 + 2 and 5 quotes, 89 + 10: neither the public total nor the day is added.
        expected = {
            "impressions": 6400,
            "likes": 234,
            "comments": 12,
            "shares": 55,
            "saves": 8,
            "clicks_link": 99,
            "clicks_all": None,
            "engagements": 309,
            "engagements_platform": 345,
            "reach": None,
        }
        assert await way.totals(",".join(expected)) == expected
        await step(way, fake, timedelta(hours=7))
        assert await way.totals(",".join(expected)) == expected


async def test_counters_are_restated_and_fall(database_url: str) -> None:
    fake = FakeX(now=NOW, posts=[a_post()])
    async with road(database_url, CONNECTOR, NOW, transport=transport(fake), source=SOURCE) as way:
        await way.fetch()
        fake.posts[0].parts["organic_metrics"] |= {"impression_count": 5500, "like_count": 220}
        await step(way, fake, timedelta(hours=7))
        assert await way.totals("impressions,likes") == {"impressions": 6500, "likes": 224}


async def test_a_video_in_two_posts_is_seen_once(database_url: str) -> None:
    video = Media(f"7_{snowflake(PUBLISHED)}", parts={"organic_metrics": {"view_count": 850, "playback_100_count": 40}})
    later = PUBLISHED + timedelta(days=1)
    again = Post(snowflake(later), published=later, parts={"organic_metrics": dict(ORGANIC)}, media=[video])
    fake = FakeX(now=NOW, posts=[again, a_post(media=[video])])
    async with road(database_url, CONNECTOR, NOW, transport=transport(fake), source=SOURCE) as way:
        await way.fetch()
        assert await way.totals("views,video_completions,impressions") == {
            "views": 850,
            "video_completions": 40,
            "impressions": 5400 + 1000 + 5400,
        }


async def test_without_the_owner_the_public_numbers_count(database_url: str) -> None:
    fake = FakeX(now=NOW, posts=[a_post()])
    source = {**SOURCE, "options": {"access": "public"}}
    async with road(database_url, CONNECTOR, NOW, transport=transport(fake), source=source) as way:
        await way.fetch()
        asked = "impressions,shares,saves,clicks_link"
        expected = {"impressions": 6400, "shares": 55, "saves": 8, "clicks_link": None}
        assert await way.totals(asked) == expected


async def test_growth_at_the_edge_of_a_day_lands_on_the_local_day(database_url: str) -> None:
    """From 21:00Z to 23:00Z 40 impressions come; in Berlin the day ends at 22:00Z, so half of them on either side."""
    start = datetime(2026, 8, 18, 21, tzinfo=UTC)
    post = Post(snowflake(start), published=start, parts={"organic_metrics": {"impression_count": 0}})
    fake = FakeX(now=start, posts=[post])
    zone = "Europe/Berlin"
    async with road(database_url, CONNECTOR, start, transport=transport(fake), source=SOURCE, zone=zone) as way:
        await way.fetch()
        post.parts["organic_metrics"]["impression_count"] = 40
        await step(way, fake, timedelta(hours=2))
        days = await way.days("impressions")
        assert (days["2026-08-18"], days["2026-08-19"]) == (20, 20)


async def test_a_push_tells_of_a_post_and_the_fetch_it_asks_for_has_the_numbers(database_url: str) -> None:
    fake = FakeX(now=NOW, posts=[a_post()])
    payload = {
        "id": snowflake(PUBLISHED),
        "author_id": ACCOUNT,
        "created_at": "2026-08-15T09:00:00.000Z",
        "text": "Good morning #Coffee ☕",
        "public_metrics": {"impression_count": 1, "impression_count_str": "1", "like_count": 1},
    }
    async with road(database_url, CONNECTOR, NOW, transport=transport(fake), source=SOURCE) as way:
        body = event("post.create", payload)
        for _ in range(2):
            answer = await way.push(body, signed(body))
            assert answer.status_code == 200
        refused = await way.push(body, signed(body, "another secret"))
        assert refused.status_code == 401
        # Pushed numbers have no time of their own: nothing is booked.
        assert await way.totals("impressions,likes") == {"impressions": None, "likes": None}
        await way.fetch()
        assert await way.totals("impressions,likes") == {"impressions": 6400, "likes": 234}


async def test_the_challenge_is_answered(database_url: str) -> None:
    async with road(database_url, CONNECTOR, NOW, transport=transport(FakeX(now=NOW)), source=SOURCE) as way:
        answer = await way.knock("GET", params={"crc_token": "abc"})
        assert answer.status_code == 200
        assert list(answer.json()) == ["response_token"]
        assert json.loads(answer.content)["response_token"].startswith("sha256=")
