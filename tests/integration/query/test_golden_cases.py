"""The worked cases that can be posed as data: posted to the ledger, asked over HTTP, compared with their numbers."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import msgspec
import pytest
import pytest_asyncio

from connectors.contract import Conversion, Kind, Observation, SubjectRef, SubjectType, day_window, micros
from service import ids
from service.context import fixed
from service.db.embedded import Embedded
from service.records import Rule
from tests.bookkeeping import Books, at, counter, seen
from tests.golden.cases import CASES
from tests.integration.api.office import Desk, open_office
from tests.integration.query.world import copied

pytestmark = pytest.mark.asyncio(loop_scope="module")


class Clock:
    """The present, which moves on."""

    def __init__(self) -> None:
        self.now = datetime(2026, 5, 1, tzinfo=UTC)


class Case(msgspec.Struct, frozen=True, kw_only=True):
    """Books in which each case has a platform and a campaign of its own."""

    books: Books
    desk: Desk
    clock: Clock

    async def post(self, name: str, *deliveries: list[Any], zone: str = "UTC", margin: str | None = None) -> str:
        """Post the items of a case; return the campaign that they count in."""
        source = await self.books.source(name, tracks_from=at(-60))
        body = {"name": name, "kind": "broad", "starts": "2026-05-01", "ends": "2026-06-30", "currency": "EUR"}
        more = {"zone": zone, "rules": [{"platform": name}]} | ({"margin": margin} if margin else {})
        made: str = (await self.desk.post("/v1/campaigns", body | more))["id"]
        for items in deliveries:
            await self.books.post(source, items)
        return made

    async def ask(self, campaign: str, *metrics: str, **body: Any) -> Any:
        """Ask a query over the whole life of the numbers."""
        asked = {"scope": {"campaigns": [campaign]}, "metrics": list(metrics), "range": "lifetime"}
        return await self.desk.post("/v1/kpis/query", asked | body, 200)

    async def total(self, campaign: str, metric: str, **body: Any) -> Any:
        """Return the total of one KPI."""
        return (await self.ask(campaign, metric, **body))["totals"][metric]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def case(postgres: Embedded) -> AsyncIterator[Case]:
    clock = Clock()
    context = msgspec.structs.replace(fixed(clock.now), now=lambda: clock.now)
    with copied(postgres, "t_golden") as url:
        async with open_office(url, context) as office:
            desk = await office.workspace("Golden")
            books = Books(office.services.db, context)
            books.workspace_id = ids.read("workspace", desk.workspace or "")
            made = Case(books=books, desk=desk, clock=clock)
            await _restated(made)
            clock.now = at(61)
            yield made


async def _restated(case: Case) -> None:
    """Post the facts of G29, each on its day."""
    source = await case.books.source("g29")
    await case.books.campaign([Rule(platform="g29")])
    for fact in sorted(CASES["G29"].inputs["facts"], key=lambda fact: fact["recorded_at"]):
        case.clock.now = datetime.fromisoformat(fact["recorded_at"])
        await case.books.post(source, [days("p", fact["day"], case.clock.now, sessions=fact["value"])])


def days(name: str, day: str, observed_at: datetime, **metrics: int) -> Observation:
    """Return a day of a post."""
    return Observation(
        subject=SubjectRef(name),
        kind=Kind.PERIOD,
        metrics=metrics,
        window=day_window(date.fromisoformat(day), "UTC"),
        observed_at=observed_at,
    )


def cost(amount: str, currency: str = "EUR", name: str = "ad") -> Observation:
    """Return what was spent."""
    return Observation(
        subject=SubjectRef(name),
        kind=Kind.PERIOD,
        metrics={"spend_media": micros(amount)},
        window=day_window(date(2026, 6, 3), "UTC"),
        observed_at=at(30),
        currency=currency,
    )


def orders(count: int, value: str, name: str = "ad") -> list[Conversion]:
    """Return orders that add up to a value."""
    each = micros(value) // count
    return [
        Conversion(id=f"o{i}", at=at(4, i / 10), kind="order", value=each, currency="EUR", subject=SubjectRef(name))
        for i in range(count)
    ]


def limits(metric: Any) -> list[float | None] | None:
    """Return the limits of a value as numbers."""
    interval = metric["interval"]
    return interval and [None if interval[side] is None else float(interval[side]) for side in ("low", "high")]


async def test_g01_g03_g16_g47_rates_of_sums_with_their_intervals(case: Case) -> None:
    one, three, eight = CASES["G01"], CASES["G03"], CASES["G47"]
    rate = await case.total(
        await case.post("g01", [counter("p", at(1), clicks_link=one.inputs["clicks"], impressions=1800)]), "ctr"
    )
    one.agrees({"ctr": rate["value"], "ci": limits(rate)}, one.expected)
    posts = [
        counter(post["post"], at(1), clicks_link=post["clicks"], impressions=post["impressions"])
        for post in three.inputs
    ]
    rate = await case.total(await case.post("g03", posts), "ctr")
    three.agrees({"ctr": rate["value"], "ci_binomial": limits(rate)}, three.expected)
    assert rate["interval"]["ignores_clustering"]
    pairs = zip(eight.inputs["clicks"], eight.inputs["impressions"], strict=True)
    posts = [counter(f"p{i}", at(1), clicks_link=k, impressions=n) for i, (k, n) in enumerate(pairs)]
    rate = await case.total(await case.post("g47", posts), "ctr")
    eight.agrees({"ctr": rate["value"], "ci_log_jackknife_t": limits(rate)}, eight.expected)


async def test_g02_zero_is_measured_and_missing_is_null(case: Case) -> None:
    golden = CASES["G02"]
    posts = [
        counter(f"p{i}", at(1), likes=0, **{key: value for key, value in row.items() if value is not None})
        for i, row in enumerate({"clicks_link": r["clicks"], "impressions": r["impressions"]} for r in golden.inputs)
    ]
    campaign = await case.post("g02", posts)
    names = {
        row["subject_id"].hex: int(row["external_id"][1:])
        for row in await case.books.rows("select subject_id, external_id from subjects where platform = 'g02'")
    }
    answer = await case.ask(campaign, "ctr", dimensions=["subject"])
    for row in answer["data"]:
        metric, place = row["metrics"]["ctr"], names[row["dimensions"]["subject"].removeprefix("sub_")]
        got = {"ctr": metric["value"], "ci": limits(metric), "reason": metric["reason"]}
        golden.agrees(got, golden.expected[place], f"[{place}]")


async def test_g04_costs_and_values_of_one_campaign(case: Case) -> None:
    golden = CASES["G04"]
    given = golden.inputs
    numbers = {"impressions": given["impressions"], "clicks_link": given["clicks"], "likes": given["engagements"]}
    ad = counter("ad", at(1), video_views_3s=given["video_views"], **numbers)
    bought = orders(given["conversions"], given["revenue"])
    campaign = await case.post("g04", [ad, cost(given["cost"]), *bought], margin=given["gross_margin"])
    slugs = {"cpv": "cpv_3s", "conversion_rate_click": "cvr_click"}
    names = [name for name in golden.expected if name != "cac"]
    answer = await case.ask(campaign, *(slugs.get(name, name) for name in names))
    for name in names:
        value = answer["totals"][slugs.get(name, name)]["value"]
        expected = golden.expected[name]
        got = str(round(Decimal(str(value)), 4)) if isinstance(expected, str) else value
        golden.agrees(got, expected, f".{name}")
    mistake = await case.desk.problem(
        422, "POST", "/v1/kpis/query", {"scope": {"campaigns": [campaign]}, "metrics": ["cac"]}
    )
    assert mistake["errors"][0]["code"] == "not_kept"


async def test_g05_a_cost_per_conversion_has_exact_limits(case: Case) -> None:
    golden = CASES["G05"]
    some = await case.total(await case.post("g05", [cost("350.00"), *orders(7, "70.00")]), "cpa")
    golden.agrees({"cpa": float(some["value"]), "ci": limits(some)}, golden.expected[0])
    none = Observation(
        subject=SubjectRef("ad"),
        kind=Kind.PERIOD,
        metrics={"conversions": 0},
        window=day_window(date(2026, 6, 3), "UTC"),
        observed_at=at(30),
        goal="sale",
    )
    nothing = await case.total(await case.post("g05b", [cost("350.00"), none]), "cpa")
    golden.agrees({"cpa": nothing["value"], "reason": nothing["reason"], "ci": limits(nothing)}, golden.expected[1])


async def test_g07_money_is_converted_before_the_ratio(case: Case) -> None:
    golden = CASES["G07"]
    known, unknown = golden.inputs
    spent = [cost(amount, currency, f"ad{currency}") for currency, amount in known["spend"]]
    campaign = await case.post("g07", [*spent, *orders(1, "450.00", "adUSD")])
    exchange = {"rates": known["rates_to_EUR"], "day": known["rate_date"]}
    answer = await case.ask(campaign, "cost", "roas", currency="EUR", exchange=exchange)
    totals = answer["totals"]
    got = {"spend": totals["cost"]["value"], "roas": f"{totals['roas']['value']:.4f}"}
    golden.agrees(got, golden.expected[0])
    spent = [cost(amount, currency, f"ad{currency}") for currency, amount in unknown["spend"]]
    campaign = await case.post("g07b", [*spent, *orders(1, "450.00", "adUSD")])
    body = {"scope": {"campaigns": [campaign]}, "metrics": ["cost"], "range": "lifetime", "currency": "EUR"}
    body |= {"exchange": {"rates": unknown["rates_to_EUR"]}}
    (mistake,) = (await case.desk.problem(422, "POST", "/v1/kpis/query", body))["errors"]
    assert f"missing_fx_rate:{mistake['allowed'][0]}" == golden.expected[1]["reason"]
    plain = await case.total(campaign, "cost")
    assert (plain["value"], plain["reason"]) == (None, "mixed_currency")


async def test_g08_a_rate_is_of_the_posts_that_know_both(case: Case) -> None:
    golden = CASES["G08"]
    items: list[Any] = []
    for i, post in enumerate(golden.inputs["posts"]):
        name = f"p{i}"
        items.append(seen(name, published_at=at(), followers_at_publish=post["followers_at_publish"]))
        items.append(counter(name, at(1), likes=post["engagements"], impressions=post["impressions"]))
        if post["reach"] is not None:
            items.append(counter(name, at(1), Kind.UNIQUE, reach=post["reach"]))
    campaign = await case.post("g08", items)
    totals = (await case.ask(campaign, "er_impressions", "er_reach", "er_followers"))["totals"]
    strict = await case.total(campaign, "er_reach", options={"coverage": "strict"})
    got = {
        "er_impressions": totals["er_impressions"]["value"],
        "er_reach_covered": totals["er_reach"]["value"],
        "er_reach_posts_covered": list(totals["er_reach"]["members"].values()),
        "er_reach_engagement_coverage": totals["er_reach"]["coverage"],
        "er_reach_strict": strict["value"],
        "er_reach_strict_reason": strict["reason"],
        "er_followers_post_mean_base": totals["er_followers"]["value"],
    }
    golden.agrees(got, golden.expected)


async def test_g09_reach_is_bounded_and_never_added(case: Case) -> None:
    golden = CASES["G09"]
    items = []
    for i, reach in enumerate(golden.inputs["post_reach"]):
        items += [counter(f"p{i}", at(1), impressions=7000), counter(f"p{i}", at(1), Kind.UNIQUE, reach=reach)]
    totals = (await case.ask(await case.post("g09", items), "reach", "frequency"))["totals"]
    bounds = totals["reach"]["bounds"]
    got = {
        "reach_exact": totals["reach"]["value"],
        "reach_lower": bounds["lower"],
        "reach_upper_without_cap": bounds["upper"],
    }
    golden.agrees(got, golden.expected)
    assert totals["frequency"]["bounds"] == {"lower": 2.0, "upper": 4.2}


async def test_g10_followers_are_a_level(case: Case) -> None:
    golden = CASES["G10"]
    me = SubjectRef("me", SubjectType.PROFILE)
    levels = [
        Observation(subject=me, kind=Kind.LEVEL, metrics={"followers": one["followers"]}, observed_at=at(one["day"]))
        for one in golden.inputs["levels"]
    ]
    campaign = await case.post("g10", levels)
    ten = {"from": "2026-06-01", "to": "2026-06-10"}
    totals = (await case.ask(campaign, "followers", "follower_growth", "follower_growth_rate", range=ten))["totals"]
    got = {"growth_abs": totals["follower_growth"]["value"], "growth_pct": totals["follower_growth_rate"]["value"]}
    golden.agrees(got, golden.expected)
    assert totals["followers"]["value"] == 10_450


async def test_g23_g26_g27_counters_become_days(case: Case) -> None:
    falls, gap, shorter = CASES["G23"], CASES["G26"], CASES["G27"]
    taken = [counter("p", at(day), likes=value) for day, value in enumerate(falls.inputs["snapshots"])]
    campaign = await case.post("g23", taken)
    for read_as in ("signed", "high_water"):
        options = {"falls": read_as}
        found = await _days(case, campaign, "2026-06-01", "2026-06-03", options=options)
        assert found == falls.expected[f"deltas_{read_as}"]
        three = {"from": "2026-06-01", "to": "2026-06-03"}
        total = await case.total(campaign, "likes", range=three, options=options)
        assert total["value"] == falls.expected[f"total_{read_as}"]
    for name, golden, zone in (("g26", gap, "UTC"), ("g27", shorter, "Europe/Berlin")):
        given = golden.inputs["snapshots"]
        read = [counter("p", datetime.fromisoformat(one["at"]).astimezone(UTC), likes=one["value"]) for one in given]
        campaign = await case.post(name, read, zone=zone)
        listed = golden.expected["days"]
        assert await _days(case, campaign, listed[0], listed[-1]) == golden.expected["deltas"]
        total = await case.total(campaign, "likes", range={"from": listed[0], "to": listed[-1]})
        golden.agrees({"total": total["value"]}, golden.expected)


async def _days(case: Case, campaign: str, first: str, last: str, **more: Any) -> list[Any]:
    answer = await case.ask(campaign, "likes", range={"from": first, "to": last}, granularity="day", **more)
    return [row["metrics"]["likes"]["value"] for row in answer["data"]]


async def test_g25_the_first_sight_of_a_post(case: Case) -> None:
    golden = CASES["G25"]
    known, old = golden.inputs
    items: list[Any] = []
    for name, one in (("known", known), ("old", old)):
        first_seen = datetime.fromisoformat(one["first_seen"])
        since = datetime.fromisoformat(one["published"])
        items += [seen(name, published_at=since if one["tracked_from_publish"] else since - timedelta(days=90))]
        items += [counter(name, first_seen, likes=one["first_snapshot"])]
    campaign = await case.post("g25", items)
    inside = await case.total(campaign, "likes", range={"from": "2026-05-01", "to": "2026-05-31"})
    assert inside["value"] == golden.expected[0]["delta"]
    assert (await case.total(campaign, "likes"))["value"] == golden.expected[0]["delta"] + golden.expected[1][
        "baseline"
    ]


async def test_g29_the_same_question_at_four_knowledge_times(case: Case) -> None:
    golden = CASES["G29"]
    (row,) = await case.books.rows(
        "select distinct m.campaign_id from memberships m join subjects s using (workspace_id, subject_id) "
        "where s.platform = 'g29'"
    )
    campaign = ids.show("campaign", row["campaign_id"])
    two = {"from": "2026-05-01", "to": "2026-05-02"}
    for expected in golden.expected:
        answer = await case.total(campaign, "sessions", range=two, as_of=expected["as_of"])
        golden.agrees({"value": answer["value"]}, expected)


async def test_g40_changes_against_the_period_before(case: Case) -> None:
    golden = CASES["G40"]
    posed = [(i, pair) for i, pair in enumerate(golden.inputs) if pair["previous"] >= 0]
    items = [
        days(f"p{i}", day, at(30), sessions=pair[when])
        for i, pair in posed
        for day, when in (("2026-06-01", "previous"), ("2026-06-02", "current"))
        if pair[when] is not None
    ]
    campaign = await case.post("g40", items)
    names = {
        row["subject_id"].hex: int(row["external_id"][1:])
        for row in await case.books.rows("select subject_id, external_id from subjects where platform = 'g40'")
    }
    second = {"from": "2026-06-02", "to": "2026-06-02"}
    answer = await case.ask(campaign, "sessions", dimensions=["subject"], range=second, compare="previous_period")
    assert len(answer["data"]) == len(posed) == 6
    for row in answer["data"]:
        place = names[row["dimensions"]["subject"].removeprefix("sub_")]
        told = row["metrics"]["sessions"]["compare"]
        golden.agrees({key: told[key] for key in ("abs", "pct", "reason")}, golden.expected[place], f"[{place}]")


async def test_g41_completion_is_not_view_through(case: Case) -> None:
    golden = CASES["G41"]
    given = golden.inputs
    video = counter("v", at(1), impressions=given["video_impressions"], video_completions=given["completed_views"])
    rate = await case.total(await case.post("g41", [video]), "video_vtr")
    golden.agrees({"video_vtr": rate["value"], "video_vtr_ci": limits(rate)}, golden.expected)


async def test_g38_mixed_tiers_against_a_benchmark(case: Case) -> None:
    golden = CASES["G38"]
    items: list[Any] = []
    for i, post in enumerate(golden.inputs["posts"]):
        items.append(seen(f"p{i}", published_at=at(), followers_at_publish=post["followers"]))
        items.append(counter(f"p{i}", at(1), likes=post["engagements"]))
    items.append(counter("stranger", at(1), likes=5))
    rates = {tier: str(rate) for tier, rate in golden.inputs["benchmark_er_by_followers"].items()}
    options = {"benchmark": {"id": golden.inputs["benchmark_id"], "rates": rates}}
    campaign = await case.post("g38", items)
    answer = await case.ask(campaign, "tier_index", "er_followers", options=options, dimensions=["tier"])
    index = answer["totals"]["tier_index"]
    got = {
        "er": answer["totals"]["er_followers"]["value"],
        "expected_engagements": index["denominator"],
        "index": index["value"],
    }
    golden.agrees(got, golden.expected)
    assert index["members"] == {"known": 3, "total": 4}
    for row in answer["data"]:
        tier, metrics = row["dimensions"]["tier"], row["metrics"]
        if tier is not None:
            told = {"er": metrics["er_followers"]["value"], "index": metrics["tier_index"]["value"]}
            golden.agrees(told, golden.expected["per_tier"][tier], f".{tier}")
    assert answer["meta"]["definitions"]["tier_index"] == "tier_index@1 (brief-2026)"
