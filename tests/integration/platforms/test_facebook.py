"""A Facebook page from the fake Graph server to the campaign's KPIs."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

from connectors.facebook import CONNECTOR
from tests.fakes.facebook import ACCOUNT, FakeFacebook, Post, Reel, feed, push
from tests.fakes.graph import TOKEN, escaped, signed
from tests.fakes.wire import transport
from tests.integration.platforms.road import road

NOW = datetime(2026, 8, 20, 12, tzinfo=UTC)
APP_SECRET = "app-secret-0123456789"
SOURCE = {"account": ACCOUNT, "credentials": {"access_token": TOKEN, "app_secret": APP_SECRET, "verify_token": "mine"}}
PACIFIC = "America/Los_Angeles"
ASKED = "impressions,views,clicks,clicks_all,likes,comments,shares,saves,engagements"


def platform() -> FakeFacebook:
    insights = {
        "post_media_view": 450,
        "post_total_media_view_unique": 401,
        "post_clicks": 37,
        "post_clicks_by_type": {"link clicks": 12, "other clicks": 25},
        "post_reactions_by_type_total": {"like": 30, "love": 11},
    }
    published = NOW - timedelta(days=5)
    post = Post(f"{ACCOUNT}_1", published=published, comments=5, reactions=41, shares=3, insights=insights, by_ads=62)
    # The reel stands in both listings and is one subject.
    among_posts = Post(
        f"{ACCOUNT}_2", published=published, shown="video", comments=9, permalink="https://www.facebook.com/reel/31/"
    )
    plays = {
        "blue_reels_play_count": 500,
        "post_video_likes_by_reaction_type": {"REACTION_LIKE": 20},
        "post_video_social_actions": {"COMMENT": 9, "SHARE": 4},
    }
    return FakeFacebook(now=NOW, posts=[post, among_posts], reels=[Reel("31", published=published, insights=plays)])


async def test_posts_and_reels_are_counted_once_and_restated(database_url: str) -> None:
    fake = platform()
    async with road(database_url, CONNECTOR, NOW, transport=transport(fake), source=SOURCE) as way:
        await way.fetch()
        expected = {
            "impressions": 450,  # without the 62 that ads brought; plays of reels are no impressions
            "views": 450 + 500,
            "clicks_link": 12,
            "clicks_all": 37,
            "likes": 41 + 20,  # of the post by its insights, its own count is a check
            "comments": 5 + 9,
            "shares": 3 + 4,
            "saves": None,
            "engagements": 61 + 14 + 7,
        }
        assert await way.totals(ASKED) == expected
        way.clock.forward(timedelta(hours=7))
        fake.now = way.clock.at
        fake.has_breakdown = False  # the total comes in one number from now on: the same series, restated
        fake.posts[0].insights["post_clicks"] = 40
        await way.fetch()
        assert await way.totals(ASKED) == {
            **expected,
            "impressions": 450 + 62,
            "views": 450 + 62 + 500,
            "clicks_all": 40,
        }


async def test_a_retired_metric_loses_nothing_else(database_url: str) -> None:
    fake = platform()
    fake.retired = {"post_clicks_by_type"}
    async with road(database_url, CONNECTOR, NOW, transport=transport(fake), source=SOURCE) as way:
        await way.fetch()
        assert await way.totals("clicks,clicks_all,likes") == {"clicks_link": None, "clicks_all": 37, "likes": 61}


async def test_the_days_of_the_page_are_pacific_days(database_url: str) -> None:
    fake = platform()
    # The bucket of the 18th ends at 07:00Z of the 19th: by its UTC date it would stand a day too late.
    fake.days = {
        date(2026, 8, day): {
            "page_media_view": 5000,
            "page_daily_follows_unique": day,
            "page_daily_unfollows_unique": 1,
            "page_post_engagements": 10,
            "page_follows": 1200 + day,
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
        # What the page's days hold of the posts' views is a check.
        assert await way.totals("followers_gained,followers_lost,impressions") == {
            "followers_gained": 54,
            "followers_lost": 3,
            "impressions": 450,
        }
        fake.days[date(2026, 8, 17)]["page_daily_follows_unique"] = 0
        way.clock.forward(timedelta(hours=13))
        fake.now = way.clock.at
        await way.fetch()
        assert (await way.days("followers_gained"))["2026-08-17"] == 0


async def test_a_push_leads_to_newer_numbers(database_url: str) -> None:
    fake = platform()
    async with road(database_url, CONNECTOR, NOW, transport=transport(fake), source=SOURCE) as way:
        await way.fetch()
        fake.posts[0].comments = 8
        way.clock.forward(timedelta(minutes=5))
        fake.now = way.clock.at
        sent = int(way.clock.at.timestamp())
        body = escaped(push(feed(at=sent, item="comment", verb="add", post_id=f"{ACCOUNT}_1", comment_id="1_9")))
        assert (await way.push(body, signed(body, APP_SECRET))).status_code == 200
        assert await way.totals("comments") == {"comments": 14}  # a push holds no number
        fake.calls.clear()
        await way.fetch()
        assert await way.totals("comments") == {"comments": 17}
        assert (await way.push(body, signed(body, "another secret"))).status_code == 401
