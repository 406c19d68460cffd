"""``python -m benchmarks.orders``: what touches and orders cost at posting, per event, in batches of a thousand.

Four kinds of batch: clicks that name nobody, clicks that name a customer, orders whose click came before, and clicks
that come after their orders and take them over (each of these batches is run twice: the second time alone).
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from uuid import UUID

from benchmarks import ground, office
from benchmarks.ground import Ground
from connectors.contract import Conversion, Item, SubjectRef, SubjectType, Touchpoint
from service import context as contexts
from service.api.state import Services
from service.app import open_services
from service.ledger.posting import RetryExclusive, close_posting, open_posting
from service.ledger.series import Ref
from service.ledger.write import Said, post
from service.pipeline.normalise import normalise
from service.pipeline.run import veiled
from service.registry import sources

BATCHES, SIZE, LINKS = 8, 1000, 50
START = datetime(2026, 6, 1, tzinfo=UTC)
Make = Callable[[int], Item]


def clicked(prefix: str, *, named: bool, hours: float) -> Make:
    """Return what makes the n-th click on one of the links."""

    def click(number: int) -> Item:
        return Touchpoint(
            id=f"{prefix}{number}",
            at=START + timedelta(hours=hours, seconds=number),
            subject=SubjectRef(f"l{number % LINKS}", SubjectType.LINK),
            customer=f"{prefix}{number}" if named else None,
        )

    return click


def ordered(prefix: str) -> Make:
    """Return what makes the n-th order, of the n-th customer."""

    def order(number: int) -> Item:
        at = START + timedelta(hours=30, seconds=number)
        name = f"{prefix}{number}"
        return Conversion(id=name, at=at, kind="order", value=10_000_000, currency="EUR", customer=name)

    return order


def _veil(purpose: str, text: str) -> bytes:
    return hashlib.sha256(f"{purpose}{text}".encode()).digest()[:16]


async def timed(parts: Services, workspace_id: UUID, source_id: UUID, make: Make) -> float:
    """Post batches of items of one kind; return microseconds per item."""
    begun = parts.context.monotonic()
    for batch in range(BATCHES):
        await posted(parts, workspace_id, source_id, map(make, range(batch * SIZE, (batch + 1) * SIZE)))
    return (parts.context.monotonic() - begun) / (BATCHES * SIZE) * 1e6


async def posted(parts: Services, workspace_id: UUID, source_id: UUID, items: Iterable[Item]) -> None:
    """Post items as one delivery."""
    normal = normalise(items, START + timedelta(days=9))
    events = veiled(normal.events, _veil)
    ref = Ref(parts.context.new_id(), START + timedelta(days=9))
    said = [Said(ref=ref, facts=normal.facts, readings=normal.readings, events=events)]
    for alone in (False, True):
        try:
            async with parts.db.workspace(workspace_id) as connection:
                source = await sources.load(connection, workspace_id, source_id)
                posting = await open_posting(
                    connection, workspace_id, parts.context, cause="deliveries", source_id=source_id, exclusive=alone
                )
                await post(connection, posting, source, said, parts.context, exclusive=alone)
                await close_posting(connection, posting, parts.context)
        except RetryExclusive:
            continue
        return


async def measure(place: Ground) -> None:
    """Print microseconds per event of each kind of batch."""
    async with (
        place.database() as database,
        open_services(place.settings(database), contexts.real(), office.CONNECTORS) as parts,
    ):
        made = await office.opened(parts, pushed=True, platforms=("links", "shop"))
        links, shop = made.sources[:2]
        kinds: tuple[tuple[str, UUID, Make], ...] = (
            ("clicks that name nobody", links, clicked("n", named=False, hours=0)),
            ("clicks that name a customer", links, clicked("a", named=True, hours=0)),
            ("orders after their click", shop, ordered("a")),
            ("orders without a click", shop, ordered("b")),
            ("clicks after their order", links, clicked("b", named=True, hours=12)),
        )
        for title, source_id, make in kinds:
            print(f"{title:30} {await timed(parts, made.workspace_id, source_id, make):7.0f} us each")


if __name__ == "__main__":
    with ground.opened() as found:
        asyncio.run(measure(found))
