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
known = st.sampled_from((0, 1, -3, 2, 2**53 + 1, 0.1, 0.3, 0.30000000000000004, 1e-9, 1e300))
ratios = st.lists(st.none() | known | st.floats(-10, 10), min_size=3, max_size=3)
amounts = st.lists(
    st.none() | st.sampled_from((0, 100_000, 99_999, 300_000, -3_000_000, 10**15)), min_size=3, max_size=3
)


@given(trees, ratios, amounts)
def test_columns_are_met_as_their_numbers_are(tree: list[Any], ratio: list[Any], cost: list[int | None]) -> None:
    node = read(tree, NAMES, "?having")
    assert node is not None
    columns = {"ctr": Figures(numbers=ratio), "cost": Figures(numbers=cost, units=1_000_000)}
    exact = {"ctr": ratio, "cost": [None if one is None else Fraction(one, 1_000_000) for one in cost]}
    expected = [meets(node, lambda _: (), lambda name, at=at: exact[name][at]) for at in range(3)]  # type: ignore[misc]
    assert met(node, columns) == expected
