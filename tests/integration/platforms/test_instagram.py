"""Instagram from the fake Graph server to the campaign's KPIs."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from connectors.instagram import CONNECTOR
from tests.fakes.graph import TOKEN
from tests.fakes.instagram import ACCOUNT, FakeInstagram, Media, transport
from tests.integration.platforms.road import road

NOW = datetime(2026, 8, 20, 12, tzinfo=UTC)
SOURCE = {"account": ACCOUNT, "credentials": {"access_token": TOKEN}}


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
