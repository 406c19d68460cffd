"""A delivery that cannot be posted fails alone, ends as a dead letter, and is posted once its connector is mended."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import msgspec
import pytest

from connectors.contract import (
    INT64_MAX,
    Delivery,
    Item,
    Kind,
    Observation,
    SubjectRef,
    SubjectSeen,
)
from connectors.standard_webhooks import StandardWebhooks
from service.db.engine import Database
from service.inbox import deliveries
from service.inbox.deliveries import Chosen, State
from service.reports.campaign import campaign_kpis
from service.reports.question import PlatformNotes, Question
from tests.bookkeeping import SUBJECT_DAYS
from tests.faults.office import START, Office, at, body, click, item, likes
from tests.integration.inbox.world import SETTINGS, count, rows

POISON = body(click("poison", "p9"))
NEIGHBOURS = [body(click(f"n{number}", "p1"), likes("p1", number + 1, number)) for number in range(9)]
NOTES = PlatformNotes(mappings={}, simulated=frozenset())


class Broken(StandardWebhooks):
    """Reads one body as something that does not go, until it is mended."""

    def __init__(self, poison: Callable[[], Iterable[Item]]) -> None:
        self.poison = poison
        self.version = "1"

    def parse(self, delivery: Delivery, options: Any) -> Iterable[Item]:
        if delivery.body == POISON and self.version == "1":
            return self.poison()
        return super().parse(delivery, options)


def unexpected() -> Iterable[Item]:
    raise ZeroDivisionError


def too_late() -> Iterable[Item]:
    yield SubjectSeen(subject=SubjectRef("p9"))
    raise RecursionError


def counts(likes: int, **more: Any) -> Observation:
    return Observation(
        subject=SubjectRef("p9"), kind=Kind.LIFETIME, metrics={"likes": likes}, observed_at=START, **more
    )


def nul() -> Iterable[Item]:
    yield counts(1, scope="a\x00b")


def surrogate() -> Iterable[Item]:
    yield counts(1, scope="\ud800")


def creator() -> Iterable[Item]:
    yield SubjectSeen(subject=SubjectRef("p9"), creator="a\x00b")


def overflow() -> Iterable[Item]:
    """Each number fits; what a campaign's day would hold of both does not."""
    for name in ("p8", "p9"):
        yield msgspec.structs.replace(counts(INT64_MAX), subject=SubjectRef(name))


async def opened(sound: Database, connector: Broken) -> Office:
    office = Office(sound, connector)
    await office.open()
    await office.store([*NEIGHBOURS[:4], POISON, *NEIGHBOURS[4:]])
    return office


async def replay_dead(office: Office) -> int:
    async with office.database.workspace(office.workspace_id) as connection:
        now = office.context.now()
        return await deliveries.replay(connection, office.workspace_id, Chosen(state=State.DEAD), now, "test")


@pytest.mark.parametrize("poison", [unexpected, too_late, nul, surrogate, creator, overflow])
async def test_its_neighbours_are_posted_and_it_can_be_replayed(
    sound: Database, poison: Callable[[], Iterable[Item]]
) -> None:
    connector = Broken(poison)
    office = await opened(sound, connector)
    summary = await office.drain(sound)
    assert (summary.posted, summary.dead) == (len(NEIGHBOURS), 1)
    (dead,) = [row for row in await office.outcomes() if row.outcome == "dead"]
    assert dead.body == POISON
    (attempts,) = await rows(
        sound, office.workspace_id, "select attempts from delivery_outcomes where outcome = 'dead'"
    )
    assert attempts.attempts == SETTINGS.max_attempts
    for table in ("delivery_queue", "pending_work"):
        assert await count(sound, office.workspace_id, table) == 0
    assert (await office.proof()).differences == []
    connector.version = "2"
    assert await replay_dead(office) == 1
    assert (await office.drain(sound)).posted == 1
    assert await replay_dead(office) == 0
    report = await office.proof()
    assert (report.differences, report.replay_would_change) == ([], len(NEIGHBOURS))
    found = [row for row in await office.outcomes() if row.body == POISON]
    assert [(row.turn, row.outcome) for row in found] == [(1, "dead"), (2, "posted")]
    (clicks,) = await rows(sound, office.workspace_id, f"select sum(clicks_link)::int as n from {SUBJECT_DAYS} d")
    assert clicks.n == len(NEIGHBOURS) + 1
    await office.close()


class Edge(StandardWebhooks):
    """Reads one like as nearly all that a cell can hold, until it is mended."""

    def __init__(self) -> None:
        self.version = "1"

    def parse(self, delivery: Delivery, options: Any) -> Iterable[Item]:
        for one in super().parse(delivery, options):
            if isinstance(one, Observation) and one.subject.external_id in {"a", "b"} and self.version == "1":
                yield msgspec.structs.replace(one, metrics={"likes": INT64_MAX - 1})
            else:
                yield one


async def test_of_two_deliveries_whose_sum_overflows_one_is_put_aside(sound: Database) -> None:
    connector = Edge()
    office = Office(sound, connector)
    await office.open()
    await office.store([*NEIGHBOURS[:3], body(likes("a", 3, 1)), body(likes("b", 3, 1)), *NEIGHBOURS[3:]])
    summary = await office.drain(sound)
    assert (summary.posted, summary.dead) == (len(NEIGHBOURS) + 1, 1)
    assert (await office.proof()).differences == []
    connector.version = "2"
    assert await replay_dead(office) == 1
    assert (await office.drain(sound)).posted == 1
    assert (await office.proof()).differences == []
    async with sound.snapshot(office.workspace_id) as connection:
        question = Question(metrics=("likes", "engagements"), preset="lifetime")
        answer = await campaign_kpis(
            connection, office.workspace_id, office.everything, question, NOTES, office.context.now()
        )
    assert answer.totals["likes"].value == INT64_MAX + len(NEIGHBOURS) - 1
    await office.close()


async def test_a_bad_row_is_a_drop_and_its_page_is_posted(sound: Database) -> None:
    office = Office(sound)
    await office.open()
    bad = item("counters", "p2", observed_at=at(1), metrics="many")
    await office.store([body(likes("p1", 1, 3), bad, click("c", "p1"), {"type": "noise"}), body(likes("p3", 1, 4))])
    summary = await office.drain(sound)
    assert (summary.posted, summary.dead, summary.drops) == (2, 0, 2)
    drops = await rows(sound, office.workspace_id, "select drops from delivery_outcomes where drops <> '[]'")
    assert [(drop["reason"], drop["row"]) for row in drops for drop in row.drops] == [
        ("malformed", 2),
        ("unknown_type", 4),
    ]
    found = await rows(sound, office.workspace_id, "select external_id from subjects order by 1")
    assert [row.external_id for row in found] == ["p1", "p3"]
    assert (await office.proof()).differences == []
    await office.close()
