from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import msgspec

from service import context as contexts
from service.db.engine import Database
from service.records import SourceRow
from tests.integration.inbox.world import count, make_source, rows

CONTEXT = contexts.real()
ROOT = Path(__file__).resolve().parents[3]
KEYS = 2000


async def start(url: str, source: SourceRow, keys: int = KEYS) -> asyncio.subprocess.Process:
    pipe = asyncio.subprocess.PIPE
    command = ("-m", "tests.integration.inbox.racing", url, msgspec.json.encode(source).decode(), str(keys))
    process = await asyncio.create_subprocess_exec(sys.executable, *command, cwd=ROOT, stdin=pipe, stdout=pipe)
    assert process.stdout is not None
    assert await process.stdout.readline() == b"ready\n"
    return process


def go(process: asyncio.subprocess.Process) -> None:
    assert process.stdin is not None
    process.stdin.write(b"go\n")


async def answers(process: asyncio.subprocess.Process) -> list[list[str]]:
    assert process.stdout is not None
    output = await process.stdout.read()
    await process.wait()
    lines = output.decode().splitlines(keepends=True)
    return [line.split() for line in lines if line.endswith("\n")]


async def test_two_processes_keep_one_copy_of_what_both_receive(database: Database, database_url: str) -> None:
    source = await make_source(database, CONTEXT)
    racers = [await start(database_url, source) for _ in range(2)]
    for racer in racers:
        go(racer)
    answered = [line for lines in await asyncio.gather(*map(answers, racers)) for line in lines]
    outcomes = [outcome for _, outcome, _ in answered]
    assert (outcomes.count("stored"), outcomes.count("duplicate")) == (KEYS, KEYS)
    assert len({(key, delivery) for key, _, delivery in answered}) == KEYS
    assert await count(database, source.workspace_id, "deliveries") == KEYS
    assert await count(database, source.workspace_id, "delivery_queue") == KEYS


async def test_what_was_answered_survives_the_death_of_the_process(database: Database, database_url: str) -> None:
    source = await make_source(database, CONTEXT)
    answered = set()
    for number in range(4):
        racer = await start(database_url, source)
        go(racer)
        assert racer.stdout is not None
        seen = [await racer.stdout.readline() for _ in range(50 + 300 * number)]
        racer.kill()
        answered |= {line.split()[0].decode() for line in seen if line} | {key for key, _, _ in await answers(racer)}
    kept = await rows(database, source.workspace_id, "select body from deliveries where workspace_id = :w")
    bodies = [row.body.decode() for row in kept]
    assert answered <= set(bodies)
    assert len(bodies) == len(set(bodies))
