"""From the bytes of an uploaded file to its rows: encoding, delimiter, quoting, header, JSON lines.

It checks the columns once, numbers the data rows from 1 and gives each as the cells of the wanted columns, in their
order. What the cells mean is not known here. Rows are streamed; nothing but the body itself is kept.
"""

from __future__ import annotations

import codecs
import csv
import difflib
import io
import re
from collections.abc import Callable, Iterator, Sequence
from operator import itemgetter
from typing import Any, Literal

import msgspec

from connectors.contract import BadPayload, Drop, DropReason
from connectors.files_cells import exact

Format = Literal["auto", "csv", "tsv", "jsonl"]
Delimiter = Literal["auto", ",", ";", "\t", "|"]
Encoding = Literal["auto", "utf-8", "latin-1", "utf-16"]
Cells = tuple[object, ...]

_DELIMITERS: tuple[Delimiter, ...] = (",", ";", "\t", "|")
_NEAR_LONGEST = 200
_NAMED_LONGEST = 80
_NEAR_MOST = 1000
_DEEPEST = 64  # far below the interpreter's limit, so that the reading does not hang on who calls
_MARKS = re.compile(r'"(?:[^"\\]|\\.)*"|[\[{\]}]')
_OBJECT = msgspec.json.Decoder(dict[str, Any], float_hook=exact)


def named(name: str) -> str:
    """Return the name of a column in quotes, printable and short enough for a line."""
    quoted = repr(name)
    return quoted if len(quoted) <= _NAMED_LONGEST else f"{quoted[: _NAMED_LONGEST - 4]}...'"


class Text(msgspec.Struct, frozen=True, kw_only=True):
    """A body that is known to decode, and is neither binary nor empty."""

    body: bytes
    codec: str
    first: str  # the first character that is no blank

    def lines(self) -> io.TextIOWrapper:
        """Stream the lines with their ends as they stand."""
        return io.TextIOWrapper(io.BytesIO(self.body), encoding=self.codec, newline="")

    @property
    def is_json(self) -> bool:
        """Whether it looks like JSON."""
        return self.first in "{["


def open_text(body: bytes, encoding: Encoding) -> Text:
    """Find out how the body is encoded. Raises :class:`BadPayload` for an empty, binary or undecodable one."""
    codec = _guess(body) if encoding == "auto" else _codec(body, encoding)
    try:
        decoded = body.decode(codec)
    except UnicodeDecodeError as error:
        message = f"the file is not {codec.removesuffix('-sig')}: byte {error.start} cannot be read"
        raise BadPayload(message) from None
    if "\0" in decoded:
        raise BadPayload("the file is binary (a spreadsheet, an archive?), not text")
    bare = decoded.lstrip("\ufeff \t\r\n")
    if not bare:
        raise BadPayload("the file is empty")
    return Text(body=body, codec=codec, first=bare[0])


def _codec(body: bytes, encoding: Encoding) -> str:
    if encoding == "utf-16":
        return "utf-16" if body.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) else "utf-16-le"
    # What spreadsheets call Latin-1 has the euro sign and curly quotes of Windows where ISO 8859-1 has control codes.
    return "cp1252" if encoding == "latin-1" else "utf-8-sig"


def _guess(body: bytes) -> str:
    if body.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "utf-16"
    if b"\0" in body:
        raise BadPayload("the file is binary, or UTF-16 without its mark: name the encoding if it is text")
    try:
        body.decode()
    except UnicodeDecodeError as error:
        # A single real UTF-8 sequence besides the broken one means damage, not another encoding.
        if body.decode(errors="ignore").isascii():
            return "cp1252"
        message = f"the file is UTF-8 but byte {error.start} cannot be read: name the encoding if it is another"
        raise BadPayload(message) from None
    return "utf-8-sig"


# ------------------------------------------------------------------------------------------------ CSV and TSV


def csv_rows(text: Text, delimiter: Delimiter, wanted: Sequence[str]) -> Iterator[tuple[int, Cells] | Drop]:
    """Stream the rows: their number and the cells of the ``wanted`` columns as text, or a drop for a row that is none.

    Blank rows are neither given nor counted. Raises :class:`BadPayload` for a missing or doubled column, a file
    without rows, and a quote that swallows the rows behind it.
    """
    if delimiter == "auto":
        delimiter = _likeliest(text, wanted)
    reader = csv.reader(text.lines(), delimiter=delimiter, strict=True)
    header = _header(reader)
    pick = _picker(header, wanted)
    width = len(header)
    number = 0
    for row, lines in _records(reader):
        if row is None:
            number += 1
            if lines > 1:  # where the rows inside it end is not known any more
                raise BadPayload(f"data row {number} opens a quote that does not close properly")
            yield Drop(reason=DropReason.MALFORMED, row=number, detail="broken quotes or a cell that is too long")
        elif any(map(str.strip, row)):
            number += 1
            if len(row) == width:
                yield number, pick(row)
            else:
                yield Drop(reason=DropReason.MALFORMED, row=number, detail=f"{len(row)} cells, the header has {width}")
    if not number:
        raise BadPayload("the file has a header and no rows")


def _records(reader: Any) -> Iterator[tuple[list[str] | None, int]]:
    """Give each record, or None for one that cannot be read, with the number of lines it took."""
    before = reader.line_num
    while True:
        try:
            row = next(reader)
        except StopIteration:
            return
        except csv.Error:
            row = None
        yield row, reader.line_num - before
        before = reader.line_num


def _header(reader: Any) -> list[str]:
    for row, _ in _records(reader):
        if row is None:
            raise BadPayload("the header has broken quotes")
        if any(map(str.strip, row)):
            names = [name.strip() for name in row]
            _refuse_twins(names)
            return names
    raise BadPayload("the file is empty")


def _refuse_twins(names: Sequence[str]) -> None:
    seen: set[str] = set()
    for name in filter(None, names):
        if name in seen:
            raise BadPayload(f"column {named(name)} stands twice in the header")
        seen.add(name)


def _picker(header: Sequence[str], wanted: Sequence[str]) -> Callable[[list[str]], Cells]:
    places = {name: place for place, name in enumerate(header)}
    for name in wanted:
        if name not in places:
            raise _missing(name, header)
    if len(wanted) == 1:
        only = places[wanted[0]]
        return lambda row: (row[only],)
    return itemgetter(*(places[name] for name in wanted))


def _missing(name: str, names: Sequence[str]) -> BadPayload:
    known = [known for known in names[:_NEAR_MOST] if len(known) <= _NEAR_LONGEST]
    near = difflib.get_close_matches(name, known, n=1)
    hint = f"; the nearest is {named(near[0])}" if near else ""
    return BadPayload(f"column {named(name)} is not in the file{hint}")


def _likeliest(text: Text, wanted: Sequence[str]) -> Delimiter:
    """The delimiter under which the header has most of the wanted columns, then most columns at all."""

    def found(delimiter: Delimiter) -> tuple[int, int]:
        reader = csv.reader(text.lines(), delimiter=delimiter, strict=True)
        row = next((row for row, _ in _records(reader) if row is None or any(map(str.strip, row))), None) or []
        names = {name.strip() for name in row}
        return sum(name in names for name in wanted), len(row)

    return max(_DELIMITERS, key=found)


# ------------------------------------------------------------------------------------------------ JSON lines


def json_rows(text: Text, wanted: Sequence[str]) -> Iterator[tuple[int, Cells] | Drop]:
    """Stream the lines likewise: cells are any JSON value, None where the line lacks the name.

    Raises :class:`BadPayload` when no line is an object and, at the end, for a column that no line had.
    """
    if text.first == "[":
        raise BadPayload("the file is one JSON list: give one object per line")
    number = objects = 0
    absent = set(wanted)
    names: dict[str, None] = {}
    for line in text.lines():
        if not line.strip():
            continue
        number += 1
        entry = _entry(line)
        if entry is None:
            yield Drop(reason=DropReason.MALFORMED, row=number, detail="the line is no JSON object")
            continue
        objects += 1
        if absent:  # writers leave out what is null, so a column may first appear late
            absent.difference_update(entry)
            names.update(dict.fromkeys(entry))
        yield number, tuple(map(entry.get, wanted))
    if not objects:
        raise BadPayload("no line of the file is a JSON object")
    for name in wanted:
        if name in absent:
            raise _missing(name, list(names))


def _entry(line: str) -> dict[str, Any] | None:
    """Return the object of a line, or None for what is none or is nested too deeply."""
    try:
        entry = _OBJECT.decode(line)
    except (msgspec.DecodeError, RecursionError):
        return None
    suspect = line.count("[") + line.count("{") > _DEEPEST
    return None if suspect and _depth(line) > _DEEPEST else entry


def _depth(line: str) -> int:
    """Return how deeply a line of valid JSON is nested; brackets inside its texts do not count."""
    depth = deepest = 0
    for found in _MARKS.finditer(line):
        mark = found[0]
        if mark in "[{":
            depth += 1
            deepest = max(deepest, depth)
        elif mark in "]}":
            depth -= 1
    return deepest
