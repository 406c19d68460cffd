"""Checks that numbers come out the same however often they are read, and that what is restated is read again.

Part of the suite of :mod:`connectors.testing`. Two readings are compared in a small set of books
(:mod:`connectors.testing_books`), since what must agree is not the items but what they come to.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any

import msgspec

from connectors.contract import (
    Connector,
    Conversion,
    CreatorSeen,
    Delivery,
    Drop,
    FetchKind,
    Item,
    Page,
    Touchpoint,
    singly,
)
from connectors.testing_books import Books, Key, window_of
from connectors.testing_fetching import Pull, fetched, landed
from connectors.testing_items import outcome, require

_LATER = timedelta(hours=1)


class Agreeing(msgspec.Struct, frozen=True, kw_only=True):
    """Two deliveries that speak of the same thing: a push and a fetched page, or two pages.

    They must name the same subject or event, and nothing may count twice when both are read, in either order.
    """

    name: str
    first: Delivery
    second: Delivery
    options: Any = None


def _read(connector: Connector, delivery: Delivery, options: Any) -> list[Item]:
    items = outcome(connector, delivery, options)
    require(not isinstance(items, str), f"a delivery is refused: {items}")
    return items if isinstance(items, list) else []


def _books(connector: Connector, deliveries: Iterable[Delivery], options: Any) -> Books:
    books = Books()
    for delivery in deliveries:
        books.read(_read(connector, delivery, options), delivery.received_at)
    return books


def _moved(delivery: Delivery, by: timedelta) -> Delivery:
    return msgspec.structs.replace(delivery, received_at=delivery.received_at + by)


# ------------------------------------------------------------------------------------------------ pulls


async def _read_twice(connector: Connector, pull: Pull) -> None:
    """Hold what a task brings to counting once: within itself, and when the same pages come again later."""
    options = pull.task.source.options
    once = [landed(page) for page in await fetched(connector, pull, pull.task)]
    again = [_moved(delivery, _LATER) for delivery in once]
    alone, both = _books(connector, again, options), _books(connector, [*once, *again], options)
    for what in both.twice():
        require(not what, what)
    require(both.counted() == alone.counted(), "the same pages read twice count twice")
    require(both.counted() == _books(connector, [*again, *once], options).counted(), "the order of pages matters")


async def counted_once(connector: Connector, pulls: Sequence[Pull]) -> None:
    """Hold all plain tasks of a connector together to counting once: no kind counts what another one has counted."""
    books = Books()
    for pull in pulls:
        if not pull.name:
            for delivery in map(landed, await fetched(connector, pull, pull.task)):
                books.read(_read(connector, delivery, pull.task.source.options), delivery.received_at)
    for what in books.twice():
        require(not what, what)


async def _look_back(connector: Connector, pull: Pull) -> None:
    """Hold a kind to reading what was restated within its look-back, in one cycle."""
    if pull.changed is None:
        return
    kind = next(kind for kind in connector.capabilities.fetch if kind.name == pull.task.kind)
    later = pull.later or pull.now + kind.every
    first = await _cycle(connector, pull, kind, pull.now)
    second = await _cycle(connector, msgspec.structs.replace(pull, http=pull.changed, now=later), kind, later)
    options = pull.task.source.options
    before, alone = (_books(connector, map(landed, pages), options).standing() for pages in (first, second))
    both = _books(connector, map(landed, [*first, *second]), options).standing()
    restated = {key for key, value in alone.items() if key in before and before[key] != value}
    require(restated, "what has changed is not read again within one cycle: the look-back does not reach it")
    span = min(kind.look_back, connector.capabilities.settle or kind.look_back)
    require(_reaches(restated, later, span), "what has changed is too new to prove a look-back: change older data")
    stale = sorted(str(key[2]) for key, value in alone.items() if both[key] != value)
    require(not stale, f"after a cycle the books do not say what the platform says: {', '.join(stale)}")


PULL_CHECKS = (("read twice", _read_twice), ("look-back", _look_back))


async def _cycle(connector: Connector, pull: Pull, kind: FetchKind, at: datetime) -> list[Page]:
    start = at - kind.look_back if kind.look_back else None
    return await fetched(connector, pull, msgspec.structs.replace(pull.task, start=start, end=at, cursor={}))


def _reaches(restated: Iterable[Key], later: datetime, span: timedelta) -> bool:
    """Whether something restated lies in the older half of what may be restated, or has no window at all."""
    windows = [window_of(key) for key in restated]
    return any(window is None or window.start <= later - span / 2 for window in windows)


# ------------------------------------------------------------------------------------------------ pairs


def agreeing(connector: Connector, pair: Agreeing) -> None:
    """Hold two deliveries about the same thing to one count."""
    options = connector.options() if pair.options is None else pair.options
    named = [_named(_read(connector, one, options)) for one in (pair.first, pair.second)]
    require(named[0] & named[1], f"the two name nothing in common: {_shown(named[0])} and {_shown(named[1])}")
    first, second = (_books(connector, [one], options).counted() for one in (pair.first, pair.second))
    both = _books(connector, [pair.first, pair.second], options)
    for what in both.twice():
        require(not what, what)
    require(
        both.counted() == _books(connector, [pair.second, pair.first], options).counted(),
        "the order of the two matters",
    )
    for total, value in both.counted().items():
        told = [one[total] for one in (first, second) if total in one]
        require(value in told, f"{total[1]} of {total[0] or 'no subject'} is {value}, but either alone says {told}")


def _named(items: Iterable[Item]) -> set[str]:
    found: set[str] = set()
    for item in singly(items):
        if isinstance(item, Conversion | Touchpoint):
            found.add(f"{item.kind} {item.id}")
        if not isinstance(item, Drop | CreatorSeen) and item.subject is not None:
            found.add(item.subject.external_id)
    return found


def _shown(names: set[str]) -> str:
    return ", ".join(sorted(names)[:3]) or "nothing"
