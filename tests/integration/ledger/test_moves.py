"""A changed rule moves subjects a few at a time: between any two the books are sound, and a crash is gone on from."""

from __future__ import annotations

import random  # noqa: TID251 - seeded, so that a failing case comes back
from collections.abc import AsyncIterator
from datetime import date
from typing import Any
from uuid import UUID

import msgspec
import pytest
import pytest_asyncio
import sqlalchemy as sa

from connectors.contract import Conversion, Kind, Observation, SubjectRef, Touchpoint, day_window
from service.db.engine import Database, driver
from service.ledger import moves, recount, touch_windows
from service.ledger.verify import verify
from service.pipeline.moving import Mover
from service.records import CampaignKind, CampaignVersion, Rule
from tests.bookkeeping import Books, at, counter, seen
from tests.integration.ledger.test_order import made_up
from tests.integration.reports.test_trails import answer
from tests.seeds import seeds

POSTS = [f"p{number}" for number in range(10)]
WEEK: dict[str, Any] = {"range_from": date(2026, 6, 1), "range_to": date(2026, 6, 7)}


@pytest_asyncio.fixture
async def books(database: Database, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Books]:
    monkeypatch.setattr(moves, "MOST", 3)
    monkeypatch.setattr(moves, "_CHUNK", 4)
    monkeypatch.setattr(touch_windows, "MOST", 3)
    made = Books(database)
    await made.open()
    yield made


async def record(books: Books, campaign: UUID, *rules: Rule, click_days: int | None = None) -> None:
    """Record new rules and the moves that come with them; the rest waits."""
    version = CampaignVersion(
        name="c",
        kind=CampaignKind.BROAD,
        starts=date(2026, 6, 1),
        ends=date(2026, 6, 30),
        rules=rules,
        click_days=click_days,
    )
    async with books.database.workspace(books.workspace_id) as connection:
        await moves.record_version(connection, books.workspace_id, campaign, version, books.context)


async def members(books: Books, campaign: UUID) -> list[str]:
    rows = await books.rows(
        "select s.external_id from memberships m join subjects s using (workspace_id, subject_id) "
        "where m.campaign_id = :c group by 1 having sum(m.sign) > 0 order by 1",
        c=campaign,
    )
    return [row["external_id"] for row in rows]


async def in_turn(books: Books) -> list[str]:
    """Return the posts in the order in which they are decided about."""
    return [row["external_id"] for row in await books.rows("select external_id from subjects order by subject_id")]


async def waiting(books: Books) -> bool:
    """Tell whether a sweep would look into the workspace."""
    async with books.database.control() as connection:
        return books.workspace_id in await moves.waiting_anywhere(connection, 10)


async def prove(books: Books) -> None:
    async with books.database.snapshot(books.workspace_id) as connection:
        report = await verify(connection, books.workspace_id, lambda _delivery, _version: None)
    assert report.differences == []


def day(post: str, impressions: int) -> Observation:
    window = day_window(date(2026, 6, 2), "UTC")
    metrics = {"impressions": impressions}
    return Observation(subject=SubjectRef(post), kind=Kind.PERIOD, metrics=metrics, window=window, observed_at=at(3))


async def test_queries_between_two_batches_are_consistent(books: Books) -> None:
    source = await books.source()
    old = await books.campaign([Rule(hashtag="spring")], zone="Asia/Kolkata")
    new = await books.campaign([Rule(hashtag="none")], zone="America/Los_Angeles")
    for post in POSTS:
        facts = seen(post, hashtags=("spring",), published_at=at())
        await books.post(source, [facts, counter(post, at(1), likes=10), day(post, 7)])
    counted = []
    await record(books, new, Rule(hashtag="spring"))
    more = True
    while more:
        names = await members(books, new)
        counted.append(len(names))
        assert names == sorted((await in_turn(books))[: len(names)])
        likes = await answer(books, new, "likes", **WEEK)
        impressions = await answer(books, new, "impressions", **WEEK)
        # Seven of ten: the first hours of the first of June are still the last of May there.
        assert (likes["value"], impressions["value"]) == (7 * len(names), 7 * len(names))
        assert (await answer(books, old, "likes", **WEEK))["value"] == 10 * len(POSTS)
        await prove(books)
        more = await books.go_on()
    assert counted == [3, 6, 9, 10, 10][: len(counted)]
    assert counted[-1] == 10
    # Every batch is a posting of its own; looking when nothing waits is none.
    postings = await books.rows("select count(*) as n from postings where cause = 'campaign'")
    assert postings == [{"n": 2 + 4}]
    assert not await books.go_on()


async def test_a_crash_between_or_inside_a_batch_is_gone_on_from(books: Books, monkeypatch: pytest.MonkeyPatch) -> None:
    source = await books.source()
    campaign = await books.campaign([Rule(hashtag="spring")])
    for post in POSTS:
        await books.post(
            source, [seen(post, hashtags=("spring", "sale"), observed_at=at(1)), counter(post, at(1), likes=1)]
        )
    turn = await in_turn(books)
    assert not await waiting(books)
    await record(books, campaign, Rule(hashtag="none"))
    assert await members(books, campaign) == sorted(turn[3:])
    assert await waiting(books)

    async def crash(*_: Any) -> None:
        raise InterruptedError

    with monkeypatch.context() as patched:
        patched.setattr(recount, "recount_all", crash)
        with pytest.raises(InterruptedError):
            await books.go_on()
    assert await members(books, campaign) == sorted(turn[3:])
    await prove(books)
    # Somebody else is told something new of a post that waits, and of one that does not; both follow the newest rules.
    await books.post(source, [seen(turn[number], hashtags=("none",), observed_at=at(2)) for number in (1, 8)])
    await prove(books)
    await Mover(books.database, books.context).sweep()
    assert await members(books, campaign) == sorted((turn[1], turn[8]))
    assert await books.rows("select * from moves") == []
    assert not await waiting(books)
    await prove(books)
    await _idle(books, monkeypatch)
    await record(books, campaign, Rule(hashtag="sale"))
    await record(books, campaign, Rule(platform="instagram"))
    await Mover(books.database, books.context).finish(books.workspace_id)
    assert await members(books, campaign) == POSTS
    await prove(books)


async def _windows_at(books: Books, number: int) -> list[float]:
    async with books.database.snapshot(books.workspace_id) as connection:
        raw = await driver(connection)
        rows = await raw.fetch("select subject_id from subjects where external_id like 'p_' order by subject_id")
        ids = [row["subject_id"] for row in rows]
        found = await touch_windows.windows_of(raw, books.workspace_id, ids, number)
    return [found[one].click_days for one in ids]


async def _crashed(books: Books, monkeypatch: pytest.MonkeyPatch, campaign: UUID) -> None:
    """Let a step of windows crash before its end: nothing of it stays, and the next one goes on."""

    async def crash(*_: Any) -> None:
        raise InterruptedError

    await record(books, campaign, Rule(hashtag="spring"))
    steps = await books.rows("select count(*) as n from window_steps")
    with monkeypatch.context() as patched:
        patched.setattr(recount, "recount_all", crash)
        with pytest.raises(InterruptedError):
            await books.go_on()
    assert await books.rows("select count(*) as n from window_steps") == steps
    assert await waiting(books)
    await prove(books)
    await Mover(books.database, books.context).sweep()
    await prove(books)


async def _idle(books: Books, monkeypatch: pytest.MonkeyPatch) -> None:
    """Sweep where nothing waits: it is found in one look, without a transaction of any workspace."""

    def refuse(*_: Any) -> None:
        raise AssertionError("nothing waits there")

    with monkeypatch.context() as patched:
        patched.setattr(books.database, "workspace", refuse)
        await Mover(books.database, books.context).sweep()
    # What a row stands for may be done already: then it goes.
    async with books.database.control() as connection:
        await connection.execute(sa.text("insert into pending_moves values (:w)"), {"w": books.workspace_id})
    postings = await books.rows("select count(*) from postings")
    await Mover(books.database, books.context).sweep()
    assert (await waiting(books), await books.rows("select count(*) from postings")) == (False, postings)


async def test_credits_follow_windows_and_moves(books: Books, monkeypatch: pytest.MonkeyPatch) -> None:
    source = await books.source()
    campaign = await books.campaign([Rule(hashtag="spring")])
    for number, post in enumerate(POSTS):
        subject, who = SubjectRef(post), f"customer {number}"
        await books.post(
            source,
            [
                seen(post, hashtags=("spring",)),
                Touchpoint(id=post, at=at(1), subject=subject, customer=who),
                Conversion(id=post, at=at(5), kind="order", value=1_000_000, currency="EUR", customer=who),
            ],
        )

    async def orders() -> int | None:
        found: int | None = (await answer(books, campaign, "orders", **WEEK))["value"]
        return found

    async def credited(days: int | None, *, finish: bool = True) -> list[int | None]:
        """Return the orders of the campaign after each step of other windows."""
        await record(books, campaign, Rule(hashtag="spring"), click_days=days)
        found = [await orders()]
        await prove(books)
        while finish and await books.go_on():
            found.append(await orders())
            await prove(books)
        return found

    assert await orders() == 10
    before = (await books.rows("select max(posting) as n from books"))[0]["n"]
    assert await credited(1) == [7, 4, 1, None]
    # Each step is a posting of its own, and what held at any of them can be asked for.
    after = (await books.rows("select max(posting) as n from books"))[0]["n"]
    assert after == before + 4
    assert [await _windows_at(books, number) for number in range(before, after + 1)] == [
        [7.0] * 10, [1.0] * 3 + [7.0] * 7, [1.0] * 6 + [7.0] * 4, [1.0] * 9 + [7.0], [1.0] * 10,
    ]  # fmt: skip
    assert await credited(None) == [3, 6, 9, 10]
    # Changed again half-way, by other rules as well: from the first member, and nobody is passed over.
    assert await credited(1, finish=False) == [7]
    assert await credited(5) == [10, 10, 10, 10]
    assert await credited(1, finish=False) == [7]
    await books.go_on()
    await record(books, campaign, Rule(hashtag="spring"), Rule(hashtag="none"), click_days=1)
    assert await orders() == 4
    await prove(books)
    while await books.go_on():
        await prove(books)
    assert await orders() is None
    await _crashed(books, monkeypatch, campaign)
    assert await credited(1) == [7, 4, 1, None]
    # A subject with more touches than a posting takes goes alone.
    with monkeypatch.context() as patched:
        patched.setattr(touch_windows, "MOST_TOUCHES", 1)
        assert (await credited(None))[:3] == [1, 2, 3]
        assert await credited(1) == [9, 8, 7, 6, 5, 4, 3, 2, 1, None]
    await record(books, campaign, Rule(hashtag="none"), click_days=1)
    counts = []
    while True:
        rows = await books.rows(
            "select count(*) as n from credits c join subjects s using (subject_id) "
            "join (select event_key, max(version) as version from conversions group by 1) v using (event_key, version) "
            "where s.external_id like 'p_'"
        )
        counts.append(rows[0]["n"])
        await prove(books)
        if not await books.go_on():
            break
    # Outside the campaign its windows do not hold: the default of seven days leads to the post again.
    assert counts[:4] == [3, 6, 9, 10]


@pytest.mark.parametrize("seed", seeds(2))
async def test_any_interleaving_of_rules_readings_and_moves_is_sound(books: Books, seed: int) -> None:
    rng = random.Random(seed)
    source = await books.source()
    campaigns = [await books.campaign([], zone=zone) for zone in ("Asia/Kolkata", "America/Los_Angeles", "UTC")]
    rules: tuple[list[Rule], ...] = (
        [Rule(hashtag="spring")],
        [Rule(platform="instagram")],
        [Rule(hashtag="sale"), Rule(hashtag="spring", in_flight=True)],
        [],
    )
    deliveries = made_up(seed, 16)
    renamed = {"p1": POSTS, "p2": POSTS[5:]}
    for delivery in deliveries:
        items = []
        for item in delivery:
            subject = getattr(item, "subject", None)
            if subject is not None:
                name = rng.choice(renamed[subject.external_id])
                items.append(msgspec.structs.replace(item, subject=msgspec.structs.replace(subject, external_id=name)))
            else:
                items.append(item)
        await books.post(source, items)
        match rng.randint(0, 3):
            case 0:
                await record(books, rng.choice(campaigns), *rng.choice(rules), click_days=rng.choice((None, 1)))
            case 1 | 2:
                await books.go_on()
        await prove(books)
    while await books.go_on():
        await prove(books)
    assert await books.rows("select * from moves") == []
