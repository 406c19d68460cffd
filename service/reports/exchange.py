"""Money of several currencies in one, at rates that the asker gives: converted by post, to the millionth. Pure.

No rates are kept, so none is ever guessed: what has no rate stays in its currency, and the answer says so.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from fractions import Fraction

import msgspec
import numpy as np

from connectors.contract import INT64_MAX, MONEY
from service.errors import Invalid
from service.kpi.members import IntArray
from service.reports.tallies import UNKNOWN, Cells


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

    def of_cells(self, cells: Cells) -> Cells:
        """Return sums of days with money converted where there is a rate."""
        foreign = [place for place, currency in enumerate(cells.currencies) if currency in self.rates]
        if not foreign:
            return cells
        currencies = [self.to if currency in self.rates else currency for currency in cells.currencies]
        amounts = {
            key: self._column(column, foreign, cells.currencies) if key in MONEY else column
            for key, column in cells.amounts.items()
        }
        return msgspec.structs.replace(cells, currencies=currencies, amounts=amounts)

    def _column(self, column: IntArray, places: list[int], currencies: Sequence[str | None]) -> IntArray:
        found = np.array(column, dtype=np.int64)
        for place in places:
            if found[place] != UNKNOWN:
                found[place] = _turned(int(found[place]), self.rates[currencies[place] or ""])
        return found


def _turned(amount: int, rate: Fraction) -> int:
    found = round(amount * rate)
    if abs(found) > INT64_MAX:
        raise Invalid(
            "an amount at this rate is larger than any that is kept", pointer="?exchange", code="rate_too_large"
        )
    return found
