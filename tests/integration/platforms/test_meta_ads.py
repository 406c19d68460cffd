"""Ads of Meta from the fake Marketing API to the campaign's KPIs."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

from connectors.meta_ads import CONNECTOR
from tests.fakes.meta_ads import ACCOUNT, TOKEN, Ad, Day, FakeMetaAds
from tests.fakes.wire import transport
from tests.integration.platforms.road import road

NOW = datetime(2026, 8, 20, 12, tzinfo=UTC)
SOURCE = {"account": f"act_{ACCOUNT}", "credentials": {"access_token": TOKEN}}
COUNTS = "impressions,clicks_all,clicks,likes,comments,shares,saves"


def bought(number: str) -> dict[str, str]:
    """Return the same sales under three names, as the platform gives them."""
    names = ("omni_purchase", "purchase", "offsite_conversion.fb_pixel_purchase")
    return {**dict.fromkeys(names, number), "post_reaction": "7", "comment": "2", "link_click": "10"}


def platform(zone: str = "Europe/Berlin") -> FakeMetaAds:
    """Return two ads of one ad set: the first over two days, the second over one."""
    first = {
        date(2026, 8, 10): Day(4233, 31, 10, "76.53", 3910, bought("5"), {"omni_purchase": "620.40"}),
        date(2026, 8, 11): Day(1000, 12, 4, "20.005001", 900, bought("1"), {"omni_purchase": "80.00"}),
    }
    second = {date(2026, 8, 11): Day(767, 5, 0, "3.47", 700)}
    return FakeMetaAds(
        now=NOW, zone=zone, ads=[Ad("6215293456071", days=first), Ad("120215987654321098765", days=second)]
    )


async def test_ads_are_counted_once_and_restated(database_url: str) -> None:
    fake = platform()
    async with road(database_url, CONNECTOR, NOW, transport=transport(fake), source=SOURCE) as way:
        pulled = await way.fetch()
        assert {(one.kind, one.error) for one in pulled} == {("structure", ""), ("ad_days", ""), ("level_days", "")}
        expected = {
            "impressions": 6000,
            "clicks_all": 48,
            "clicks_link": 14,
            "likes": 14,
            "comments": 4,
            "shares": 0,
            "saves": 0,
        }
        assert await way.totals(COUNTS) == expected
        money = await way.totals("spend_media,conversions_platform,conversion_value_platform,conversions")
        assert money == {
            "spend_media": "100.005001",
            "conversions_platform": 6,
            "conversion_value_platform": "700.40",
            "conversions": None,
        }
        # The same days again, and the same numbers in the rows of ad set and campaign: nothing moves.
        way.clock.forward(timedelta(hours=25))
        fake.now = way.clock.at
        await way.fetch()
        assert await way.totals(COUNTS) == expected
        # A sale is booked on the day of the click; another is taken back, and Meta then leaves it out.
        fake.ads[0].days[date(2026, 8, 10)].actions = bought("9.5")
        fake.ads[0].days[date(2026, 8, 10)].values = {"omni_purchase": "1000.00"}
        fake.ads[0].days[date(2026, 8, 11)].actions = {"post_reaction": "7"}
        fake.ads[0].days[date(2026, 8, 11)].values = {}
        way.clock.forward(timedelta(hours=4))
        fake.now = way.clock.at
        await way.fetch()
        days = {day: number for day, number in (await way.days("conversions_platform")).items() if number is not None}
        assert days == {"2026-08-10": 9.5, "2026-08-11": 0}
        assert await way.totals("conversions_platform,comments,impressions") == {
            "conversions_platform": 9.5,
            "comments": 2,
            "impressions": 6000,
        }


async def test_a_number_at_the_edge_of_the_accounts_day_lands_on_its_day(database_url: str) -> None:
    """The account is in Auckland, half a day ahead: the 20th has begun there and is the campaign's 20th."""
    fake = platform("Pacific/Auckland")
    at = datetime(2026, 8, 19, 12, 30, tzinfo=UTC)
    fake.now = at
    fake.ads = [Ad("7", days={date(2026, 8, 20): Day(50), date(2026, 8, 1): Day(3), date(2026, 7, 31): Day(1000)})]
    async with road(
        database_url,
        CONNECTOR,
        at,
        transport=transport(fake),
        source=SOURCE,
        campaign={"zone": "Pacific/Auckland"},
        zone="Pacific/Auckland",
    ) as way:
        await way.fetch()
        days = {day: number for day, number in (await way.days("impressions")).items() if number}
        assert days == {"2026-08-01": 3, "2026-08-20": 50}


async def test_a_platform_campaign_is_a_rule(database_url: str) -> None:
    fake = platform()
    fake.ads.append(Ad("9", campaign="777", adset="778", days={date(2026, 8, 11): Day(100_000)}))
    rules = {"rules": [{"platform_campaign": "6215293444271"}]}
    async with road(database_url, CONNECTOR, NOW, transport=transport(fake), source=SOURCE, campaign=rules) as way:
        await way.fetch()
        assert await way.totals("impressions") == {"impressions": 6000}
