"""Every worked case is tested somewhere, and the comparison itself can fail."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.golden.cases import CASES

OF_THE_LEDGER = {"G26", "G27", "G29"}  # shares of a movement and answers at knowledge times


def test_every_case_has_a_test_of_its_own() -> None:
    text = "".join(path.read_text() for path in Path(__file__).parent.glob("test_*.py"))
    tested = {f"G{number}" for number in re.findall(r"^def test_g(\d\d)_", text, re.MULTILINE)}
    assert set(CASES) - OF_THE_LEDGER <= tested


@pytest.mark.parametrize("got", [{"ctr": 0.0234}, {"ctr": None}, {"ctr": "0.0233333333333"}, {"cpc": 1}])
def test_a_wrong_value_is_seen(got: dict[str, object]) -> None:
    case = CASES["G01"]
    with pytest.raises(AssertionError):
        case.agrees(got, case.expected)
