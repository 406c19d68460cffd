"""Uploads of CSV, TSV and JSON lines: exports of a platform, of a spreadsheet, of another tool.

Which column is what is said by the source's options; the platform is the source's own. A row gives one observation
per kind of number and, when they change, the facts of its subject. Nothing is guessed from the names of columns, and
nothing is fetched.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from datetime import datetime, timedelta
from functools import partial
from typing import NamedTuple

from connectors.contract import (
    METRICS,
    MICRO,
    MONEY,
    STORED,
    BadPayload,
    Capabilities,
    Connector,
    Delivery,
    Drop,
    DropReason,
    Item,
    Kind,
    MetricMapping,
    Observation,
    SubjectRef,
    Unit,
)
from connectors.files_cells import ID_MAX, JsonNumbers, Numbers, Refused, TextNumbers, identifier, text
from connectors.files_facts import Clock, Column, Columns, Facts, When, drop
from connectors.files_presets import PRESETS, FilesOptions, Preset, check_options, effective, is_currency, kinds_of
from connectors.files_rows import Cells, csv_rows, json_rows, open_text

__all__ = ["CONNECTOR", "PRESETS", "FilesConnector", "FilesOptions", "Preset", "check_options"]

_AHEAD = timedelta(minutes=5)


class _Group(NamedTuple):
    """Numbers that share an observation. Money has one of its own, so that counts never carry a currency."""

    kind: Kind
    money: bool
    windowed: bool
    columns: list[Column]


def _groups(options: FilesOptions, columns: Columns, numbers: Numbers) -> list[_Group]:
    groups: dict[tuple[Kind, bool], _Group] = {}
    for metric, name in options.columns.items():
        kind, money = options.kind(metric), metric in MONEY
        windowed = kind is Kind.PERIOD or (kind is Kind.UNIQUE and options.window == "day")
        group = groups.setdefault((kind, money), _Group(kind, money, windowed, []))
        group.columns.append(columns.add(metric, name, _reader(metric, numbers)))
    return list(groups.values())


def _reader(metric: str, numbers: Numbers) -> Callable[[object], int | None]:
    if metric in MONEY:
        return numbers.scaled
    return partial(_fraction, numbers) if METRICS[metric].unit is Unit.MILLIONTHS else numbers.count


def _fraction(numbers: Numbers, cell: object) -> int | None:
    """A count that may be fractional, in millionths: unlike money it is never negative, and -1 is *not reported*."""
    value = numbers.scaled(cell)
    if value == -MICRO:
        return None
    if value is not None and value < 0:
        raise Refused(DropReason.OUT_OF_RANGE, "negative")
    return value


def _given_id(cell: object) -> str:
    given = identifier(cell)
    if given is None:
        raise Refused(DropReason.MISSING_ID, "empty")
    return given


def _given_currency(cell: object) -> str:
    code = (text(cell) or "").upper()
    if not is_currency(code):
        raise Refused(DropReason.BAD_CURRENCY, "no code of three letters")
    return code


class _Reading:
    """One file, with the options turned into columns. ``columns`` are the names of those that a row must give."""

    def __init__(self, options: FilesOptions, numbers: Numbers, latest: datetime) -> None:
        columns = Columns()
        self._options = options
        self._groups = _groups(options, columns, numbers)
        self._clock = Clock(options, columns, latest)
        self._facts = Facts(options, columns, self._clock)
        self._id = columns.add("id", options.id_column, _given_id) if options.id_column else None
        name = options.currency_column
        self._currency = columns.add("currency", name, _given_currency) if name else None
        self.columns = columns.names

    def items(self, rows: Iterable[tuple[int, Cells] | Drop]) -> Iterator[Item]:
        for row in rows:
            if isinstance(row, Drop):
                yield row
            else:
                yield from self._row(*row)
        yield from self._facts.earlier()

    def _row(self, row: int, cells: Cells) -> list[Item]:
        try:
            subject = self._subject(row, cells)
            when = self._clock.when(cells)
        except Refused as refused:
            return [drop(refused, row)]
        items = self._facts.changed(row, cells, subject, when.read)
        numbers = [item for group in self._groups for item in self._numbers(group, row, cells, subject, when)]
        if self._groups and not numbers:
            numbers.append(Drop(reason=DropReason.NO_NUMBERS, row=row, detail="no number in any column"))
        return items + numbers

    def _subject(self, row: int, cells: Cells) -> SubjectRef:
        given = f"row-{row}" if self._id is None else self._id.of(cells)
        external_id = f"{self._options.id_prefix}{given}"
        if len(external_id) > ID_MAX:
            raise Refused(DropReason.MALFORMED, f"an id longer than {ID_MAX} characters")
        return SubjectRef(external_id, self._options.subject_type)

    def _numbers(self, group: _Group, row: int, cells: Cells, subject: SubjectRef, when: When) -> list[Item]:
        """Return the drops of the cells of one group and, if a number is left, its observation."""
        items: list[Item] = []
        metrics: dict[str, int] = {}
        for column in group.columns:
            try:
                value = column.of(cells)
            except Refused as refused:
                items.append(drop(refused, row))
                continue
            if value is not None:
                metrics[column.target] = value
        if not metrics:
            return items
        try:
            currency = self._currency_of(cells) if group.money else None
        except Refused as refused:
            return [*items, drop(refused, row)]
        read = Observation(
            subject=subject,
            kind=group.kind,
            metrics=metrics,
            observed_at=when.read if group.windowed else when.at,
            window=when.window if group.windowed else None,
            currency=currency,
        )
        return [*items, read]

    def _currency_of(self, cells: Cells) -> str | None:
        return self._options.currency if self._currency is None else self._currency.of(cells)


def _mappings() -> Iterator[MetricMapping]:
    for key in STORED:
        for kind in kinds_of(key):
            yield MetricMapping(wire=key, metric=key, kind=kind, note="the column that the options of the source name")
    for preset in PRESETS.values():
        options = preset.options
        for metric, column in options.columns.items():
            yield MetricMapping(
                wire=f"{preset.name}: {column}",
                metric=metric,
                kind=options.kind(metric),
                subject_types=(options.subject_type,),
            )
        for column, why in preset.unread.items():
            yield MetricMapping(wire=f"{preset.name}: {column}", metric=None, note=why)


class FilesConnector(Connector):
    """Reads uploaded files by the options of their source."""

    name = "files"
    title = "Files (CSV, TSV, JSON lines)"
    version = "1"
    options = FilesOptions
    capabilities = Capabilities(upload=True, max_body=128 * 1024 * 1024)
    metrics = tuple(_mappings())

    def check_options(self, options: FilesOptions) -> list[str]:
        """Say what does not fit together."""
        return check_options(options)

    def parse(self, delivery: Delivery, options: FilesOptions) -> Iterator[Item]:
        """Stream the items of an upload. What is wrong with the file as a whole may be known only at its end."""
        wrong = check_options(options)
        if wrong:
            raise BadPayload(f"options: {wrong[0]}")
        chosen = effective(options)
        opened = open_text(delivery.body, chosen.encoding)
        latest = delivery.received_at + _AHEAD
        if chosen.format == "jsonl" or (chosen.format == chosen.delimiter == "auto" and opened.is_json):
            reading = _Reading(chosen, JsonNumbers(), latest)
            return reading.items(json_rows(opened, reading.columns))
        reading = _Reading(chosen, TextNumbers(decimal=chosen.decimal, thousands=chosen.thousands), latest)
        delimiter = "\t" if chosen.format == "tsv" else chosen.delimiter
        return reading.items(csv_rows(opened, delimiter, reading.columns))


CONNECTOR = FilesConnector()
