"""The suite finds what counts twice, what is not read again, and what is written where it may be read."""

from __future__ import annotations

import logging
import warnings
from collections.abc import AsyncIterator, Callable, Iterable
from datetime import UTC, date, datetime, timedelta
from typing import Any

import msgspec
import pytest
import structlog

from connectors.contract import (
    Capabilities,
    Connector,
    Conversion,
    Delivery,
    FetchKind,
    Finding,
    Http,
    Item,
    Kind,
    MetricMapping,
    NotSupported,
    Observation,
    Page,
    RefreshHint,
    Secret,
    Source,
    SubjectRef,
    Task,
    Touchpoint,
    Verified,
    WebhookRequest,
    Withdrawal,
    day_window,
)
from connectors.testing import Agreeing, Check, ContractBroken, Pull, Recording, Signed, contract_suite
from connectors.testing_books import Books
from connectors.testing_logs import Heard, nothing_shown

NOW = datetime(2026, 8, 20, 12, tzinfo=UTC)
TOKEN = "a-token-that-nobody-may-see"
P = SubjectRef("p")
DAYS = FetchKind(name="days", every=timedelta(hours=12), look_back=timedelta(days=7))


class NoOptions(msgspec.Struct, frozen=True, kw_only=True):
    pass


class Platform:
    """Likes of one post by day; the answer to a request is all days that it asks for."""

    def __init__(self, days: dict[int, int], now: datetime = NOW) -> None:
        self.days = days
        self.now = now


class Daily(Connector):
    """A connector that keeps the contract: days of likes, restated for a week, and an order for each day."""

    name = "daily"
    title = "Daily"
    version = "1"
    platform = "daily"
    options = NoOptions
    base_url = "https://daily.example"
    capabilities = Capabilities(fetch=(DAYS,), settle=timedelta(days=7))
    metrics = (
        MetricMapping(wire="likes", metric="likes", kind=Kind.PERIOD),
        MetricMapping(wire="likes", metric="likes", kind=Kind.LIFETIME),
        MetricMapping(wire="orders", metric="orders", kind=Kind.EVENT),
    )
    reach = timedelta(days=7)

    async def fetch(self, http: Any, task: Task, now: datetime) -> AsyncIterator[Page]:
        if task.kind not in {kind.name for kind in self.capabilities.fetch}:
            raise NotSupported("there is no such kind")
        first = max(task.start or now - self.reach, now - self.reach).date()
        found = {str(day): likes for day, likes in http.days.items() if date(2026, 8, day) >= first}
        yield Page(body=msgspec.json.encode(found), request={}, cursor={}, received_at=http.now, last=True)

    def parse(self, delivery: Delivery, options: Any) -> Iterable[Item]:
        for day, likes in msgspec.json.decode(delivery.body, type=dict[int, int]).items():
            yield from self.read(day, likes, delivery)

    def read(self, day: int, likes: int, delivery: Delivery) -> Iterable[Item]:
        window = day_window(date(2026, 8, day), "UTC")
        yield Observation(subject=P, kind=Kind.PERIOD, window=window, metrics={"likes": likes})
        yield Conversion(id=f"o{day}", at=window.start, kind="order")

    async def check(self, http: Http, source: Source) -> list[Finding]:
        return [Finding(ok=True, text="fine")]


SOURCE = Source(
    id="s",
    platform="daily",
    account="a",
    options=NoOptions(),
    credentials={"access_token": TOKEN},
    secrets=(Secret(value="the-key-of-the-pushes"),),
)
BODY = b'{"14": 3, "19": 5}'
RECORDED = Recording(name="days", delivery=Delivery(channel="fetch", body=BODY, received_at=NOW))
TASK = Task(kind="days", source=SOURCE)


def http(**days: int) -> Callable[[], Any]:
    """Return what makes a client of a platform that says so many likes of each day (``d14=3``)."""
    return lambda: Platform({int(name[1:]): likes for name, likes in days.items()})


def later(**days: int) -> Callable[[], Any]:
    return lambda: Platform({int(name[1:]): likes for name, likes in days.items()}, NOW + DAYS.every)


def pull(**more: Any) -> Pull:
    return Pull(task=TASK, http=http(d14=3, d19=5), now=NOW, **more)


async def said(checks: Iterable[Check]) -> dict[str, str]:
    """Return the checks that fail, with what they say; those of broken bodies are none of these tests'."""
    found = {}
    for check in checks:
        if "totality" in check.name or "reading" in check.name:
            continue
        try:
            await check()
        except ContractBroken as error:
            found[check.name] = str(error)
    return found


async def of(connector: Connector, *pulls: Pull, agree: Iterable[Agreeing] = ()) -> dict[str, str]:
    return await said(contract_suite(connector, [RECORDED], pulls=pulls or [pull()], agree=list(agree)))


async def test_a_connector_that_keeps_the_contract_passes() -> None:
    assert await of(Daily(), pull(changed=later(d14=1, d19=5))) == {}


# ------------------------------------------------------------------------------------------------ look-back


class Short(Daily):
    """It declares a week and reads three days."""

    reach = timedelta(days=3)


class Stubborn(Daily):
    """It dates what it reads by the day that is told of: a restated day is no newer than before."""

    def read(self, day: int, likes: int, delivery: Delivery) -> Iterable[Item]:
        for item in super().read(day, likes, delivery):
            if isinstance(item, Observation) and item.window is not None:
                yield msgspec.structs.replace(item, observed_at=item.window.end)


@pytest.mark.parametrize(
    ("connector", "changed", "message"),
    [
        (Short, later(d14=1, d19=5), "the look-back does not reach it"),
        (Stubborn, later(d14=1, d19=5), "do not say what the platform says: likes"),
        (Daily, later(d14=3, d19=5), "not read again within one cycle"),
        (Daily, later(d14=3, d19=6), "change older data"),
        (Daily, later(d14=3, d19=5, d20=1), "not read again within one cycle"),
    ],
)
async def test_what_is_not_read_again_is_found(
    connector: type[Daily], changed: Callable[[], Any], message: str
) -> None:
    found = await of(connector(), pull(changed=changed))
    assert set(found) == {"fetch days: look-back"}
    assert message in found["fetch days: look-back"]


# ------------------------------------------------------------------------------------------------ counting


class Renaming(Daily):
    """It names an event after the time of the answer: each reading is another event."""

    def read(self, day: int, likes: int, delivery: Delivery) -> Iterable[Item]:
        yield Conversion(
            id=f"{day} {delivery.received_at}", at=day_window(date(2026, 8, day), "UTC").start, kind="order"
        )


class Both(Daily):
    """It counts the days and the counter that holds them."""

    def read(self, day: int, likes: int, delivery: Delivery) -> Iterable[Item]:
        yield from super().read(day, likes, delivery)
        yield Observation(subject=P, kind=Kind.LIFETIME, metrics={"likes": likes})


class Overlapping(Daily):
    """It counts a week beside its days."""

    def read(self, day: int, likes: int, delivery: Delivery) -> Iterable[Item]:
        yield from super().read(day, likes, delivery)
        week = day_window(date(2026, 8, day), "UTC", 7)
        yield Observation(subject=P, kind=Kind.PERIOD, window=week, metrics={"likes": likes})


class Checked(Daily):
    """It keeps both, and marks what is not to be added."""

    def read(self, day: int, likes: int, delivery: Delivery) -> Iterable[Item]:
        yield from super().read(day, likes, delivery)
        week = day_window(date(2026, 8, day), "UTC", 7)
        yield Observation(subject=P, kind=Kind.PERIOD, window=week, scope="week", check=True, metrics={"likes": likes})
        yield Observation(subject=P, kind=Kind.LIFETIME, check=True, metrics={"likes": likes})


@pytest.mark.parametrize(
    ("connector", "expected"),
    [
        (Renaming, {"fetch days: read twice": "the same pages read twice count twice"}),
        (
            Both,
            {
                "fetch days: read twice": "likes of p counts as lifetime and period",
                "counted once": "likes of p counts as lifetime and period",
            },
        ),
        (
            Overlapping,
            {
                "fetch days: read twice": "likes of p counts in two windows that overlap",
                "counted once": "likes of p counts in two windows that overlap",
            },
        ),
        (Checked, {}),
    ],
)
async def test_what_counts_twice_is_found(connector: type[Daily], expected: dict[str, str]) -> None:
    assert await of(connector()) == expected


class Two(Daily):
    """Two kinds of task that count the same number, each for itself."""

    capabilities = Capabilities(fetch=(DAYS, FetchKind(name="totals", every=timedelta(hours=1))))

    async def fetch(self, http: Any, task: Task, now: datetime) -> AsyncIterator[Page]:
        async for page in super().fetch(http, task, now):
            yield msgspec.structs.replace(page, request={"kind": task.kind})

    def read(self, day: int, likes: int, delivery: Delivery) -> Iterable[Item]:
        if delivery.request.get("kind") == "totals":
            return [Observation(subject=P, kind=Kind.LIFETIME, metrics={"likes": likes})]
        return super().read(day, likes, delivery)


async def test_what_two_kinds_of_task_both_count_is_found() -> None:
    totals = Pull(task=Task(kind="totals", source=SOURCE), http=http(d14=3), now=NOW)
    assert (await of(Two(), pull(), totals))["counted once"] == "likes of p counts as lifetime and period"


# ------------------------------------------------------------------------------------------------ pairs


def delivery(body: bytes, at: datetime = NOW, channel: str = "fetch") -> Delivery:
    return Delivery(channel=channel, body=body, received_at=at)


@pytest.mark.parametrize(
    ("first", "second", "message"),
    [
        (delivery(b'{"14": 3}'), delivery(b'{"14": 4}', NOW + timedelta(hours=1)), None),
        (delivery(b'{"14": 3}'), delivery(b'{"14": 3}', channel="webhook"), None),
        (delivery(b'{"14": 3}'), delivery(b"{}"), "nothing in common"),
        (delivery(b'{"14": 3}'), delivery(b'{"15": 3}'), "likes of p is 6, but either alone says [3, 3]"),
    ],
)
async def test_two_that_speak_of_the_same_count_once(first: Delivery, second: Delivery, message: str | None) -> None:
    found = await of(Daily(), agree=[Agreeing(name="pair", first=first, second=second)])
    assert (message is None) == (found == {})
    assert message is None or message in found["pair: agreeing"]


# ------------------------------------------------------------------------------------------------ books


def test_the_newest_stands_and_order_does_not_matter() -> None:
    window = day_window(date(2026, 8, 14), "UTC")
    hour = timedelta(hours=1)
    points: list[tuple[Item, datetime]] = [
        (Observation(subject=P, kind=Kind.PERIOD, window=window, metrics={"likes": 3}), NOW),
        (Observation(subject=P, kind=Kind.PERIOD, window=window, metrics={"likes": 2}), NOW + hour),
        (Withdrawal(subject=P, kind=Kind.PERIOD, window=window, metrics=("likes",)), NOW + 2 * hour),
        (Conversion(id="1", at=NOW, kind="order", value=5, currency="EUR"), NOW),
        (Conversion(id="1", at=NOW, kind="order", value=7, currency="EUR"), NOW + hour),
        (Conversion(id="2", at=NOW, kind="refund", value=7, currency="EUR", refund_of="1"), NOW),
        (Conversion(id="3", at=NOW, cancelled=True), NOW),
        (Conversion(id="4", at=NOW, test=True), NOW),
        (Touchpoint(id="5", at=NOW, subject=P), NOW),
        (RefreshHint(subject=P), NOW),
        (Observation(subject=P, kind=Kind.UNIQUE, window=window, metrics={"reach": 3}), NOW),
    ]
    for order in (points, points[::-1]):
        books = Books()
        for item, at in order:
            books.read([item], at)
        assert books.counted() == {
            ("", "orders", "EUR", ""): 1,
            ("", "conversion_value", "EUR", ""): 0,
            ("", "refunds", "EUR", ""): 1,
            ("", "conversions", "", ""): 0,
            ("p", "clicks_link", "", ""): 1,
        }
    assert list(books.twice()) == []


# ------------------------------------------------------------------------------------------------ logs


def by_logging(secret: str) -> None:
    logging.getLogger("toy.connector").debug("asking with %s", secret)


def by_a_logger_of_its_own(secret: str) -> None:
    logger = logging.getLogger("toy.apart")
    logger.propagate = False
    logger.setLevel(logging.INFO)
    logger.info("asking", extra={"token": secret})
    logger.warning("asking with %s", secret)


def by_extras(secret: str) -> None:
    logging.getLogger("toy.connector").warning("asking", extra={"token": secret})


def by_a_traceback(secret: str) -> None:
    try:
        int(secret)
    except ValueError:
        logging.getLogger("toy.connector").exception("it went wrong")


def by_structlog(secret: str) -> None:
    structlog.get_logger("toy").warning("asking", token=secret)


def by_printing(secret: str) -> None:
    print(secret)  # noqa: T201 - what is looked for


def by_warning(secret: str) -> None:
    warnings.warn(f"the token {secret} is old", stacklevel=2)


WAYS = [by_logging, by_a_logger_of_its_own, by_extras, by_a_traceback, by_structlog, by_printing, by_warning]


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)
@pytest.mark.parametrize("place", ["fetch", "parse", "check"])
async def test_a_secret_in_a_log_is_found(way: Callable[[str], None], place: str) -> None:
    class Leaking(Daily):
        async def fetch(self, http: Any, task: Task, now: datetime) -> AsyncIterator[Page]:
            self.say("fetch")
            async for page in super().fetch(http, task, now):
                yield page

        def parse(self, delivery: Delivery, options: Any) -> Iterable[Item]:
            self.say("parse")
            return super().parse(delivery, options)

        async def check(self, http: Http, source: Source) -> list[Finding]:
            self.say("check")
            return await super().check(http, source)

        def say(self, where: str) -> None:
            if where == place:
                with warnings.catch_warnings(record=False):
                    way(TOKEN)

    checks = contract_suite(Leaking(), [RECORDED], pulls=[pull()])
    (logs,) = [check for check in checks if check.name == "fetch days: logs"]
    assert await said([logs]) == {"fetch days: logs": "a log shows a secret"}


async def test_a_key_in_a_log_of_a_push_is_found() -> None:
    class Pushed(Daily):
        capabilities = Capabilities(webhook=True)

        def verify(self, request: WebhookRequest, source: Source, now: datetime) -> Verified:
            logging.getLogger("toy").info("comparing with %s", source.secrets[0].value)
            return Verified(key="k")

    request = WebhookRequest(method="POST", headers={}, query={}, body=BODY)
    signed = Signed(request=request, source=SOURCE, now=NOW, headers=())
    checks = contract_suite(Pushed(), [RECORDED], signed=[signed])
    (logs,) = [check for check in checks if check.name == "webhook: logs"]
    assert await said([logs]) == {"webhook: logs": "a log shows a secret"}


def test_listening_leaves_everything_as_it_was() -> None:
    root = logging.getLogger()
    before = (root.level, list(root.handlers), logging.getLogRecordFactory(), root.manager.disable)
    processors = list(structlog.get_config()["processors"])
    with pytest.raises(ContractBroken), nothing_shown([TOKEN]):
        by_structlog(TOKEN)
    with nothing_shown([TOKEN]):
        by_structlog("nothing")
    assert (root.level, root.handlers, logging.getLogRecordFactory(), root.manager.disable) == before
    assert structlog.get_config()["processors"] == processors
    heard = Heard()
    with pytest.raises(ZeroDivisionError), heard.everything():
        _ = 1 / 0
    assert logging.getLogRecordFactory() is before[2]
