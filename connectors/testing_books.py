"""A small set of books: what items say in the end, whatever their order, as far as the contract suite needs it.

For each series the newest reading stands, for each event the newest telling, as the ledger of the service has it. It
knows no campaigns, no shares of a window and no time zones: it answers whether two ways of reading come to the same.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from datetime import datetime
from itertools import pairwise
from typing import Any

from connectors.contract import MICRO, Conversion, Item, Kind, Observation, Touchpoint, Window, Withdrawal

Key = tuple[Any, ...]
"""Kind, subject, metric and all that tells one series, window or event from another."""
Total = tuple[str, str, str, str]
"""Subject ("" for none), metric, currency and goal: what is summed."""


class Books:
    """The newest of what was read."""

    def __init__(self) -> None:
        self._newest: dict[Key, tuple[datetime, int, int | None]] = {}
        self._totals: dict[Key, Total] = {}

    def read(self, items: Iterable[Item], received_at: datetime) -> None:
        """Take in the items of a delivery."""
        for item in items:
            at = getattr(item, "observed_at", None) or received_at
            if isinstance(item, Observation):
                for metric, value in item.metrics.items():
                    self._take(_series(item, metric, check=item.check), _total(item, metric), at, value)
            elif isinstance(item, Withdrawal):
                for metric in item.metrics:
                    self._take(_series(item, metric, check=False), _total(item, metric), at, None)
            elif isinstance(item, Conversion | Touchpoint):
                for metric, value in _of_event(item).items():
                    subject = item.subject.external_id if item.subject else ""
                    currency = (item.currency or "") if isinstance(item, Conversion) else ""
                    goal = item.goal if isinstance(item, Conversion) else ""
                    key = (Kind.EVENT, type(item).__name__, item.kind, item.id, metric)
                    self._take(key, (subject, metric, currency, goal), at, value)

    def _take(self, key: Key, total: Total, at: datetime, value: int | None) -> None:
        point = (at, -1 if value is None else value, value)
        if key not in self._newest or self._newest[key][:2] <= point[:2]:
            self._newest[key], self._totals[key] = point, total

    def standing(self) -> dict[Key, int | None]:
        """Return what every series, window and event says; None is withdrawn."""
        return {key: value for key, (_, _, value) in self._newest.items()}

    def counted(self) -> dict[Total, int]:
        """Return what is summed: no checks, no people, no levels."""
        found: defaultdict[Total, int] = defaultdict(int)
        for key, value in self.standing().items():
            if value is not None and is_counted(key):
                found[self._totals[key]] += value
        return dict(found)

    def twice(self) -> Iterable[str]:
        """Yield what would be counted twice: a number of two kinds, or of windows that overlap."""
        kinds: defaultdict[Total, set[Kind]] = defaultdict(set)
        windows: defaultdict[Key, list[Window]] = defaultdict(list)
        for key, total in self._totals.items():
            if is_counted(key):
                kinds[total].add(key[0])
            if is_counted(key) and key[0] is Kind.PERIOD:
                windows[key[:-1]].append(key[-1])
        for total, found in kinds.items():
            if len(found) > 1:
                yield f"{total[1]} of {total[0] or 'no subject'} counts as {' and '.join(sorted(found))}"
        for series, spans in windows.items():
            ordered = sorted(spans, key=lambda window: (window.start, window.end))
            if any(one.end > two.start for one, two in pairwise(ordered)):
                yield f"{series[2]} of {series[1]} counts in two windows that overlap"


def is_counted(key: Key) -> bool:
    """Whether what a key says is summed."""
    return key[0] is Kind.EVENT or (key[0] in {Kind.LIFETIME, Kind.PERIOD} and not key[-2])


def window_of(key: Key) -> Window | None:
    """Return the window of a series of windows."""
    found = key[-1]
    return found if isinstance(found, Window) else None


def _series(item: Observation | Withdrawal, metric: str, *, check: bool) -> Key:
    goal = item.goal if isinstance(item, Observation) else ""
    words = (item.scope, item.paid, item.currency, goal)
    return (item.kind, item.subject.external_id, metric, *words, check, item.window)


def _total(item: Observation | Withdrawal, metric: str) -> Total:
    goal = item.goal if isinstance(item, Observation) else ""
    return (item.subject.external_id, metric, item.currency or "", goal)


def _of_event(item: Conversion | Touchpoint) -> Mapping[str, int]:
    if isinstance(item, Touchpoint):
        return {"clicks_link": 1} if item.kind == "click" and item.subject else {}
    if item.test:
        return {}
    stands = 0 if item.cancelled else 1
    count = {"refund": {"refunds": stands}, "order": {"orders": stands}}.get(item.kind, {"conversions": stands * MICRO})
    sign = -1 if item.kind == "refund" else 1
    return count if item.value is None else {**count, "conversion_value": sign * stands * item.value}
