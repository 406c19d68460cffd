"""Credits do not depend on arrival: touches, orders, refunds and facts in any order end with the same proven books."""

from __future__ import annotations

import random  # noqa: TID251 - seeded, so that a failing case comes back
from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import date, timedelta
from typing import Any
from uuid import UUID

import pytest
import pytest_asyncio

from connectors.contract import Conversion, Item, SubjectRef, SubjectSeen, SubjectType, Touchpoint
from service.context import Context, fixed
from service.db.engine import Database
from service.ledger.verify import verify
from service.records import Rule, SourceRow
from tests.bookkeeping import SUBJECT_DAYS, Books, at
from tests.seeds import seeds

Told = tuple[str, list[Item]]
"""Which source says it, and what."""

DAYS = f"""
select s.platform, s.external_id, d.day, d.zone, d.currency, d.clicks_link, d.orders, d.refunds, d.conversions,
  d.conversion_value
from {SUBJECT_DAYS} d join subjects s using (workspace_id, subject_id) order by 1, 2, 3, 4, 5
"""
CAMPAIGNS = """
select v.name, d.platform, d.day, d.zone, d.currency, d.clicks_link, d.orders, d.refunds, d.conversions,
  d.conversion_value
from campaign_days d join campaigns v using (workspace_id, campaign_id) order by 1, 2, 3, 4, 5
"""
STANDING = """
select c.kind, c.at, c.value, c.currency, c.cancelled, c.first_order, c.rule, c.observed_at, c.basis,
  s.external_id as credited, r.orders, r.refunds, r.conversions, r.conversion_value, t.at as touched
from conversions c
left join credits r using (workspace_id, event_key, version)
left join subjects s on s.workspace_id = c.workspace_id and s.subject_id = r.subject_id
left join touchpoints t on t.workspace_id = c.workspace_id and t.event_key = r.touch and t.sign = 1
  and not exists (select from touchpoints n where n.event_key = t.event_key and n.version > t.version)
where c.sign = 1 and not exists (select from conversions n where n.event_key = c.event_key and n.version > c.version)
order by c.kind, c.at, c.value, c.observed_at, s.external_id, c.rule
"""
TOUCHES = """
select t.kind, t.at, t.observed_at, s.external_id, t.customer, t.click from touchpoints t
join subjects s using (workspace_id, subject_id)
where t.sign = 1 and not exists (select from touchpoints n where n.event_key = t.event_key and n.version > t.version)
  and (t.customer is not null or t.click is not null)
order by 1, 2, 3, 4, 5, 6
"""


class Shop:
    """A workspace with a tracker of links, a shop and campaigns with windows of their own."""

    def __init__(self, books: Books, sources: Mapping[str, SourceRow], campaigns: Sequence[UUID]) -> None:
        self.books = books
        self.sources = sources
        self.campaigns = campaigns

    @classmethod
    async def open(cls, database: Database, context: Context) -> Shop:
        books = Books(database, context)
        await books.open()
        sources = {name: await books.source(name) for name in ("links", "shop")}
        rules: tuple[tuple[list[Rule], str, dict[str, Any]], ...] = (
            ([Rule(platform="links")], "Asia/Kolkata", {}),
            ([Rule(hashtag="spring")], "UTC", {"click_days": 2, "view_days": 0}),
            ([Rule(utm_campaign="spring"), Rule(promo_code="anna10")], "Europe/Berlin", {"click_days": 3}),
            ([Rule(source=sources["shop"].source_id)], "UTC", {}),
        )
        campaigns = [await books.campaign(given, zone, **more) for given, zone, more in rules]
        return cls(books, sources, campaigns)

    async def post(self, *told: Told) -> None:
        """Post deliveries in their order, those of one source in a row together."""
        for name in self.sources:
            mine = [items for source, items in told if source == name]
            if mine:
                await self.books.post(self.sources[name], *mine)

    async def found(self) -> dict[str, list[Any]]:
        queries = {"days": DAYS, "campaigns": CAMPAIGNS, "standing": STANDING, "touches": TOUCHES}
        found: dict[str, list[Any]] = {name: await self.books.rows(query) for name, query in queries.items()}
        for name in ("days", "campaigns"):
            # A day of which nothing is reported is a row or none.
            found[name] = [row for row in found[name] if any(value is not None for value in list(row.values())[5:])]
        names = dict(zip(self.campaigns, "abcd", strict=True))
        for row in found["campaigns"]:
            row["name"] = names.get(row["name"], row["name"])
        return found

    async def proven(self) -> None:
        async with self.books.database.snapshot(self.books.workspace_id) as connection:
            report = await verify(connection, self.books.workspace_id, lambda _delivery, _version: None)
        assert report.differences == []


@pytest_asyncio.fixture
async def shop(database: Database) -> AsyncIterator[Shop]:
    yield await Shop.open(database, fixed(at(61), 3))


def link(name: str) -> SubjectRef:
    return SubjectRef(name, SubjectType.LINK)


def click(name: str, day: float, subject: str | None, kind: str = "click", **more: Any) -> Item:
    return Touchpoint(id=name, at=at(day), kind=kind, subject=link(subject) if subject else None, **more)


def order(name: str, day: float, euros: int = 10, kind: str = "order", **more: Any) -> Item:
    given: dict[str, Any] = {"value": euros * 1_000_000, "currency": "EUR"} | more
    return Conversion(id=name, at=at(day), kind=kind, **given)


def made_up(seed: int, count: int) -> list[Told]:
    """Return deliveries of touches, orders, refunds and facts that meet, restate and contradict each other."""
    rng = random.Random(seed)
    return [_told(rng) for _ in range(count)]


def _told(rng: random.Random) -> Told:
    when: dict[str, Any] = {"observed_at": at(rng.randint(8, 14), rng.choice((0, 5)))}
    person: dict[str, Any] = {
        "customer": rng.choice((None, "c1", "c2")),
        "click_id": rng.choice((None, None, "gclid:1", "gclid:2")),
    }
    utm: dict[str, Any] = {"utm_campaign": rng.choice((None, None, "spring", "autumn"))}
    day = rng.choice((0.0, 1.0, 2.5, 5.0, 7.0))
    match rng.randint(0, 9):
        case 0 | 1 | 2 | 3:
            kind, name = rng.choice(("click", "click", "view")), f"t{rng.randint(0, 5)}"
            if kind == "view" and not any(person.values()):
                kind = "click"
            subject = rng.choice((None, "l1", "l2", "l3"))
            return "links", [click(name, day, subject, kind, **person, **utm, **when)]
        case 4 | 5 | 6:
            code: dict[str, Any] = {"promo_code": rng.choice((None, None, None, " anna10"))}
            more: dict[str, Any] = {"cancelled": rng.random() < 0.2, "first_order": rng.choice((None, True)), **code}
            value: dict[str, Any] = {"euros": rng.randint(1, 9), "kind": rng.choice(("order", "order", "conversion"))}
            return "shop", [order(f"o{rng.randint(0, 3)}", day + 0.5, **value, **person, **utm, **more, **when)]
        case 7 | 8:
            of: dict[str, Any] = {"refund_of": rng.choice((None, "o0", "o1", "o2")), "cancelled": rng.random() < 0.2}
            name, euros = f"r{rng.randint(0, 2)}", rng.randint(1, 5)
            return "shop", [order(name, day + 1.5, euros, "refund", **person, **of, **when)]
        case _:
            tags = tuple(tag for tag in ("spring",) if rng.random() < 0.5)
            seen = SubjectSeen(subject=link(rng.choice(("l1", "l2", "l3"))), hashtags=tags, **utm, **when)
            return "links", [seen]


def variations(told: Sequence[Told], seed: int) -> list[list[list[Told]]]:
    """Return deliveries one by one, reversed and twice in sevens, shuffled one by one, and all together."""
    shuffled = [*told, *told]
    random.Random(seed).shuffle(shuffled)
    twice = [one for one in reversed(told) for _ in range(2)]
    return [
        [[one] for one in told],
        [twice[start : start + 7] for start in range(0, len(twice), 7)],
        [[one] for one in shuffled],
        [shuffled],
    ]


@pytest.mark.parametrize("seed", seeds(4))
async def test_any_order_of_arrival_credits_the_same(database: Database, seed: int) -> None:
    told = made_up(seed, 36)
    results = []
    for number, batches in enumerate(variations(told, seed)):
        shop = await Shop.open(database, fixed(at(61), seed * 10 + number))
        for batch in batches:
            await shop.post(*batch)
            if number == 2:
                await shop.proven()
        await shop.proven()
        results.append(await shop.found())
    for found in results[1:]:
        for part, rows in found.items():
            assert rows == results[0][part], part
    assert any(row["rule"] in {"click_id", "customer"} for row in results[0]["standing"])


async def credited(shop: Shop) -> dict[str | None, tuple[int, int]]:
    """Return subject to (conversions, value) of what stands, in whole units."""
    rows = await shop.books.rows(
        f"select external_id, sum(conversions)::bigint as n, sum(conversion_value)::bigint as v from {SUBJECT_DAYS} d "
        "join subjects using (workspace_id, subject_id) where zone = 'UTC' or zone = 'Asia/Kolkata' "
        "group by 1 having sum(conversions) is not null or sum(conversion_value) is not null"
    )
    return {row["external_id"]: ((row["n"] or 0) // 1_000_000, (row["v"] or 0) // 1_000_000) for row in rows}


async def test_the_last_click_is_credited_and_a_view_only_without_one(shop: Shop) -> None:
    await shop.post(
        ("links", [click("1", 0, "l1", customer="c"), click("2", 1, "l2", customer="c")]),
        ("links", [click("3", 1.5, "l3", "view", customer="c"), click("4", 1.9, "l3", "view", customer="d")]),
        ("shop", [order("o1", 2, 10, customer="c"), order("o2", 2, 7, customer="d"), order("o3", 2, 5, customer="e")]),
    )
    assert await credited(shop) == {"l2": (1, 10), "l3": (1, 7), "unattributed": (1, 5)}
    await shop.proven()


async def test_a_late_touch_takes_the_order_over_and_the_lines_say_why(shop: Shop) -> None:
    await shop.post(("shop", [order("o1", 2, customer="c"), order("r1", 3, 4, "refund", refund_of="o1")]))
    assert await credited(shop) == {"unattributed": (1, 6)}
    await shop.post(("links", [click("1", 1, "l1", customer="c")]))
    assert await credited(shop) == {"l1": (1, 6)}
    causes = await shop.books.rows(
        "select cause, sign, count(*) as n from entries where orders is not null or refunds is not null "
        "group by 1, 2 order by 1, 2"
    )
    assert [(row["cause"], row["sign"], row["n"]) for row in causes] == [(2, 1, 1), (5, -1, 2), (7, 1, 1), (8, 1, 2)]
    await shop.proven()


async def test_a_window_is_as_long_as_the_campaigns_of_the_subject_say(shop: Shop) -> None:
    await shop.post(
        ("links", [click("1", 0, "l1", customer="c"), click("2", 0, None, customer="d", utm_campaign="spring")]),
        (
            "shop",
            [order("o1", 7, 10, customer="c"), order("o2", 7.01, 7, customer="c"), order("o3", 2, 1, customer="d")],
        ),
    )
    # The link counts in a campaign that says nothing: seven days, not a moment more.
    assert await credited(shop) == {"l1": (1, 10), "unattributed": (1, 7), "utm_campaign:spring": (1, 1)}
    await shop.proven()


async def test_a_new_window_of_a_campaign_credits_anew(shop: Shop) -> None:
    await shop.post(
        ("links", [click("1", 0, "l1", customer="c")]),
        ("shop", [order("o1", 3, 10, customer="c")]),
    )
    await shop.books.rules(shop.campaigns[0], [Rule(platform="links")], click_days=2)
    assert await credited(shop) == {"unattributed": (1, 10)}
    await shop.proven()
    await shop.books.rules(shop.campaigns[0], [Rule(platform="links")], click_days=30)
    assert await credited(shop) == {"l1": (1, 10)}
    await shop.proven()


async def test_what_is_cancelled_is_taken_back_and_comes_back_when_that_was_wrong(shop: Shop) -> None:
    def said(hour: float, *, cancelled: bool) -> Told:
        return "shop", [order("o1", 2, 10, cancelled=cancelled, observed_at=at(3, hour))]

    await shop.post(said(1, cancelled=False))
    await shop.post(said(2, cancelled=True))
    assert await credited(shop) == {}
    await shop.post(said(1, cancelled=False))
    assert await credited(shop) == {}
    refund = order("r1", 3, 4, "refund", refund_of="o1", observed_at=at(4))
    await shop.post(("shop", [refund]))
    assert await credited(shop) == {"unattributed": (0, -4)}
    await shop.post(said(4, cancelled=False))
    await shop.post(("shop", [order("r1", 3, 4, "refund", refund_of="o1", observed_at=at(5), cancelled=True)]))
    assert await credited(shop) == {"unattributed": (1, 10)}
    await shop.proven()


async def test_a_code_beats_a_click_and_long_values_lose_no_order(shop: Shop) -> None:
    await shop.post(
        ("links", [click("1", 1, "l1", customer="c", click_id="gclid:1")]),
        ("shop", [order("o1", 2, 1, customer="c", promo_code="anna10"), order("o2", 2, 2, promo_code=" ANNA10 ")]),
        ("shop", [order("o3", 2, 3, utm_campaign="x" * 5000), order("o4", 2, 4, click_id="gclid:2")]),
        (
            "shop",
            [order("o5", 2, 5, promo_code="a\x00b"), order("o6", 2, 6, subject=SubjectRef("named"), customer="c")],
        ),
    )
    found = await credited(shop)
    assert {name: value for name, value in found.items() if "sha256" not in (name or "")} == {
        "promo_code:ANNA10": (2, 3),
        "click_id:gclid": (1, 4),
        "promo_code:A\ufffdB": (1, 5),
        "named": (1, 6),
    }
    assert sum(count for count, _ in found.values()) == 6
    rows = await shop.books.rows("select day, orders from campaign_days where campaign_id = :c", c=shop.campaigns[2])
    assert [(row["day"], row["orders"]) for row in rows] == [(date(2026, 6, 3), 2)]
    await shop.proven()


async def test_nobody_is_kept_in_plain_text(shop: Shop) -> None:
    person, click_id = "someone@example.org", "fbclid:IwAR-very-own"
    await shop.post(
        ("links", [click("1", 1, "l1", customer=person, click_id=click_id)]),
        ("shop", [order("o1", 2, customer=person, click_id=click_id)]),
    )
    tables = await shop.books.rows("select tablename from pg_tables where schemaname = 'public'")
    for table in (row["tablename"] for row in tables):
        if table != "alembic_version" and not table[-1].isdigit() and not table.endswith("_before"):
            for row in await shop.books.rows(f"select t::text as line from {table} t"):
                assert person not in row["line"], table
                assert "IwAR-very-own" not in row["line"], table
    assert await credited(shop) == {"l1": (1, 10)}


async def test_facts_of_a_touched_link_say_which_campaign_it_was(shop: Shop) -> None:
    visit = order("o1", 2, customer="c", utm_campaign="spring")
    await shop.post(("links", [click("1", 1, "l1", customer="c")]), ("shop", [visit]))
    assert await credited(shop) == {"utm_campaign:spring": (1, 10)}
    seen = SubjectSeen(subject=link("l1"), utm_campaign="spring", observed_at=at(1) + timedelta(hours=1))
    await shop.post(("links", [seen]))
    assert await credited(shop) == {"l1": (1, 10)}
    await shop.proven()
