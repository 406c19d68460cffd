"""Conditions on KPIs for all rows at once: they are met where ``filters.meets`` says so of the row. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from fractions import Fraction

from service.kpi.figures import Figures
from service.reports.query.filters import SIZES, Condition, Node, sized

_EXACT = 2**53


def met(node: Node, columns: Mapping[str, Figures]) -> list[bool]:
    """Return which rows meet conditions, given a column of numbers for each KPI that they name."""
    if isinstance(node, Condition):
        return _met(node, columns[node.name])
    found = [met(part, columns) for part in node.parts]
    if node.join == "not":
        return [not one for one in found[0]]
    return [(all if node.join == "and" else any)(line) for line in zip(*found, strict=True)]


def _met(condition: Condition, column: Figures) -> list[bool]:
    unknown = sized(condition, None)
    if condition.operator not in SIZES:
        return [unknown if one is None else sized(condition, one) for one in column.exact()]
    holds = _threshold(condition, column.units)
    return [unknown if number is None else holds(number) for number in column.numbers]


def _threshold(condition: Condition, units: int) -> Callable[[int | float | Fraction], bool]:
    """Return the comparison of a number with the condition's value in ``units``.

    No float lies between a value and the float that is nearest to it: compared with that, only a number that is equal
    to it has to be compared exactly. It is a tenth of the time.
    """
    (value,) = (value * units for value in condition.values if isinstance(value, Fraction))
    if abs(value) >= _EXACT:
        return lambda number: sized(condition, Fraction(number) / units)
    near, more = float(value), condition.operator in ("gt", "gte")
    at_it = sized(condition, Fraction(near) / units)
    return lambda number: at_it if number == near else (number > near) is more
