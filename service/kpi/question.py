"""What is asked of an evaluation, and how stored integers become the numbers of an answer."""

from __future__ import annotations

import functools

import msgspec

from connectors.contract import METRICS, MICRO
from connectors.contract import Unit as MetricUnit
from service.kpi.catalogue import Kpi
from service.kpi.measure import Coverage, Number, Reason, Value, significant, state_of_reason
from service.kpi.members import EXPECTED_ENGAGEMENTS, MemberSums, count
from service.kpi.money import amount_text
from service.kpi.rates import Aligned

_PER_SECOND = 1_000


class Ask(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """One KPI over one set of sums; ``strict`` refuses a ratio that does not cover every member."""

    kpi: Kpi
    sums: MemberSums
    currency: str | None
    level: float
    strict: bool


def null(ask: Ask, reason: Reason, **more: object) -> Value:
    """Return the null value of what was asked, with the reason and whatever else is known."""
    value = Value(value=None, unit=ask.kpi.unit, state=state_of_reason(reason), reason=reason)
    return msgspec.structs.replace(value, **more)


@functools.cache
def factor(key: str) -> int:
    """Return how many stored units make one unit of the answer."""
    if key == EXPECTED_ENGAGEMENTS:
        return MICRO
    unit = METRICS[key].unit if key in METRICS else MetricUnit.COUNT
    if unit is MetricUnit.MILLISECONDS:
        return _PER_SECOND
    return MICRO if unit in (MetricUnit.MONEY, MetricUnit.MILLIONTHS) else 1


@functools.cache
def is_money(key: str) -> bool:
    """Return whether a key is an amount of money."""
    return key in METRICS and METRICS[key].unit is MetricUnit.MONEY


def shown(key: str, amount: int, currency: str | None) -> Number:
    """Return a stored amount as it is answered: money as a string, the rest as a whole number where it is one."""
    if is_money(key) and currency is not None:
        return amount_text(amount, currency)
    units = factor(key)
    return amount // units if amount % units == 0 else significant(amount / units)


def coverage_of(ask: Ask, aligned: Aligned, shared: int = 0) -> Coverage:
    """Return the members that know both sides and their share of the known numerator, ``shared`` counted in."""
    held = aligned.numerator + shared, aligned.numerator_all + shared
    return covered(count(aligned.mask), len(ask.sums.members), held)


def covered(known: int, total: int, held: tuple[int, int]) -> Coverage:
    """Return a coverage; ``held`` is what the known members hold of a numerator, and all that is known of it."""
    part, everything = held
    share = significant(part / everything) if everything > 0 else None
    return Coverage(members_known=known, members_total=total, numerator_share=share)
