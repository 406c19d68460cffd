"""Evaluating a KPI over many groups of members at once: each value is what ``evaluate`` gives for its group.

Sums, quotients and what stands behind them are taken for all groups together; a number that is rounded or an interval
by post is made group by group, by the functions that make those of one. What belongs to the whole campaign, shared
amounts and the cap of its audience, is in no group.
"""

from __future__ import annotations

from functools import partial

import msgspec
import numpy as np

from service.kpi.catalogue import Kind, Kpi
from service.kpi.evaluate import CoverageMode, evaluate, judged, keys_of, refusal
from service.kpi.grouping import Grouping, added, counted, taken
from service.kpi.measure import Coverage, Reason, Value
from service.kpi.members import BOOKED, BoolArray, Column, FloatArray, IntArray, MemberSums, parts_of, read, take
from service.kpi.question import Ask, covered, null
from service.kpi.quotients import Sides, absent, divided, has_no_currency
from service.kpi.rates import LEVEL
from service.kpi.totals import summed

DIVIDED = (Kind.RATIO, Kind.COST_RATIO, Kind.RETURN)


def evaluate_groups(
    kpi: Kpi,
    sums: MemberSums,
    groups: Grouping,
    *,
    currency: str | None,
    level: float = LEVEL,
    coverage: CoverageMode = "report",
) -> list[Value]:
    """Return the value of a KPI for each group."""
    ask = Ask(kpi=kpi, sums=sums, currency=currency, level=level, strict=coverage == "strict")
    refused = refusal(ask)
    if refused is not None:
        return [refused] * len(groups)
    found = _together(ask, groups) if len(groups) > 1 else None
    if found is None:
        return [
            evaluate(kpi, take(sums, groups.members(group)), currency=currency, level=level, coverage=coverage)
            for group in range(len(groups))
        ]
    said = [_worst(sums.said[key], groups) for key in keys_of(kpi, sums.said)]
    return [judged(ask, value, [words[group] for words in said]) for group, value in enumerate(found)]


def _together(ask: Ask, groups: Grouping) -> list[Value] | None:
    """Return values before their quality; None for KPIs whose groups are looked at one by one."""
    if ask.kpi.kind is Kind.ADDITIVE:
        return _sums(ask, groups)
    if ask.kpi.kind not in DIVIDED:
        return None
    found = quotients(ask, groups)
    return None if found is None else [found.value(group) for group in range(len(groups))]


def _worst(said: IntArray, groups: Grouping) -> list[int]:
    found: list[int] = np.maximum.reduceat(said[groups.places], groups.begins[:-1]).tolist()
    return found


# ------------------------------------------------------------------------------------------------ sums


def _sums(ask: Ask, groups: Grouping) -> list[Value] | None:
    column = taken(read(ask.sums, ask.kpi.slug), groups)
    totals = added(column.values, column.known, groups)
    if totals is None:
        return None
    known, sizes, silent = counted(column.known, groups).tolist(), groups.sizes.tolist(), _silent(ask, groups)
    return [
        summed(
            ask,
            total if told else None,
            Coverage(members_known=told, members_total=size),
            silent[group] if silent else (),
        )
        for group, (total, told, size) in enumerate(zip(totals.tolist(), known, sizes, strict=True))
    ]


def _silent(ask: Ask, groups: Grouping) -> list[list[str]]:
    """Return for each group the parts of a derived metric that none of its members knows; nothing for a stored one."""
    key, columns = ask.kpi.slug, ask.sums.columns
    parts = parts_of(key)
    if key in columns or parts == (key,):
        return []
    told = [
        counted(columns[part].known[groups.places], groups).tolist() if part in columns else [0] * len(groups)
        for part in parts
    ]
    return [[part for part, known in zip(parts, line, strict=True) if not known] for line in zip(*told, strict=True)]


# ------------------------------------------------------------------------------------------------ quotients


class Quotients(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """Both sides of a ratio by group, in stored units. ``numerators`` are those that are divided.

    ``pairs`` are both sides by member in the order of the groups, with the mask of those that know both. ``above`` and
    ``below`` tell whether anybody knows that side.
    """

    ask: Ask
    groups: Grouping
    numerators: IntArray
    denominators: IntArray
    everything: IntArray
    known: IntArray
    sizes: IntArray
    without: IntArray
    above: BoolArray
    below: BoolArray
    apart: BoolArray
    pairs: tuple[IntArray, IntArray, BoolArray]

    def value(self, group: int) -> Value:
        """Return the value of one group, without its quality."""
        if not (self.above[group] and self.below[group]):
            return absent(self.ask, int(self.sizes[group]), below=not self.below[group])
        if has_no_currency(self.ask):
            return null(self.ask, Reason.MIXED_CURRENCY)
        return divided(self.ask, self.sides(group))

    def sides(self, group: int) -> Sides:
        """Return both sides of one group."""
        apart, everything, numerator = bool(self.apart[group]), int(self.everything[group]), int(self.numerators[group])
        held = (everything, everything) if apart else (numerator, everything)
        coverage = covered(int(self.known[group]), int(self.sizes[group]), held)
        return Sides(
            numerator=numerator,
            denominator=int(self.denominators[group]),
            fixed=(0, 0),
            coverage=msgspec.structs.replace(coverage, numerator_share=1.0) if apart else coverage,
            without=int(self.without[group]),
            apart=apart,
            pairs=partial(self._pairs, group),
        )

    def _pairs(self, group: int) -> tuple[FloatArray, FloatArray]:
        own = slice(self.groups.begins[group], self.groups.begins[group + 1])
        above, below, mask = (column[own] for column in self.pairs)
        return above[mask].astype(np.float64), below[mask].astype(np.float64)


def quotients(ask: Ask, groups: Grouping) -> Quotients | None:
    """Return both sides of a ratio by group; None where sums may not fit 64 bits."""
    above, below = ask.kpi.numerator or "", ask.kpi.denominator or ""
    top, bottom = taken(read(ask.sums, above), groups), taken(read(ask.sums, below), groups)
    told = [counted(column.known, groups) > 0 for column in (top, bottom)]
    top, bottom = _booked(above, top), _booked(below, bottom)
    mask = top.known & bottom.known
    numerators, denominators = added(top.values, mask, groups), added(bottom.values, mask, groups)
    everything = added(top.values, top.known, groups)
    if numerators is None or denominators is None or everything is None:
        return None
    apart = (numerators == 0) & (everything != 0) if above in BOOKED else np.zeros(len(groups), dtype=np.bool_)
    return Quotients(
        ask=ask,
        groups=groups,
        numerators=np.where(apart, everything, numerators),
        denominators=denominators,
        everything=everything,
        known=counted(mask, groups),
        sizes=groups.sizes,
        without=groups.sizes - counted(bottom.known, groups),
        above=told[0],
        below=told[1],
        apart=apart,
        pairs=(top.values, bottom.values, mask),
    )


def _booked(key: str, column: Column) -> Column:
    """What is booked is known of every member: of a group in which nobody knows it nothing is asked."""
    if key not in BOOKED:
        return column
    return Column(values=np.where(column.known, column.values, 0), known=np.ones_like(column.known))
