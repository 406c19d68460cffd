"""CSV and JSON lines say what the JSON says, to the digit, and a spreadsheet runs none of it."""

from __future__ import annotations

import csv
import io
import json
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from service.api.exports import FIELDS, WITHOUT, accepted, cell, rendered
from service.reports.answer import (
    AnswerOut,
    BoundsOut,
    CompareOut,
    IntervalOut,
    MembersOut,
    MetaOut,
    MetricOut,
    PageOut,
    RangeOut,
    RowOut,
    ScopeOut,
    WarningOut,
    WithoutOut,
)
from tests.integration.api.furniture import furnish
from tests.integration.api.office import Desk, Office

TEXT = st.text("=+-@\t\r\n\"',;a1é\uff1d ", max_size=4) | st.sampled_from(
    ["=1+1", "+1", "-2", "@x", "\tx", "\rx", '"', 'a"b', "a,b", "a\nb", "", "-12.50", "\uff0d1", "\uff1dx", "'x"]
)
AMOUNT = st.none() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False)
VALUE = AMOUNT | st.integers(-(10**9), 10**9).map(lambda cents: f"{cents / 100:.2f}")


def _struct(kind: type[Any], **fields: Any) -> st.SearchStrategy[Any]:
    return st.builds(kind, **fields)


METRIC = _struct(
    MetricOut,
    value=VALUE,
    unit=TEXT,
    state=TEXT,
    reason=st.none() | TEXT,
    numerator=VALUE,
    denominator=VALUE,
    interval=st.none()
    | _struct(
        IntervalOut,
        low=VALUE,
        high=VALUE,
        level=st.floats(0.5, 0.999),
        method=TEXT,
        n=st.integers(0, 9),
        ignores_clustering=st.booleans(),
    ),
    bounds=st.none() | _struct(BoundsOut, lower=st.integers(0, 9), upper=st.none() | st.integers(0, 9)),
    currency=st.none() | TEXT,
    compare=st.none()
    | _struct(
        CompareOut,
        value=VALUE,
        abs=VALUE,
        pct=st.none() | st.floats(allow_nan=False, allow_infinity=False),
        reason=st.none() | TEXT,
    ),
    quality=TEXT,
    coverage=st.none() | st.floats(0, 1),
    members=st.none() | _struct(MembersOut, known=st.integers(0, 9), total=st.integers(0, 9)),
    note=st.none() | TEXT,
    provenance=st.none() | TEXT,
)
SLUGS = st.lists(st.sampled_from(["ctr", "cost", "reach"]), min_size=1, max_size=2, unique=True)
SLOW = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@st.composite
def answers(draw: st.DrawFn) -> AnswerOut:
    slugs = draw(SLUGS)
    labels = draw(st.lists(st.sampled_from(["day", "platform", "tier"]), max_size=2, unique=True))
    metrics = st.fixed_dictionaries(dict.fromkeys(slugs, METRIC))
    dimensions = st.fixed_dictionaries(dict.fromkeys(labels, st.none() | TEXT))
    rows = draw(st.lists(st.builds(RowOut, dimensions=dimensions, metrics=metrics, partial=st.booleans()), max_size=2))
    period = RangeOut(
        preset=None, start=None, end_exclusive="", until="", first_day=None, last_day=None, hours=None, partial=False
    )
    meta = MetaOut(
        as_of="2026-01-01T00:00:00Z",
        posting=1,
        range=period,
        timezone="UTC",
        granularity="total",
        currency=None,
        tier_policy="x",
        freshness={},
        completeness=None,
        definitions={},
        mappings={},
        simulated=(),
        warnings=(WarningOut(code="x", detail=draw(TEXT), pointer=""),),
        query={},
        total_rows=len(rows),
        scope=ScopeOut(campaigns=(), strategy=None),
        exchange=None,
        attribution={},
    )
    return AnswerOut(
        data=tuple(rows), totals=draw(metrics), comparison=None, meta=meta, page=PageOut(next=None, has_more=False)
    )


def parsed(text: str) -> list[list[str | None]]:
    """Return the cells of a CSV (RFC 4180); an empty cell without quotes is None."""
    rows: list[list[str | None]] = []
    place = 0
    row: list[str | None] = []
    while place < len(text):
        if text[place] == '"':
            value, place = "", place + 1
            while True:
                end = text.index('"', place)
                value += text[place:end]
                place = end + 1
                if text[place : place + 1] != '"':
                    break
                value, place = value + '"', place + 1
            row.append(value)
        else:
            end = min(one for one in (text.find(",", place), text.find("\r\n", place)) if one >= 0)
            row.append(text[place:end] or None)
            place = end
        if text[place : place + 2] == "\r\n":
            rows.append(row)
            row = []
            place += 2
        else:
            assert text[place] == ","
            place += 1
    return rows


def plain(value: str | None, like: Any) -> Any:
    """Return what a cell says, read as the kind of thing that the JSON has in its place."""
    if value is None:
        return None
    if isinstance(like, str):
        return value.removeprefix("'") if like != value else value
    return json.loads(value)


@SLOW
@given(answers())
def test_csv_says_what_the_json_says(answer: AnswerOut) -> None:
    data = json.loads(b"".join(rendered(answer, "json")))["data"]
    body = b"".join(rendered(answer, "csv")).decode()
    header, *rows = parsed(body)
    assert [len(row) for row in rows] == [len(header)] * len(data)
    for row, told in zip(rows, data, strict=True):
        cells = dict(zip(header, row, strict=True))
        assert plain(cells.pop("partial"), False) == told["partial"]
        for label, value in told["dimensions"].items():
            assert plain(cells.pop(label), value) == value
        for slug, metric in told["metrics"].items():
            for suffix, path in FIELDS:
                value = metric
                for name in path:
                    value = None if value is None else value[name]
                assert plain(cells.pop(slug + suffix), value) == value
        assert not cells


@SLOW
@given(answers())
def test_a_reader_of_csv_agrees(answer: AnswerOut) -> None:
    body = b"".join(rendered(answer, "csv")).decode()
    ours = [["" if value is None else value for value in row] for row in parsed(body)]
    assert list(csv.reader(io.StringIO(body, newline=""))) == ours


@SLOW
@given(answers())
def test_lines_are_the_json_in_pieces(answer: AnswerOut) -> None:
    whole = json.loads(b"".join(rendered(answer, "json")))
    lines = [json.loads(line) for line in b"".join(rendered(answer, "ndjson")).splitlines()]
    assert [line["type"] for line in lines] == ["meta", *["row"] * len(whole["data"]), "totals"]
    assert lines[0]["meta"] == whole["meta"]
    assert [line["row"] for line in lines[1:-1]] == whole["data"]
    assert {name: lines[-1][name] for name in ("totals", "comparison", "page")} == {
        name: whole[name] for name in ("totals", "comparison", "page")
    }


def test_every_field_of_a_value_has_a_column_but_the_link() -> None:
    parts: dict[str, Any] = {
        "interval": IntervalOut, "bounds": BoundsOut, "compare": CompareOut, "members": MembersOut
    }  # fmt: skip
    wanted: set[tuple[str, ...]] = set()
    for field in msgspec.structs.fields(MetricOut):
        inner = parts.get(field.name)
        wanted |= {(field.name, one.name) for one in msgspec.structs.fields(inner)} if inner else {(field.name,)}
    assert wanted - {path for _, path in FIELDS} == {("provenance",), ("without_suspects",)}
    assert {path for _, path in FIELDS} <= wanted
    assert {path[1] for _, path in WITHOUT} == set(WithoutOut.__struct_fields__)


@given(TEXT)
def test_no_cell_is_a_formula(text: str) -> None:
    shown = parsed(cell(text) + "\r\n")[0][0]
    assert shown == text or shown == "'" + text
    if shown and shown[0] in "=+-@\t\r\n\uff1d\uff0b\uff0d\uff20":
        float(shown)


@pytest.mark.parametrize(("value", "shown"), [(-5, "-5"), (-0.5, "-0.5"), ("-12.50", "-12.50"), (None, ""), ("", '""')])
def test_numbers_stay_numbers(value: Any, shown: str) -> None:
    assert cell(value) == shown


@pytest.mark.parametrize(
    ("accept", "form"),
    [
        (None, "json"),
        ("*/*", "json"),
        ("text/html", "json"),
        ("text/csv", "csv"),
        ("application/x-ndjson", "ndjson"),
        ("text/csv;q=0.5, application/json", "json"),
        ("application/json;q=0.5,TEXT/CSV;q=0.9", "csv"),
        ("text/csv;q=0", "json"),
        ("text/csv; q=abc", "csv"),
    ],
)
def test_accept(accept: str | None, form: str) -> None:
    assert accepted(accept) == form


async def test_over_http(office: Office, desk: Desk) -> None:
    things = await furnish(office, desk)
    path = f"/v1/campaigns/{things.campaign}/kpis?range=lifetime&metrics=likes,cost&dimensions=platform"
    answer = await desk.ask("GET", path, headers={"accept": "text/csv"})
    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    assert answer.headers["content-disposition"] == f'attachment; filename="{things.campaign}-kpis.csv"'
    (row,) = csv.DictReader(io.StringIO(answer.text))
    assert (row["platform"], row["likes"], row["likes_state"], row["cost"]) == ("grams", "7", "ok", "")
    described = answer.headers["link"].partition(">")[0][1:]
    told = await desk.get(described)
    assert told["meta"]["as_of"] == answer.headers["x-data-as-of"]
    assert told["data"][0]["metrics"]["likes"]["value"] == 7
    assert (await desk.ask("GET", path + "&format=csv")).content == answer.content
    lines = (await desk.ask("GET", path + "&format=ndjson", headers={"accept": "text/csv"})).text.splitlines()
    assert json.loads(lines[1])["row"]["metrics"]["likes"]["value"] == 7
    wrong = await desk.problem(422, "GET", path + "&format=cvs")
    assert (wrong["errors"][0]["pointer"], wrong["errors"][0]["did_you_mean"]) == ("?format", "csv")
