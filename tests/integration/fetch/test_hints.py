from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import datetime, timedelta

from connectors.contract import Capabilities, ConnectorError, FetchKind, Http, Page, SubjectRef, SubjectType, Task
from service.db.engine import Database
from service.fetch import hints
from service.fetch.plan import NAMING_SLOT, TaskState
from service.fetch.pull import Pulled
from service.records import SourceRow
from tests.integration.fetch.test_pull import Book, Site
from tests.integration.inbox.world import Clock, Toy, count, make_source, rows

DAY = timedelta(days=1)
NUMBERS = FetchKind(name="numbers", every=timedelta(hours=6), look_back=30 * DAY, subjects=True)
WORDS = FetchKind(name="words", every=timedelta(hours=6), look_back=30 * DAY, subjects=True)
LISTS = FetchKind(name="lists", every=timedelta(hours=6))


class Desk:
    """A source with two kinds of task that may name subjects, one of which can be told to fail."""

    def __init__(self, database: Database, clock: Clock, source: SourceRow) -> None:
        self.database = database
        self.clock = clock
        self.source = source
        self.book = Book(clock, pages=1)
        self.failing: set[str] = set()
        toy = Toy(self.fetch)
        toy.capabilities = Capabilities(fetch=(NUMBERS, WORDS, LISTS))
        self.site = Site(database, clock, toy)

    async def fetch(self, http: Http, task: Task, now: datetime) -> AsyncIterator[Page]:
        if task.kind in self.failing:
            raise ConnectorError("told to fail")
        async for page in self.book.fetch(http, task, now):
            yield page

    async def hint(self, *names: str) -> None:
        for name in names:
            query = """insert into refresh_hints values (:w, :s, :name, 'reel', :at)
                       on conflict (workspace_id, source_id, external_id) do update set hinted_at = excluded.hinted_at
                       returning 1"""
            at = self.clock.now()
            await rows(self.database, self.source.workspace_id, query, s=self.source.source_id, name=name, at=at)

    async def later(self, step: timedelta = timedelta(minutes=2)) -> list[Pulled]:
        self.clock.ahead += step
        return await self.site.due()

    async def kept(self) -> int:
        return await count(self.database, self.source.workspace_id, "refresh_hints")

    async def pending(self, kind: str) -> list[str]:
        async with self.database.workspace(self.source.workspace_id) as connection:
            wanted = [(self.source.source_id, kind)]
            found = await hints.pending(connection, self.source.workspace_id, wanted, self.clock.now())
        return [ref.external_id for ref in found.get(wanted[0], [])]

    def asked(self) -> list[tuple[str, list[str]]]:
        return [(task.kind, [ref.external_id for ref in task.subjects]) for task in self.book.tasks]


async def desk(database: Database) -> Desk:
    """Return a desk whose kinds have all read everything once."""
    clock = Clock()
    one = Desk(database, clock, await make_source(database, clock.context()))
    await one.site.due()
    one.book.tasks.clear()
    return one


async def test_a_hint_is_answered_by_every_kind_and_then_forgotten(database: Database) -> None:
    one = await desk(database)
    one.failing = {"words"}
    await one.hint("1", "2")
    states = {pulled.kind: pulled.state for pulled in await one.later()}
    assert states == {"numbers": TaskState.DONE, "words": TaskState.FAILED}
    assert await one.kept() == 2
    assert (await one.pending("numbers"), await one.pending("words")) == ([], [])  # in vain: not at once again
    one.failing = set()
    await one.later(hints.IN_VAIN)
    assert one.asked() == [("numbers", ["1", "2"]), ("words", ["1", "2"])]
    assert await one.kept() == 0


async def test_what_is_hinted_at_again_is_fetched_again_and_once_for_many_hints(database: Database) -> None:
    one = await desk(database)
    for _ in range(5):
        await one.hint("1")
    await one.later()
    await one.hint("1")
    await one.later()
    assert one.asked() == [("numbers", ["1"]), ("words", ["1"])] * 2
    assert await one.kept() == 0


async def test_a_whole_task_answers_for_its_own_kind_and_not_for_what_is_older_than_its_look_back(
    database: Database,
) -> None:
    one = await desk(database)
    one.failing = {"words"}
    facts = '{"published_at": ["2026", "2020-01-01T00:00:00+00:00"]}'
    query = """insert into subjects (workspace_id, subject_id, platform, external_id, type, batch, facts)
               values (:w, :w, 'toy', 'old', 'post', 1, cast(:facts as jsonb)) returning 1"""
    await rows(database, one.source.workspace_id, query, facts=facts)
    await one.hint("old", "new")
    one.clock.ahead += NUMBERS.every
    one.failing = {"words"}
    planned = await one.site.rounds.plan(one.source.workspace_id)
    whole = [due for due in planned.sources[0].dues if due.kind.name == "numbers"]
    assert [due.subjects for due in whole] == [()]
    await one.site.due()
    assert await one.pending("numbers") == ["old"]
    assert await one.kept() == 2


async def test_a_source_that_shouts_takes_no_hint_from_another(database: Database) -> None:
    one = await desk(database)
    other = await make_source(database, one.clock.context(), one.source.workspace_id)
    query = (
        """insert into refresh_hints select :w, :s, 'n' || n, 'post', :at from generate_series(1, :n) n returning 1"""
    )
    for source, number in ((one.source, hints.MOST_HINTS + 100), (other, 1)):
        more = {"s": source.source_id, "n": number, "at": one.clock.now()}
        await rows(database, one.source.workspace_id, query, **more)
    async with database.workspace(one.source.workspace_id) as connection:
        wanted = [(one.source.source_id, "numbers"), (other.source_id, "numbers")]
        found = await hints.pending(connection, one.source.workspace_id, wanted, one.clock.now())
    assert [len(found[key]) for key in wanted] == [hints.MOST_HINTS, 1]


async def test_types_of_hints_reach_the_connector(database: Database) -> None:
    one = await desk(database)
    await one.hint("1")
    await one.later(NAMING_SLOT)
    assert one.book.tasks[0].subjects == (SubjectRef("1", SubjectType.REEL),)
