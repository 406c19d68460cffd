"""``falls``: what is withheld for a fall is listed, settled in the words of the API, and answered again."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.integration.cli.conftest import Tallybook

VIEWS = ("--platform", "tiktok", "--id-column", "id", "--map", "views=Views")


def imported(tallybook: Tallybook, folder: Path, **views: int) -> None:
    rows = "".join(f"{name},{count}\n" for name, count in views.items())
    file = folder / f"{len(list(folder.glob('*.csv')))}.csv"
    file.write_text(f"id,Views\n{rows}")
    tallybook("import", str(file), *VIEWS)


def test_falls_are_listed_and_settled(tallybook: Tallybook, tmp_path: Path) -> None:
    tallybook.workspace()
    options = ("--kind", "broad", "--starts", "2026-01-01", "--ends", "2026-12-31", "--rule", "platform=tiktok")
    campaign = tallybook("campaign", "add", "All", *options, "--json").json()["id"]
    other = tallybook("campaign", "add", "None", *options[:-1], "platform=x", "--json").json()["id"]
    assert tallybook("falls", "list").out == "no fall is open\n"
    imported(tallybook, tmp_path, a=100, b=900)
    imported(tallybook, tmp_path, a=5, b=3)
    found = tallybook("falls", "list", "--json").json()["data"]
    assert {(one["external_id"], one["metric"], one["old"], one["new"], one["state"]) for one in found} == {
        ("a", "views", 100, 5, "open"),
        ("b", "views", 900, 3, "open"),
    }
    assert tallybook("falls", "list", "--campaign", campaign, "--json").json()["data"] == found
    assert tallybook("falls", "list", "--campaign", other, "--json").json()["data"] == []
    assert "views" in tallybook("falls", "list").out

    first, second = found
    said = ("settle", first["subject"], "--metric", "views", "--at", first["at"], "--verdict")
    done = tallybook("falls", *said, "reset", "--json").json()
    assert (done["verdict"], done["old"], done["new"]) == ("reset", first["old"], first["new"])
    assert tallybook("falls", *said, "reset", "--json").json() == done
    line = f"views of {first['subject']}: {first['old']} to {first['new']} is a correction\n"
    assert tallybook("falls", *said, "correction").out == line
    assert tallybook("falls", "list", "--json").json()["data"] == [second]
    every = tallybook("falls", "list", "--any", "--campaign", campaign, "--json").json()["data"]
    assert [one["state"] for one in every] == ["correction", "open"]
    assert tallybook("verify", "--json").json()["workspaces"][0]["report"]["total_differences"] == 0

    for words, code, word in (
        (said, 2, "Option '--verdict' requires an argument"),
        (said[:6], 2, "Missing option '--verdict'"),
        ((*said, "resett"), 2, "Invalid value for '--verdict'"),
        ((*said[:3], "plays", *said[4:], "reset"), 2, "metric: "),
        ((*said[:5], "2026-01-01", said[6], "reset"), 2, "at: "),
        ((*said[:5], "soon", said[6], "reset"), 2, "at: "),
        (("settle", "sub_" + "0" * 32, *said[2:], "reset"), 1, "no such subject"),
        (("settle", "a", *said[2:], "reset"), 1, "no such subject"),
        (("list", "--campaign", "cmp_x"), 1, "no such campaign"),
        (("list", "--workspace", "wsp_" + "0" * 32), 1, "no such workspace"),
    ):
        assert tallybook("falls", *words, code=code).word.startswith(word), words
    tallybook.workspace("Second")
    assert tallybook("falls", "list", code=2).word.startswith("--workspace: there are several")


@pytest.mark.parametrize("words", [("list", "--help"), ("settle", "--help")])
def test_help_needs_no_database(tallybook: Tallybook, monkeypatch: pytest.MonkeyPatch, words: tuple[str, str]) -> None:
    monkeypatch.setenv("TALLYBOOK_DATABASE_URL", "postgresql://nobody@127.0.0.1:1/nothing")
    assert "falls" in tallybook("falls", *words).out.lower()
