"""Between database rows and the series algebra. Pure conversions, in the column order of ``statements``."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any
from uuid import UUID

import msgspec

from connectors.contract import STORED
from service.ledger.grid import grid_of, packed
from service.ledger.series import Balance, Line, Ref

SeriesOf = tuple[UUID, int]
"""A subject and a series id: one lifetime or level series, or the home of windows and events."""


def line_of(row: Mapping[str, Any], metrics: Sequence[str] = STORED) -> Line:
    """Return the line of an entries row, as far as it speaks of the given metrics."""
    return Line(
        row["valid_from"],
        row["valid_to"],
        row["sign"],
        row["cause"],
        row["flags"],
        row["observed_at"],
        Ref(row["delivery_id"], row["received_at"]),
        {key: value for key in metrics if (value := row[key]) is not None},
        row["day"],
        row["days"],
        row["event_key"],
    )


def balance_of(row: Mapping[str, Any]) -> Balance:
    """Return the balance of a balances row."""
    values = {key: value for key in STORED if (value := row[key]) is not None}
    at = row["at"]
    earlier = row["earlier"] or {}
    since = {key: datetime.fromisoformat(earlier[key]) if key in earlier else at for key in values}
    return Balance(values, since)


def balance_columns(
    balances: Iterable[tuple[SeriesOf, Balance]],
) -> tuple[tuple[str, ...], list[Any]]:
    """Return the metrics that occur and the parameters of ``statements.write_balances`` after the workspace."""
    rows = sorted(balances, key=lambda row: (row[0][0].int, row[0][1]))
    grid = grid_of([balance.values for _, balance in rows])
    columns: list[Any] = [packed((), grid), [key[0] for key, _ in rows], [key[1] for key, _ in rows], [], []]
    for _, balance in rows:
        at = max(balance.since.values())
        earlier = {key: since.isoformat() for key, since in sorted(balance.since.items()) if since != at}
        columns[3].append(at)
        columns[4].append(msgspec.json.encode(earlier).decode() if earlier else None)
    return grid.metrics, columns


@lru_cache(maxsize=4096)
def iso(at: datetime) -> str:
    """Return an instant as sortable text in UTC with microseconds."""
    return at.astimezone(UTC).isoformat(timespec="microseconds")
