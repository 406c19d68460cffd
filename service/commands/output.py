"""What commands print: tables for people, JSON for programs, progress on a terminal and nowhere else."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import msgspec
import typer
from pydantic import BaseModel
from rich import box
from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

_PIPE_WIDTH = 200
"""Columns of a table that no terminal bounds: wide enough to keep a row on its line."""

Tell = Callable[[str], None]


def console(*, errors: bool = False) -> Console:
    """Return the console of standard output, or of standard error."""
    stream = sys.stderr if errors else sys.stdout
    return Console(file=stream, width=None if stream.isatty() else _PIPE_WIDTH, highlight=False, markup=False)


def show_json(document: Any) -> None:
    """Print one JSON document, indented, with the fields of API models as the API writes them."""
    plain = msgspec.to_builtins(document, enc_hook=_plain)
    typer.echo(msgspec.json.format(msgspec.json.encode(plain), indent=2).decode())


def _plain(value: Any) -> Any:
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json")
    raise NotImplementedError(type(value).__name__)


def show_lines(lines: Iterable[str]) -> None:
    """Print lines of text as they are."""
    for line in lines:
        typer.echo(line)


def show_table(columns: Sequence[str], rows: Iterable[Sequence[object]], *, empty: str) -> None:
    """Print a table, or ``empty`` where there is nothing to show."""
    listed = [[Text(str(cell)) for cell in row] for row in rows]
    if not listed:
        typer.echo(empty)
        return
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for name in columns:
        table.add_column(name, overflow="fold")
    for row in listed:
        table.add_row(*row)
    console().print(table)


@contextmanager
def spinner(text: str) -> Iterator[Tell]:
    """Show on a terminal that work goes on; what is yielded changes the text."""
    shown = console(errors=True)
    columns = (SpinnerColumn(), TextColumn("{task.description}", markup=False), TimeElapsedColumn())
    with Progress(*columns, console=shown, transient=True, disable=not shown.is_terminal) as progress:
        task = progress.add_task(text, total=None)
        yield lambda text: progress.update(task, description=text)


@contextmanager
def steps(text: str, total: int) -> Iterator[Tell]:
    """Show on a terminal how many of ``total`` steps are done; calling what is yielded begins the next one."""
    shown = console(errors=True)
    columns = (TextColumn("{task.description}", markup=False), BarColumn(), TimeElapsedColumn())
    with Progress(*columns, console=shown, transient=True, disable=not shown.is_terminal) as progress:
        task = progress.add_task(text, total=total)
        yield lambda text: progress.update(task, description=text, advance=1)
