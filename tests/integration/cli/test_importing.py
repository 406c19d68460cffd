"""``import``, ``replay`` and ``verify``: files into books, and the proof of them."""

from __future__ import annotations

import io
from importlib import resources
from pathlib import Path
from typing import Any

import pytest

from connectors.contract import Delivery, Item, Observation
from connectors.files import CONNECTOR
from service.db.embedded import Embedded
from tests.integration.cli.conftest import Tallybook

UCI = ("--preset", "uci-facebook")
VIEWS = ("--platform", "tiktok", "--id-column", "id", "--map", "views=Views")


@pytest.fixture
def uci() -> str:
    return str(resources.files("service.data").joinpath("uci_facebook.csv"))


def written(folder: Path, content: bytes | str, name: str = "a.csv") -> str:
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return str(path)


def test_a_known_file_is_read_by_its_preset(tallybook: Tallybook, uci: str) -> None:
    tallybook.workspace()
    done = tallybook("import", uci, *UCI, "--json").json()
    assert (done["outcome"], done["fate"], done["dropped"]) == ("stored", "posted", {})
    assert done["entries"] == 1000
    (source,) = tallybook("source", "list", "--json").json()["data"]
    assert (source["id"], source["platform"], source["name"]) == (done["source"], "facebook", "facebook files")


def test_the_same_file_again_changes_nothing(tallybook: Tallybook, uci: str) -> None:
    tallybook.workspace()
    first = tallybook("import", uci, *UCI, "--json").json()
    again = tallybook("import", uci, *UCI, "--json").json()
    assert again == first | {"outcome": "duplicate"}
    assert "a duplicate: nothing changed" in tallybook("import", uci, *UCI).out
    assert len(tallybook("source", "list", "--json").json()["data"]) == 1


def test_rows_that_are_dropped_are_counted_with_their_reasons(tallybook: Tallybook, tmp_path: Path) -> None:
    tallybook.workspace()
    file = written(tmp_path, "id,Views\na,1\nb,many\nc,\n,4\n")
    done = tallybook("import", file, *VIEWS, "--json", code=3).json()
    assert done["dropped"] == {"bad_number": 1, "no_numbers": 1, "missing_id": 1}
    lines = tallybook("import", file, *VIEWS, code=3).out.splitlines()
    assert "dropped 1 bad_number" in lines
    assert "  row 2: bad_number column 'Views': no number" in lines
    assert any(line.endswith("entries 1, dropped 3") for line in lines)


UNREADABLE: tuple[tuple[str | bytes, tuple[str, ...], str], ...] = (
    ("id,View\na,1\n", (), "column 'Views' is not in the file; the nearest is 'View'"),
    ("", (), "is empty"),
    (b"\x7fELF\x00\x00\x01\x02" * 50, (), "binary"),
    ("id,Views\nä,1\n".encode("latin-1"), ("--encoding", "utf-8"), "utf-8"),
    ("id;Views\na;1\n", ("--delimiter", ","), "column"),
)


def test_a_file_that_cannot_be_read_is_one_line(tallybook: Tallybook, tmp_path: Path) -> None:
    tallybook.workspace()
    for content, options, word in UNREADABLE:
        said = tallybook("import", written(tmp_path, content), *VIEWS, *options, code=1).word
        assert word in said, said
        assert "a.csv" in said


SENSELESS: tuple[tuple[tuple[str, ...], str], ...] = (
    (("--map", "vews=Views", "--platform", "x"), "columns: metric 'vews' is not known; did you mean 'views'?"),
    (("--preset", "uci-facebok"), "preset 'uci-facebok' is not known; did you mean 'uci-facebook'?"),
    (("--map", "views=Views"), "platform: files needs to know the platform"),
    (("--map", "views"), "--map: write NAME=VALUE, not 'views'"),
    (("--map", "views=A", "--map", "views=B"), "--map: views is given twice"),
    ((*VIEWS, "--set", "nonsense=1"), "nonsense: no such option"),
    ((*VIEWS, "--kind", "views=sometimes"), "kinds: Invalid enum value"),
    ((*VIEWS, "--zone", "Mars/Base"), "zone: 'Mars/Base' is no IANA time zone"),
    ((*VIEWS, "--instant", "yesterday"), "instant: give an RFC 3339 instant"),
    ((*VIEWS, "--delimiter", "ab"), "delimiter"),
    ((*VIEWS, "--encoding", "klingon"), "encoding"),
    ((*VIEWS, "--tracks-from", "soon"), "tracks_from"),
    ((*VIEWS, "--year", "soon"), "Invalid value for '--year'"),
)


def test_options_that_make_no_sense_are_wrong_usage(tallybook: Tallybook, tmp_path: Path) -> None:
    tallybook.workspace()
    file = written(tmp_path, "id,Views\na,1\n")
    for options, word in SENSELESS:
        assert tallybook("import", file, *options, code=2).word.startswith(word), options
    assert tallybook("source", "list").out == "there is no source\n"


def test_a_file_that_is_nowhere_is_said(tallybook: Tallybook, tmp_path: Path) -> None:
    tallybook.workspace()
    missing = str(tmp_path / "none.csv")
    assert tallybook("import", missing, *UCI, code=1).word == f"{missing}: No such file or directory"
    assert "Is a directory" in tallybook("import", str(tmp_path), *UCI, code=1).word


def test_columns_days_and_zones_are_read_as_they_are_named(tallybook: Tallybook, tmp_path: Path) -> None:
    tallybook.workspace()
    file = written(tmp_path, "id\tViews\tDay\tTags\na\t1.000\t3.2.2026\tx,y\n", "export.tsv")
    options = (
        *VIEWS, "--delimiter", "tab", "--instant-column", "Day", "--zone", "Europe/Berlin", "--set", "thousands=.",
        "--set", "decimal=,",
        "--set", "date_format=day.month.year", "--set", "hashtags_column=Tags", "--set", "hashtags_separator=,",
        "--tracks-from", "2026-01-01",
    )  # fmt: skip
    done = tallybook("import", file, *options, "--json").json()
    assert done["dropped"] == {}
    (source,) = tallybook("source", "list", "--json").json()["data"]
    assert source["tracks_from"] == "2026-01-01T00:00:00Z"
    said = tallybook("import", file, *options[:-1], "2025-01-01", code=2).word
    assert "tracks from 2026-01-01" in said


def test_standard_input_is_a_file_too(
    tallybook: Tallybook, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    tallybook.workspace()
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"id,Views\na,1\n")))
    assert tallybook("import", "-", *VIEWS, "--json").json()["entries"] == 1


def test_a_source_that_is_named_reads_by_its_own_options(tallybook: Tallybook, tmp_path: Path) -> None:
    tallybook.workspace()
    options = ("--option", "id_column=id", "--option", '{"views": "Views"}', "--name", "Exports")
    assert tallybook("source", "add", "files", "--platform", "tiktok", *options, code=2).word
    options = ("--option", "id_column=id", "--option", 'columns={"views": "Views"}', "--name", "Exports")
    made = tallybook("source", "add", "files", "--platform", "tiktok", *options, "--json").json()
    file = written(tmp_path, "id,Views,Hearts\na,1,2\n")
    assert tallybook("import", file, "--source", "Exports", "--json").json()["source"] == made["id"]
    more = tallybook("import", file, "--source", made["id"], "--map", "likes=Hearts", "--json").json()
    assert more["outcome"] == "stored"
    assert tallybook("import", file, "--source", "Exports", "--platform", "facebook", code=2).word
    tallybook("source", "add", "synthetic", "--name", "Sim")
    assert tallybook("import", file, "--source", "Sim", code=2).word == "--source: synthetic reads no files"


def test_dead_letters_are_read_again(tallybook: Tallybook, tmp_path: Path) -> None:
    tallybook.workspace()
    tallybook("import", written(tmp_path, "id,View\na,1\n"), *VIEWS, code=1)
    good = tallybook("import", written(tmp_path, "id,Views\na,1\n"), *VIEWS, "--json").json()
    again = tallybook("replay", "--dead", "--json", code=1).json()
    assert (again["queued"], again["summary"]["dead"], again["summary"]["posted"]) == (1, 1, 0)
    assert tallybook("replay", "--source", "tiktok files", "--json", code=3).json()["queued"] == 2
    once = tallybook("replay", "--delivery", good["delivery"], "--json").json()
    assert (once["queued"], once["summary"]["entries"]) == (1, 0)
    assert "queued 1" in tallybook("replay", "--delivery", good["delivery"]).out


def test_a_replay_of_nothing_is_said(tallybook: Tallybook) -> None:
    tallybook.workspace()
    conditions = "--source, --delivery, --dead, --since, --until, --connector-version"
    assert tallybook("replay", code=2).word == f"name at least one of {conditions}"
    assert (
        tallybook("replay", "--since", "soon", code=2).word
        == "--since: write YYYY-MM-DD, or an instant with its offset"
    )
    assert "has an offset" in tallybook("replay", "--until", "2026-06-01T12:00", code=2).word
    assert (
        tallybook("replay", "--since", "2026-06-01", "--preview").out
        == "none of these deliveries has been read before\n"
    )
    assert tallybook("replay", "--delivery", "dlv_" + "0" * 32, code=1).word == "no such delivery"
    assert tallybook("replay", "--source", "none", code=1).word == "no such source: none"


def test_a_newer_reading_is_looked_at_first_and_takes_the_place_of_the_older(
    tallybook: Tallybook, uci: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    tallybook.workspace()
    tallybook("import", uci, *UCI)
    again = ("replay", "--connector-version", CONNECTOR.version)
    old = CONNECTOR.parse

    def newer(delivery: Delivery, options: Any) -> list[Item]:
        items = list(old(delivery, options))
        for item in items:
            if isinstance(item, Observation) and "likes" in item.metrics:
                item.metrics["saves"] = item.metrics.pop("likes")
        return items

    same = tallybook(*again, "--preview", "--json").json()["sources"]
    assert [(one["preview"]["deliveries"], one["preview"]["metrics"]) for one in same] == [(1, {})]
    assert "no number would change" in tallybook(*again, "--preview").out
    monkeypatch.setattr(CONNECTOR, "parse", newer)
    monkeypatch.setattr(CONNECTOR, "version", "newer")
    assert "1 deliveries were read by another version" in tallybook("verify").out
    (seen,) = tallybook(*again, "--preview", "--json").json()["sources"]
    likes, saves = (seen["preview"]["metrics"][metric] for metric in ("likes", "saves"))
    assert (likes["lines_written"], saves["lines_taken"]) == (0, 0)
    assert likes["taken"] == saves["written"] > 0
    assert "amount taken back" in tallybook(*again, "--preview").out
    done = tallybook(*again, "--json").json()
    assert (done["queued"], done["summary"]["posted"]) == (1, 1)
    assert done["summary"]["entries"] == likes["lines_taken"] + saves["lines_written"]
    assert tallybook(*again, "--json").json()["queued"] == 0
    report = tallybook("verify", "--json").json()["workspaces"][0]["report"]
    assert (report["total_differences"], report["replay_would_change"]) == (0, 0)


def test_books_are_proved_and_a_wrong_balance_is_found(
    tallybook: Tallybook, uci: str, postgres: Embedded, database_url: str
) -> None:
    workspace = tallybook.workspace()
    tallybook("import", uci, *UCI)
    proved: Any = tallybook("verify", "--json").json()["workspaces"]
    assert [(one["workspace"], one["report"]["total_differences"]) for one in proved] == [(workspace, 0)]
    assert proved[0]["report"]["evidence"] == 1.0
    assert "evidence: the raw delivery of 100.0% of the entries is kept" in tallybook("verify").out
    database = database_url.partition("?")[0].rpartition("/")[2]
    postgres.psql("update balances set likes = likes + 1 where likes = 79", database)
    wrong = tallybook("verify", "--workspace", workspace, "--json", code=1).json()["workspaces"][0]["report"]
    assert wrong["total_differences"] >= 1
    assert {one["check"] for one in wrong["differences"]} == {"balances"}
    assert "expected" in tallybook("verify", code=1).out


def test_nothing_to_prove_is_proved(tallybook: Tallybook) -> None:
    assert tallybook("verify", "--json").json() == {"workspaces": []}
    assert tallybook("verify", "--workspace", "wsp_" + "0" * 32, code=1).word == "no such workspace"
