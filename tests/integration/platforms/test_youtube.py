"""YouTube from the fake platform, or a signed feed, to the campaign's KPIs."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from connectors.youtube import CONNECTOR
from connectors.youtube_hub import topic_of
from service.app import rounds_of
from tests.fakes.wire import transport
from tests.fakes.youtube import CHANNEL, TOKEN, FakeYoutube, Video, challenge, entry, feed, signed
from tests.integration.platforms.road import Road, road

NOW = datetime(2026, 8, 20, 12, tzinfo=UTC)
FILM, SHORT = "dQw4w9WgXcQ", "00000000042"
ASKED = "impressions,views,likes,comments,shares,saves,clicks_all,watch_time,engagements"


def platform() -> FakeYoutube:
    """Return a channel with two videos: of the first everything is known, of the second likes are hidden."""
    film = Video(FILM, NOW - timedelta(days=7), views=8087, likes=190, comments=32)
    first = {"views": 5000, "likes": 150, "comments": 30, "shares": 5, "videosAddedToPlaylists": 4, "cardClicks": 3}
    film.days = {
        date(2026, 8, 13): {**first, "estimatedMinutesWatched": 2100},
        date(2026, 8, 14): {"views": 2100, "shares": 2, "estimatedMinutesWatched": 400},
    }
    quiet = Video(SHORT, NOW - timedelta(days=6), views=100, likes=None, comments=None)
    channel = {date(2026, 8, 13): {"views": 7000, "shares": 7, "subscribersGained": 12, "subscribersLost": 3}}
    return FakeYoutube(now=NOW, videos=[film, quiet], days=channel)


def source(**more: Any) -> dict[str, Any]:
    return {"account": CHANNEL, "credentials": {"access_token": TOKEN, "callback": "https://books.example/w"}, **more}


async def later(way: Road, fake: FakeYoutube, step: timedelta) -> None:
    way.clock.forward(step)
    fake.now = way.clock.at
    await way.fetch()


async def hinted(way: Road, fake: FakeYoutube) -> None:
    """Let the scheduler find what a push asked for."""
    way.clock.forward(timedelta(minutes=2))
    fake.now = way.clock.at
    await rounds_of(way.services).fetch_due()
    await way.settle()


async def test_counters_and_days_are_counted_once(database_url: str) -> None:
    fake = platform()
    async with road(database_url, CONNECTOR, NOW, transport=transport(fake), source=source()) as way:
        await way.fetch()
        # Views, likes and comments are the counters; shares, saves, clicks and minutes are the videos' days alone.
        # Engagements: 190 + 32 + 7 + 4. 2,500 minutes are 150,000 seconds. Impressions are never known.
        expected = {
            "impressions": None,
            "views": 8187,
            "likes": 190,
            "comments": 32,
            "shares": 7,
            "saves": 4,
            "clicks_all": 3,
            "watch_time": 150_000,
            "engagements": 233,
        }
        assert await way.totals(ASKED) == expected
        assert await way.totals("followers_gained,followers_lost") == {"followers_gained": 12, "followers_lost": 3}
        # The same once more, an hour and half a day later, changes nothing.
        await later(way, fake, timedelta(hours=1))
        await later(way, fake, timedelta(hours=12))
        assert await way.totals(ASKED) == expected


async def test_a_restated_day_and_a_corrected_counter_converge_in_one_round(database_url: str) -> None:
    fake = platform()
    async with road(database_url, CONNECTOR, NOW, transport=transport(fake), source=source()) as way:
        await way.fetch()
        fake.videos[0].views = 8000  # a spam audit took some back
        fake.videos[0].days[date(2026, 8, 13)]["shares"] = 6
        await later(way, fake, timedelta(hours=13))
        assert await way.totals("views,shares") == {"views": 8100, "shares": 8}


@pytest.mark.parametrize("zone", ["America/Los_Angeles", "Europe/Berlin"])
async def test_a_pacific_day_at_the_edge_of_the_flight(database_url: str, zone: str) -> None:
    fake = platform()
    fake.videos[0].published = NOW - timedelta(days=25)
    # The last Pacific day of July ends at seven in the morning of the first of August, UTC.
    fake.videos[0].days = {date(2026, 7, 31): {"shares": 9}, date(2026, 8, 1): {"shares": 1}}
    async with road(database_url, CONNECTOR, NOW, transport=transport(fake), source=source(), zone=zone) as way:
        await way.fetch()
        days = await way.days("shares")
        assert {day: value for day, value in days.items() if value} == {"2026-08-01": 1}
        assert await way.totals("shares") == {"shares": 1}


async def test_growth_since_publication_lies_on_the_local_day(database_url: str) -> None:
    # Published half an hour past midnight in Berlin, read at noon.
    fake = FakeYoutube(now=NOW, videos=[Video(FILM, datetime(2026, 8, 19, 22, 30, tzinfo=UTC), views=100)])
    berlin = "Europe/Berlin"
    async with road(database_url, CONNECTOR, NOW, transport=transport(fake), source=source(), zone=berlin) as way:
        await way.fetch()
        days = await way.days("views")
        assert {day: value for day, value in days.items() if value} == {"2026-08-20": 100}


async def test_a_feed_leads_to_the_numbers_of_the_video(database_url: str) -> None:
    fake = platform()
    fake.videos = []
    async with road(database_url, CONNECTOR, NOW, transport=transport(fake), source=source()) as way:
        await way.fetch()
        fake.videos = [Video(FILM, NOW - timedelta(minutes=1), views=40, likes=3)]
        body = feed(entry(FILM, published="2026-08-20T11:59:00+00:00", updated="2026-08-20T11:59:30.123456789+00:00"))
        answer = await way.push(body, signed(body, way.source["secret"]))
        assert answer.status_code == 204
        await hinted(way, fake)
        assert await way.totals("views,likes") == {"views": 40, "likes": 3}
        # A push that somebody else signed is answered as the hub wants it, and kept by nobody.
        forged = await way.push(body.replace(b"A film", b"Another"), signed(body, "wrong"))
        assert forged.status_code == 204


async def test_the_hub_is_confirmed_for_this_channel_alone(database_url: str) -> None:
    async with road(database_url, CONNECTOR, NOW, transport=transport(platform()), source=source()) as way:
        right = await way.knock("GET", params=challenge(topic_of(CHANNEL), text="1357924680"))
        assert (right.status_code, right.text) == (200, "1357924680")
        wrong = await way.knock("GET", params=challenge(topic_of("UC_somebody_else")))
        assert wrong.status_code == 404
