from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from datetime import datetime, timedelta
from typing import Any

import pytest
import sqlalchemy as sa

from connectors.contract import (
    BadPayload,
    Capabilities,
    Connector,
    FetchKind,
    Http,
    NeedsReauth,
    NotPermitted,
    Page,
    Response,
    Source,
    SubjectType,
    Task,
    TryLater,
)
from service.db.engine import Database, make_engine
from service.errors import Invalid, NotFound
from service.fetch import pull as pulling
from service.fetch import tasks
from service.fetch.plan import TaskState
from service.fetch.pull import Pulled, Puller
from service.fetch.rounds import Rounds
from service.pipeline.worker import Worker
from service.records import SourceRow, SourceState
from service.registry import sources
from tests.integration.inbox.world import SETTINGS, VAULT, Clock, FakePost, Fetch, Toy, count, make_source, rows


class NoHttp:
    """The connectors of these tests ask nobody."""

    async def get(self, path: str, params: Mapping[str, str] | None = None, **more: object) -> Response:
        raise NotImplementedError

    async def post(
        self, path: str, params: Mapping[str, str] | None = None, body: bytes = b"", **more: object
    ) -> Response:
        raise NotImplementedError

    async def put(self, path: str, params: object = None, body: bytes = b"", **more: object) -> Response:
        raise NotImplementedError

    def at(self, host: str) -> Http:
        raise NotImplementedError


class Book:
    """A platform of numbered pages that notes what it was asked and can be told to fail at one of them."""

    def __init__(self, clock: Clock, pages: int = 5) -> None:
        self.clock = clock
        self.pages = pages
        self.tasks: list[Task] = []
        self.given: list[int] = []
        self.before: Callable[[int], Any] = lambda _: None

    async def fetch(self, http: Http, task: Task, now: datetime) -> AsyncIterator[Page]:
        self.tasks.append(task)
        for number in range(int(task.cursor.get("after", "0")) + 1, self.pages + 1):
            result = self.before(number)
            if hasattr(result, "__await__"):
                await result
            self.given.append(number)
            yield Page(
                body=b"page %d" % number,
                request={"kind": task.kind, "page": str(number)},
                cursor={"after": str(number)},
                received_at=self.clock.now(),
                last=number == self.pages,
            )


class Site:
    """A fetcher of one database around one connector."""

    def __init__(self, database: Database, clock: Clock, fetch: Fetch | Connector, **settings: Any) -> None:
        self.connectors = {"toy": fetch if isinstance(fetch, Connector) else Toy(fetch)}
        chosen = SETTINGS.model_copy(update=settings)
        self.landed = asyncio.Event()
        puller = Puller(database, clock.context(), chosen, VAULT, self.http_for, self.landed)
        self.rounds = Rounds(database, clock.context(), self.connectors, puller)
        self.known: list[Source] = []

    def http_for(self, source: Source, connector: Connector) -> Http:
        self.known.append(source)
        return NoHttp()

    async def due(self) -> list[Pulled]:
        return await self.rounds.fetch_due()

    async def one(self) -> Pulled:
        (pulled,) = await self.due()
        return pulled


def failing(book: Book, error: Exception, at: int = 3) -> None:
    def fail(number: int) -> None:
        if number == at:
            raise error

    book.before = fail


async def task_rows(database: Database, source: SourceRow) -> list[Any]:
    return await rows(database, source.workspace_id, "select * from fetch_tasks where workspace_id = :w order by slot")


async def kept(database: Database, source: SourceRow, pages: int) -> None:
    """Wait until so many pages of the newest task are kept: pages are fetched ahead of that."""
    async with asyncio.timeout(10):
        while [row.pages for row in await task_rows(database, source)][-1:] != [pages]:  # noqa: ASYNC110 - it is elsewhere
            await asyncio.sleep(0.01)


async def bodies(database: Database, source: SourceRow) -> list[bytes]:
    query = "select body from deliveries where workspace_id = :w order by received_at"
    return [row.body for row in await rows(database, source.workspace_id, query)]


PAGES = [b"page %d" % number for number in range(1, 6)]


# ------------------------------------------------------------------------------------------------ the plain road


async def test_a_due_source_is_pulled_page_by_page_into_the_inbox(database: Database) -> None:
    clock = Clock()
    source = await make_source(database, clock.context(), options={"flavour": "sour"})
    book = Book(clock)
    site = Site(database, clock, book.fetch)
    pulled = await site.one()
    assert (pulled.state, pulled.pages, pulled.stored, pulled.error) == (TaskState.DONE, 5, 5, "")
    assert await bodies(database, source) == PAGES
    (first, *_) = await rows(database, source.workspace_id, "select * from deliveries order by received_at")
    assert (first.channel, first.connector, first.options) == ("fetch", "toy", {"flavour": "sour"})
    assert first.request == {"kind": "all", "page": "1"}
    (row,) = await task_rows(database, source)
    assert (row.state, row.attempt, row.pages) == ("done", 1, 5)
    assert row.cursor == {"after": {"after": "5"}, "subjects": []}
    assert await count(database, source.workspace_id, "delivery_queue") == 5
    assert site.landed.is_set()
    assert await site.due() == []


async def test_the_connector_hears_its_window_and_its_opened_source(database: Database) -> None:
    clock = Clock()
    source = await make_source(database, clock.context(), options={"flavour": "sour"}, account="me")
    book = Book(clock)
    site = Site(database, clock, book.fetch)
    await site.due()
    (task,) = book.tasks
    (row,) = await task_rows(database, source)
    assert (task.kind, task.subjects, task.cursor) == ("all", (), {})
    assert (task.start, task.end) == (row.started_at - timedelta(days=3), row.started_at)
    assert (task.source.account, task.source.options.flavour) == ("me", "sour")
    assert site.known == [task.source]


async def test_a_kind_without_a_look_back_has_no_window(database: Database) -> None:
    clock = Clock()
    await make_source(database, clock.context())
    book = Book(clock)
    toy = Toy(book.fetch)
    toy.capabilities = Capabilities(fetch=(FetchKind(name="plain", every=timedelta(hours=1)),))
    await Site(database, clock, toy).due()
    assert book.tasks[0].start is None


async def test_the_same_answers_in_the_next_slot_are_readings_of_their_own(database: Database) -> None:
    clock = Clock()
    source = await make_source(database, clock.context())
    site = Site(database, clock, Book(clock).fetch)
    await site.due()
    clock.ahead += timedelta(minutes=15)
    assert (await site.one()).stored == 5
    assert await count(database, source.workspace_id, "deliveries") == 10


async def test_what_is_fetched_is_posted_by_the_worker(database: Database) -> None:
    clock = Clock()
    await make_source(database, clock.context())
    site = Site(database, clock, Book(clock).fetch)
    await site.due()
    post = FakePost()
    await Worker(database, clock.context(), SETTINGS, site.connectors, post=post).drain()
    assert sorted(post.bodies) == PAGES


async def test_only_active_sources_with_something_to_fetch_are_due(database: Database) -> None:
    clock = Clock()
    await make_source(database, clock.context(), state=SourceState.PAUSED)
    await make_source(database, clock.context(), state=SourceState.NEEDS_REAUTH)
    await make_source(database, clock.context(), connector="not_installed")
    assert await Site(database, clock, Book(clock).fetch).due() == []


# ------------------------------------------------------------------------------------------------ crashes


@pytest.mark.parametrize("at", range(1, 6))
async def test_a_crash_between_pages_repeats_nothing(database: Database, at: int) -> None:
    clock = Clock()
    source = await make_source(database, clock.context())
    book = Book(clock)

    def crash(number: int) -> None:
        if number == at:
            raise ZeroDivisionError

    book.before = crash
    site = Site(database, clock, book.fetch)
    broken = await site.one()
    assert (broken.state, broken.error) == (TaskState.FAILED, "ZeroDivisionError")
    assert await bodies(database, source) == PAGES[: at - 1]
    assert await site.due() == []  # the lease of the dead one still runs
    clock.ahead += timedelta(seconds=61)
    book.before = lambda _: None
    pulled = await site.one()
    assert (pulled.state, pulled.pages) == (TaskState.DONE, 6 - at)
    assert book.given == [1, 2, 3, 4, 5]
    assert await bodies(database, source) == PAGES
    (row,) = await task_rows(database, source)
    assert (row.state, row.attempt, row.pages) == ("done", 2, 5)
    first, second = book.tasks
    assert (first.start, first.end) == (second.start, second.end)


async def test_a_page_that_is_landed_twice_in_one_slot_is_a_duplicate(database: Database) -> None:
    clock = Clock()
    source = await make_source(database, clock.context())
    book = Book(clock)
    site = Site(database, clock, book.fetch)
    await site.due()
    cursor = '{"after": {"after": "3"}}'
    query = f"update fetch_tasks set state = 'running', lease_until = now(), cursor = '{cursor}' returning 1"
    await rows(database, source.workspace_id, query)
    clock.ahead += timedelta(seconds=1)
    pulled = await site.one()
    assert (pulled.pages, pulled.stored) == (2, 0)
    assert await bodies(database, source) == PAGES


async def test_a_page_and_its_cursor_are_kept_together_or_not_at_all(database: Database, owner_url: str) -> None:
    clock = Clock()
    source = await make_source(database, clock.context())
    book = Book(clock)
    owner = make_engine(owner_url)

    async def revoke(number: int) -> None:
        if number == 3:
            await kept(database, source, 2)
            async with owner.begin() as connection:
                await connection.execute(
                    sa.text("alter table deliveries add constraint full_ check (channel = 'x') not valid")
                )

    book.before = revoke
    site = Site(database, clock, book.fetch)
    pulled = await asyncio.gather(site.due(), return_exceptions=True)
    assert isinstance(pulled[0], Exception)
    (row,) = await task_rows(database, source)
    assert row.cursor["after"] == {"after": "2"}
    assert await bodies(database, source) == PAGES[:2]
    await owner.dispose()


async def test_a_task_that_is_cancelled_can_be_taken_up_at_once(database: Database) -> None:
    clock = Clock()
    source = await make_source(database, clock.context())
    book = Book(clock)
    hangs = asyncio.Event()

    async def hang(number: int) -> None:
        if number == 3:
            hangs.set()
            await asyncio.sleep(3600)

    book.before = hang
    site = Site(database, clock, book.fetch)
    running = asyncio.create_task(site.due())
    await hangs.wait()
    await kept(database, source, 2)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    for _ in range(200):
        (row,) = await task_rows(database, source)
        if row.state != "waiting":
            await asyncio.sleep(0.01)
    assert (row.state, row.error) == ("waiting", "interrupted")
    book.before = lambda _: None
    assert (await site.one()).pages == 3
    assert await bodies(database, source) == PAGES


async def test_a_task_that_crashes_without_progress_is_given_up(database: Database) -> None:
    clock = Clock()
    source = await make_source(database, clock.context())
    book = Book(clock)

    def crash(number: int) -> None:
        if number == 2:
            raise ZeroDivisionError

    book.before = crash
    toy = Toy(book.fetch)
    toy.capabilities = Capabilities(fetch=(FetchKind(name="all", every=timedelta(days=1)),))
    site = Site(database, clock, toy, max_attempts=2)
    for _ in range(6):
        await site.due()
        clock.ahead += timedelta(seconds=61)
    (row,) = await task_rows(database, source)
    assert (row.state, row.attempt, row.error) == ("failed", 4, "given up after 3 attempts")


async def test_what_was_left_long_ago_is_skipped_for_the_newest_slot(database: Database) -> None:
    clock = Clock()
    source = await make_source(database, clock.context())
    book = Book(clock)

    def crash(number: int) -> None:
        if number == 3:
            raise ZeroDivisionError

    book.before = crash
    site = Site(database, clock, book.fetch)
    await site.due()
    clock.ahead += timedelta(hours=6)
    book.before = lambda _: None
    assert (await site.one()).pages == 5
    assert [row.state for row in await task_rows(database, source)] == ["skipped", "done"]


# ------------------------------------------------------------------------------------------------ replicas


async def test_a_slot_is_pulled_once_by_any_number_of_replicas(database: Database) -> None:
    clock = Clock()
    source = await make_source(database, clock.context())
    book = Book(clock)
    book.before = lambda _: asyncio.sleep(0.01)
    sites = [Site(database, clock, book.fetch) for _ in range(6)]
    results = [pulled for done in await asyncio.gather(*(site.due() for site in sites)) for pulled in done]
    assert len([pulled for pulled in results if pulled.state is TaskState.DONE]) == 1
    assert book.given == [1, 2, 3, 4, 5]
    assert await count(database, source.workspace_id, "fetch_tasks") == 1


async def test_who_lost_a_task_lands_nothing_more(database: Database) -> None:
    clock = Clock()
    source = await make_source(database, clock.context())
    book = Book(clock)
    frozen, thaw = asyncio.Event(), asyncio.Event()

    async def freeze(number: int) -> None:
        if number == 3 and not frozen.is_set():
            frozen.set()
            await thaw.wait()

    book.before = freeze
    slow = asyncio.create_task(Site(database, clock, book.fetch).due())
    await frozen.wait()
    await kept(database, source, 2)
    clock.ahead += timedelta(seconds=61)
    assert (await Site(database, clock, book.fetch).one()).pages == 3
    book.pages = 9
    thaw.set()
    (lost,) = await slow
    assert (lost.state, lost.pages) == (None, 2)
    assert await bodies(database, source) == PAGES
    (row,) = await task_rows(database, source)
    assert (row.state, row.attempt, row.pages) == ("done", 2, 5)


async def test_a_new_owner_at_work_is_not_disturbed_by_the_old_one(database: Database) -> None:
    clock = Clock()
    source = await make_source(database, clock.context())
    old, new = Book(clock), Book(clock)
    stops = {"old": asyncio.Event(), "new": asyncio.Event()}
    thaws = {"old": asyncio.Event(), "new": asyncio.Event()}

    def freeze(name: str) -> Callable[[int], Any]:
        async def wait(number: int) -> None:
            if number == 3:
                stops[name].set()
                await thaws[name].wait()

        return wait

    old.before, new.before = freeze("old"), freeze("new")
    first = asyncio.create_task(Site(database, clock, old.fetch).due())
    await stops["old"].wait()
    await kept(database, source, 2)
    clock.ahead += timedelta(seconds=61)
    second = asyncio.create_task(Site(database, clock, new.fetch).due())
    await stops["new"].wait()
    thaws["old"].set()
    (lost,) = await first
    assert (lost.state, old.given[:3]) == (None, [1, 2, 3])
    assert await bodies(database, source) == PAGES[:2]
    thaws["new"].set()
    (done,) = await second
    assert (done.state, done.pages) == (TaskState.DONE, 3)


async def test_a_lease_that_was_extended_meanwhile_is_not_taken_over(database: Database) -> None:
    clock = Clock()
    source = await make_source(database, clock.context())
    book = Book(clock)
    failing(book, ZeroDivisionError())
    site = Site(database, clock, book.fetch)
    await site.due()
    clock.ahead += timedelta(seconds=61)
    planned = await site.rounds.plan(source.workspace_id)
    (one,) = planned.sources
    assert one.dues[0].resume is not None
    later = clock.now() + timedelta(seconds=60)
    async with database.workspace(source.workspace_id) as connection:
        await tasks.extend(connection, source.workspace_id, one.dues[0].resume, later)
    (pulled,) = await site.rounds.pull(one)
    assert pulled.state is None


async def test_a_task_is_kept_while_its_platform_takes_its_time(database: Database) -> None:
    clock = Clock()
    await make_source(database, clock.context())
    book = Book(clock)
    book.before = lambda number: asyncio.sleep(0.8) if number == 3 else None
    slow = asyncio.create_task(Site(database, clock, book.fetch, lease_seconds=0.3).due())
    other = Book(clock)
    for _ in range(20):
        await asyncio.sleep(0.03)
        await Site(database, clock, other.fetch).due()
    (pulled,) = await slow
    assert pulled.state is TaskState.DONE
    assert other.given == []


# ------------------------------------------------------------------------------------------------ what platforms say


async def test_a_platform_that_asks_for_patience_gets_it(database: Database) -> None:
    clock = Clock()
    source = await make_source(database, clock.context())
    book = Book(clock)
    failing(book, TryLater("throttled", 1000.0))
    site = Site(database, clock, book.fetch)
    pulled = await site.one()
    assert (pulled.state, pulled.error) == (TaskState.WAITING, "throttled")
    assert pulled.until is not None
    assert timedelta(seconds=990) < pulled.until - clock.now() <= timedelta(seconds=1000)
    clock.ahead += timedelta(seconds=980)  # past its slot: the next one waits too
    assert await site.due() == []
    clock.ahead += timedelta(seconds=21)
    book.before = lambda _: None
    assert (await site.one()).pages == 3
    assert await bodies(database, source) == PAGES


async def test_without_a_word_from_the_platform_waits_grow(database: Database) -> None:
    clock = Clock()
    await make_source(database, clock.context())
    book = Book(clock)
    failing(book, TryLater("down"), at=1)
    site = Site(database, clock, book.fetch)
    waits = []
    for _ in range(3):
        pulled = await site.one()
        assert pulled.until is not None
        waits.append(round((pulled.until - clock.now()).total_seconds()))
        clock.ahead = pulled.until - clock.real.now() + timedelta(seconds=1)
    assert waits == [30, 60, 120]


async def test_absurd_waits_are_bounded(database: Database) -> None:
    for seconds, bound in ((1e12, 86400), (-5.0, 1)):
        clock = Clock()
        await make_source(database, clock.context())
        book = Book(clock)
        failing(book, TryLater("x", seconds))
        pulled = max(await Site(database, clock, book.fetch).due(), key=lambda one: one.slot)
        assert pulled.until is not None
        assert round((pulled.until - clock.now()).total_seconds()) == bound


async def test_dead_credentials_stop_the_source_until_a_person_acts(database: Database) -> None:
    clock = Clock()
    source = await make_source(database, clock.context())
    book = Book(clock)
    failing(book, NeedsReauth("the token is gone"))
    toy = Toy(book.fetch)
    toy.capabilities = Capabilities(fetch=tuple(FetchKind(name=name, every=timedelta(minutes=15)) for name in "ab"))
    site = Site(database, clock, toy)
    pulled = await site.one()
    assert (pulled.state, pulled.is_locked_out) == (TaskState.FAILED, True)
    async with database.workspace(source.workspace_id) as connection:
        row = await sources.load(connection, source.workspace_id, source.source_id)
    assert (row.state, row.state_detail) == (SourceState.NEEDS_REAUTH, "the token is gone")
    clock.ahead += timedelta(hours=1)
    assert await site.due() == []


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (NotPermitted("insights_read is missing"), "NotPermitted: insights_read is missing"),
        (BadPayload("no JSON\x00\ninside"), "BadPayload: no JSON  inside"),
    ],
)
async def test_what_cannot_be_fetched_fails_until_the_next_slot(
    database: Database, error: Exception, said: str
) -> None:
    clock = Clock()
    source = await make_source(database, clock.context())
    book = Book(clock)
    failing(book, error)
    site = Site(database, clock, book.fetch)
    pulled = await site.one()
    assert (pulled.state, pulled.pages, pulled.error) == (TaskState.FAILED, 2, said)
    (row,) = await task_rows(database, source)
    assert (row.state, row.error) == ("failed", said)
    assert await site.due() == []
    clock.ahead += timedelta(minutes=15)
    book.before = lambda _: None
    assert (await site.one()).pages == 5


async def test_pages_that_turn_in_circles_end(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock()

    async def circle(http: Http, task: Task, now: datetime) -> AsyncIterator[Page]:
        while True:
            yield Page(body=b"x", request={"page": "1"}, cursor={"after": "a"}, received_at=clock.now())

    async def endless(http: Http, task: Task, now: datetime) -> AsyncIterator[Page]:
        for number in range(10**9):
            cursor = {"after": str(number)}
            yield Page(body=b"x", request={"page": str(number)}, cursor=cursor, received_at=clock.now())

    monkeypatch.setattr(pulling, "MOST_PAGES", 20)
    for fetch, pages, said in ((circle, 1, "repeats"), (endless, 20, "more than")):
        source = await make_source(database, clock.context())
        pulled = next(one for one in await Site(database, clock, fetch).due() if one.source_id == source.source_id)
        assert (pulled.state, pulled.pages) == (TaskState.FAILED, pages)
        assert said in pulled.error


async def test_a_task_that_takes_too_long_makes_room_and_goes_on(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pulling, "PULL_SECONDS", 0.3)
    clock = Clock()
    source = await make_source(database, clock.context())
    book = Book(clock)
    hang = asyncio.Event()
    book.before = lambda number: hang.wait() if number == 4 else None
    site = Site(database, clock, book.fetch)
    pulled = await site.one()
    assert (pulled.state, pulled.pages) == (TaskState.WAITING, 3)
    hang.set()
    assert (await site.one()).pages == 2
    assert await bodies(database, source) == PAGES


async def test_options_that_no_longer_fit_fail_in_plain_words(database: Database) -> None:
    clock = Clock()
    await make_source(database, clock.context(), options={"flavour": 7})
    pulled = await Site(database, clock, Book(clock).fetch).one()
    assert pulled.state is TaskState.FAILED
    assert pulled.error


# ------------------------------------------------------------------------------------------------ hints


async def hint(database: Database, source: SourceRow, *names: str, at: datetime) -> None:
    for name in names:
        await rows(
            database,
            source.workspace_id,
            "insert into refresh_hints values (:w, :s, :name, 'reel', :at) returning 1",
            s=source.source_id,
            name=name,
            at=at,
        )


async def test_hinted_subjects_are_fetched_soon_and_then_forgotten(database: Database) -> None:
    clock = Clock()
    source = await make_source(database, clock.context())
    book = Book(clock, pages=2)
    toy = Toy(book.fetch)
    toy.capabilities = Capabilities(fetch=(FetchKind(name="posts", every=timedelta(hours=6), subjects=True),))
    site = Site(database, clock, toy)
    await site.due()
    assert await site.due() == []
    await hint(database, source, "1", "2", at=clock.now())
    clock.ahead += timedelta(minutes=2)

    def crash(number: int) -> None:
        if number == 2:
            raise ZeroDivisionError

    book.before = crash
    await site.due()
    clock.ahead += timedelta(seconds=61)
    book.before = lambda _: None
    await hint(database, source, "3", at=clock.now() + timedelta(seconds=1))
    assert (await site.one()).state is TaskState.DONE
    asked = [[(ref.external_id, ref.type) for ref in task.subjects] for task in book.tasks]
    both = [("1", SubjectType.REEL), ("2", SubjectType.REEL)]
    assert asked == [[], both, both]
    assert await count(database, source.workspace_id, "refresh_hints") == 1


async def test_a_full_run_answers_the_hints_before_it(database: Database) -> None:
    clock = Clock()
    source = await make_source(database, clock.context())
    toy = Toy(Book(clock).fetch)
    toy.capabilities = Capabilities(fetch=(FetchKind(name="posts", every=timedelta(hours=6), subjects=True),))
    await hint(database, source, "1", at=clock.now() - timedelta(seconds=1))
    await Site(database, clock, toy).due()
    assert await count(database, source.workspace_id, "refresh_hints") == 0


# ------------------------------------------------------------------------------------------------ by hand


async def test_a_source_can_be_fetched_whatever_its_slots_say(database: Database) -> None:
    clock = Clock()
    source = await make_source(database, clock.context())
    site = Site(database, clock, Book(clock).fetch)
    await site.due()
    clock.ahead += timedelta(seconds=1)
    (pulled,) = await site.rounds.fetch_source(source.workspace_id, source.source_id)
    assert (pulled.state, pulled.pages) == (TaskState.DONE, 5)
    assert await site.due() == []


async def test_by_hand_takes_up_what_was_left_and_leaves_others_alone(database: Database) -> None:
    clock = Clock()
    source = await make_source(database, clock.context())
    book = Book(clock)
    failing(book, TryLater("later", 100))
    site = Site(database, clock, book.fetch)
    await site.due()
    assert await site.rounds.fetch_source(source.workspace_id, source.source_id) == []
    clock.ahead += timedelta(seconds=101)
    book.before = lambda _: None
    (pulled,) = await site.rounds.fetch_source(source.workspace_id, source.source_id)
    assert pulled.pages == 3


async def test_what_cannot_be_fetched_by_hand_says_why(database: Database) -> None:
    clock = Clock()
    paused = await make_source(database, clock.context(), state=SourceState.PAUSED)
    other = await make_source(database, clock.context(), connector="files")
    site = Site(database, clock, Book(clock).fetch)
    with pytest.raises(Invalid, match="paused"):
        await site.rounds.fetch_source(paused.workspace_id, paused.source_id)
    with pytest.raises(Invalid, match="not fetched"):
        await site.rounds.fetch_source(other.workspace_id, other.source_id)
    with pytest.raises(NotFound):
        await site.rounds.fetch_source(paused.workspace_id, other.source_id)
