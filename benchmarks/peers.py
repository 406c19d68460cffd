"""What people would use instead, in an environment of its own: dlt, and Singer's target-postgres.

The versions are those of ``requirements.lock``; the product never sees them. Both load the rows that the service
ingests, keyed by subject and day, with their default settings and without telling their makers.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import msgspec

from benchmarks import pages
from benchmarks.children import child
from benchmarks.ground import ROOT, Ground
from benchmarks.pages import Shape
from benchmarks.plan import SOURCES

HERE = ROOT / "benchmarks"
_ENVIRONMENT = HERE / ".venv"
_LOCK = HERE / "requirements.lock"
_PYTHON = _ENVIRONMENT / "bin" / "python"
_STAMP = _ENVIRONMENT / "peers.stamp"


def install() -> None:
    """Build the environment of the peers from its lock, unless it is there."""
    wanted = hashlib.sha256(_LOCK.read_bytes()).hexdigest()
    if _STAMP.exists() and _STAMP.read_text(encoding="ascii") == wanted:
        return
    print("installing the peers; this takes a minute", flush=True)
    subprocess.run([sys.executable, "-m", "venv", "--clear", _ENVIRONMENT], check=True)  # noqa: S603 - fixed words
    pip = [str(_PYTHON), "-m", "pip", "install", "--quiet", "--quiet", "--require-hashes", "-r", str(_LOCK)]
    subprocess.run(pip, check=True)  # noqa: S603 - fixed words
    _STAMP.write_text(wanted, encoding="ascii")


def _environ(home: str) -> dict[str, str]:
    own = {name: value for name, value in os.environ.items() if not name.startswith(("TALLYBOOK_", "PG", "DLT"))}
    quiet = {"RUNTIME__DLTHUB_TELEMETRY": "false", "RUNTIME__LOG_LEVEL": "ERROR", "DO_NOT_TRACK": "1"}
    return own | quiet | {"HOME": home, "DLT_DATA_DIR": home, "DLT_PROJECT_DIR": home}


async def _seconds(ground: Ground, script: str, **orders: Any) -> float:
    with tempfile.TemporaryDirectory(dir=ground.scratch) as home:
        words = (str(HERE / script), msgspec.json.encode(orders | {"home": home}).decode())
        async with child(*words, python=_PYTHON, environ=_environ(home)) as peer:
            found = await peer.hear()
    return float(found["seconds"])


async def dlt(ground: Ground, database: str, address: str, shape: Shape) -> float:
    """Pull every page by dlt's REST source and merge the rows; return the seconds that its run took."""
    url = f"postgresql://postgres:none@localhost:5432/{database}?host={ground.server.socket}"
    accounts = [pages.account(source) for source in range(SOURCES)]
    seconds = await _seconds(ground, "peer_dlt.py", url=url, address=address, accounts=accounts)
    await _counted(ground, database, "measured.load", shape.rows)
    return seconds


async def singer(ground: Ground, database: str, messages: Path, rows: int) -> float:
    """Feed messages to the target, which upserts them; return the seconds from the first message to the end."""
    url = f"postgresql+psycopg://postgres@/{database}?host={ground.server.socket}"
    seconds = await _seconds(ground, "peer_singer.py", url=url, messages=str(messages))
    await _counted(ground, database, "measured.load", rows)
    return seconds


async def _counted(ground: Ground, database: str, table: str, rows: int) -> None:
    async with ground.superuser(database) as connection:
        found = await connection.fetchval(f"select count(*) from {table}")  # noqa: S608 - a name of ours
    if found != rows:
        raise RuntimeError(f"a peer loaded {found} rows of {rows}")


def write_messages(path: Path, shape: Shape, rows: int) -> None:
    """Write the first rows as Singer messages: one schema, a record a row, one state."""
    numbers = {key: {"type": ["integer", "null"]} for key in shape.metrics}
    properties = {"id": {"type": "string"}, "day": {"type": "string", "format": "date"}, **numbers}
    schema = {"type": "SCHEMA", "stream": "load", "key_properties": ["id", "day"]}
    with path.open("wb") as file:
        file.write(msgspec.json.encode(schema | {"schema": {"type": "object", "properties": properties}}) + b"\n")
        for number, (subject, day, values) in enumerate(_all(shape)):
            if number == rows:
                break
            record = {"id": subject, "day": day.isoformat(), **dict(zip(shape.metrics, values, strict=True))}
            file.write(msgspec.json.encode({"type": "RECORD", "stream": "load", "record": record}) + b"\n")
        file.write(msgspec.json.encode({"type": "STATE", "value": {"done": True}}) + b"\n")


def _all(shape: Shape) -> Any:
    return (row for source in range(SOURCES) for row in pages.rows_of(shape, source))


async def copy(ground: Ground, database: str, shape: Shape) -> float:
    """Copy the values of all rows into one table with one index; return the seconds from the start to the commit."""
    rows = await asyncio.to_thread(lambda: [(subject, day, pages.AT, *values) for subject, day, values in _all(shape)])
    columns = ", ".join(f"{key} bigint" for key in shape.metrics)
    async with ground.superuser(database) as connection:
        await connection.execute(
            f"create table load (id text, day date, at timestamptz, {columns}, primary key (id, day))"
        )
        begun = ground.context.monotonic()
        await connection.copy_records_to_table("load", records=rows)
        return ground.context.monotonic() - begun
