"""The worked KPI cases and what it means to agree with them."""

from __future__ import annotations

import json
import math
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

import msgspec

from service.kpi.measure import Interval


class Case(msgspec.Struct, frozen=True):
    id: str
    inputs: Any
    expected: Any
    abs_tolerance: float
    rel_tolerance: float

    def agrees(self, got: Any, expected: Any, where: str = "") -> None:
        """Fail unless ``got`` is ``expected``: numbers within either tolerance, everything else equal.

        Of a mapping only the keys that are in ``got`` are compared, and all of them must be expected.
        """
        at = f"{self.id}{where}"
        if isinstance(got, dict):
            for key, value in got.items():
                assert key in expected, f"{at}: {key} is not in the case"
                self.agrees(value, expected[key], f"{where}.{key}")
        elif isinstance(got, list | tuple):
            assert len(got) == len(expected), at
            for i, (one, other) in enumerate(zip(got, expected, strict=True)):
                self.agrees(one, other, f"{where}[{i}]")
        elif _number(got) and _number(expected):
            distance = abs(float(got) - float(expected))
            limit = max(self.abs_tolerance, self.rel_tolerance * abs(expected))
            assert math.isfinite(float(got)), at
            assert distance <= limit, f"{at}: {got} is not {expected}"
        else:
            assert got == expected, f"{at}: {got!r} is not {expected!r}"


def _number(value: Any) -> bool:
    return isinstance(value, int | float | Fraction | Decimal) and not isinstance(value, bool)


_FILE = json.loads((Path(__file__).parent / "kpi_golden.json").read_text())
CASES: dict[str, Case] = {raw["id"]: msgspec.convert(raw, Case) for raw in _FILE["cases"]}


def limits(interval: Interval | None) -> list[float | None] | None:
    """Return the two limits as numbers; limits of money are strings in an answer."""
    if interval is None:
        return None
    return [None if limit is None else float(limit) for limit in (interval.low, interval.high)]
