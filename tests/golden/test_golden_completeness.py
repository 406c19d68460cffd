"""Every worked case is tested somewhere, and the comparison itself can fail."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.golden.cases import CASES

POSED = Path(__file__).parents[1] / "integration"
OF_THE_LEDGER = POSED / "ledger" / "test_golden_books.py"
"""Movements of counters and answers at instants of knowledge: posed to the books."""


def test_every_case_has_a_test_of_its_own() -> None:
    text = "".join(path.read_text() for path in (*Path(__file__).parent.glob("test_*.py"), OF_THE_LEDGER))
    names = re.findall(r"^(?:async )?def test_(g\d\d_(?:and_g\d\d_)?)", text, re.MULTILINE)
    tested = {f"G{number}" for name in names for number in re.findall(r"g(\d\d)", name)}
    assert set(CASES) <= tested


ONLY_PURE = {"G16": "errors by other methods than the one that is answered, over the data of G47"}
"""Cases that cannot be asked of the service, and why."""


def test_every_case_is_posed_to_the_service_or_says_why_not() -> None:
    text = "".join(path.read_text() for path in sorted(POSED.rglob("*.py")))
    posed = {f"G{number}" for number in re.findall(r'"G(\d\d)"', text)}
    assert set(CASES) - posed == set(ONLY_PURE)


@pytest.mark.parametrize("got", [{"ctr": 0.0234}, {"ctr": None}, {"ctr": "0.0233333333333"}, {"cpc": 1}])
def test_a_wrong_value_is_seen(got: dict[str, object]) -> None:
    case = CASES["G01"]
    with pytest.raises(AssertionError):
        case.agrees(got, case.expected)
