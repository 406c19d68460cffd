"""Visits of tracked links from the fake Data API of GA4 to the campaign's KPIs."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

from connectors.ga4 import CONNECTOR
from tests.fakes.ga4 import PROPERTY, TOKEN, FakeGa4, Utm, Visits
from tests.fakes.identity import Machine
from tests.fakes.wire import transport
from tests.integration.platforms.road import Road, road

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


async def test_what_the_platform_says_against_its_numbers_is_said_where_they_are_used(database_url: str) -> None:
    fake = platform()
    fake.metadata = {"samplingMetadatas": [{"samplesReadCount": "1", "samplingSpaceSize": "9"}]}
    async with road(database_url, CONNECTOR, NOW, transport=transport(fake), source=SOURCE, campaign=CAMPAIGN) as way:
        await way.fetch()
        answer = await way.answer(metrics="likes,sessions", granularity="day", range="flight")
        assert answer["totals"]["sessions"]["quality"] == "sampled"
        assert (answer["totals"]["sessions"]["value"], answer["totals"]["sessions"]["state"]) == (145, "ok")
        assert answer["totals"]["likes"]["quality"] == "observed"
        said = [one for one in answer["meta"]["warnings"] if one["code"] == "sampled"]
        assert said == [
            {
                "code": "sampled",
                "detail": "sessions: counted by the platform on a part of the events (ga4)",
                "pointer": "?metrics/1",
            }
        ]
        assert await qualities(way) == {"2026-08-12": "sampled", "2026-08-19": "sampled"}
        before = (await way.answer(metrics="sessions", range="flight"))["meta"]["as_of"]

        # The 12th is restated, now without rows of few people; the 19th is not told again, and stands as it was.
        way.clock.forward(timedelta(hours=7))
        fake.now = way.clock.at
        del fake.days[date(2026, 8, 19)]
        fake.days[date(2026, 8, 12)] |= {INSTAGRAM: Visits(119), TIKTOK: Visits(17)}
        fake.days[date(2026, 8, 12)][Utm("august_launch", "x", "social")] = Visits(999)
        fake.metadata = {"subjectToThresholding": True}
        await way.fetch()
        assert await qualities(way) == {"2026-08-12": "thresholded", "2026-08-19": "sampled"}
        answer = await way.answer(metrics="sessions", range="flight")
        assert answer["totals"]["sessions"]["quality"] == "thresholded"  # the worse of the two
        assert [one["code"] for one in answer["meta"]["warnings"][-2:]] == ["sampled", "thresholded"]
        past = await way.answer(metrics="sessions", range="flight", as_of=before)
        assert past["totals"]["sessions"]["quality"] == "sampled"
        assert "thresholded" not in {one["code"] for one in past["meta"]["warnings"]}

        trail = await way.desk.get(f"/v1/campaigns/{way.campaign}/kpis/sessions/provenance", params={"range": "flight"})
        assert trail["value"]["quality"] == "thresholded"
        lines = [line for one in trail["data"] for line in one["entries"] if line["day"] == "2026-08-12"]
        assert {(line["sign"], *line["quality"]) for line in lines} == {
            (1, "sampled"),
            (-1, "sampled"),
            (1, "thresholded"),
        }


async def qualities(way: Road) -> dict[str, str]:
    """Return what is said of the sessions of each day that has any."""
    answer = await way.answer(metrics="sessions", granularity="day", range="flight")
    told = {row["dimensions"]["day"]: row["metrics"]["sessions"] for row in answer["data"]}
    return {day: one["quality"] for day, one in told.items() if one["value"]}


async def test_a_service_account_reads_by_its_key(database_url: str) -> None:
    fake = platform()
    fake.machine, fake.token = Machine(), "none is given yet"
    source = {
        "account": PROPERTY,
        "credentials": {"service_account": fake.machine.key()},
        "options": {"login": "service_account"},
    }
    async with road(database_url, CONNECTOR, NOW, transport=transport(fake), source=source, campaign=CAMPAIGN) as way:
        assert way.source["missing_credentials"] == []
        assert [(one.kind, one.error) for one in await way.fetch()] == [("link_days", "")]
        assert await way.totals("sessions") == {"sessions": 145}
        way.clock.forward(timedelta(hours=7))
        fake.now = way.clock.at
        assert [(one.kind, one.error) for one in await way.fetch()] == [("link_days", "")]
        assert fake.tokens == 2
        standing = await way.desk.get(f"/v1/sources/{way.source['id']}")
        assert (standing["standing"]["renews"], standing["standing"]["missing_credentials"]) == (True, [])
        url = f"/v1/sources/ga4/authorize?source={way.source['id']}"
        refused = await way.desk.ask("GET", url)
        assert refused.status_code in {404, 422}


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
