"""``retain``: what is older than the settings say goes, in whole partitions; what is kept stays as it was."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.integration.cli.conftest import Tallybook

OLD = "id,Views,Day\na,100,2025-02-03\na,140,2025-03-05\nb,7,2025-03-05\n"
VIEWS = ("--platform", "tiktok", "--id-column", "id", "--map", "views=Views")


def test_months_go_and_the_books_stay_proven(
    tallybook: Tallybook, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    workspace = tallybook.workspace()
    tallybook.workspace("Empty")
    here = ("--workspace", workspace)
    old, new = tmp_path / "old.csv", tmp_path / "new.csv"
    old.write_text(OLD)
    new.write_text("id,Views\na,150\n")
    tallybook("import", str(old), *here, *VIEWS, "--instant-column", "Day")
    assert tallybook("retain").out.splitlines() == ["kept: every delivery, every number", "nothing is older"]
    monkeypatch.setenv("TALLYBOOK_KEEP_MONTHS", "1")

    shown = tallybook("retain", "--preview", "--json").json()
    assert (shown["preview"], shown["carried"]) == (True, [])
    assert {"entries_202502", "subject_days_202503"} <= {one["child"] for one in shown["partitions"]}

    done = tallybook("retain", "--json").json()
    assert done["partitions"] == shown["partitions"]
    lines = {one["workspace"]: one["lines"] for one in done["carried"]}
    assert sorted(lines.values()) == [0, 4]
    assert lines[workspace] == 4
    assert proven(tallybook)["balances"] == 2
    again = tallybook("retain", "--json").json()
    assert again["carried"] == []
    assert all(one["child"].endswith("_before") for one in again["partitions"])

    # The counter goes on from what was carried, and what is older than the edge is a drop.
    assert tallybook("import", str(new), *here, *VIEWS, "--json").json()["entries"] >= 1
    late = tmp_path / "late.csv"
    late.write_text("id,Views,Day\na,120,2025-02-20\n")
    dropped: Any = tallybook("import", str(late), *here, *VIEWS, "--instant-column", "Day", "--json", code=3).json()
    assert dropped["dropped"] == {"out_of_range": 1}
    assert proven(tallybook)["balances"] == 2


def proven(tallybook: Tallybook) -> dict[str, int]:
    """Return how many things were proven, of all workspaces; nothing may differ."""
    report = json.loads(tallybook("verify", "--json").out)["workspaces"]
    assert [one["report"]["total_differences"] for one in report] == [0] * len(report)
    found: dict[str, int] = {}
    for one in report:
        for check, number in one["report"]["checked"].items():
            found[check] = found.get(check, 0) + number
    return found
