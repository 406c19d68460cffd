"""Equal tags are equal bytes, whatever is written: no write that changes an answer leaves the tag of the answer.

Nor does what a process remembers of members outlive a write that changes them.
"""

from __future__ import annotations

import random  # noqa: TID251 - seeded, so that a failing case comes back
from collections import Counter
from collections.abc import Awaitable, Callable
from datetime import date, datetime, timedelta
from typing import Any
from uuid import UUID

import msgspec
import sqlalchemy as sa

from connectors.contract import Item, Kind, Observation, SubjectRef, SubjectSeen, SubjectType
from service.api.caching import tag_of
from service.db.engine import Database, driver
from service.errors import Gone, Invalid, NotFound
from service.kpi.buckets import Grain
from service.ledger import moves, resets
from service.ledger.carry import carry
from service.ledger.history.campaigns import campaign_at
from service.records import Creator, Rule, Verdict
from service.registry import creators
from service.reports.campaign import campaign_kpis
from service.reports.question import Question
from service.reports.standing import standing
from tests.bookkeeping import at, counter
from tests.integration.ledger import test_credits, test_order
from tests.integration.ledger.desk import Desk, mutated
from tests.integration.ledger.test_order import NOTES

COUNT = 60
METRICS = ("likes", "ctr", "er_reach", "er_followers", "follower_growth", "conversions", "refunds", "aov")
QUESTIONS = (
    Question(metrics=METRICS, preset="lifetime", dimensions=("platform", "tier")),
    Question(metrics=METRICS, range_from=date(2026, 6, 1), range_to=date(2026, 6, 8), granularity=Grain.DAY),
    Question(
        metrics=METRICS,
        range_from=at(1),
        range_to=at(6),
        timezone="Asia/Kathmandu",
        dimensions=("tier",),
        compare="previous_period",
    ),
)
TAGS = ("spring", "sale")


class World(Desk):
    """A desk with a shop and a tracker of links, a creator, and a list of what was answered under which tag."""

    async def furnish(self, seed: int) -> None:
        """Make everything that can be written to."""
        self.rng = random.Random(seed)
        await self.open()
        books = self.books
        self.shops = {name: await books.source(name) for name in ("links", "shop")}
        self.shops["cleo"] = await books.source("elsewhere")
        self.creator = Creator(
            creator_id=self.context.new_id(),
            name="Ada",
            notes="",
            profiles=(("instagram", "ada"),),
            created_at=self.time,
            updated_at=self.time,
        )
        async with self.database.workspace(books.workspace_id) as connection:
            await creators.create(connection, books.workspace_id, self.creator)
        self.campaigns[2:] = [
            await books.campaign([Rule(platform="links"), Rule(creator=self.creator.creator_id)]),
            await books.campaign([Rule(hashtag="early")], click_days=30),
            await books.campaign([Rule(hashtag="late")], click_days=1),
        ]
        links, shop = self.shops["links"], self.shops["shop"]
        who: dict[str, Any] = {"customer": "of two clicks"}
        for number, tag in enumerate(("early", "late")):
            made = SubjectSeen(subject=SubjectRef(tag, SubjectType.LINK), hashtags=(tag,), observed_at=at(0))
            await books.post(links, [made, test_credits.click(tag, 1 + 9 * number, tag, **who)])
        await books.post(shop, [test_credits.order("of two clicks", 20, **who)])
        published = SubjectSeen(subject=SubjectRef("p3"), creator="ada", published_at=at(1), observed_at=at(0))
        late: dict[str, Any] = {"creator": "cleo", "hashtags": ("early",), "published_at": at(1), "observed_at": at(0)}
        unread = SubjectSeen(subject=SubjectRef("p5"), **late)
        await books.post(self.sources[0], [published, counter("p3", at(2), likes=7)])
        await books.post(self.shops["cleo"], [unread])
        self.written = 0
        self.turn: Counter[object] = Counter()
        self.sales = test_credits.made_up(seed, COUNT)
        self.script = dict(enumerate(self._deliveries(seed)))
        self.version = 1
        self.reads("1", self.script)
        self.landed = 0
        self.met: dict[str, bytes] = {}
        self.said: dict[tuple[UUID, Question], bytes] = {}

    def _deliveries(self, seed: int) -> list[list[Item]]:
        """Return deliveries of everything that is counted, and of who made it."""
        found = test_order.made_up(seed, COUNT)
        for number, one in enumerate(found):
            post, who = SubjectRef(self.rng.choice(test_order.POSTS)), self.rng.choice(("ada", "bob"))
            when, profile = at(number % 9), SubjectRef(who, SubjectType.PROFILE)
            fans = {"followers": self.rng.choice((10, 9_000, 60_000))}
            made = SubjectSeen(subject=post, creator=who, published_at=at(number % 3), observed_at=when)
            level = Observation(subject=profile, kind=Kind.LEVEL, metrics=fans, observed_at=when)
            more: list[list[Item]] = [[made], [level], [counter("p1", when, likes=self.rng.choice((1, 400)))], []]
            found[number] = one + self.rng.choice(more)
        return found

    def turns(self, first: Any, second: Any) -> Any:
        """Return one of two by turns."""
        self.turn[first] += 1
        return first if self.turn[first] % 2 else second

    # -------------------------------------------------------------------------------------------- writes

    async def deliver(self) -> None:
        """Have the next deliveries read."""
        await self.land(range(self.landed, self.landed + 2))
        self.landed = min(self.landed + 2, COUNT - 2)
        await self.drain()

    async def sell(self) -> None:
        """Post touches, orders, refunds and facts of links: credits move between subjects of any source."""
        for _ in range(4):
            source, items = self.sales.pop()
            await self.books.post(self.shops[source], items)

    async def publish(self) -> None:
        """Say that a post without numbers came out at another time: its tier is told by the followers of then."""
        self.written += 1
        out = self.turns(at(1), at(0, 0.05))
        seen = SubjectSeen(
            subject=SubjectRef("p4"),
            creator="ada",
            hashtags=("early",),
            published_at=out,
            observed_at=at(20 + self.written),
        )
        await self.books.post(self.sources[0], [seen])

    async def order(self) -> None:
        """Post an order of somebody whose clicks another source reported."""
        self.written += 1
        await self.books.post(
            self.shops["shop"], [test_credits.order(f"n{self.written}", 20, customer="of two clicks")]
        )

    async def change_rules(self) -> None:
        """Give a campaign other rules and windows."""
        rules = [Rule(hashtag=self.rng.choice(TAGS))], [Rule(platform=self.rng.choice(("instagram", "links")))]
        days = {"click_days": self.rng.choice((None, 1, 9)), "view_days": self.rng.choice((None, 0))}
        await self.books.rules(self.campaigns[1], self.rng.choice(rules), **days)

    async def change_windows(self) -> None:
        """Let the later click count, or not: the credit moves from or to a campaign that nobody touched."""
        self.written += 1
        await self.books.rules(self.campaigns[4], [Rule(hashtag="late")], click_days=self.turns(30, 1))

    async def join_and_leave(self) -> None:
        """Say of a post that it has a hashtag, or has it no more."""
        self.written += 1
        tags = self.turns(("spring",), ())
        seen = SubjectSeen(subject=SubjectRef("p3"), hashtags=tags, observed_at=at(20 + self.written))
        await self.books.post(self.sources[0], [seen])

    async def follow(self) -> None:
        """Say how many followed somebody when a post came out: the profile counts nowhere, its post does."""
        self.written += 1
        fans, when = {"followers": self.turns(90_000, 10)}, at(0, self.written / 10)
        cleo = SubjectRef("cleo", SubjectType.PROFILE)
        level = Observation(subject=cleo, kind=Kind.LEVEL, metrics=fans, observed_at=when)
        await self.books.post(self.shops["cleo"], [level])

    async def change_creator(self) -> None:
        """Take the profile of the creator away, or give it back."""
        workspace_id, profiles = self.books.workspace_id, self.creator.profiles
        self.creator = msgspec.structs.replace(self.creator, profiles=() if profiles else (("instagram", "ada"),))
        async with self.database.workspace(workspace_id) as connection:
            # A delivery may have made one of its own meanwhile.
            await connection.execute(sa.text("delete from creator_profiles where external_id = 'ada'"))
            await creators.replace(connection, workspace_id, self.creator)
            await moves.reassign_campaigns(connection, workspace_id, [self.campaigns[2]], self.context)

    async def settle_fall(self) -> None:
        """Say what a fall of a counter was."""
        rows = await self.books.rows(
            "select e.subject_id, e.observed_at from entries e join series s using (workspace_id, series_id) "
            "where s.kind = 'lifetime' and e.likes < 0 and e.sign > 0 order by 1, 2"
        )
        if not rows:
            return
        row, verdict = self.rng.choice(rows), self.rng.choice((Verdict.RESET, Verdict.CORRECTION))
        asked = (self.books.workspace_id, row["subject_id"], "likes", row["observed_at"], verdict, "test", self.context)
        try:
            async with self.database.workspace(self.books.workspace_id) as connection:
                await resets.settle(connection, *asked)
        except (Invalid, NotFound):
            return

    async def read_anew(self) -> None:
        """Have all deliveries read by another version."""
        self.version += 1
        fresh = dict(enumerate(test_order.made_up(self.version + 100, COUNT)))
        self.reads(str(self.version), mutated(self.script, self.version, fresh))
        await self.replay()

    async def retain(self) -> None:
        """Carry values over an edge inside the asked ranges."""
        async with self.database.workspace(self.books.workspace_id) as connection:
            await carry(connection, self.books.workspace_id, at(30), self.context)

    # -------------------------------------------------------------------------------------------- answers

    async def ask(self, campaign: UUID, question: Question, database: Database | None = None) -> tuple[str, bytes]:
        """Return tag and bytes of an answer as a route gives them; a refusal is its name."""
        home = self.books.workspace_id
        async with (database or self.database).snapshot(home) as connection:
            stands = await standing(connection, home, campaign, question, self.time)
            known = msgspec.structs.replace(question, known=stands.known)
            try:
                answer = await campaign_kpis(connection, home, campaign, known, NOTES, stands.clock)
            except Gone:
                return tag_of((campaign, question), stands, NOTES, "application/json"), b"gone"
        return tag_of((campaign, question), stands, NOTES, "application/json"), msgspec.json.encode(answer)

    async def remember_slowly(self) -> None:
        """Ask in a snapshot that is older than what others have asked since: it is told of its own state."""
        home, campaign = self.books.workspace_id, self.campaigns[3]
        async with self.database.snapshot(home) as connection:
            raw = await driver(connection)
            before = (await campaign_at(raw, home, campaign, None, self.time)).members
            seen = SubjectSeen(subject=SubjectRef("p6"), hashtags=("early",), observed_at=at(60))
            await self.books.post(self.sources[0], [seen])
            async with self.database.snapshot(home) as later:
                after = (await campaign_at(await driver(later), home, campaign, None, self.time)).members
            assert len(after) == len(before) + 1
            assert (await campaign_at(raw, home, campaign, None, self.time)).members == before

    async def check(self, write: str, pinned: datetime) -> list[UUID]:
        """Ask everything of every campaign; return the campaigns of which an answer has changed."""
        changed: set[UUID] = set()
        for campaign in self.campaigns:
            for question in (*QUESTIONS, msgspec.structs.replace(QUESTIONS[2], as_of=pinned)):
                tag, said = await self.ask(campaign, question)
                assert self.met.setdefault(tag, said) == said, (write, question)
                if self.said.get((campaign, question), said) != said:
                    changed.add(campaign)
                self.said[campaign, question] = said
            # A process that remembers nothing says the same.
            _, told = await self.ask(campaign, QUESTIONS[0], Database(self.database.engine))
            assert told == self.said[campaign, QUESTIONS[0]], write
        return sorted(changed)


async def test_a_tag_goes_with_every_write_that_changes_the_answer(database: Database) -> None:
    world = World(database, 1)
    await world.furnish(1)
    await world.deliver()
    writes: dict[str, Callable[[], Awaitable[Any]]] = {
        "deliver": world.deliver,
        "sell": world.sell,
        "order": world.order,
        "join_and_leave": world.join_and_leave,
        "follow": world.follow,
        "publish": world.publish,
        "change_rules": world.change_rules,
        "change_windows": world.change_windows,
        "change_creator": world.change_creator,
        "settle_fall": world.settle_fall,
        "read_anew": world.read_anew,
    }
    pinned = world.time
    world.time += timedelta(minutes=2)
    await world.check("at first", pinned)
    told: dict[str, int] = dict.fromkeys(writes, 0)
    names = [*(["deliver", "sell"] * 2), "join_and_leave", *writes]
    world.rng.shuffle(names)
    for name in names:
        await writes[name]()
        told[name] += len(await world.check(name, pinned))
    assert all(told.values()), told
    await world.remember_slowly()
    await world.retain()
    assert len(await world.check("retain", pinned)) == len(world.campaigns)
