"""The refresh plan over a real ledger: what was read once is asked for by name, as often as it moves."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any

import msgspec
import pytest

from connectors.contract import (
    Budget,
    Capabilities,
    Connector,
    ConnectorError,
    Delivery,
    FetchKind,
    Http,
    Item,
    Kind,
    MetricMapping,
    Observation,
    Page,
    SubjectRef,
    SubjectSeen,
    SubjectType,
    Task,
)
from service.db.engine import Database
from service.db.partitions import make_partitions
from service.fetch import known
from service.fetch.freshness import Growth, Known
from service.fetch.plan import NAMING_SLOT
from service.fetch.refresh import types_of
from service.pipeline.worker import Worker
from service.records import SourceRow
from tests.integration.fetch.test_pull import Site
from tests.integration.inbox.world import SETTINGS, Clock, Toy, make_source, make_workspace

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
POSTS = FetchKind(name="posts", every=6 * HOUR, look_back=90 * DAY, subjects=True, sweep=7 * DAY)
PLENTY = Budget(bucket="b", calls=1000, window=HOUR)


class Post(msgspec.Struct):
    """What the platform knows of a post: views so far, and whether it is gone."""

    name: str
    published: datetime
    views: int | None = 0
    type: SubjectType = SubjectType.POST
    gone: bool = False


class Platform(Toy):
    """Posts with counters; a page has all that are asked for. It notes who was asked for."""

    metrics: Sequence[MetricMapping] = (
        MetricMapping(wire="views", metric="views", kind=Kind.LIFETIME, subject_types=(SubjectType.POST,)),
    )

    def __init__(self, clock: Clock, kind: FetchKind = POSTS, budgets: tuple[Budget, ...] = (PLENTY,)) -> None:
        super().__init__(self.answer)
        self.clock = clock
        self.capabilities = Capabilities(fetch=(kind,), budgets=budgets)
        self.posts: dict[str, Post] = {}
        self.asked: list[list[str]] = []
        self.broken = False

    def publish(self, name: str, age: timedelta, views: int | None = 1000, **more: Any) -> Post:
        self.posts[name] = Post(name=name, published=self.clock.now() - age, views=views, **more)
        return self.posts[name]

    async def answer(self, http: Http, task: Task, now: datetime) -> AsyncIterator[Page]:
        named = [ref.external_id for ref in task.subjects]
        self.asked.append(named)
        if self.broken:
            raise ConnectorError("told to fail")
        start = task.start or now
        found = [self.posts[name] for name in named] or [
            post for post in self.posts.values() if post.published >= start
        ]
        body = msgspec.json.encode(found)
        yield Page(body=body, request={"page": "1"}, cursor={}, received_at=self.clock.now(), last=True)

    def parse(self, delivery: Delivery, options: Any) -> Iterable[Item]:
        for post in msgspec.json.decode(delivery.body, type=list[Post]):
            ref = SubjectRef(post.name, post.type)
            removed = delivery.received_at if post.gone else None
            yield SubjectSeen(subject=ref, published_at=post.published, removed_at=removed)
            if post.views is not None:
                yield Observation(subject=ref, kind=Kind.LIFETIME, metrics={"views": post.views, "watch_time": 10**9})


class Desk:
    """A platform, the fetcher and the worker around it."""

    def __init__(self, database: Database, clock: Clock, platform: Platform) -> None:
        self.database = database
        self.clock = clock
        self.platform = platform
        self.site = Site(database, clock, platform)
        self.worker = Worker(database, clock.context(), SETTINGS, self.site.connectors)

    async def later(self, step: timedelta = timedelta(0)) -> list[list[str]]:
        """Move on, fetch what is due, post it, and return who was asked for."""
        self.clock.ahead += step
        async with self.database.control() as connection:
            await make_partitions(connection, self.clock.now().date())
        self.platform.asked.clear()
        await self.site.due()
        await self.worker.drain()
        return [sorted(names) for names in self.platform.asked]

    async def known(self, source: SourceRow, kind: FetchKind = POSTS) -> dict[str, Known]:
        async with self.database.workspace(source.workspace_id) as connection:
            types = types_of(self.platform)
            found = await known.subjects(connection, source, kind, types, self.clock.now())
        return {one.subject.external_id: one for one in found}


@pytest.fixture
def desk(database: Database) -> Desk:
    clock = Clock()
    return Desk(database, clock, Platform(clock))


async def source_of(desk: Desk, **changes: Any) -> SourceRow:
    context = desk.clock.context()
    return await make_source(desk.database, context, tracks_from=context.now() - 400 * DAY, **changes)


async def test_a_source_is_read_whole_first_and_then_by_name(desk: Desk) -> None:
    await source_of(desk)
    desk.platform.publish("young", 2 * HOUR)
    desk.platform.publish("old", 60 * DAY)
    assert await desk.later() == [[]]
    assert await desk.later() == []
    assert await desk.later(NAMING_SLOT) == [["young"]]  # a fresh thousand, and more than half a percent is due
    assert await desk.later() == []
    # Its interval has come round four times, and nobody is read whole; the old one is due once a day.
    asked = [names for step in range(32) for names in await desk.later(HOUR)]
    assert all(asked)
    young, old = (sum(name in names for names in asked) for name in ("young", "old"))
    assert 1 <= old <= 2
    assert young > 20


async def test_without_a_sweep_it_is_read_whole_as_often_as_ever_and_by_name_between(database: Database) -> None:
    clock = Clock()
    desk = Desk(database, clock, Platform(clock, msgspec.structs.replace(POSTS, sweep=timedelta(0))))
    await source_of(desk)
    desk.platform.publish("young", 2 * HOUR)
    asked = [names for step in range(24) for names in await desk.later(HOUR)]
    assert 4 <= asked.count([]) <= 5
    assert asked.count(["young"]) > 10


async def test_a_source_of_which_no_counters_are_known_is_read_whole_as_often_as_ever(database: Database) -> None:
    clock = Clock()
    desk = Desk(database, clock, Platform(clock))
    desk.platform.metrics = ()
    await source_of(desk)
    desk.platform.publish("young", 2 * HOUR)
    asked = [names for step in range(24) for names in await desk.later(HOUR)]
    assert asked == [[]] * len(asked)
    assert 4 <= len(asked) <= 5


async def test_where_no_budget_is_known_the_pace_of_whole_tasks_is_kept(database: Database) -> None:
    clock = Clock()
    desk = Desk(database, clock, Platform(clock, budgets=()))
    await source_of(desk)
    for number in range(6):
        desk.platform.publish(str(number), 2 * HOUR)
    asked = [names for step in range(4 * 8) for names in await desk.later(NAMING_SLOT)]
    assert asked[0] == []
    assert sum(len(names) for names in asked) <= 8
    assert {name for names in asked for name in names} == set(desk.platform.posts)


async def test_a_post_that_another_kind_has_found_is_asked_for_first(desk: Desk) -> None:
    source = await source_of(desk)
    desk.platform.publish("first", 10 * DAY)
    await desk.later()
    desk.clock.ahead += 2 * HOUR
    new = desk.platform.publish("new", HOUR, views=None)
    page = Page(body=msgspec.json.encode([new]), request={"p": "x"}, cursor={}, received_at=desk.clock.now(), last=True)
    await land(desk, source, page)
    found = await desk.known(source)
    assert (found["new"].looked_at, found["new"].count) == (None, None)
    asked = await desk.later(NAMING_SLOT)
    assert asked
    assert "new" in asked[0]


async def land(desk: Desk, source: SourceRow, page: Page) -> None:
    from service.inbox.land import land_pages  # noqa: PLC0415

    async with desk.database.workspace(source.workspace_id) as connection:
        await land_pages(connection, source, [page], ("other", "slot"), desk.clock.context())
    await desk.worker.drain()


async def test_calls_go_where_numbers_move_and_stay_within_the_budget(database: Database) -> None:
    clock = Clock()
    six_an_hour = Budget(bucket="b", calls=12, window=HOUR)
    desk = Desk(database, clock, Platform(clock, budgets=(six_an_hour,)))
    source = await source_of(desk)
    posts = [desk.platform.publish(str(number), 2 * DAY, views=10_000) for number in range(20)]
    await desk.later()
    loud = {"0", "1", "2"}
    asked: list[list[str]] = []
    for _ in range(4 * 6):
        for post in posts:
            post.views = (post.views or 0) + (400 if post.name in loud else 1)
        asked += await desk.later(NAMING_SLOT)
    assert all(len(names) <= 2 for names in asked)
    counts = {post.name: sum(post.name in names for names in asked) for post in posts}
    assert min(counts[name] for name in loud) > max(counts[name] for name in set(counts) - loud)
    assert min(counts.values()) >= 1
    found = await desk.known(source)
    known_views, views = found["0"].count, desk.platform.posts["0"].views
    assert known_views is not None
    assert views is not None
    assert views - known_views <= 400 * 4


async def test_what_is_known_of_a_post(desk: Desk) -> None:
    source = await source_of(desk)
    post = desk.platform.publish("1", 2 * DAY, views=1000)
    await desk.later()
    begun = desk.clock.now()
    post.views = 1060
    await desk.later(HOUR)
    await desk.later(HOUR)
    (one,) = (await desk.known(source)).values()
    assert one.count == 1060  # views alone: a billion milliseconds watched are no count
    assert abs(one.born - post.published) < timedelta(milliseconds=1)
    assert one.looked_at is not None
    assert one.looked_at > begun
    assert one.growth is None  # it was looked at just now
    desk.clock.ahead += HOUR
    (one,) = (await desk.known(source)).values()
    assert isinstance(one.growth, Growth)
    assert one.growth.amount == 0
    assert timedelta(0) < one.growth.until - one.growth.since <= HOUR + timedelta(minutes=1)


async def test_what_is_gone_or_no_post_or_of_another_account_is_not_asked_for(desk: Desk) -> None:
    context = desk.clock.context()
    home = await make_workspace(desk.database, context)
    source = await source_of(desk, workspace_id=home, account="a")
    other = await make_source(desk.database, context, home, account="b", connector="not_installed")
    desk.platform.publish("here", HOUR)
    gone = desk.platform.publish("gone", HOUR)
    desk.platform.publish("profile", HOUR, type=SubjectType.PROFILE)
    await desk.later()
    gone.gone = True
    await desk.later(NAMING_SLOT)
    assert set(await desk.known(source)) == {"here"}
    assert await desk.known(other) == {}


async def test_a_task_that_fails_is_not_begun_again_at_once_for_the_same_posts(desk: Desk) -> None:
    await source_of(desk)
    desk.platform.publish("young", 2 * HOUR)
    await desk.later()
    desk.platform.broken = True
    assert await desk.later(NAMING_SLOT) == [["young"]]
    assert await desk.later(timedelta(minutes=1)) == []
    desk.platform.broken = False
    asked = [names for step in range(4) for names in await desk.later(NAMING_SLOT)]
    assert ["young"] in asked


async def test_every_replica_asks_for_the_same(desk: Desk) -> None:
    source = await source_of(desk)
    for number in range(30):
        desk.platform.publish(str(number), number * DAY)
    await desk.later()
    desk.clock.ahead += 3 * HOUR
    sites: list[Any] = [Site(desk.database, desk.clock, desk.platform) for _ in range(2)]
    plans = [await site.rounds.plan(source.workspace_id) for site in sites]
    (first,), (second,) = (plan.sources[0].dues for plan in plans)
    assert first == second
    assert first.subjects


def test_types_are_those_whose_counters_are_read() -> None:
    class Other(Connector):
        metrics: Sequence[MetricMapping] = (
            MetricMapping(wire="v", metric="views", kind=Kind.LIFETIME, subject_types=(SubjectType.REEL,)),
            MetricMapping(wire="d", metric="views", kind=Kind.PERIOD, subject_types=(SubjectType.AD,)),
            MetricMapping(wire="x", metric=None, kind=Kind.LIFETIME, subject_types=(SubjectType.SHOP,), note="no"),
        )

    assert types_of(Other()) == {SubjectType.REEL}
    Other.metrics = (MetricMapping(wire="v", metric="views", kind=Kind.LIFETIME),)
    assert types_of(Other()) == set(SubjectType) - {SubjectType.PROFILE}
    Other.metrics = ()
    assert types_of(Other()) == set()
