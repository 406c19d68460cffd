"""Waiting until deliveries are in the books, and saying what became of them: for commands that bring some."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import timedelta
from uuid import UUID

from service import ids
from service.api.state import Services
from service.commands.endings import Code
from service.errors import Busy
from service.inbox import deliveries
from service.inbox.deliveries import Chosen, DeliveryRow, State
from service.pipeline.run import posting_with
from service.pipeline.worker import DrainSummary, Worker

PATIENCE = timedelta(seconds=120)
"""How long a command waits for deliveries that somebody else reads, or that are tried again."""
_PAUSE = 0.2
_MANY = 1000


async def drain(parts: Services) -> DrainSummary:
    """Post what is ready, in this process; other workers may do the same."""
    return await Worker(
        parts.db, parts.context, parts.settings, parts.connectors, post=posting_with(parts.vault), vault=parts.vault
    ).drain()


async def settle(parts: Services, workspace_id: UUID, delivery_ids: Sequence[UUID]) -> list[DeliveryRow]:
    """Return deliveries once each is read. Raises :class:`Busy` when that takes too long; they are kept."""
    late = parts.context.now() + PATIENCE
    while True:
        await drain(parts)
        chosen = Chosen(delivery_ids=tuple(delivery_ids))
        async with parts.db.workspace(workspace_id) as connection:
            rows = await deliveries.listing(connection, workspace_id, chosen, _MANY)
        waiting = [row for row in rows if row.state is State.QUEUED]
        if not waiting:
            return rows
        if parts.context.now() >= late:
            name = ids.show("delivery", waiting[0].delivery_id)
            raise Busy(f"{name} is kept and not read yet; it is tried again later")
        await asyncio.sleep(_PAUSE)


def drops_by_reason(rows: Iterable[DeliveryRow]) -> dict[str, int]:
    """Return how many parts of deliveries were not booked, by reason, the most frequent first."""
    drops = (drop for row in rows if row.last is not None for drop in row.last.drops)
    counted: Counter[str] = Counter()
    for drop in drops:
        reason, detail = str(drop.get("reason")), str(drop.get("detail"))
        # Beyond a number that is listed there is one line that holds only how many more there are.
        counted[reason] += int(detail.split(maxsplit=1)[0]) if reason == "more" and detail[:1].isdigit() else 1
    return dict(counted.most_common())


def code_of(rows: Sequence[DeliveryRow]) -> Code:
    """Return how a command ends that brought these deliveries."""
    if not rows:
        return Code.DONE
    dead = sum(row.state is State.DEAD for row in rows)
    if dead == len(rows):
        return Code.FAILED
    return Code.PARTLY if dead or drops_by_reason(rows) else Code.DONE


def why_dead(row: DeliveryRow) -> str:
    """Return in one line why a delivery could not be read."""
    error = row.last.error if row.last is not None else row.error
    kind, middle, text = error.partition(": ")
    return text if middle and kind.isidentifier() else error
