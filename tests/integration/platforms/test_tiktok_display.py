"""TikTok's Display API from the fake platform to the campaign's KPIs."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from connectors.tiktok_display import CONNECTOR
from tests.fakes.tiktok_display import ACCOUNT, TOKEN, Clip, FakeDisplay
from tests.fakes.wire import transport
from tests.integration.platforms.road import road

NOW = datetime(2026, 8, 20, 12, tzinfo=UTC)
SOURCE = {"account": ACCOUNT, "credentials": {"access_token": TOKEN}}
ASKED = "impressions,views,likes,comments,shares,saves,engagements"


async def test_counters_are_counted_once_and_restated(database_url: str) -> None:
    numbers = {"view_count": 120, "like_count": 9, "comment_count": 1, "share_count": 2}
    # Published half an hour past midnight in Berlin, read at noon.
    clip = Clip("7109065174526479622", datetime(2026, 8, 19, 22, 30, tzinfo=UTC), numbers=numbers)
    fake = FakeDisplay(now=NOW, clips=[clip])
    berlin = "Europe/Berlin"
    async with road(database_url, CONNECTOR, NOW, transport=transport(fake), source=SOURCE, zone=berlin) as way:
        await way.fetch()
        # The list and the catalogue say the same; saves are not told, so engagements are 9 + 1 + 2.
        expected = {
            "impressions": None,
            "views": 120,
            "likes": 9,
            "comments": 1,
            "shares": 2,
            "saves": None,
            "engagements": 12,
        }
        assert await way.totals(ASKED) == expected
        days = await way.days("views")
        assert {day: value for day, value in days.items() if value} == {"2026-08-20": 120}
        clip.numbers["like_count"] = 7
        way.clock.forward(timedelta(hours=2))
        fake.now = way.clock.at
        await way.fetch()
        assert await way.totals(ASKED) == {**expected, "likes": 7, "engagements": 10}
