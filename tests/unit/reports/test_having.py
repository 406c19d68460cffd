"""Conditions on columns of numbers say what they say of each number by itself."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from service.kpi.figures import Figures
from service.reports.query.filters import Names, meets, read
from service.reports.query.having import met

NAMES = Names(numbers=("ctr", "cost"))
VALUES = (0, 1, -3, 0.1, 0.3, 1e-9, 2**53 + 1, 1e39, "0.1", "0.30", "12345678901234567890.5")
sizes = st.builds(
    lambda word, name, value: [word, name, value],
    st.sampled_from(("gt", "gte", "lt", "lte", "is", "is_not")),
    st.sampled_from(NAMES.numbers),
    st.sampled_from(VALUES),
)
leaves = sizes | st.sampled_from((["is_null", "ctr"], ["is_null", "cost"]))


def _joined(parts: st.SearchStrategy[list[Any]]) -> st.SearchStrategy[list[Any]]:
    some = st.lists(parts, min_size=1, max_size=3)
    joins = st.tuples(st.sampled_from(("and", "or")), some).map(list)
    return joins | parts.map(lambda part: ["not", part])


trees = st.recursive(leaves, _joined, max_leaves=6)
RATIOS = (None, 0, 1, -3, 2, 2**53 + 1, 0.1, 0.3, 0.30000000000000004, 1e-9, 1e39, -0.5)
COSTS = (None, 0, 100_000, 99_999, 300_000, 300_001, -3_000_000, 10**15, 1_000_000, 1, 2, 3)


@given(trees)
def test_columns_are_met_as_their_numbers_are(tree: list[Any]) -> None:
    node = read(tree, NAMES, "?having")
    assert node is not None
    columns = {"ctr": Figures(numbers=RATIOS), "cost": Figures(numbers=COSTS, units=1_000_000)}
    exact: dict[str, list[Any]] = {
        "ctr": list(RATIOS),
        "cost": [None if one is None else Fraction(one, 1_000_000) for one in COSTS],
    }

    def alone(at: int) -> bool:
        return meets(node, lambda _: (), lambda name: exact[name][at])

    assert met(node, columns) == [alone(at) for at in range(len(RATIOS))]
