"""Listens to everything that is written while a connector works: log records of any logger, prints and warnings.

Part of the suite of :mod:`connectors.testing`. A secret in a log is found by whoever may read logs, for years.
"""

from __future__ import annotations

import io
import logging
import traceback
import warnings
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager, redirect_stderr, redirect_stdout
from typing import Any

import structlog

from connectors.testing_items import require_hidden


class Heard:
    """What was written, as text."""

    def __init__(self) -> None:
        self._texts: list[str] = []
        self._printed = io.StringIO()

    @property
    def text(self) -> str:
        return "\n".join([*self._texts, self._printed.getvalue()])

    def record(self, *args: Any, **more: Any) -> logging.LogRecord:
        """Note a record, even of a logger that passes nothing on, with its extras and its traceback."""
        made = _PLAIN(*args, **more)
        self._texts.append(made.getMessage())
        if made.exc_info and made.exc_info[1] is not None:
            self._texts += traceback.format_exception(made.exc_info[1])
        return made

    def handle(self, made: logging.LogRecord) -> None:
        """Note what was added to a record after it was made."""
        self._texts.append(repr(vars(made)))

    def event(self, _logger: Any, _method: str, event: Any) -> Any:
        """Note an event of structlog and drop it."""
        self._texts.append(repr(dict(event)))
        raise structlog.DropEvent

    @contextmanager
    def everything(self) -> Iterator[None]:
        """Listen to every level of every logger until the end, and to what is printed."""
        root = logging.getLogger()
        handler = _Handler(self)
        level, disabled, factory = root.level, root.manager.disable, logging.getLogRecordFactory()
        processors = structlog.get_config()["processors"]
        with ExitStack() as stack:
            stack.enter_context(redirect_stdout(self._printed))
            stack.enter_context(redirect_stderr(self._printed))
            caught = stack.enter_context(warnings.catch_warnings(record=True))
            warnings.simplefilter("always")
            logging.setLogRecordFactory(self.record)
            logging.disable(logging.NOTSET)
            root.setLevel(1)
            root.addHandler(handler)
            before = list(processors)
            processors[:] = [self.event]
            try:
                yield
            finally:
                processors[:] = before
                root.removeHandler(handler)
                root.setLevel(level)
                logging.disable(disabled)
                logging.setLogRecordFactory(factory)
                self._texts += [str(one.message) for one in caught or ()]


_PLAIN = logging.LogRecord


class _Handler(logging.Handler):
    def __init__(self, heard: Heard) -> None:
        super().__init__(level=1)
        self._heard = heard

    def emit(self, record: logging.LogRecord) -> None:
        self._heard.handle(record)


@contextmanager
def nothing_shown(hidden: Iterable[str]) -> Iterator[None]:
    """Hold everything that is written meanwhile to showing none of ``hidden``."""
    heard = Heard()
    with heard.everything():
        yield
    require_hidden(heard.text, hidden, "a log")
