"""A process whose children land and post until they are killed: ``killed URL SOURCE``.

For each line it reads (the number of a round) it forks a child, so that a round costs no start-up; it says ``round``
when a child begins and ``gone`` when it is dead. A child prints the key of every delivery that was acknowledged to it.
"""

from __future__ import annotations

import asyncio
import os
import sys

import msgspec

from connectors.standard_webhooks import StandardWebhooks
from service import context as contexts
from service.db.engine import Database, make_engine
from service.errors import Busy
from service.inbox.land import Lander
from service.pipeline.worker import Worker
from service.records import SourceRow
from service.settings import Settings
from tests.faults.office import body, click, likes

LEASE_SECONDS = 0.3
MOST = 100_000
_SETTINGS = Settings(retry_seconds=0.01, worker_poll_seconds=0.02, lease_seconds=LEASE_SECONDS, worker_batch=40)


def key_of(turn: int, number: int) -> str:
    """Return the idempotency key of a delivery, which is the id of its click too."""
    return f"{turn}-{number}"


def body_of(turn: int, number: int) -> bytes:
    """Return what is sent under a key: something that adds up, and a counter that only grows."""
    post = f"p{number % 5}"
    return body(click(key_of(turn, number), post), likes(post, 1 + turn + number / MOST, 1000 * turn + number))


def _say(line: str) -> None:
    os.write(1, f"{line}\n".encode())  # one call: whole lines, whoever else writes, and none left in a buffer


async def _work(url: str, source: SourceRow, turn: int) -> None:
    context, engine = contexts.real(), make_engine(url, 4)
    database = Database(engine)
    lander = Lander(database, context, _SETTINGS)
    await lander.start()
    worker = Worker(database, context, _SETTINGS, {"standard_webhooks": StandardWebhooks()}, wake=lander.landed)
    posting = asyncio.create_task(worker.run(asyncio.Event()))

    async def land(turn: int, number: int) -> None:
        try:
            await lander.land(source, key=key_of(turn, number), body=body_of(turn, number))
        except Busy:
            return
        _say(key_of(turn, number))

    for start in range(0, MOST, 7):
        repeated = [land(turn - 1, start + place) for place in range(3)] if turn else []
        await asyncio.gather(*repeated, *(land(turn, start + place) for place in range(7)))
    await posting


def _child(url: str, source: SourceRow, turn: int) -> None:
    try:
        asyncio.run(_work(url, source, turn))
    finally:
        os._exit(1)


def main(url: str, source: SourceRow) -> None:
    """Fork a child per line of the input and wait until it is dead."""
    for line in sys.stdin:
        pid = os.fork()
        if pid == 0:
            _child(url, source, int(line))
        _say(f"round {pid}")
        _, status = os.waitpid(pid, 0)
        _say(f"gone {os.waitstatus_to_exitcode(status)}")


if __name__ == "__main__":
    main(sys.argv[1], msgspec.json.decode(sys.argv[2], type=SourceRow))
