"""The direct way of a webhook: a push that has arrived whole, for an address that is known, is answered once it is
stored, without the framework and without a task that waits.

It does what the edge and the route do for all other requests, by the same functions: verify, keep, reply; request id,
safe headers, metrics, log line. What it does not take (another method, an address to look up, a body that is compressed
or too large) goes their way.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Protocol

import msgspec
import structlog
from starlette.datastructures import State
from starlette.responses import Response
from starlette.types import Scope

from connectors.contract import Connector, Reply, SignatureInvalid
from service.api import edge, problems, webhooks
from service.api.state import Services
from service.context import Context
from service.errors import TallybookError
from service.inbox.store import Landed

_log = structlog.get_logger(__name__)

Headers = tuple[tuple[bytes, bytes], ...]
Answer = Callable[[int, Headers, Headers, bytes], None]
"""Sends status, headers that other answers have too, headers of this one alone, and body; to be called once.

Names are in lower case, and the length of the body is among the headers.
"""


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """A POST that has arrived whole. ``headers`` have names in lower case, each once."""

    path: str
    query: bytes
    headers: Mapping[str, str]
    body: bytes


class Direct(Protocol):
    """What answers some requests directly."""

    def wants(self, method: str, path: str) -> bool:
        """Tell whether a request may be one to answer."""
        ...

    def take(self, asked: Asked, answer: Answer) -> bool:
        """Answer a complete request, at once or later; False leaves it to the application, as if nothing had been."""
        ...


class DirectWebhooks:
    """Takes pushes in. ``state`` is that of the application: its services, once it has started."""

    def __init__(self, state: State) -> None:
        self._state = state

    def wants(self, method: str, path: str) -> bool:
        """Tell whether a request is a push."""
        return method == "POST" and path.startswith(webhooks.PREFIX)

    def take(self, asked: Asked, answer: Answer) -> bool:
        """Take a push in, if nothing has to be found out for it."""
        services: Services = self._state.services
        address = asked.path[len(webhooks.PREFIX) :]
        addressed = webhooks.addresses_of(self._state).remembered(services, address)
        if addressed is None or "content-encoding" in asked.headers:
            return False
        if len(asked.body) > addressed.connector.capabilities.max_body:
            return False
        push = _Push(addressed.connector, answer, services.context)
        try:
            request = webhooks.request_of("POST", asked.query, asked.headers, asked.body)
            webhooks.take_in(services, addressed, request, push)
        except Exception as error:  # noqa: BLE001 - nobody above could answer
            push.set_exception(error)
        return True


class _Push:
    """One request and its answer: who waits for the commit."""

    def __init__(self, connector: Connector, answer: Answer, context: Context) -> None:
        self._request_id = str(context.new_id())
        self._connector = connector
        self._answer = answer
        self._context = context
        self._began = context.monotonic()
        self._is_answered = False

    def done(self) -> bool:
        """Tell whether it was answered; what is pushed is kept whether or not its sender stays for the answer."""
        return self._is_answered

    def set_result(self, landed: Landed, /) -> None:
        """Answer what was kept."""
        try:
            self.reply(webhooks.kept(self._connector, landed))
        except Exception as error:  # noqa: BLE001 - nobody above could answer
            self.set_exception(error)

    def set_exception(self, error: BaseException, /) -> None:
        """Answer what was not kept; an answer that cannot be sent ends its own connection alone."""
        try:
            self.fail(error)
        except Exception as another:  # noqa: BLE001 - those who wait for the same commit must be told
            _log.error("push.unanswered", error=type(another).__name__)

    def fail(self, error: BaseException) -> None:
        """Answer what was not kept."""
        if isinstance(error, SignatureInvalid):
            self.reply(webhooks.not_authentic(self._connector))
        elif isinstance(error, TallybookError):
            self.send(problems.own(self._scope(), error))
        else:
            self.send(problems.unexpected(self._scope(), error))

    def _scope(self) -> Scope:
        """Return what a problem wants to know of the request."""
        return {problems.REQUEST_ID: self._request_id, "method": "POST", "route": webhooks.ROUTE}

    def reply(self, reply: Reply) -> None:
        """Answer with the words of the connector."""
        if reply.headers or reply.status in webhooks.BARE:
            self.send(webhooks.response(reply))
            return
        self._finish(reply.status, [(b"content-length", b"%d" % len(reply.body))], reply.body)

    def send(self, response: Response) -> None:
        """Answer with a response of the framework."""
        self._finish(response.status_code, response.raw_headers, bytes(response.body))

    def _finish(self, status: int, headers: Sequence[tuple[bytes, bytes]], body: bytes) -> None:
        self._is_answered = True
        named = ((edge.ID_HEADER, self._request_id.encode("ascii")),)
        self._answer(status, _complete(tuple(headers)), named, body)
        edge.count("POST", webhooks.ROUTE.path, status, self._context.monotonic() - self._began, self._request_id)


@lru_cache(maxsize=256)
def _complete(headers: Headers) -> Headers:
    return tuple(edge.complete(headers))
