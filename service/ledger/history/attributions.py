"""What subjects are credited with under another model, or other windows, than the books are kept in."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

import asyncpg
import msgspec

from service.kpi.attribution import Model, Windows
from service.ledger.conversions import credited_otherwise, standing_between

SOLD = ("orders", "refunds", "conversions", "conversion_value")
"""What is credited."""


class Credited(msgspec.Struct, frozen=True, kw_only=True):
    """A share of one event: whose, when the event was, in which currency, and how much of each metric."""

    subject_id: UUID
    at: datetime
    currency: str
    metrics: Mapping[str, int]


async def credited_under(
    connection: asyncpg.Connection[Any],
    workspace_id: UUID,
    start: datetime,
    end: datetime,
    model: Model,
    windows: Windows | None,
) -> list[Credited]:
    """Return the credits of what was sold in ``[start, end)``, as it is known now.

    ``windows`` None are those of the campaigns that a touched subject counts in.
    """
    events = await standing_between(connection, workspace_id, start, end)
    found = await credited_otherwise(connection, workspace_id, events, model, windows)
    return [
        Credited(subject_id=one.subject_id, at=events[key].at, currency=events[key].currency, metrics=one.metrics)
        for key, credits_ in found.items()
        for one in credits_
    ]
