"""Visits of tracked links from the fake Data API of GA4 to the campaign's KPIs."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

from connectors.ga4 import CONNECTOR
from tests.fakes.ga4 import PROPERTY, TOKEN, FakeGa4, Utm, Visits, transport
from tests.integration.platforms.road import road

NOW = datetime(2026, 8, 20, 12, tzinfo=UTC)
SOURCE = {"account": PROPERTY, "credentials": {"access_token": TOKEN}}
METRICS = "sessions,conversions_platform,conversion_value_platform,clicks,conversions"
INSTAGRAM = Utm("august_launch", "instagram", "paid_social", "1")
TIKTOK = Utm("august_launch", "tiktok", "social")
CAMPAIGN = {"rules": [{"utm_campaign": "august_launch"}]}


def platform() -> FakeGa4:
    """Return two links of the campaign, one of another, and visits that no link brought."""
    return FakeGa4(
        now=NOW,
        zone="Europe/Berlin",
        days={
            date(2026, 8, 12): {
                INSTAGRAM: Visits(120, "4.5", "530.4"),
                TIKTOK: Visits(18),
                Utm("August_Launch", "x", "social"): Visits(1000, "50", "50"),
                Utm(): Visits(900, "31", "4120"),
            },
            date(2026, 8, 19): {INSTAGRAM: Visits(7, "1", "20")},
            date(2026, 8, 20): {INSTAGRAM: Visits(3)},  # in progress, and not asked for
        },
    )


async def test_visits_are_counted_once_and_restated(database_url: str) -> None:
    fake = platform()
    async with road(database_url, CONNECTOR, NOW, transport=transport(fake), source=SOURCE, campaign=CAMPAIGN) as way:
        pulled = await way.fetch()
        assert [(one.kind, one.error, one.pages) for one in pulled] == [("link_days", "", 14)]
        expected = {
            "sessions": 145,
            "conversions_platform": 5.5,
            "conversion_value_platform": "550.40",
            "clicks_link": None,
            "conversions": None,
        }
        assert await way.totals(METRICS) == expected
        way.clock.forward(timedelta(hours=7))
        fake.now = way.clock.at
        await way.fetch()
        assert await way.totals(METRICS) == expected
        # Credit moves from one link to the other, a day grows, and the 20th is over.
        fake.days[date(2026, 8, 12)] |= {INSTAGRAM: Visits(121, "0", "0"), TIKTOK: Visits(18, "4.5", "530.4")}
        fake.days[date(2026, 8, 19)] = {INSTAGRAM: Visits(9, "2", "40")}
        way.clock.forward(timedelta(hours=7))
        fake.now = way.clock.at
        await way.fetch()
        assert await way.totals("sessions,conversions_platform") == {"sessions": 151, "conversions_platform": 6.5}


async def test_a_visit_at_the_edge_of_the_propertys_day_lands_on_its_day(database_url: str) -> None:
    """New York is four hours behind: its 18th ends at four in the morning of the 19th, UTC."""
    fake = platform()
    fake.zone = "America/New_York"
    fake.days = {date(2026, 8, 18): {INSTAGRAM: Visits(11)}, date(2026, 8, 19): {INSTAGRAM: Visits(500)}}
    at = datetime(2026, 8, 20, 3, 30, tzinfo=UTC)  # the 19th is not over there
    fake.now = at
    home = {**CAMPAIGN, "zone": "America/New_York"}
    async with road(
        database_url, CONNECTOR, at, transport=transport(fake), source=SOURCE, campaign=home, zone="America/New_York"
    ) as way:
        await way.fetch()
        days = {day: number for day, number in (await way.days("sessions")).items() if number}
        assert days == {"2026-08-18": 11}
        way.clock.forward(timedelta(hours=6))
        fake.now = way.clock.at
        await way.fetch()
        days = {day: number for day, number in (await way.days("sessions")).items() if number}
        assert days == {"2026-08-18": 11, "2026-08-19": 500}
