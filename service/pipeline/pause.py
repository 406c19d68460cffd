"""How a loop of the worker waits: for a wake, for the end, or until it is time."""

from __future__ import annotations

import asyncio


async def pause(seconds: float, *events: asyncio.Event) -> None:
    """Return when one of the events is set, or after so many seconds."""
    waits = [asyncio.create_task(event.wait()) for event in events]
    try:
        await asyncio.wait(waits, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for wait in waits:
            wait.cancel()
