"""Money of several currencies in one, at rates that the asker gives: converted by post, to the millionth. Pure.

No rates are kept, so none is ever guessed: what has no rate stays in its currency, and the answer says so.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from fractions import Fraction

import msgspec
import numpy as np

from connectors.contract import INT64_MAX, MONEY
from service.errors import Invalid
from service.kpi.members import BoolArray, IntArray
from service.reports.blocks import Block


class Exchange(msgspec.Struct, frozen=True, kw_only=True):
    """What one unit of each currency is worth in ``to``, on ``day``."""

    to: str
    day: date | None
    rates: Mapping[str, Fraction]

    def of_amounts(self, currency: str, amounts: Mapping[str, int]) -> tuple[str, Mapping[str, int]]:
        """Return the currency and amounts of one subject, converted where there is a rate."""
        rate = self.rates.get(currency)
        if rate is None:
            return currency, amounts
        turned = {key: _turned(amount, rate) if key in MONEY else amount for key, amount in amounts.items()}
        return self.to, turned

    def of_block(self, block: Block) -> Block:
        """Return sums of days with money converted where there is a rate."""
        rate = self.rates.get(block.currency or "")
        if rate is None:
            return block
        values = {key: _column(c, block.known[key], rate) if key in MONEY else c for key, c in block.values.items()}
        return msgspec.structs.replace(block, currency=self.to, values=values)


def _column(amounts: IntArray, known: BoolArray, rate: Fraction) -> IntArray:
    found = np.zeros_like(amounts)
    found[known] = [_turned(amount, rate) for amount in amounts[known].tolist()]
    return found


def _turned(amount: int, rate: Fraction) -> int:
    found = round(amount * rate)
    if abs(found) > INT64_MAX:
        raise Invalid(
            "an amount at this rate is larger than any that is kept", pointer="?exchange", code="rate_too_large"
        )
    return found
