"""The decision records: numbered on, of one form, and all in the list."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

FOLDER = Path(__file__).resolve().parents[2] / "docs" / "adr"
LIST = FOLDER / "README.md"
RECORDS = sorted(path for path in FOLDER.iterdir() if path != LIST)
SECTIONS = ["Context", "Decision", "Rejected", "Consequences"]


def test_records_are_numbered_without_a_gap() -> None:
    numbers = [re.fullmatch(r"(\d{4})-[a-z0-9]+(-[a-z0-9]+)*\.md", path.name) for path in RECORDS]
    assert [int(number[1]) for number in numbers if number] == list(range(1, len(RECORDS) + 1))


def test_the_list_has_every_record_once_and_in_order() -> None:
    assert re.findall(r"^\| \[\d{4}\]\(([^)]+)\) \|", LIST.read_text(encoding="utf-8"), re.MULTILINE) == [
        path.name for path in RECORDS
    ]


@pytest.mark.parametrize("record", RECORDS, ids=lambda path: path.stem)
def test_a_record_says_what_was_decided_and_what_was_not(record: Path) -> None:
    text = record.read_text(encoding="utf-8")
    assert text.startswith(f"# {record.name[:4]}. ")
    assert re.findall(r"^## (.+)$", text, re.MULTILINE) == SECTIONS
    rejected = text.partition("## Rejected\n")[2].partition("## Consequences")[0]
    assert re.search(r"^\* \*\*.+\*\* \S", rejected, re.MULTILINE), "an option without its reason"
