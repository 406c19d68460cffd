"""The process dies at any moment: what it acknowledged is in the books once, and the next one goes on."""

from __future__ import annotations

import asyncio
import os
import random  # noqa: TID251 - seeded, so that a failing case comes back
import signal
import sys
from asyncio.subprocess import PIPE, Process
from pathlib import Path

import msgspec

from service.db.engine import Database
from tests.faults.killed import body_of, key_of
from tests.faults.office import Office
from tests.integration.inbox.world import rows

ROOT = Path(__file__).resolve().parents[2]
KILLS = 12
_CLICKS = "select sum(clicks_link)::int as clicks from campaign_days where campaign_id = :c and day < 'infinity'"


async def _line(process: Process) -> str:
    assert process.stdout is not None
    line = (await asyncio.wait_for(process.stdout.readline(), 60)).decode()
    assert line.endswith("\n"), "the process that forks is gone"
    return line.strip()


async def _round(process: Process, turn: int, seconds: float) -> set[str]:
    """Let a child work for a while after its first word, kill it, return the keys it had acknowledged."""
    assert process.stdin is not None
    process.stdin.write(f"{turn}\n".encode())
    word, pid = (await _line(process)).split()
    assert word == "round"
    heard = {await _line(process)}
    await asyncio.sleep(seconds)
    os.kill(int(pid), signal.SIGKILL)
    while not (line := await _line(process)).startswith("gone"):
        heard.add(line)
    assert line == f"gone {-signal.SIGKILL}"
    return heard


async def test_what_was_acknowledged_is_counted_once_whenever_the_process_dies(
    sound: Database, shared_url: str
) -> None:
    office = Office(sound)
    await office.open()
    command = ("-m", "tests.faults.killed", shared_url, msgspec.json.encode(office.source).decode())
    process = await asyncio.create_subprocess_exec(sys.executable, *command, cwd=ROOT, stdin=PIPE, stdout=PIPE)
    moments, acknowledged = random.Random(7), set[str]()
    for turn in range(KILLS):
        acknowledged |= await _round(process, turn, moments.uniform(0.0, 0.5))
    assert process.stdin is not None
    process.stdin.close()
    assert await process.wait() == 0
    posted = len(await office.outcomes())
    await office.recover()
    kept = [row.body for row in await rows(sound, office.workspace_id, "select body from deliveries")]
    keys = {body_of(turn, number): key_of(turn, number) for turn in range(KILLS) for number in range(len(kept))}
    assert acknowledged <= {keys[body] for body in kept}
    assert posted > 0
    assert posted < len(kept)
    await office.assert_sound(kept)
    assert len(kept) == len(set(kept))
    campaigns = await rows(sound, office.workspace_id, "select campaign_id from campaigns where zone = 'UTC'")
    (clicks,) = await rows(sound, office.workspace_id, _CLICKS, c=campaigns[0].campaign_id)
    assert clicks.clicks == len(kept)
    await office.close()
