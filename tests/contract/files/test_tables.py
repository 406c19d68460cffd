from __future__ import annotations

import itertools
from datetime import UTC, datetime, timedelta

import pytest

from connectors.contract import DropReason, Kind, Observation, SubjectRef, SubjectType
from connectors.files import CONNECTOR
from tests.contract.files.sheet import chosen, drops, numbers, observations, read, refusal, upload

PLAIN = "id,views\np1,10\np2,0\n"


# ------------------------------------------------------------------------------------------------ forms of tables


@pytest.mark.parametrize(
    "body",
    [
        PLAIN,
        "\ufeff" + PLAIN,
        PLAIN.replace("\n", "\r\n"),
        PLAIN.replace("\n", "\r"),
        PLAIN.rstrip(),
        PLAIN + "\n\n\r\n  \n,\n",
        "\n\n" + PLAIN,
        "   \n" + PLAIN.replace(",", ";"),
        ",,\n" + PLAIN,
        ' id , views \n p1 ," 10 "\n p2 ,0\n',
        '"id","views"\n"p1","10"\n"p2","0"\n',
        PLAIN.replace(",", ";"),
        PLAIN.replace(",", "\t"),
        PLAIN.replace(",", "|"),
        "rest,views,id,more\n;,10,p1,\n|,0,p2,\n",
        '{"id":"p1","views":10}\n{"id":"p2","views":0}\n',
        '\ufeff\r\n{"id":"p1","views":10.0,"rest":{"a":[1]}}\r\n\r\n{"views":0e9,"id":"p2"}',
    ],
)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16-le", "utf-16-be"])
def test_the_same_rows_in_any_form(body: str, encoding: str) -> None:
    marked = body if encoding == "utf-8" else "\ufeff" + body.removeprefix("\ufeff")
    items = read(marked.encode(encoding))
    assert numbers(items) == {"p1": {"views": 10}, "p2": {"views": 0}}
    assert drops(items) == []


def test_tsv_by_name_takes_commas_as_text() -> None:
    assert numbers(read("id\tviews\ta,b,c\np,1\t10\t\n", format="tsv")) == {"p,1": {"views": 10}}


def test_a_named_delimiter_is_not_found_out() -> None:
    body = "id|a,views|views\np|1,2|3\n"
    assert numbers(read(body)) == {"p": {"views": 3}}
    assert refusal(body, delimiter=",") == "column 'views' is not in the file; the nearest is 'views|views'"


def test_utf_16_without_its_mark_must_be_named() -> None:
    assert numbers(read(PLAIN.encode("utf-16-le"), encoding="utf-16")) == {"p1": {"views": 10}, "p2": {"views": 0}}


def test_the_mark_of_a_named_encoding_is_no_part_of_the_header() -> None:
    for encoding in ("utf-8", "utf-16"):
        raw = ("\ufeff" + PLAIN).encode(encoding if encoding == "utf-8" else "utf-16-be")
        assert numbers(read(raw, encoding=encoding)) == {"p1": {"views": 10}, "p2": {"views": 0}}


def test_quoted_line_ends_delimiters_and_quotes() -> None:
    body = 'id,views,title\r\n"a,""1""",10,"two\r\nlines, one\ncell"\r\nb,5,x\r\n'
    items = read(body, title_column="title")
    assert numbers(items) == {'a,"1"': {"views": 10}, "b": {"views": 5}}
    assert "two\r\nlines, one\ncell" in [getattr(item, "title", None) for item in items]


def test_semicolons_latin_1_and_decimal_commas() -> None:
    body = "Beitrag;Aufrufe;Kosten (€);Währung\nGrüße;1.234;12,50;EUR\nÄpfel;1.234.567;-0,000001;EUR\n"
    options = {
        "id_column": "Beitrag",
        "columns": {"views": "Aufrufe", "spend_media": "Kosten (€)"},
        "currency_column": "Währung",
        "decimal": ",",
        "thousands": ".",
    }
    for raw in (body.encode("cp1252"), body.encode()):
        items = read(raw, **options)
        seen = [(item.subject.external_id, item.metrics, item.currency) for item in observations(items)]
        assert seen == [
            ("Grüße", {"views": 1_234}, None),
            ("Grüße", {"spend_media": 12_500_000}, "EUR"),
            ("Äpfel", {"views": 1_234_567}, None),
            ("Äpfel", {"spend_media": -1}, "EUR"),
        ]
    assert numbers(read(b"id,views\n\xc3\xa9,1\n", encoding="latin-1")) == {"Ã©": {"views": 1}}


# ------------------------------------------------------------------------------------------------ rows and cells


def test_row_numbers_count_data_rows_and_name_subjects() -> None:
    body = "views,likes\n10,1\n\n20\n30,3\n,\n40,4,4\n50,5\n"
    items = read(body, id_column=None, id_prefix="x-")
    assert numbers(items) == {"x-row-1": {"views": 10}, "x-row-3": {"views": 30}, "x-row-5": {"views": 50}}
    assert drops(items) == [(DropReason.MALFORMED, 2), (DropReason.MALFORMED, 4)]


def test_an_empty_cell_and_minus_one_are_not_reported() -> None:
    both = {"columns": {"views": "views", "likes": "likes"}}
    items = read("id,views,likes\na,,0\nb,-1,7\nc, ,\nd,0,-1\n", **both)
    assert numbers(items) == {"a": {"likes": 0}, "b": {"likes": 7}, "d": {"views": 0}}
    assert drops(items) == [(DropReason.NO_NUMBERS, 3)]


@pytest.mark.parametrize(
    ("cell", "reason"),
    [
        ("many", DropReason.BAD_NUMBER),
        ("1.5", DropReason.BAD_NUMBER),
        ("1e3", DropReason.BAD_NUMBER),
        ("NaN", DropReason.BAD_NUMBER),
        ("inf", DropReason.BAD_NUMBER),
        ("0x10", DropReason.BAD_NUMBER),
        ("1_000", DropReason.BAD_NUMBER),
        ("1.", DropReason.BAD_NUMBER),
        ("١٢", DropReason.BAD_NUMBER),
        ("²", DropReason.BAD_NUMBER),
        ("--5", DropReason.BAD_NUMBER),
        ("12%", DropReason.BAD_NUMBER),
        ("-2", DropReason.OUT_OF_RANGE),
        ("9223372036854775808", DropReason.OUT_OF_RANGE),
        ("9" * 5_000, DropReason.OUT_OF_RANGE),
    ],
)
def test_a_bad_cell_is_a_drop_and_its_neighbours_count(cell: str, reason: DropReason) -> None:
    items = read(f"id,views,likes\na,1,2\nb,{cell},3\nc,4,5\n", columns={"views": "views", "likes": "likes"})
    assert numbers(items) == {"a": {"views": 1, "likes": 2}, "b": {"likes": 3}, "c": {"views": 4, "likes": 5}}
    assert drops(items) == [(reason, 2)]
    details = [item.detail for item in items if hasattr(item, "detail")]
    assert details
    assert all("column 'views'" in detail and cell not in detail for detail in details)


def test_a_row_of_bad_cells_leaves_only_drops() -> None:
    items = read("id,views\na,x\n")
    assert observations(items) == []
    assert drops(items) == [(DropReason.BAD_NUMBER, 1)]


@pytest.mark.parametrize(
    ("cell", "reason"),
    [
        ("", DropReason.MISSING_ID),
        ("  ", DropReason.MISSING_ID),
        ("x" * 257, DropReason.MALFORMED),
        ("1.78E+17", DropReason.MALFORMED),
        ('"1,78e+17"', DropReason.MALFORMED),
    ],
)
def test_a_row_without_a_usable_id_is_dropped(cell: str, reason: DropReason) -> None:
    items = read(f"id,views\n{cell},1\n{'y' * 256},2\n007,3\n")
    assert numbers(items) == {"y" * 256: {"views": 2}, "007": {"views": 3}}
    assert drops(items) == [(reason, 1)]


def test_a_prefix_counts_in_the_length_of_an_id() -> None:
    assert drops(read(f"id,views\n{'y' * 256},2\n", id_prefix="p")) == [(DropReason.MALFORMED, 1)]


def test_a_row_with_broken_quotes_is_dropped() -> None:
    items = read('id,views\na,1\n"b"x,2\nc,3\n')
    assert numbers(items) == {"a": {"views": 1}, "c": {"views": 3}}
    assert drops(items) == [(DropReason.MALFORMED, 2)]


def test_units() -> None:
    columns = {"spend_media": "a", "conversions": "b", "conversion_value": "c", "watch_time": "d", "followers": "e"}
    items = read("id,a,b,c,d,e\np,0.000001,2.5,-3,1500,7\n", columns=columns, currency="USD")
    money = {"spend_media": 1, "conversion_value": -3_000_000}
    subject = SubjectRef("p", SubjectType.POST)
    assert items == [
        Observation(subject=subject, kind=Kind.LIFETIME, metrics=money, currency="USD"),
        Observation(subject=subject, kind=Kind.LIFETIME, metrics={"conversions": 2_500_000, "watch_time": 1_500}),
        Observation(subject=subject, kind=Kind.LEVEL, metrics={"followers": 7}),
    ]


def test_fractional_counts_are_never_negative() -> None:
    items = read("id,views\na,-1\nb,-0.5\nc,-2\nd,0.0000001\n", columns={"conversions": "views"})
    assert drops(items) == [
        (DropReason.NO_NUMBERS, 1),
        (DropReason.OUT_OF_RANGE, 2),
        (DropReason.OUT_OF_RANGE, 3),
        (DropReason.BAD_NUMBER, 4),
    ]


def test_a_currency_by_row() -> None:
    money = {"columns": {"spend_media": "views", "likes": "likes"}, "currency_column": "cur"}
    items = read("id,views,likes,cur\na,1,1,eur\nb,2,2,\nc,3,3,€\nd,,4,\n", **money)
    seen = [(item.subject.external_id, item.currency, item.metrics) for item in observations(items)]
    assert seen == [
        ("a", "EUR", {"spend_media": 1_000_000}),
        ("a", None, {"likes": 1}),
        ("b", None, {"likes": 2}),
        ("c", None, {"likes": 3}),
        ("d", None, {"likes": 4}),
    ]
    assert drops(items) == [(DropReason.BAD_CURRENCY, 2), (DropReason.BAD_CURRENCY, 3)]


def test_one_column_may_be_an_id_and_a_fact() -> None:
    items = read("url,views\nhttps://a.example/1,1\n", id_column="url", url_column="url")
    assert {getattr(item, "url", None) for item in items} == {"https://a.example/1", None}


def test_a_large_file_streams() -> None:
    rows = (f"p{number % 1000},{number}\r\n" for number in range(20_000))
    delivery = upload("id,views\r\n" + "".join(rows) + "late,x\r\n")
    items = iter(CONNECTOR.parse(delivery, chosen()))
    first = list(itertools.islice(items, 2))
    assert [item.metrics for item in observations(first)] == [{"views": 0}, {"views": 1}]
    *_, last = items
    assert drops([last]) == [(DropReason.BAD_NUMBER, 20_001)]


def test_instants_are_told_by_the_options() -> None:
    body = "id,views\np,1\n"
    assert observations(read(body))[0].observed_at is None
    assert observations(read(body, instant="2026-03-01", zone="Asia/Tokyo"))[0].observed_at == datetime(
        2026, 2, 28, 15, tzinfo=UTC
    )
    west = observations(read(body, instant="2026-03-01T10:00:00-05:00"))[0].observed_at
    assert west == datetime(2026, 3, 1, 15, tzinfo=UTC)
    assert west.utcoffset() == timedelta(0)
