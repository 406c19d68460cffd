"""Whatever bytes a file has, reading it gives sound items or one clear refusal, and always the same ones."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.contract import INT64_MAX, STORED, BadPayload, Item, Observation, SubjectSeen, micros
from connectors.files import CONNECTOR, FilesOptions
from tests.contract.files.sheet import GB, NOW, UCI, chosen, drops, numbers, read, upload

TABLE = (
    'id;views;spend;at;title;tags\np1;10;1,5;2026-03-01;"a ""b""\nc";#x #y\np2;0;;01.03.2026 10:00;Grüße;\np3;-1;x;;;\n'
)
LINES = '{"id":"a","views":1,"spend":0.25,"at":"2026-03-01","title":"t","tags":["x"]}\n{"id":7,"views":null}\n{"id":'
WIDE = {
    "columns": {"views": "views", "spend_media": "spend"},
    "currency": "EUR",
    "instant_column": "at",
    "title_column": "title",
    "hashtags_column": "tags",
}
CASES: list[tuple[bytes, FilesOptions]] = [
    (b"\r\n".join(UCI.split(b"\r\n")[:4]), chosen(preset="uci-facebook")),
    (b"\r\n".join(GB.split(b"\r\n")[:4]), chosen(preset="gb-youtube")),
    (TABLE.encode(), chosen(**WIDE, decimal=",")),
    (TABLE.encode("latin-1"), chosen(**WIDE, decimal=",", encoding="latin-1", zone="Europe/Berlin")),
    (TABLE.encode("utf-16"), chosen(**WIDE, decimal=",", window="day", kinds={"views": "period"})),
    (LINES.encode(), chosen(**WIDE)),
]


def outcome(body: bytes, options: FilesOptions) -> list[Item] | str:
    try:
        return list(CONNECTOR.parse(upload(body), options))
    except BadPayload as error:
        return str(error)


def require_total(body: bytes, options: FilesOptions) -> None:
    first = outcome(body, options)
    assert first == outcome(body, options)
    assert not isinstance(first, str) or first.isprintable()
    for item in first if isinstance(first, list) else []:
        require_sound(item)


def require_sound(item: Item) -> None:
    if isinstance(item, Observation):
        assert item.metrics
        assert set(item.metrics) <= set(STORED)
        assert all(type(value) is int and abs(value) <= INT64_MAX for value in item.metrics.values())
    if isinstance(item, Observation | SubjectSeen):
        assert 0 < len(item.subject.external_id) <= 256
        instants = [item.observed_at, getattr(item, "published_at", None)]
        assert all(at is None or (at.utcoffset() == timedelta(0) and at.year >= 1990) for at in instants)
        assert all(at is None or at <= NOW + timedelta(minutes=5) for at in instants)
        assert "\x00" not in repr(item)


@pytest.mark.parametrize("case", range(len(CASES)))
def test_every_truncation(case: int) -> None:
    body, options = CASES[case]
    for length in range(len(body)):
        require_total(body[:length], options)


@pytest.mark.parametrize("case", range(len(CASES)))
def test_flipped_bits(case: int) -> None:
    body, options = CASES[case]
    for at in range(len(body)):
        require_total(body[:at] + bytes([body[at] ^ (1 << at % 8)]) + body[at + 1 :], options)


@given(st.binary(max_size=200), st.sampled_from(CASES), st.data())
def test_spliced_bytes(piece: bytes, case: tuple[bytes, FilesOptions], data: st.DataObject) -> None:
    body, options = case
    start = data.draw(st.integers(0, len(body)))
    end = data.draw(st.integers(start, len(body)))
    require_total(body[:start] + piece + body[end:], options)


@given(st.binary(max_size=400), st.sampled_from(CASES))
def test_any_bytes(body: bytes, case: tuple[bytes, FilesOptions]) -> None:
    require_total(body, case[1])


CELL = st.text(st.sampled_from("0123456789-.,:;/\"'\t\r\n TZeE+#é\u00a0\ufeff[]{}x"), max_size=30)


@given(st.lists(st.lists(CELL, min_size=6, max_size=6), max_size=4), st.sampled_from([",", ";", "\t", "|"]))
def test_any_cells(rows: list[list[str]], delimiter: str) -> None:
    header = delimiter.join(["id", "views", "spend", "at", "title", "tags"])
    body = "\n".join([header, *(delimiter.join(row) for row in rows)])
    for decimal in (".", ","):
        require_total(body.encode(), chosen(**WIDE, decimal=decimal))


# ------------------------------------------------------------------------------------------------ numbers


def grouped(value: int, mark: str) -> str:
    return f"{value:,}".replace(",", mark)


@given(st.integers(0, INT64_MAX), st.sampled_from(["", ".", " ", "\u00a0", "\u202f"]))
def test_a_count_is_read_as_it_was_written(value: int, mark: str) -> None:
    marks = {"decimal": ",", "thousands": " " if mark in "\u00a0\u202f" and mark else mark}
    assert numbers(read(f"id;views\np;{grouped(value, mark)}\n", **marks)) == {"p": {"views": value}}


@given(st.integers(-INT64_MAX, INT64_MAX), st.sampled_from([".", ","]))
def test_an_amount_is_read_as_it_was_written(value: int, mark: str) -> None:
    written = format(Decimal(value).scaleb(-6), "f")
    assert micros(written) == value
    options = {"columns": {"spend_media": "views"}, "currency": "EUR"}
    table = read(f"id;views\np;{written.replace('.', mark)}\n", decimal=mark, **options)
    lines = read(f'{{"id":"p","views":{written}}}\n', **options)
    assert numbers(table) == numbers(lines) == {"p": {"spend_media": value}}


@pytest.mark.parametrize("cell", ["1.23", "12.34.567", "1.2345", ".123", "1..234", "1234.567", "1.234 "])
def test_group_marks_stand_between_groups_of_three(cell: str) -> None:
    items = read(f"id;views\np;{cell}\n", decimal=",", thousands=".")
    assert (numbers(items) == {"p": {"views": 1_234}}) == (cell == "1.234 ")
    assert bool(drops(items)) == (cell != "1.234 ")
