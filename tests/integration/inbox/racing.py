"""A process that lands deliveries, for tests with several processes: ``racing URL SOURCE KEYS``.

It says ``ready``, waits for a line, lands every key and prints each key with its outcome once it is answered.
"""

from __future__ import annotations

import asyncio
import sys

import msgspec

from service import context as contexts
from service.db.engine import Database, make_engine
from service.errors import Busy
from service.inbox.land import Lander
from service.records import SourceRow
from tests.integration.inbox.world import SETTINGS


async def run(url: str, source: SourceRow, keys: int) -> None:
    """Land ``keys`` deliveries, some at a time."""
    engine = make_engine(url, 4)
    lander = Lander(Database(engine), contexts.real(), SETTINGS)
    await lander.start()
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    sys.stdin.readline()
    room = asyncio.Semaphore(100)

    async def land(key: str) -> None:
        async with room:
            try:
                landed = await lander.land(source, key=key, body=key.encode())
            except Busy:
                return
        sys.stdout.write(f"{key} {landed.outcome} {landed.delivery_id}\n")
        sys.stdout.flush()

    await asyncio.gather(*(land(str(number)) for number in range(keys)))
    await lander.stop()
    await engine.dispose()


if __name__ == "__main__":
    asyncio.run(run(sys.argv[1], msgspec.json.decode(sys.argv[2], type=SourceRow), int(sys.argv[3])))
