"""Reading ahead: a connector fetches its next pages while those that came are being kept.

What waits is bounded. An error of the connector is raised after the pages before it were handed out: what came is kept.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator
from contextlib import aclosing, suppress

from connectors.contract import Page

MOST_PAGES = 32
MOST_BYTES = 8 * 1024 * 1024
"""What waits to be kept at the most, unless a single page has more."""
_FEW = 8
_LINGER = 0.05
"""How long fewer pages than that wait for company, in seconds: each group is a commit."""


class Ahead:
    """Pages as they come, in groups: all that came since the group before was taken.

    ``turn`` is held while a group is being kept. Those who share it keep theirs one after the other, over one
    connection, and what comes meanwhile joins the next group.
    """

    def __init__(self, pages: AsyncGenerator[Page, None], turn: asyncio.Semaphore) -> None:
        self._pages = pages
        self._turn = turn
        self._waiting: deque[Page] = deque()
        self._bytes = 0
        self._came = asyncio.Event()
        self._taken = asyncio.Event()
        self._reader = asyncio.create_task(self._read(), name="reading ahead")
        self._reader.add_done_callback(lambda _: self._came.set())

    async def groups(self) -> AsyncGenerator[list[Page], None]:
        """Yield groups until a page is the last, or there are no more. Raises what the connector raises."""
        while True:
            await self._came.wait()
            if len(self._waiting) < _FEW and not self._reader.done():
                await asyncio.wait({self._reader}, timeout=_LINGER)
            async with self._turn:
                self._came.clear()
                group = list(self._waiting)
                self._waiting.clear()
                self._bytes = 0
                self._taken.set()
                if group:
                    yield group
            if self._reader.done() and not self._waiting:
                self._reader.result()
                return

    async def close(self) -> None:
        """Read no more; the connector has closed what it opened."""
        self._reader.cancel()
        with suppress(asyncio.CancelledError):
            await asyncio.wait({self._reader})
        if not self._reader.cancelled():
            self._reader.exception()

    async def _read(self) -> None:
        async with aclosing(self._pages) as pages:
            async for page in pages:
                self._waiting.append(page)
                self._bytes += len(page.body)
                self._came.set()
                if page.last:
                    return
                while len(self._waiting) >= MOST_PAGES or self._bytes >= MOST_BYTES:
                    self._taken.clear()
                    await self._taken.wait()
