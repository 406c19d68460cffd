"""The options of the ``files`` connector, what makes sense among them, and presets for known files.

A preset is data: a set of options with a name. It reads nothing; whether a file has the named columns is found out
when the file is read.
"""

from __future__ import annotations

import difflib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from typing import Any, Literal
from zoneinfo import ZoneInfo, available_timezones

import msgspec

from connectors.contract import METRICS, MONEY, STORED, Kind, SubjectType
from connectors.files_cells import ID_MAX, DateFormat, Dates, Refused
from connectors.files_rows import Delimiter, Encoding, Format, named

_PREFIX_MAX = 64
_YEARS = range(1990, 2101)
_CURRENCY_LETTERS = 3
_NO_ZONES = frozenset(
    {"Factory", "localtime"}
)  # the zone of a machine, so a replay elsewhere would read other instants


class FilesOptions(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How one source's files are read.

    ``columns`` names the column of each canonical metric, ``kinds`` how its numbers behave (default: ``lifetime``;
    ``reach`` is ``unique`` and ``followers`` is ``level``). Money is in units of the currency, ``watch_time`` in
    milliseconds. Without ``id_column`` the subjects are ``row-1``, ``row-2``, ... behind ``id_prefix``.

    ``instant_column`` is when each row was read, ``instant`` when all of them were (RFC 3339, or a date for its local
    midnight in ``zone``); without both it is the time of the upload. With ``window`` = ``day`` the local day of
    ``instant_column`` is the window of ``period`` and ``unique`` numbers and ``instant`` is when they were read.

    A given option overrides the one of the preset, ``columns`` and ``kinds`` metric by metric; one that equals its
    default counts as not given.
    """

    preset: str | None = None
    format: Format = "auto"
    delimiter: Delimiter = "auto"
    encoding: Encoding = "auto"
    decimal: Literal[".", ","] = "."
    thousands: Literal["", ",", ".", " "] = ""
    columns: dict[str, str] = {}
    kinds: dict[str, Kind] = {}
    id_column: str | None = None
    id_prefix: str = ""
    subject_type: SubjectType = SubjectType.POST
    instant: str | None = None
    instant_column: str | None = None
    date_format: DateFormat = "auto"
    year: int | None = None
    zone: str = "UTC"
    window: Literal["none", "day"] = "none"
    currency: str | None = None
    currency_column: str | None = None
    published_column: str | None = None
    title_column: str | None = None
    url_column: str | None = None
    content_type_column: str | None = None
    hashtags_column: str | None = None
    hashtags_separator: str = " "
    creator_column: str | None = None
    paid_column: str | None = None
    platform_campaign_column: str | None = None
    utm_campaign_column: str | None = None

    def kind(self, metric: str) -> Kind:
        """Return how the numbers of ``metric`` behave."""
        return self.kinds.get(metric) or _USUAL_KINDS.get(metric, Kind.LIFETIME)


_USUAL_KINDS: Mapping[str, Kind] = {"reach": Kind.UNIQUE, "followers": Kind.LEVEL}


def kinds_of(metric: str) -> tuple[Kind, ...]:
    """Return how the numbers of a stored metric may behave in a file."""
    if METRICS[metric].additive:
        return (Kind.LIFETIME, Kind.PERIOD, Kind.LEVEL)
    return (Kind.UNIQUE, Kind.LEVEL)


FACT_COLUMNS: Mapping[str, str] = {
    "published_column": "published_at",
    "title_column": "title",
    "url_column": "url",
    "content_type_column": "content_type",
    "hashtags_column": "hashtags",
    "creator_column": "creator",
    "paid_column": "paid",
    "platform_campaign_column": "platform_campaign",
    "utm_campaign_column": "utm_campaign",
}
"""Options that name a column of facts, and the field of a seen subject that it fills."""


# ------------------------------------------------------------------------------------------------ presets


class Preset(msgspec.Struct, frozen=True, kw_only=True):
    """Options for one known file. ``platform`` is what a source that reads it should name; ``unread`` says why a
    column of numbers that the original file has is not read.
    """

    name: str
    title: str
    platform: str
    options: FilesOptions
    unread: Mapping[str, str]


_PRESETS = (
    Preset(
        name="uci-facebook",
        title="UCI Facebook metrics: 500 posts of a cosmetics brand, 2014",
        platform="facebook",
        options=FilesOptions(
            id_prefix="uci-",
            columns={
                "impressions": "Lifetime Post Total Impressions",
                "reach": "Lifetime Post Total Reach",
                "clicks_all": "Lifetime Post Consumptions",
                "likes": "like",
                "comments": "comment",
                "shares": "share",
            },
            content_type_column="Type",
            paid_column="Paid",
        ),
        unread={
            "Page total likes": "a number of the page, not of the post",
            "Lifetime Engaged Users": "distinct people, of an audience that no metric names",
            "Lifetime Post Consumers": "distinct people, of an audience that no metric names",
            "Lifetime Post Impressions by people who have liked your Page": "a part of the impressions",
            "Lifetime Post reach by people who like your Page": "a part of the reach",
            "Lifetime People who have liked your Page and engaged with your post": "a part of the engaged users",
            "Total Interactions": "the sum of like, comment and share",
        },
    ),
    Preset(
        name="gb-youtube",
        title="YouTube trending in Great Britain: daily snapshots, autumn 2017",
        platform="youtube",
        options=FilesOptions(
            id_column="video_id",
            subject_type=SubjectType.VIDEO,
            columns={"views": "views", "likes": "likes", "comments": "comment_total"},
            instant_column="date",
            date_format="day.month",
            year=2017,
            creator_column="channel_title",
        ),
        unread={"dislikes": "no metric is a dislike"},
    ),
)
PRESETS: Mapping[str, Preset] = {preset.name: preset for preset in _PRESETS}


def effective(options: FilesOptions) -> FilesOptions:
    """Return the options with those of the preset in place of what was not given; an unknown preset adds nothing."""
    preset = PRESETS.get(options.preset or "")
    if preset is None:
        return options
    plain = FilesOptions()
    given: dict[str, Any] = {
        name: value for name in options.__struct_fields__ if (value := getattr(options, name)) != getattr(plain, name)
    }
    given["columns"] = preset.options.columns | options.columns
    given["kinds"] = preset.options.kinds | options.kinds
    return msgspec.structs.replace(preset.options, **given)


# ------------------------------------------------------------------------------------------------ checks


def check_options(options: FilesOptions) -> list[str]:
    """Return in plain words what is wrong with the options, the preset's included; an empty list if nothing is."""
    if options.preset is not None and options.preset not in PRESETS:
        return [f"preset {named(options.preset)} is not known{_nearest(options.preset, PRESETS)}"]
    chosen = effective(options)
    checks = (_check_metrics, _check_kinds, _check_columns, _check_money, _check_times, _check_format)
    return [error for check in checks for error in check(chosen)]


def _nearest(word: str, words: Iterable[str]) -> str:
    near = difflib.get_close_matches(word, list(words), n=1)
    return f"; did you mean {named(near[0])}?" if near else ""


def _check_metrics(options: FilesOptions) -> Iterator[str]:
    for metric in options.columns:
        if metric in STORED:
            continue
        if metric in METRICS:
            yield f"columns: {named(metric)} is summed from {', '.join(METRICS[metric].parts)}: name those instead"
        else:
            yield f"columns: metric {named(metric)} is not known{_nearest(metric, STORED)}"


def _check_kinds(options: FilesOptions) -> Iterator[str]:
    for metric in options.kinds:
        if metric not in options.columns:
            yield f"kinds: {named(metric)} has no column{_nearest(metric, options.columns)}"
    for metric in sorted(options.columns.keys() & METRICS.keys()):
        kind, allowed = options.kind(metric), kinds_of(metric)
        if kind is Kind.EVENT:
            yield f"kinds: {named(metric)} cannot be 'event': a file has totals, no single events"
        elif kind not in allowed:
            yield f"kinds: {named(metric)} is one of {', '.join(allowed)}, not {kind.value!r}"
    if options.window == "none" and any(options.kind(metric) is Kind.PERIOD for metric in options.columns):
        yield "kinds: 'period' needs window 'day' and an instant_column"


def _check_columns(options: FilesOptions) -> Iterator[str]:
    if not options.columns and not any(getattr(options, name) for name in FACT_COLUMNS):
        yield "columns: nothing is read; name the column of at least one metric"
    for name in options.__struct_fields__:
        if name.endswith("_column") and getattr(options, name) == "":
            yield f"{name}: a column has a name"
    for column, times in Counter(options.columns.values()).items():
        if not column:
            yield "columns: a column has a name"
        elif times > 1:
            yield f"columns: {named(column)} is read as {times} metrics"
    if not options.hashtags_separator:
        yield "hashtags_separator: give at least one character"
    if len(options.id_prefix) > _PREFIX_MAX:
        yield f"id_prefix: at most {_PREFIX_MAX} characters, ids have at most {ID_MAX}"


def _check_money(options: FilesOptions) -> Iterator[str]:
    if options.currency is not None and not is_currency(options.currency):
        yield "currency: give the three capital letters of ISO 4217"
    if options.currency is not None and options.currency_column is not None:
        yield "currency and currency_column: give one of them"
    if options.currency is None and options.currency_column is None:
        for metric in sorted(options.columns.keys() & MONEY):
            yield f"columns: {named(metric)} is money: give currency or currency_column"


def _check_times(options: FilesOptions) -> Iterator[str]:
    zone = zone_of(options.zone)
    if zone is None:
        yield f"zone: {named(options.zone)} is no IANA time zone"
    if options.instant is not None and not _is_instant(options.instant, zone or ZoneInfo("UTC")):
        yield "instant: give an RFC 3339 instant or a date, 1990 or later"
    if options.instant is not None and options.instant_column is not None and options.window == "none":
        yield "instant and instant_column: give one of them, or window 'day'"
    if options.window == "day" and options.instant_column is None:
        yield "window: 'day' needs an instant_column"
    if options.date_format == "day.month" and options.year is None:
        yield "date_format: 'day.month' needs a year"
    if options.date_format not in {"auto", "day.month"} and options.year is not None:
        yield f"year: dates of the form {options.date_format!r} have their own"
    if options.year is not None and options.year not in _YEARS:
        yield f"year: between {_YEARS.start} and {_YEARS.stop - 1}"


def _check_format(options: FilesOptions) -> Iterator[str]:
    if options.decimal == options.thousands:
        yield "decimal and thousands: they cannot be the same mark"
    if options.format == "tsv" and options.delimiter not in {"auto", "\t"}:
        yield "delimiter: 'tsv' has tabs"
    if options.format == "jsonl":
        plain = FilesOptions()
        for name in ("delimiter", "decimal", "thousands"):
            if getattr(options, name) != getattr(plain, name):
                yield f"{name}: 'jsonl' has its own"


def is_currency(code: str) -> bool:
    """Whether the text has the form of an ISO 4217 code."""
    return len(code) == _CURRENCY_LETTERS and code.isascii() and code.isalpha() and code.isupper()


def zone_of(name: str) -> ZoneInfo | None:
    """Return the IANA zone, or None for a name that is none."""
    return ZoneInfo(name) if name in _zones() else None


@cache
def _zones() -> frozenset[str]:
    return frozenset(available_timezones()) - _NO_ZONES


def _is_instant(text: str, zone: ZoneInfo) -> bool:
    try:
        return Dates(form="iso", zone=zone).instant(text) is not None
    except Refused:
        return False
