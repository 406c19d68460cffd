"""Sums while they are put together: one table per span of a range, with the currencies that money came in. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import date

import msgspec
import numpy as np

from connectors.contract import MONEY
from service.kpi.members import BoolArray, Column, IntArray
from service.ledger.history.marks import Marks, carried_metrics
from service.reports.blocks import Block, Blocks
from service.reports.exchange import Exchange
from service.reports.stretches import Segments, Stretch, edges
from service.reports.tallies import Window


class Table:
    """The sums of one span by member: null and a number is the number."""

    def __init__(self, keys: Iterable[str], members: int) -> None:
        self.values: dict[str, IntArray] = {key: np.zeros(members, dtype=np.int64) for key in keys}
        self.known: dict[str, BoolArray] = {key: np.zeros(members, dtype=np.bool_) for key in keys}

    def add(self, place: int, amounts: Mapping[str, int]) -> None:
        """Add the amounts of one member."""
        for key, amount in amounts.items():
            self.values[key][place] += amount
            self.known[key][place] = True

    def columns(self) -> dict[str, Column]:
        """Return what was added."""
        return {key: Column(values=values, known=self.known[key]) for key, values in self.values.items()}


class Tables(msgspec.Struct, kw_only=True):
    """The tables of a range by number of their span, the currencies of its money, and what must be said of it."""

    stretch: Stretch
    members: int
    by_span: dict[int, Table]
    currencies: set[str]
    marks: Marks
    exchange: Exchange | None = None

    @classmethod
    def of(cls, stretch: Stretch, keys: Iterable[str], members: int, exchange: Exchange | None = None) -> Tables:
        """Return empty tables; money is converted by ``exchange`` where it has a rate."""
        by_span = {span.number: Table(keys, members) for span in stretch.spans}
        return cls(
            stretch=stretch, members=members, by_span=by_span, currencies=set(), marks=Marks(), exchange=exchange
        )

    def add(self, number: int, place: int, currency: str, amounts: Mapping[str, int]) -> None:
        """Add the amounts of one member to one span."""
        if self.exchange is not None:
            currency, amounts = self.exchange.of_amounts(currency, amounts)
        self.by_span[number].add(place, amounts)
        if not MONEY.isdisjoint(amounts):
            self.currencies.add(currency)

    def mark(self, more: Marks) -> None:
        """Say more of the range."""
        names = Marks.__struct_fields__
        self.marks = Marks(**{name: getattr(self.marks, name) | getattr(more, name) for name in names})

    def add_window(self, window: Window) -> None:
        """Add a window of several days to every span that holds it whole; one that no bucket holds is coarse."""
        first, last = _days(self.stretch)
        if first is None or last is None or window.first_day > last or window.last_day < first:
            return
        holding = [span.number for span in self.stretch.spans if span.holds(window.first_day, window.last_day)]
        for number in holding:
            self.add(number, window.place, window.currency, window.amounts)
        grid = {span.number for span, _ in self.stretch.buckets} or {self.stretch.total.number}
        told = frozenset(window.amounts)
        coarse = told if grid.isdisjoint(holding) else frozenset()
        self.mark(Marks(windowed=told, coarse=coarse, source_zones=frozenset({window.zone})))

    def add_blocks(self, runs: Segments, blocks: Blocks) -> None:
        """Add the sums of runs of days to the spans that they make up."""
        held = np.zeros(len(runs.starts), dtype=np.bool_)
        for span in self.stretch.spans:
            held[runs.of(span)] = True
        for block in blocks:
            self._add_block(runs, block if self.exchange is None else self.exchange.of_block(block), held)
        self.mark(Marks(interpolated=self._interpolated(runs, blocks)))

    def _add_block(self, runs: Segments, block: Block, held: BoolArray) -> None:
        for span in self.stretch.spans:
            table, part = self.by_span[span.number], runs.of(span)
            for key, values in block.values.items():
                known = block.known[key]
                if part.stop - part.start == 1:  # a day of a grid: there are many of them
                    table.values[key] += values[part.start]
                    table.known[key] |= known[part.start]
                else:
                    table.values[key] += values[part].sum(axis=0)
                    table.known[key] |= known[part].any(axis=0)
        told = frozenset(key for key, known in block.known.items() if known[held].any())
        if block.currency is not None and not MONEY.isdisjoint(told):
            self.currencies.add(block.currency)
        if block.zone is not None and told:
            self.mark(Marks(windowed=told, source_zones=frozenset({block.zone})))

    def _interpolated(self, runs: Segments, blocks: Blocks) -> frozenset[str]:
        """Return the metrics that an edge of a span cuts: those carried into the run of days that it begins."""
        begins = edges(self.stretch)
        cut = np.array([start in begins for start in runs.starts])
        bits = int(np.bitwise_or.reduce(blocks.carried[cut], initial=0))
        return carried_metrics(bits) & self.by_span[self.stretch.total.number].values.keys()


def _days(stretch: Stretch) -> tuple[date | None, date | None]:
    """Return the first and the last day that any span holds."""
    spans = stretch.spans
    return (
        min((span.first_day for span in spans if span.first_day is not None), default=None),
        max((span.last_day for span in spans if span.last_day is not None), default=None),
    )
