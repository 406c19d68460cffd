"""A KPI as it stood at a posting, and what such a value hangs on beside sums: levels, uniques, facts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

import asyncpg
import msgspec

from service.kpi.measure import Value, reason_text
from service.kpi.members import FOLLOWERS_AT_PUBLISH, FOLLOWERS_START
from service.ledger import restatements
from service.reports.answer import BoundsOut
from service.reports.question import Asked

FACTS: Mapping[str, tuple[str, ...]] = {
    "reach": ("published_at",),
    "followers": ("type",),
    FOLLOWERS_AT_PUBLISH: ("published_at", "creator", FOLLOWERS_AT_PUBLISH),
}
"""The facts that decide how a level or a unique of a subject is read."""


class PointOut(msgspec.Struct, frozen=True, kw_only=True):
    """A KPI as it stood at a posting."""

    value: int | float | str | None
    state: str
    reason: str | None
    numerator: int | float | str | None
    denominator: int | float | str | None
    bounds: BoundsOut | None
    currency: str | None


def point_out(value: Value) -> PointOut:
    """Return a value without what only speaks about it."""
    return PointOut(
        value=value.value,
        state=str(value.state),
        reason=reason_text(value.reason, value.detail),
        numerator=value.numerator,
        denominator=value.denominator,
        bounds=None if value.bounds is None else BoundsOut(lower=value.bounds.lower, upper=value.bounds.upper),
        currency=value.currency,
    )


def people_keys(asked: Asked) -> tuple[str, ...]:
    """Return the levels and uniques whose lines matter."""
    needed = asked.needed
    followers = "followers" in needed or FOLLOWERS_AT_PUBLISH in needed
    return (("reach",) if "reach" in needed else ()) + (("followers",) if followers else ())


def read_keys(asked: Asked) -> tuple[str, ...]:
    """Return the columns that are read, not summed."""
    needed = asked.needed
    found = [key for key in ("reach", "followers", FOLLOWERS_AT_PUBLISH) if key in needed]
    return (*found, FOLLOWERS_START) if "followers" in needed else tuple(found)


async def people_ids(
    raw: asyncpg.Connection[Any], asked: Asked, rows: Mapping[UUID, Any], facts: Sequence[Any]
) -> list[UUID]:
    """Return the subjects whose levels and uniques matter: those that ever counted, and the profiles behind them."""
    if not people_keys(asked):
        return []
    found = set(rows)
    if FOLLOWERS_AT_PUBLISH in asked.needed:
        creators = {
            (rows[line["subject_id"]]["platform"], line["value"])
            for line in facts
            if line["name"] == "creator" and line["value"] is not None
        }
        found |= set((await restatements.subjects_named(raw, asked.workspace_id, sorted(creators))).values())
    return sorted(found)
