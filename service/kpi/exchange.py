"""Amounts of several currencies in one, at dated rates. A missing rate is an answer of its own, never a guess."""

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


def rate_on(history: Sequence[tuple[date, Decimal]], day: date, oldest: int = 7) -> Decimal | None:
    """Return the newest rate of at most ``oldest`` days before ``day``: banks publish none on holidays.

    ``history`` may be in any order; of two rates for one day the later listed counts.
    """
    usable = [(when, i) for i, (when, _) in enumerate(history) if 0 <= (day - when).days <= oldest]
    return history[max(usable)[1]][1] if usable else None
