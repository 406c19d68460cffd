"""Amounts of several currencies in one, at dated rates. A missing rate is an answer of its own, never a guess.

Answers convert the sums of members as columns, in ``service.reports.exchange``; this is the rule for a list of amounts,
as a published case has it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from decimal import Decimal
from fractions import Fraction

import msgspec

from service.kpi.measure import Reason


class Rates(msgspec.Struct, frozen=True, kw_only=True):
    """What one unit of a currency is worth in the report currency ``to`` on ``day``."""

    to: str
    day: date
    rates: Mapping[str, Decimal]


class Converted(msgspec.Struct, frozen=True, kw_only=True):
    """A sum in millionths of the report currency, or null with the reason and the currency that lacks a rate."""

    amount: int | None
    reason: Reason | None = None
    detail: str | None = None


def convert(amounts: Sequence[tuple[str, int]], rates: Rates) -> Converted:
    """Return the sum of (currency, millionths) pairs in the report currency; rounded once, half to even, at the end."""
    total = Fraction(0)
    for currency, amount in amounts:
        rate = Decimal(1) if currency == rates.to else rates.rates.get(currency)
        if rate is None:
            return Converted(amount=None, reason=Reason.MISSING_FX_RATE, detail=currency)
        total += amount * Fraction(rate)
    return Converted(amount=round(total))
