"""TikTok from the fake platform, or a signed event, to the campaign's KPIs."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

from connectors.tiktok import CONNECTOR
from service.app import rounds_of
from tests.fakes.tiktok import ACCOUNT, TOKEN, FakeTiktok, Post, comment, signed
from tests.fakes.wire import transport
from tests.integration.platforms.road import Road, road

NOW = datetime(2026, 8, 20, 12, tzinfo=UTC)
APP_SECRET = "app-secret-0123456789"
SOURCE = {"account": ACCOUNT, "credentials": {"access_token": TOKEN, "app_secret": APP_SECRET}}
FILM, SLIDES = 7109065174526479622, 7108684822863760646
ASKED = "impressions,views,likes,comments,shares,saves,clicks,clicks_all,watch_time,engagements,conversions"


def platform() -> FakeTiktok:
    """Return an account with a video and a photo post, and a day that holds their numbers once more."""
    numbers = {"video_views": 5120, "reach": 4100, "likes": 231, "comments": 12, "shares": 17, "favorites": 9}
    clicks = {"website_clicks": 6, "email_clicks": 2, "lead_submissions": 2, "total_time_watched": 18432.5}
    film = Post(str(FILM), NOW - timedelta(days=7), "#one", numbers={**numbers, **clicks, "profile_views": 40})
    slides = Post(str(SLIDES), NOW - timedelta(days=6), "#two", "PHOTO", numbers={"video_views": 88, "likes": 4})
    day = {"video_views": 5208, "likes": 240, "profile_views": 55, "bio_link_clicks": 8, "lead_submissions": 2}
    days = {date(2026, 8, 17): {**day, "daily_new_followers": 7, "daily_lost_followers": 4}}
    return FakeTiktok(now=NOW, posts=[film, slides], days=days)


async def later(way: Road, fake: FakeTiktok, step: timedelta) -> None:
    way.clock.forward(step)
    fake.now = way.clock.at
    await way.fetch()


async def hinted(way: Road, fake: FakeTiktok) -> None:
    """Let the scheduler find what a push asked for."""
    way.clock.forward(timedelta(minutes=2))
    fake.now = way.clock.at
    await rounds_of(way.services).fetch_due()
    await way.settle()


async def test_posts_and_days_are_counted_once(database_url: str) -> None:
    fake = platform()
    async with road(database_url, CONNECTOR, NOW, transport=transport(fake), source=SOURCE) as way:
        await way.fetch()
        # 231 + 4 likes; engagements 235 + 12 + 17 + 9; 18,432.5 seconds; all clicks are 6 + 2. A lead that TikTok
        # claims is no conversion, and impressions are never known.
        expected = {
            "impressions": None,
            "views": 5208,
            "likes": 235,
            "comments": 12,
            "shares": 17,
            "saves": 9,
            "clicks_link": 6,
            "clicks_all": 8,
            "watch_time": 18_432.5,
            "engagements": 273,
            "conversions": None,
        }
        assert await way.totals(ASKED) == expected
        # Visits of the profile are the account's, the posts' are a part of them.
        assert await way.totals("profile_views,followers_gained,followers_lost") == {
            "profile_views": 55,
            "followers_gained": 7,
            "followers_lost": 4,
        }
        await later(way, fake, timedelta(hours=7))
        await later(way, fake, timedelta(hours=12))
        assert await way.totals(ASKED) == expected


async def test_restated_totals_and_days_converge_in_one_round(database_url: str) -> None:
    fake = platform()
    async with road(database_url, CONNECTOR, NOW, transport=transport(fake), source=SOURCE) as way:
        await way.fetch()
        fake.posts[0].numbers["likes"] = 230  # somebody thought again
        fake.posts[1].numbers["video_views"] = 188
        fake.days[date(2026, 8, 17)]["profile_views"] = 60
        await later(way, fake, timedelta(hours=13))
        assert await way.totals("views,likes,profile_views") == {"views": 5308, "likes": 234, "profile_views": 60}


async def test_what_is_missing_of_a_quiet_post_keeps_its_last_value(database_url: str) -> None:
    fake = platform()
    async with road(database_url, CONNECTOR, NOW, transport=transport(fake), source=SOURCE) as way:
        await way.fetch()
        fake.posts[0].idle = True
        await later(way, fake, timedelta(hours=7))
        assert await way.totals("watch_time,views") == {"watch_time": 18_432.5, "views": 5208}


async def test_days_at_the_edge_of_the_flight(database_url: str) -> None:
    fake = platform()
    fake.days = {date(2026, 7, 31): {"profile_views": 9}, date(2026, 8, 1): {"profile_views": 5}}
    async with road(database_url, CONNECTOR, NOW, transport=transport(fake), source=SOURCE) as way:
        await way.fetch()
        days = await way.days("profile_views")
        assert {day: value for day, value in days.items() if value} == {"2026-08-01": 5}
        assert await way.totals("profile_views") == {"profile_views": 5}


async def test_growth_since_publication_lies_on_the_local_day(database_url: str) -> None:
    # Published half an hour past midnight in Berlin, read at noon.
    fake = FakeTiktok(now=NOW, posts=[Post(str(FILM), datetime(2026, 8, 19, 22, 30, tzinfo=UTC))])
    fake.posts[0].numbers = {"video_views": 100}
    berlin = "Europe/Berlin"
    async with road(database_url, CONNECTOR, NOW, transport=transport(fake), source=SOURCE, zone=berlin) as way:
        await way.fetch()
        days = await way.days("views")
        assert {day: value for day, value in days.items() if value} == {"2026-08-20": 100}


async def test_an_event_leads_to_the_numbers_of_its_video(database_url: str) -> None:
    fake = platform()
    async with road(database_url, CONNECTOR, NOW, transport=transport(fake), source=SOURCE) as way:
        await way.fetch()
        fake.posts[0].numbers["comments"] = 13
        body = comment(FILM)
        answer = await way.push(body, signed(body, APP_SECRET, way.clock.at))
        again = await way.push(body, signed(body, APP_SECRET, way.clock.at + timedelta(seconds=30)))
        assert (answer.status_code, again.status_code) == (200, 200)
        await hinted(way, fake)
        assert await way.totals("comments") == {"comments": 13}
        forged = await way.push(body, signed(body, "wrong", way.clock.at))
        assert forged.status_code == 401
