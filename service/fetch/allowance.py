"""How many calls the refresh plan may spend: a share of what the platform allows, less what was spent. Pure.

It plans within documented limits; what an answer says of a limit, and waiting for it, is the client's business.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta
from math import ceil

from connectors.contract import Budget, FetchKind

SHARE = 0.5
"""The part of a budget that is planned with: the rest is for listings, days, people and other programs of the app."""
_HOUR = timedelta(hours=1)


def calls_per_hour(budgets: Iterable[Budget], sources: int) -> float | None:
    """Return the calls an hour that one of ``sources`` sources may make by the tightest budget; None: none is known.

    The budget of an app is shared by its sources, that of an account is not.
    """
    rates = [
        budget.calls * (_HOUR / budget.window) / (max(sources, 1) if budget.per == "app" else 1) for budget in budgets
    ]
    return SHARE * min(rates) if rates else None


def regular_pace(kind: FetchKind, subjects: int) -> float:
    """Return the calls an hour that it takes to ask for so many subjects once every interval of the kind."""
    return calls_for(kind, subjects) * (_HOUR / kind.every)


def calls_for(kind: FetchKind, subjects: int) -> int:
    """Return the calls that it takes to ask for so many subjects by name."""
    return -(-subjects // max(kind.batch, 1)) * max(kind.calls, 1)


def room(kind: FetchKind, hourly: float, spent: int, slot: timedelta) -> int:
    """Return how many subjects a task may name in a slot: the slot's part of an hour, and never beyond the hour.

    ``spent`` counts the calls of the kind in the last hour. However little is allowed, one batch an hour is.
    """
    batch = max(kind.calls, 1)
    hourly = max(hourly, batch)
    calls = min(max(ceil(hourly * (slot / _HOUR)), batch), int(hourly - spent))
    return max(calls // batch, 0) * max(kind.batch, 1)
