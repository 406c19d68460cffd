from __future__ import annotations

from typing import Any

import msgspec
import pytest

from connectors.contract import MONEY, STORED, Kind
from connectors.files import FilesOptions, check_options
from tests.contract.files.sheet import chosen

VIEWS = {"columns": {"views": "v"}}


def test_sound_options_have_no_errors() -> None:
    assert check_options(chosen()) == []
    assert check_options(chosen(columns={key: f"c {key}" for key in STORED}, currency="EUR")) == []


@pytest.mark.parametrize(
    ("given", "error"),
    [
        ({}, "columns: nothing is read"),
        ({"preset": "uci-facebok"}, "preset 'uci-facebok' is not known; did you mean 'uci-facebook'?"),
        ({"columns": {"impresions": "i"}}, "columns: metric 'impresions' is not known; did you mean 'impressions'?"),
        ({"columns": {"engagements": "e"}}, "columns: 'engagements' is summed from likes, comments, shares, saves"),
        ({"columns": {"cost": "c"}}, "columns: 'cost' is summed from"),
        ({"columns": {"views": ""}}, "columns: a column has a name"),
        ({"columns": {"views": "a", "likes": "a"}}, "columns: 'a' is read as 2 metrics"),
        (VIEWS | {"id_column": ""}, "id_column: a column has a name"),
        (VIEWS | {"kinds": {"likes": "level"}}, "kinds: 'likes' has no column"),
        (VIEWS | {"kinds": {"views": "event"}}, "kinds: 'views' cannot be 'event'"),
        (VIEWS | {"kinds": {"views": "unique"}}, "kinds: 'views' is one of lifetime, period, level, not 'unique'"),
        (VIEWS | {"kinds": {"views": "period"}}, "kinds: 'period' needs window 'day'"),
        ({"columns": {"reach": "r"}, "kinds": {"reach": "lifetime"}}, "kinds: 'reach' is one of unique, level"),
        (VIEWS | {"window": "day"}, "window: 'day' needs an instant_column"),
        (VIEWS | {"zone": "Europe/Berlim"}, "zone: 'Europe/Berlim' is no IANA time zone"),
        (VIEWS | {"zone": ""}, "zone: '' is no IANA time zone"),
        (VIEWS | {"zone": "../../etc/passwd"}, "zone: "),
        (VIEWS | {"zone": "Europe"}, "zone: "),
        (VIEWS | {"zone": "localtime"}, "zone: "),
        (VIEWS | {"zone": "Factory"}, "zone: "),
        (VIEWS | {"instant": "31.02.2026"}, "instant: "),
        (VIEWS | {"instant": ""}, "instant: "),
        (VIEWS | {"instant": "1980-01-01"}, "instant: "),
        (VIEWS | {"instant": "2026-01-01", "instant_column": "at"}, "instant and instant_column: "),
        (VIEWS | {"date_format": "day.month"}, "date_format: 'day.month' needs a year"),
        (VIEWS | {"date_format": "iso", "year": 2026}, "year: dates of the form 'iso' have their own"),
        (VIEWS | {"year": 17}, "year: between 1990 and 2100"),
        (VIEWS | {"currency": "euro"}, "currency: "),
        (VIEWS | {"currency": "EUR", "currency_column": "c"}, "currency and currency_column: "),
        ({"columns": {"spend_media": "s"}}, "columns: 'spend_media' is money: give currency or currency_column"),
        (VIEWS | {"decimal": ",", "thousands": ","}, "decimal and thousands: "),
        (VIEWS | {"format": "tsv", "delimiter": ";"}, "delimiter: 'tsv' has tabs"),
        (VIEWS | {"format": "jsonl", "decimal": ","}, "decimal: 'jsonl' has its own"),
        (VIEWS | {"hashtags_separator": ""}, "hashtags_separator: "),
        (VIEWS | {"id_prefix": "x" * 65}, "id_prefix: at most 64 characters"),
    ],
)
def test_what_is_wrong_is_said(given: dict[str, Any], error: str) -> None:
    errors = check_options(msgspec.convert(given, FilesOptions))
    assert [one for one in errors if one.startswith(error)], errors
    assert all(one.isprintable() and len(one) < 250 for one in errors)


def test_several_errors_are_told_together() -> None:
    wrong = msgspec.convert({"columns": {"veiws": "v"}, "zone": "Mars/Olympus", "currency": "x"}, FilesOptions)
    assert len(check_options(wrong)) == 3


@pytest.mark.parametrize(
    "given",
    [
        {"colums": {}},
        {"format": "xlsx"},
        {"delimiter": "x"},
        {"encoding": "ebcdic"},
        {"kinds": {"views": "sum"}},
        {"subject_type": "tweet"},
        {"decimal": "'"},
        {"year": "2017"},
        {"columns": ["views"]},
    ],
)
def test_what_is_no_option_is_refused(given: dict[str, Any]) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(given, FilesOptions)


def test_options_survive_being_stored() -> None:
    options = chosen(kinds={"views": "period"}, window="day", instant_column="at", subject_type="video")
    stored = msgspec.json.decode(msgspec.json.encode(msgspec.to_builtins(options)))
    assert msgspec.convert(stored, FilesOptions) == options


def test_usual_kinds() -> None:
    usual = {key: FilesOptions().kind(key) for key in STORED}
    assert {key for key, kind in usual.items() if kind is Kind.UNIQUE} == {"reach"}
    assert {key for key, kind in usual.items() if kind is Kind.LEVEL} == {"followers"}
    assert all(usual[key] is Kind.LIFETIME for key in MONEY)
