"""KPI answers in other forms: CSV for spreadsheets, JSON lines for programs. The same values as the JSON, to the digit.

CSV is one header and one line per row of ``data``, nothing else: what there is to know about the numbers stands in
the JSON that ``Link: rel="describedby"`` names. Every field of a value has a column of its own; null is an empty cell
and the empty text is ``""``. JSON lines begin with the ``meta``, go on with the rows, and end with the totals.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec
from msgspec import UNSET

from service.reports.answer import AnswerOut, MetricOut, RowOut, WithoutOut

FORMS: Mapping[str, str] = {
    "json": "application/json",
    "csv": "text/csv; charset=utf-8",
    "ndjson": "application/x-ndjson",
}
_ROWS = 200
"""Rows of one chunk."""
encoded = msgspec.json.Encoder().encode
_SPECIAL = re.compile(r'[",\r\n]')
_NUMBER = re.compile(r"-?[0-9]+(\.[0-9]+)?\Z")
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")
"""How a cell begins that a spreadsheet would run, in full width too."""
Fields = tuple[tuple[str, tuple[str, ...]], ...]
FIELDS: Fields = (
    ("", ("value",)),
    ("_unit", ("unit",)),
    ("_currency", ("currency",)),
    ("_state", ("state",)),
    ("_reason", ("reason",)),
    ("_numerator", ("numerator",)),
    ("_denominator", ("denominator",)),
    ("_low", ("interval", "low")),
    ("_high", ("interval", "high")),
    ("_level", ("interval", "level")),
    ("_method", ("interval", "method")),
    ("_n", ("interval", "n")),
    ("_ignores_clustering", ("interval", "ignores_clustering")),
    ("_lower", ("bounds", "lower")),
    ("_upper", ("bounds", "upper")),
    ("_compare", ("compare", "value")),
    ("_compare_abs", ("compare", "abs")),
    ("_compare_pct", ("compare", "pct")),
    ("_compare_reason", ("compare", "reason")),
    ("_quality", ("quality",)),
    ("_coverage", ("coverage",)),
    ("_members_known", ("members", "known")),
    ("_members_total", ("members", "total")),
    ("_note", ("note",)),
)
"""Columns of a KPI: what is put behind its slug, and where the value stands in the JSON."""
WITHOUT: Fields = tuple(
    (f"_without_suspects{suffix}", ("without_suspects", *path))
    for suffix, path in FIELDS
    if path[0] in WithoutOut.__struct_fields__
)
"""Columns of a KPI without suspect engagement, where that was asked for."""


def accepted(accept: str | None) -> str:
    """Return the form that an ``Accept`` header prefers; JSON where it names none of them."""
    found = [(_weight(part), _kind(part)) for part in (accept or "").split(",")]
    named = [(weight, form) for weight, form in found if form is not None and weight > 0]
    return max(named, key=lambda one: one[0])[1] if named else "json"


def _kind(part: str) -> str | None:
    wanted = part.partition(";")[0].strip().lower()
    if wanted in {"*/*", "application/*"}:
        return "json"
    return next((form for form, media in FORMS.items() if media.partition(";")[0] == wanted), None)


def _weight(part: str) -> float:
    match = re.search(r";\s*q=([01](?:\.[0-9]{0,3})?)\s*(?:;|$)", part)
    return float(match[1]) if match else 1.0


def rendered(answer: AnswerOut, form: str) -> Iterator[bytes]:
    """Yield an answer in a form, chunk by chunk."""
    if form == "csv":
        yield from _csv(answer)
    elif form == "ndjson":
        yield from _lines(answer)
    else:
        yield encoded(answer)


def _lines(answer: AnswerOut) -> Iterator[bytes]:
    yield encoded({"type": "meta", "meta": answer.meta}) + b"\n"
    for rows in _chunks(answer.data):
        yield b"".join(encoded({"type": "row", "row": row}) + b"\n" for row in rows)
    rest = {"totals": answer.totals, "comparison": answer.comparison, "page": answer.page}
    yield encoded({"type": "totals"} | rest) + b"\n"


def _csv(answer: AnswerOut) -> Iterator[bytes]:
    labels = list(answer.data[0].dimensions) if answer.data else []
    slugs = list(answer.data[0].metrics if answer.data else answer.totals)
    fields = FIELDS if answer.meta.suspects is UNSET else (*FIELDS, *WITHOUT)
    columns = [*labels, "partial", *(slug + suffix for slug in slugs for suffix, _ in fields)]
    yield (",".join(cell(column) for column in columns) + "\r\n").encode()
    for rows in _chunks(answer.data):
        yield "".join(_line(row, labels, slugs, fields) for row in rows).encode()


def _chunks(rows: Sequence[RowOut]) -> Iterator[Sequence[RowOut]]:
    return (rows[place : place + _ROWS] for place in range(0, len(rows), _ROWS))


def _line(row: RowOut, labels: list[str], slugs: list[str], fields: Fields) -> str:
    values: list[Any] = [*(row.dimensions[label] for label in labels), row.partial]
    for slug in slugs:
        metric = row.metrics[slug]
        values += [_at(metric, path) for _, path in fields]
    return ",".join(cell(value) for value in values) + "\r\n"


def _at(metric: MetricOut, path: tuple[str, ...]) -> Any:
    found: Any = metric
    for name in path:
        found = None if found is None else getattr(found, name)
    return found


def cell(value: Any) -> str:
    """Return a value as a cell: numbers as in JSON, null empty, text never a formula (RFC 4180 quoting)."""
    if value is None:
        return ""
    if not isinstance(value, str):
        return encoded(value).decode()
    text = "'" + value if value.startswith(_FORMULA) and not _NUMBER.match(value) else value
    return '"' + text.replace('"', '""') + '"' if not text or _SPECIAL.search(text) else text
