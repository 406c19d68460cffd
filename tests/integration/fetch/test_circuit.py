"""Circuits: a platform that does not answer is left alone, for that account alone, and tried by one task at a time."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import datetime, timedelta

import pytest

from connectors.contract import BadPayload, Http, Page, Source, Task, TryLater, Unreachable
from service.db.engine import Database
from service.fetch.circuit import FAILURES, FIRST, LONGEST, PROBE, Circuits
from service.fetch.plan import TaskState
from service.fetch.pull import Puller
from service.fetch.rounds import Rounds
from tests.integration.fetch.test_pull import NoHttp
from tests.integration.inbox.world import SETTINGS, VAULT, Clock, Toy, ToyOptions, make_source

TOY = Toy()


def source(account: str = "me") -> Source:
    return Source(id="src_1", platform="toy", account=account, options=ToyOptions())


async def open_circuit(circuits: Circuits, account: str = "me", times: int = FAILURES) -> None:
    for _ in range(times):
        await circuits.failed(TOY, source(account))


async def test_several_failures_open_a_circuit_for_one_account(database: Database) -> None:
    clock = Clock()
    circuits = Circuits(database, clock.context())
    await open_circuit(circuits, times=FAILURES - 1)
    assert await circuits.enter(TOY, source()) is True
    await open_circuit(circuits, times=1)
    with pytest.raises(TryLater, match="did not answer 3 times") as caught:
        await circuits.enter(TOY, source())
    assert caught.value.seconds is not None
    assert 0 < caught.value.seconds <= FIRST.total_seconds()
    assert await circuits.enter(TOY, source("another")) is False


async def test_one_task_tries_and_the_others_wait(database: Database) -> None:
    clock = Clock()
    replicas = [Circuits(database, clock.context()) for _ in range(3)]
    await open_circuit(replicas[0])
    clock.ahead = FIRST
    assert await replicas[0].enter(TOY, source()) is True
    for other in replicas[1:]:
        with pytest.raises(TryLater):
            await other.enter(TOY, source())
    await replicas[0].closed(TOY, source())
    assert await replicas[1].enter(TOY, source()) is False


async def test_a_try_that_fails_doubles_the_pause_and_one_that_is_lost_is_given_again(database: Database) -> None:
    clock = Clock()
    circuits = Circuits(database, clock.context())
    await open_circuit(circuits)
    clock.ahead = FIRST
    await circuits.enter(TOY, source())
    await circuits.failed(TOY, source())
    state = await circuits.state(TOY, source())
    assert state is not None
    assert FIRST < state.wait(clock.now()) <= 2 * FIRST
    clock.ahead += 2 * FIRST
    await circuits.enter(TOY, source())
    clock.ahead += PROBE
    assert await circuits.enter(TOY, source()) is True
    await open_circuit(circuits, times=20)
    state = await circuits.state(TOY, source())
    assert state is not None
    assert state.wait(clock.now()) <= LONGEST


class Platform:
    """Answers or not, page by page, and counts how often it was asked."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.error: Exception | None = Unreachable("toy.example cannot be reached")
        self.after_pages = 0
        self.asked = 0

    async def fetch(self, http: Http, task: Task, now: datetime) -> AsyncIterator[Page]:
        self.asked += 1
        for number in range(self.after_pages):
            cursor = {"after": f"{self.asked}-{number}"}
            yield Page(body=b"%d" % number, request=cursor, cursor=cursor, received_at=self.clock.now())
        if self.error is not None:
            raise self.error


async def rounds_of(database: Database, clock: Clock, platform: Platform) -> Rounds:
    await make_source(database, clock.context())
    circuits = Circuits(database, clock.context())

    def http_for(*_: object) -> Http:
        return NoHttp()

    parts = (database, clock.context(), SETTINGS, VAULT)
    return Rounds(*parts[:2], {"toy": Toy(platform.fetch)}, Puller(*parts, http_for, circuits=circuits))


async def test_tasks_of_a_platform_that_is_down_do_not_ask_it(database: Database) -> None:
    clock = Clock()
    platform = Platform(clock)
    rounds = await rounds_of(database, clock, platform)
    for _ in range(FAILURES):
        (pulled,) = await rounds.fetch_due()
        assert pulled.until is not None
        clock.ahead += pulled.until - clock.now() + timedelta(milliseconds=1)
    for _ in range(2):  # what had waited longer than the circuit is the try
        for pulled in await rounds.fetch_due():
            assert pulled.state is TaskState.WAITING
        assert platform.asked in {FAILURES, FAILURES + 1}
    platform.error = None
    clock.ahead += timedelta(minutes=15)
    states = [pulled.state for pulled in await rounds.fetch_due()]
    assert states == [TaskState.DONE]
    state = await Circuits(database, clock.context()).state(TOY, source(""))
    assert state is None


@pytest.mark.parametrize(
    ("error", "pages"),
    [(TryLater("throttled", 1.0), 0), (BadPayload("not a list"), 0), (Unreachable("gone on page 3"), 2)],
)
async def test_what_is_an_answer_is_no_failure(database: Database, error: Exception, pages: int) -> None:
    clock = Clock()
    platform = Platform(clock)
    platform.error, platform.after_pages = error, pages
    rounds = await rounds_of(database, clock, platform)
    for _ in range(FAILURES + 1):
        await rounds.fetch_due()
        clock.ahead += timedelta(minutes=20)
    assert platform.asked == FAILURES + 1
