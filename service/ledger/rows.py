"""Between database rows and the series algebra. Pure conversions, in the column order of ``statements``."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import msgspec

from connectors.contract import STORED
from service.ledger.series import Balance, Line, Ref

SeriesOf = tuple[UUID, int]
"""A subject and a series id: one lifetime or level series, or the home of windows and events."""


class Placed(msgspec.Struct, frozen=True):
    """A line with its subject and series: a row of the ledger, but for its posting."""

    subject_id: UUID
    series_id: int
    line: Line


def line_of(row: Mapping[str, Any]) -> Line:
    """Return the line of an entries row."""
    return Line(
        row["valid_from"],
        row["valid_to"],
        row["sign"],
        row["cause"],
        row["flags"],
        row["observed_at"],
        Ref(row["delivery_id"], row["received_at"]),
        {key: value for key in STORED if (value := row[key]) is not None},
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
    """Return the metrics that occur and the columns subject, series, at, earlier and one per metric."""
    rows = sorted(balances, key=lambda row: (row[0][0].int, row[0][1]))
    metrics = present(row.values for _, row in rows)
    columns: list[Any] = [[key[0] for key, _ in rows], [key[1] for key, _ in rows], [], []]
    for _, balance in rows:
        at = max(balance.since.values())
        earlier = {key: since.isoformat() for key, since in sorted(balance.since.items()) if since != at}
        columns[2].append(at)
        columns[3].append(msgspec.json.encode(earlier).decode() if earlier else None)
    columns += [array_text(balance.values.get(key) for _, balance in rows) for key in metrics]
    return metrics, columns


def array_text(values: Iterable[int | None]) -> str:
    """Return the text of a PostgreSQL array of numbers: the driver checks each element of a list, a text once."""
    return "{" + ",".join(["NULL" if value is None else str(value) for value in values]) + "}"


def present(rows: Iterable[Mapping[str, Any]]) -> tuple[str, ...]:
    """Return the stored metrics that any row holds, in column order."""
    seen: set[str] = set()
    for row in rows:
        seen.update(row)
    return tuple(key for key in STORED if key in seen)


def entry_columns(placed: Sequence[Placed]) -> tuple[tuple[str, ...], list[Any]]:
    """Return the metrics that occur and the columns of ``statements.insert_entries``; lines are numbered in order."""
    lines = [row.line for row in placed]
    metrics = present(line.metrics for line in lines)
    columns: list[Any] = [
        [row.subject_id for row in placed],
        [row.series_id for row in placed],
        [line.valid_from for line in lines],
        [line.valid_to for line in lines],
        list(range(1, len(lines) + 1)),
        [line.sign for line in lines],
        [line.cause for line in lines],
        [line.flags for line in lines],
        [line.observed_at for line in lines],
        [line.ref.delivery_id for line in lines],
        [line.ref.received_at for line in lines],
        [line.day for line in lines],
        [line.days for line in lines],
        [line.event_key for line in lines],
    ]
    columns += [array_text(line.metrics.get(key) for line in lines) for key in metrics]
    return metrics, columns


def iso(at: datetime) -> str:
    """Return an instant as sortable text in UTC with microseconds."""
    return at.astimezone(UTC).isoformat(timespec="microseconds")
