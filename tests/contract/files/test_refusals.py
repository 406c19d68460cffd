from __future__ import annotations

import gzip

import pytest

from connectors.contract import DropReason
from tests.contract.files.sheet import GB, drops, numbers, read, refusal

PLAIN = "id,views\np1,10\n"


@pytest.mark.parametrize(
    "body", [b"", b"\n\r\n  \n", b"\xef\xbb\xbf", b"\xef\xbb\xbf\n", b"\xff\xfe", "\ufeff \n".encode("utf-16-le")]
)
def test_an_empty_file(body: bytes) -> None:
    assert refusal(body) == "the file is empty"


@pytest.mark.parametrize("body", ["id,views", "id,views\n", "id,views\r\n\r\n,\r\n"])
def test_a_header_alone(body: str) -> None:
    assert refusal(body) == "the file has a header and no rows"


@pytest.mark.parametrize(
    "body",
    [
        b"PK\x03\x04\x14\x00\x06\x00\x08\x00",
        gzip.compress(b"id,views\n" * 99, mtime=0),
        b"id,views\np\x001,10\n",
        b"\x00" * 99,
    ],
)
def test_a_binary_file(body: bytes) -> None:
    assert "binary" in refusal(body)


def test_a_binary_file_in_a_named_encoding() -> None:
    assert "binary" in refusal(b"id,views\np\x001,10\n", encoding="latin-1")
    assert "binary" in refusal(b"id,views\np\x001,10\n", encoding="utf-8")


def test_a_wrong_encoding() -> None:
    latin = "id,views\nGrüße,1\n".encode("latin-1")
    assert refusal(latin, encoding="utf-8") == "the file is not utf-8: byte 11 cannot be read"
    assert "utf-16" in refusal(latin, encoding="utf-16")
    assert "binary" in refusal(PLAIN.encode("utf-16-le"))
    mixed = "id,views\nGrüße,1\n".encode() + latin
    assert "name the encoding" in refusal(mixed)
    assert refusal(PLAIN.encode("utf-16")[:-1], encoding="utf-16").startswith("the file is not utf-16")


@pytest.mark.parametrize("body", ["id,views,views\np,1,2\n", "id,id,views\np,q,1\n", "id,views,x, x \np,1,2,3\n"])
def test_a_doubled_column(body: str) -> None:
    assert "twice" in refusal(body)


def test_columns_without_a_name_may_be_many() -> None:
    assert numbers(read("id,,views,\np,x,1,y\n")) == {"p": {"views": 1}}


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("id,Views\np,1\n", "column 'views' is not in the file; the nearest is 'Views'"),
        ("ids,views\np,1\n", "column 'id' is not in the file; the nearest is 'ids'"),
        ("id,shares\np,1\n", "column 'views' is not in the file"),
        ("id;wievs\np;1\n", "column 'views' is not in the file; the nearest is 'wievs'"),
        ('{"id":"p","veiws":1}\n', "column 'views' is not in the file; the nearest is 'veiws'"),
    ],
)
def test_a_missing_column_is_named_with_the_nearest(body: str, message: str) -> None:
    assert refusal(body) == message


def test_the_names_of_columns_are_kept_short() -> None:
    name = "\u0007v" * 2_000
    message = refusal(f"id,{name}x\np,1\n", columns={"views": name})
    assert len(message) < 250


def test_a_quote_that_swallows_rows_refuses_the_file() -> None:
    message = refusal('id,views\na,1\n"b,2\nc,3\nd,4\n')
    assert message == "data row 2 opens a quote that does not close properly"
    assert "quote" in refusal('id,views\na,1\n"b,2\n"c",3\nd,4\n')
    assert "quotes" in refusal('"id,views\na,1\n')


def test_a_cell_that_is_too_long_is_a_drop() -> None:
    items = read(f"id,views\na,1\n{'b' * 200_000},2\nc,3\n")
    assert numbers(items) == {"a": {"views": 1}, "c": {"views": 3}}
    assert drops(items) == [(DropReason.MALFORMED, 2)]


def test_options_that_make_no_sense_refuse_every_file() -> None:
    assert refusal(PLAIN, columns={"veiws": "views"}).startswith("options: ")
    assert refusal(PLAIN, preset="gb-utube").endswith("did you mean 'gb-youtube'?")
    assert refusal(PLAIN, columns={"x" * 5_000: "views"}).startswith("options: ")


def test_no_refusal_quotes_a_cell() -> None:
    body = "id,wievs\nsecret-1,secret-2\n"
    assert "secret" not in refusal(body)
    assert "secret" not in refusal('id,views\n"secret-1,2\nb,1\n')
    assert "secret" not in repr(read('id,views\nok,1\n"secret-1,2\n'))
    assert "secret" not in repr(read("id,views\nok,secret\n"))


def test_the_wrong_preset_names_what_is_missing() -> None:
    assert refusal(GB, preset="uci-facebook") == "column 'Lifetime Post Total Impressions' is not in the file"


# ------------------------------------------------------------------------------------------------ JSON lines


def test_a_bad_line_is_a_drop() -> None:
    body = '{"id":"a","views":1}\n{"id":"b"\n[1]\nnull\n\n7\n{"id":"c","views":2}\n{"id":"\\ud800","views":2}\n'
    items = read(body)
    assert numbers(items) == {"a": {"views": 1}, "c": {"views": 2}}
    assert drops(items) == [(DropReason.MALFORMED, row) for row in (2, 3, 4, 5, 7)]


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ('"10"', DropReason.BAD_NUMBER),
        ("true", DropReason.BAD_NUMBER),
        ("[1]", DropReason.BAD_NUMBER),
        ('{"value":1}', DropReason.BAD_NUMBER),
        ("1.5", DropReason.BAD_NUMBER),
        ("1e-400", DropReason.OUT_OF_RANGE),
        ("1e400", DropReason.OUT_OF_RANGE),
        ("1e999999999999999999999", DropReason.BAD_NUMBER),
        ("9223372036854775808", DropReason.OUT_OF_RANGE),
        ("9" * 4_000, DropReason.OUT_OF_RANGE),
        ("-2", DropReason.OUT_OF_RANGE),
    ],
)
def test_a_bad_value_is_a_drop_and_its_neighbours_count(value: str, reason: DropReason) -> None:
    items = read(f'{{"id":"a","views":{value},"likes":2}}\n', columns={"views": "views", "likes": "likes"})
    assert numbers(items) == {"a": {"likes": 2}}
    assert drops(items) == [(reason, 1)]


def test_what_is_null_absent_or_minus_one_is_not_reported() -> None:
    body = '{"id":"a","views":null}\n{"id":"b"}\n{"id":"c","views":-1}\n{"id":4,"views":-0}\n'
    items = read(body)
    assert numbers(items) == {"4": {"views": 0}}
    assert drops(items) == [(DropReason.NO_NUMBERS, row) for row in (1, 2, 3)]


def test_money_is_exact() -> None:
    values = ("0.1", "1e-6", "9223372036854.775807", "1E3")
    body = "".join(f'{{"id":{number},"views":{value}}}\n' for number, value in enumerate(values))
    items = read(body, columns={"spend_media": "views"}, currency="EUR")
    assert [one["spend_media"] for one in numbers(items).values()] == [100_000, 1, 2**63 - 1, 1_000_000_000]


@pytest.mark.parametrize("depth", [64, 100, 900, 100_000])
def test_a_deeply_nested_line_is_a_drop(depth: int) -> None:
    deep = '{"id":"deep","views":1,"x":' + "[" * depth + "]" * depth + "}\n"
    items = read('{"id":"a","views":1}\n' + deep)
    assert numbers(items) == {"a": {"views": 1}}
    assert drops(items) == [(DropReason.MALFORMED, 2)]
    assert "JSON" in refusal("[" * depth)
    assert "JSON object" in refusal(deep)


def test_many_brackets_are_not_deep() -> None:
    wide = '{"id":"a","views":1,"x":[' + ",".join(['{"a":[]}'] * 500) + '],"title":"' + '[{\\"' * 500 + '"}\n'
    items = read(wide + wide.replace('"a"', '"b"', 1))
    assert numbers(items) == {"a": {"views": 1}, "b": {"views": 1}}


def test_one_json_list_is_not_lines() -> None:
    assert refusal('[{"id":"a","views":1}]') == "the file is one JSON list: give one object per line"


def test_a_table_is_no_json_lines() -> None:
    assert refusal(PLAIN, format="jsonl") == "no line of the file is a JSON object"


def test_json_read_as_a_table_misses_its_columns() -> None:
    assert "column 'views' is not in the file" in refusal('{"id":"a","views":1}\n', format="csv")
