"""One filled platform for each connector that has a fake: what ``tallybook demo --platform NAME`` shows.

A stage says how a source is connected, makes the platform as it is at an instant, and what it restates by the next day.
Numbers are made up; they are placed by days before the instant, so that they are the same whenever they are shown.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

from tests.fakes import (
    facebook,
    ga4,
    graph,
    instagram,
    linkedin,
    meta_ads,
    shopify,
    stripe,
    threads,
    tiktok,
    tiktok_display,
    x,
    youtube,
)

_SECRET = "app-secret-0123456789"
_META = {"app_secret": _SECRET, "verify_token": "mine"}
_COUNTERS = ("likes", "comments", "shares", "saves", "engagements")


@dataclass(frozen=True)
class Stage:
    """See the head of this module; the fields are those of ``service/demo_platforms.py:Stage``."""

    source: Mapping[str, Any]
    metrics: tuple[str, ...]
    opened: Callable[[datetime], Any]
    restated: Callable[[Any], None]
    rules: Sequence[Mapping[str, str]] = ()


def _ago(now: datetime, days: int) -> date:
    return (now - timedelta(days=days)).date()


# ------------------------------------------------------------------------------------------------ Meta


def _facebook(now: datetime) -> facebook.FakeFacebook:
    insights = {
        "post_media_view": 450,
        "post_total_media_view_unique": 401,
        "post_clicks": 37,
        "post_clicks_by_type": {"link clicks": 12, "other clicks": 25},
        "post_reactions_by_type_total": {"like": 30, "love": 11},
    }
    published = now - timedelta(days=5)
    number = f"{facebook.ACCOUNT}_1"
    post = facebook.Post(number, published, comments=5, reactions=41, shares=3, insights=insights, by_ads=62)
    plays = {
        "blue_reels_play_count": 500,
        "post_video_likes_by_reaction_type": {"REACTION_LIKE": 20},
        "post_video_social_actions": {"COMMENT": 9, "SHARE": 4},
    }
    return facebook.FakeFacebook(now=now, posts=[post], reels=[facebook.Reel("31", published, insights=plays)])


def _facebook_restated(fake: facebook.FakeFacebook) -> None:
    fake.posts[0].insights |= {"post_media_view": 520, "post_clicks": 36}


def _instagram(now: datetime) -> instagram.FakeInstagram:
    numbers = {"views": 90, "reach": 70, "likes": 2, "comments": 6, "shares": 1, "saved": 0, "total_interactions": 9}
    media = instagram.Media(
        "17", published=now - timedelta(days=5), like_count=2, comments_count=6, insights=dict(numbers)
    )
    days = {_ago(now, 4): {"follower_count": 18, "profile_links_taps": 11, "gained": 18, "lost": 3}}
    return instagram.FakeInstagram(now=now, media=[media], days=days)


def _instagram_restated(fake: instagram.FakeInstagram) -> None:
    fake.media[0].insights["views"] = 130
    fake.media[0].like_count = 12


def _threads(now: datetime) -> threads.FakeThreads:
    numbers = {"views": 90, "likes": 2, "replies": 6, "reposts": 1, "quotes": 0, "shares": 3}
    published = now - timedelta(days=5)
    return threads.FakeThreads(
        now=now,
        posts=[threads.Thread("1", published=published, text="#one", insights=dict(numbers))],
        replies=[threads.Thread("9", published=published, root="1", insights={**numbers, "views": 7, "replies": 0})],
        days={_ago(now, 4): {"views": 18}},
        links={_ago(now, 4): {"https://example.org/a": 3, "https://example.org/b": 4}},
    )


def _threads_restated(fake: threads.FakeThreads) -> None:
    fake.posts[0].insights |= {"views": 120, "reposts": 0}


def _meta_ads(now: datetime) -> meta_ads.FakeMetaAds:
    bought = {"omni_purchase": "5", "purchase": "5", "post_reaction": "7", "comment": "2", "link_click": "10"}
    first = {_ago(now, 9): meta_ads.Day(4233, 31, 10, "76.53", 3910, bought, {"omni_purchase": "620.40"})}
    second = {_ago(now, 8): meta_ads.Day(767, 5, 4, "3.47", 700)}
    ads = [meta_ads.Ad("6215293456071", days=first), meta_ads.Ad("120215987654321098765", days=second)]
    return meta_ads.FakeMetaAds(now=now, ads=ads)


def _meta_ads_restated(fake: meta_ads.FakeMetaAds) -> None:
    """Sales are booked on the day of the click, and one of them was returned."""
    for day in fake.ads[0].days.values():
        day.actions |= {"omni_purchase": "4", "purchase": "4"}
        day.values = {"omni_purchase": "500.00"}


# ------------------------------------------------------------------------------------------------ video


def _youtube(now: datetime) -> youtube.FakeYoutube:
    film = youtube.Video("dQw4w9WgXcQ", now - timedelta(days=8), views=8087, likes=190, comments=32)
    film.days = {_ago(now, 7): {"views": 5000, "shares": 7, "cardClicks": 3, "estimatedMinutesWatched": 2500}}
    quiet = youtube.Video("00000000042", now - timedelta(days=6), views=100, likes=None, comments=None)
    channel = {_ago(now, 7): {"views": 7000, "subscribersGained": 12, "subscribersLost": 3}}
    return youtube.FakeYoutube(now=now, videos=[film, quiet], days=channel)


def _youtube_restated(fake: youtube.FakeYoutube) -> None:
    """Views that were no people's are taken back."""
    fake.videos[0].views = 8000


def _tiktok(now: datetime) -> tiktok.FakeTiktok:
    numbers = {"video_views": 5120, "likes": 231, "comments": 12, "shares": 17, "favorites": 9, "website_clicks": 6}
    film = tiktok.Post("7109065174526479622", now - timedelta(days=7), numbers={**numbers, "email_clicks": 2})
    slides = tiktok.Post("7108684822863760646", now - timedelta(days=6), "#two", "PHOTO", {"video_views": 88})
    days = {_ago(now, 4): {"profile_views": 55, "daily_new_followers": 7, "daily_lost_followers": 4}}
    return tiktok.FakeTiktok(now=now, posts=[film, slides], days=days)


def _tiktok_restated(fake: tiktok.FakeTiktok) -> None:
    fake.posts[0].numbers |= {"video_views": 5300, "likes": 229}


def _tiktok_display(now: datetime) -> tiktok_display.FakeDisplay:
    numbers = {"view_count": 120, "like_count": 9, "comment_count": 1, "share_count": 2}
    clip = tiktok_display.Clip("7109065174526479622", now - timedelta(days=3), numbers=numbers)
    return tiktok_display.FakeDisplay(now=now, clips=[clip])


def _tiktok_display_restated(fake: tiktok_display.FakeDisplay) -> None:
    fake.clips[0].numbers |= {"view_count": 240, "like_count": 7}


# ------------------------------------------------------------------------------------------------ text


def _x(now: datetime) -> x.FakeX:
    organic = {
        "impression_count": 5400,
        "like_count": 230,
        "reply_count": 12,
        "retweet_count": 48,
        "url_link_clicks": 89,
    }
    promoted = {
        "impression_count": 1000,
        "like_count": 4,
        "reply_count": 0,
        "retweet_count": 2,
        "url_link_clicks": 10,
    }
    public = {"impression_count": 6400, "like_count": 234, "reply_count": 12, "retweet_count": 50, "bookmark_count": 8}
    parts = {"organic_metrics": organic, "promoted_metrics": promoted, "public_metrics": public}
    published = now - timedelta(days=5)
    return x.FakeX(now=now, posts=[x.Post(x.snowflake(published), published=published, parts=parts)])


def _x_restated(fake: x.FakeX) -> None:
    fake.posts[0].parts["organic_metrics"] |= {"impression_count": 5500, "like_count": 220}


def _linkedin(now: datetime) -> linkedin.FakeLinkedIn:
    def numbers(impressions: int, likes: int) -> dict[str, int | float]:
        told: dict[str, int | float] = {"impressionCount": impressions, "uniqueImpressionsCount": impressions - 90}
        return told | {"clickCount": 6, "likeCount": likes, "commentCount": 1, "shareCount": 2}

    posts = [
        linkedin.Post("urn:li:share:7001", published=now - timedelta(days=5), numbers=numbers(240, 4)),
        linkedin.Post("urn:li:ugcPost:7002", published=now - timedelta(days=3), numbers=numbers(100, 3)),
        linkedin.Post("urn:li:share:7003", published=now - timedelta(days=2)),
    ]
    return linkedin.FakeLinkedIn(now=now, posts=posts)


def _linkedin_restated(fake: linkedin.FakeLinkedIn) -> None:
    fake.posts[0].numbers |= {"impressionCount": 260, "likeCount": 3}


# ------------------------------------------------------------------------------------------------ visits and sales


def _ga4(now: datetime) -> ga4.FakeGa4:
    reel = ga4.Utm("august_launch", "instagram", "paid_social", "1")
    clip = ga4.Utm("august_launch", "tiktok", "social")
    days = {
        _ago(now, 8): {reel: ga4.Visits(120, "4.5", "530.4"), clip: ga4.Visits(18), ga4.Utm(): ga4.Visits(900, "31")},
        _ago(now, 2): {reel: ga4.Visits(7, "1", "20")},
    }
    return ga4.FakeGa4(now=now, zone="Europe/Berlin", days=days)


def _ga4_restated(fake: ga4.FakeGa4) -> None:
    """The platform credits half a sale less, and says that it counted on a part of the visits."""
    for links in fake.days.values():
        for visits in links.values():
            visits.events = "4" if visits.events == "4.5" else visits.events
    sampled = {"samplesReadCount": "500000", "samplingSpaceSize": "15000000"}
    fake.metadata = {"samplingMetadatas": [sampled]}


def _shopify(now: datetime) -> shopify.FakeShop:
    landing = "/?utm_source=instagram&utm_medium=social&utm_campaign=spring&fbclid=IwAR1"
    placed = [now - timedelta(days=days) for days in (4, 3, 2)]
    orders = [
        shopify.Order(1, placed[0], total="100.00", landing=landing),
        shopify.Order(2, placed[1], total="49.90", landing=landing, codes=["ANNA10"]),
        shopify.Order(3, placed[2], total="20.10", landing=landing, test=True),
    ]
    return shopify.FakeShop(now=now, orders=orders)


def _shopify_restated(fake: shopify.FakeShop) -> None:
    """A part of the first order is given back."""
    given = fake.orders[0].created + timedelta(days=4)
    fake.orders[0].refunds = [shopify.Refund(11, given, "25.00", adjusted="25.00")]
    fake.orders[0].updated = given
    fake.orders[0].left = "75.00"


def _stripe(now: datetime) -> stripe.FakeStripe:
    payments = [
        stripe.Payment("1", now - timedelta(days=4), 10_000),
        stripe.Payment("2", now - timedelta(days=3), 4_990, code="ANNA10"),
        stripe.Payment("3", now - timedelta(days=2), 700, status="unpaid"),
    ]
    return stripe.FakeStripe(now=now, payments=payments)


def _stripe_restated(fake: stripe.FakeStripe) -> None:
    given = fake.payments[0].paid + timedelta(days=4)
    fake.payments[0].refunds = [stripe.Refund("re_1", given, 3_000)]


_SALES = ("orders", "refunds", "conversions", "conversion_value")
_MEDIA = ("impressions", "views", *_COUNTERS, "er_impressions")
_VIDEO = ("views", *_COUNTERS, "watch_time", "er_views", "impressions")

STAGES: Mapping[str, Stage] = {
    "facebook": Stage(
        {"account": facebook.ACCOUNT, "credentials": {"access_token": graph.TOKEN, **_META}},
        (*_MEDIA, "clicks_all", "clicks_link", "ctr"),
        _facebook,
        _facebook_restated,
    ),
    "ga4": Stage(
        {"account": ga4.PROPERTY, "credentials": {"access_token": ga4.TOKEN}},
        ("sessions", "conversions_platform", "conversion_value_platform", "conversions"),
        _ga4,
        _ga4_restated,
        ({"utm_campaign": "august_launch"},),
    ),
    "instagram": Stage(
        {"account": instagram.ACCOUNT, "credentials": {"access_token": graph.TOKEN, **_META}},
        (*_MEDIA, "followers_gained", "followers_lost", "clicks_all"),
        _instagram,
        _instagram_restated,
    ),
    "linkedin": Stage(
        {
            "account": linkedin.NUMBER,
            "credentials": {"access_token": linkedin.TOKEN, "app_secret": linkedin.CLIENT_SECRET},
        },
        ("impressions", *_COUNTERS, "clicks_all", "ctr_all", "er_impressions"),
        _linkedin,
        _linkedin_restated,
    ),
    "meta_ads": Stage(
        {"account": f"act_{meta_ads.ACCOUNT}", "credentials": {"access_token": meta_ads.TOKEN}},
        ("impressions", "clicks_link", "ctr", "spend_media", "cpc", "conversions_platform", "roas_platform"),
        _meta_ads,
        _meta_ads_restated,
    ),
    "shopify": Stage(
        {
            "account": shopify.SHOP,
            "credentials": {"access_token": shopify.TOKEN, "app_secret": shopify.APP_SECRET},
            "options": {"shop": shopify.SHOP},
        },
        _SALES,
        _shopify,
        _shopify_restated,
    ),
    "stripe": Stage(
        {"account": "acct_1", "credentials": {"access_token": stripe.TOKEN, "webhook_secret": stripe.SECRET}},
        _SALES,
        _stripe,
        _stripe_restated,
    ),
    "threads": Stage(
        {"account": threads.ACCOUNT, "credentials": {"access_token": threads.TOKEN, **_META}},
        ("views", *_COUNTERS, "er_views", "profile_views", "clicks_link", "impressions"),
        _threads,
        _threads_restated,
    ),
    "tiktok": Stage(
        {"account": tiktok.ACCOUNT, "credentials": {"access_token": tiktok.TOKEN, "app_secret": _SECRET}},
        (*_VIDEO, "clicks_all", "followers_gained"),
        _tiktok,
        _tiktok_restated,
    ),
    "tiktok_display": Stage(
        {"account": tiktok_display.ACCOUNT, "credentials": {"access_token": tiktok_display.TOKEN}},
        ("views", *_COUNTERS, "er_views", "impressions"),
        _tiktok_display,
        _tiktok_display_restated,
    ),
    "x": Stage(
        {"account": x.ACCOUNT, "credentials": {"access_token": x.TOKEN, "app_secret": x.CONSUMER_SECRET}},
        ("impressions", *_COUNTERS, "clicks_link", "ctr", "er_impressions"),
        _x,
        _x_restated,
    ),
    "youtube": Stage(
        {"account": youtube.CHANNEL, "credentials": {"access_token": youtube.TOKEN}},
        (*_VIDEO, "clicks_all", "followers_gained", "followers_lost"),
        _youtube,
        _youtube_restated,
    ),
}
