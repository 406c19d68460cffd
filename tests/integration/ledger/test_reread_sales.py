"""Conversions and touches that are read otherwise: the books are those of who read them so from the start."""

from __future__ import annotations

import random  # noqa: TID251 - seeded, so that a failing case comes back
from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import msgspec
import pytest

from connectors.contract import Conversion, Item, Touchpoint
from service.context import fixed
from service.db.engine import Database, driver
from service.ledger.posting import close_posting, open_posting
from service.ledger.readings import event_key
from service.ledger.replace import REPLAY, Known
from service.ledger.replace_events import CLICK_KEYS, ToldEvent, known_keys, plan_events, write_events
from service.ledger.replace_sales import NEVER, SALE_KEYS, plan_sales, write_sales
from service.pipeline.normalise import normalise
from service.pipeline.run import veiled
from service.records import SourceRow
from tests.bookkeeping import _veil, at, ref
from tests.integration.ledger.test_credits import Shop, Told, made_up

ALL = Known(was_read=lambda _delivery: True, has_unread=lambda _posting: False, incomplete=frozenset())


def otherwise(told: Sequence[Told], seed: int) -> list[Told]:
    """Return what another version reads: most of the same, some not at all, some with other persons and values."""
    rng = random.Random(seed)

    def read(item: Item) -> list[Item]:
        if not isinstance(item, Conversion | Touchpoint) or rng.random() < 0.5:
            return [item]
        if rng.random() < 0.4:
            return []
        changes: dict[str, Any] = {"customer": rng.choice((None, "c1", "c2"))}
        if isinstance(item, Conversion):
            changes |= {"value": rng.randint(1, 9) * 1_000_000, "observed_at": at(rng.randint(8, 14))}
        elif item.kind == "view":
            changes = {"customer": "c2"}
        return [msgspec.structs.replace(item, **changes)]

    return [(source, [one for item in items for one in read(item)]) for source, items in told]


async def replay(shop: Shop, name: str, told: Sequence[Told]) -> bool:
    """Let other readings of one source take the place of those that stand; tell whether anything was written."""
    books, source = shop.books, shop.sources[name]
    clicks, sales = _told(source, [items for one, items in told if one == name])
    async with books.database.workspace(books.workspace_id) as connection:
        raw = await driver(connection)
        async for key in known_keys(raw, CLICK_KEYS, books.workspace_id, source.source_id):
            clicks.setdefault(key, [])
        async for key in known_keys(raw, SALE_KEYS, books.workspace_id, source.source_id):
            sales.setdefault(key, [])
        posting = await open_posting(
            connection, books.workspace_id, books.context, cause=REPLAY, source_id=source.source_id, exclusive=True
        )
        events = await plan_events(raw, books.workspace_id, source, clicks, ALL, books.context)
        await write_events(raw, posting, source, events)
        plan = await plan_sales(raw, books.workspace_id, source, sales, ALL, books.context)
        await write_sales(raw, posting, source, plan)
        await close_posting(connection, posting, books.context)
    return not (events.is_empty and plan.is_empty)


def _told(
    source: SourceRow, deliveries: Sequence[Sequence[Item]]
) -> tuple[dict[bytes, list[ToldEvent]], dict[bytes, list[ToldEvent]]]:
    clicks: dict[bytes, list[ToldEvent]] = defaultdict(list)
    sales: dict[bytes, list[ToldEvent]] = defaultdict(list)
    for number, items in enumerate(deliveries):
        said = ref(5000 + number)
        for event in veiled(normalise(items, said.received_at).events, _veil):
            told = ToldEvent(key=event_key(source.source_id.bytes, event.name), ref=said, reading=event)
            if event.sale is None and event.metrics:
                clicks[told.key].append(told)
            if event.sale is not None or event.touch:
                sales[told.key].append(told)
    return clicks, sales


async def found(shop: Shop) -> dict[str, list[Any]]:
    """Return the books but for what nobody reads any more."""
    books = await shop.found()
    books["standing"] = [row for row in books["standing"] if row["observed_at"] > NEVER]
    return books


@pytest.mark.parametrize("seed", range(4))
async def test_sales_read_otherwise_are_those_of_who_read_them_so_from_the_start(database: Database, seed: int) -> None:
    first = made_up(seed, 36)
    second = otherwise(first, seed)
    shop = await Shop.open(database, fixed(at(61), seed))
    await shop.post(*first)
    for order in (("links", "shop"), ("shop", "links")):
        other = await Shop.open(database, fixed(at(61), seed + (100 if order[0] == "links" else 200)))
        await other.post(*second)
        for name in order:
            await replay(shop, name, second)
            await shop.proven()
        expected = await found(other)
        for part, rows in (await found(shop)).items():
            assert rows == expected[part], part
        assert not await replay(shop, "links", second)
        assert not await replay(shop, "shop", second)
        # What was not read any more is read again.
        first, second = second, first
