"""A time limit that costs nothing where there is nothing to wait for.

A timer for each request costs more than all else that is done for a body which has arrived with its head, as nearly all
have. So the reading is begun by hand, and the limit is set only when it has to wait.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Generator
from functools import partial
from typing import Any, Generic, TypeVar, cast

Result = TypeVar("Result")


async def within(seconds: float, work: Coroutine[Any, Any, Result]) -> Result:
    """Return what ``work`` returns. Raises TimeoutError when it has waited for longer than ``seconds``."""
    try:
        awaited = work.send(None)
    except StopIteration as done:
        return cast("Result", done.value)
    async with asyncio.timeout(seconds):
        return await _Begun(work, awaited)


class _Begun(Generic[Result]):
    """The rest of a coroutine that waits for something already."""

    def __init__(self, work: Coroutine[Any, Any, Result], awaited: Any) -> None:
        self._work = work
        self._awaited = awaited

    def __await__(self) -> Generator[Any, Any, Result]:
        """Hand on what the work waits for, and to the work what became of it, a cancellation too."""
        while True:
            resume: Callable[[], Any]
            try:
                resume = partial(self._work.send, (yield self._awaited))
            except BaseException as error:  # noqa: BLE001 - it is the work's to deal with
                resume = partial(self._work.throw, error)
            try:
                self._awaited = resume()
            except StopIteration as done:
                return cast("Result", done.value)
