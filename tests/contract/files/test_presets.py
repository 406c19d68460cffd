from __future__ import annotations

import csv
import io
from collections import Counter
from datetime import UTC, datetime

import pytest

from connectors.contract import Kind, Observation, SubjectType
from connectors.files import CONNECTOR, PRESETS, FilesOptions, check_options
from tests.contract.files.sheet import GB, UCI, drops, facts, observations, read


def table(body: bytes) -> list[dict[str, str]]:
    """Return the rows as the csv module alone reads them."""
    return list(csv.DictReader(io.StringIO(body.decode("utf-8-sig"), newline="")))


# ------------------------------------------------------------------------------------------------ UCI Facebook


def test_uci_sums_are_those_of_the_file() -> None:
    items = read(UCI, preset="uci-facebook")
    rows = table(UCI)
    assert len(rows) == 500
    assert drops(items) == []
    seen = observations(items)
    for metric, column in PRESETS["uci-facebook"].options.columns.items():
        said = [int(row[column]) for row in rows if row[column]]
        assert [item.metrics[metric] for item in seen if metric in item.metrics] == said
    assert sum(item.metrics.get("impressions", 0) for item in seen) == 14_792_974


def test_uci_posts_are_rows_without_an_instant() -> None:
    items = read(UCI, preset="uci-facebook")
    ids = [f"uci-row-{number}" for number in range(1, 501)]
    for kind in (Kind.LIFETIME, Kind.UNIQUE):
        assert [item.subject.external_id for item in observations(items) if item.kind is kind] == ids
    assert [item.subject.external_id for item in facts(items)] == ids
    for item in observations(items):
        assert item.observed_at is None
        assert item.paid is None
        assert item.window is None
        assert item.scope == ""
        assert set(item.metrics) == {"reach"} or item.kind is Kind.LIFETIME


def test_uci_empty_cells_are_not_zero() -> None:
    lifetime = [item for item in observations(read(UCI, preset="uci-facebook")) if item.kind is Kind.LIFETIME]
    short = {item.subject.external_id: set(item.metrics) for item in lifetime if len(item.metrics) < 5}
    assert short == {
        "uci-row-112": {"impressions", "clicks_all", "comments"},
        "uci-row-121": {"impressions", "clicks_all", "comments", "likes"},
        "uci-row-125": {"impressions", "clicks_all", "comments", "likes"},
        "uci-row-165": {"impressions", "clicks_all", "comments", "likes"},
    }
    assert Counter(0 in item.metrics.values() for item in lifetime)[True] > 100


def test_uci_facts() -> None:
    rows = table(UCI)
    said = facts(read(UCI, preset="uci-facebook"))
    assert [item.content_type for item in said] == [row["Type"].lower() for row in rows]
    paid = {"": None, "0": False, "1": True}
    assert [item.paid for item in said] == [paid[row["Paid"]] for row in rows]


def test_a_paid_cell_that_is_empty_says_nothing() -> None:
    header, first, *_ = UCI.split(b"\r\n")
    assert first.startswith(b"Photo,0,")
    body = header + b"\r\n" + first.replace(b"Photo,0,", b"Photo,,")
    assert [item.paid for item in facts(read(body, preset="uci-facebook"))] == [None]


# ------------------------------------------------------------------------------------------------ YouTube


def test_gb_has_every_row_and_every_number() -> None:
    items = read(GB, preset="gb-youtube")
    rows = table(GB)
    assert drops(items) == []
    seen = observations(items)
    assert len(seen) == len(rows) == 7_997
    assert len({item.subject for item in seen}) == 1_736
    for item, row in zip(seen, rows, strict=True):
        day, month = row["date"].split(".")
        assert item.subject.external_id == row["video_id"]
        assert item.subject.type is SubjectType.VIDEO
        assert item.observed_at == datetime(2017, int(month), int(day), tzinfo=UTC)
        assert item.kind is Kind.LIFETIME
        views, likes, comments = int(row["views"]), int(row["likes"]), int(row["comment_total"])
        assert item.metrics == {"views": views, "likes": likes, "comments": comments}


def test_gb_falls_are_kept() -> None:
    last: dict[str, Observation] = {}
    falls: Counter[str] = Counter()
    items = observations(read(GB, preset="gb-youtube"))
    for item in sorted(items, key=lambda item: item.observed_at or datetime.min.replace(tzinfo=UTC)):
        before = last.get(item.subject.external_id)
        falls.update(key for key, value in item.metrics.items() if before and value < before.metrics[key])
        last[item.subject.external_id] = item
    assert falls == {"likes": 7, "comments": 1_113}


def test_gb_says_a_creator_once_per_change() -> None:
    said = facts(read(GB, preset="gb-youtube"))
    assert said[0].creator == "Apple Event"
    assert {item.subject for item in said} == {item.subject for item in observations(read(GB, preset="gb-youtube"))}
    changed: dict[str, list[str]] = {}
    for row in table(GB):
        names = changed.setdefault(row["video_id"], [])
        if not names or names[-1] != row["channel_title"]:
            names.append(row["channel_title"])
    assert sorted(item.creator or "" for item in said) == sorted(
        name.strip() for all_ in changed.values() for name in all_
    )


# ------------------------------------------------------------------------------------------------ in general


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_is_sound(name: str) -> None:
    assert check_options(FilesOptions(preset=name)) == []


def test_given_options_override_those_of_a_preset() -> None:
    views = {"views": "likes", "likes": "views"}
    first = observations(
        read(GB, preset="gb-youtube", columns=views, year=2018, id_prefix="gb-", zone="Europe/Berlin")
    )[0]
    assert first.metrics == {"views": 78_240, "likes": 7_426_393, "comments": 705}
    assert first.subject.external_id == "gb-jt2OHQh0HoQ"
    assert first.observed_at == datetime(2018, 9, 12, 22, tzinfo=UTC)


def test_what_the_originals_have_besides_is_declared() -> None:
    unread = {line.wire: line.note for line in CONNECTOR.metrics if line.metric is None}
    assert "gb-youtube: dislikes" in unread
    assert "uci-facebook: Total Interactions" in unread
    assert all(unread.values())
