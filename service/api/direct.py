"""The direct way of a webhook: a push that has arrived whole, for an address that is known, is answered once it is
stored, without the framework and without a task that waits.

It does what the edge and the route do for all other requests, by the same functions: verify, keep, reply; request id,
safe headers, metrics, log line. What it does not take (another method, an address to look up, a body that is compressed
or too large) goes their way.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Protocol

from starlette.datastructures import State
from starlette.responses import Response
from starlette.types import Scope

from connectors.contract import Connector, Reply, SignatureInvalid
from service.api import edge, problems, webhooks
from service.api.state import Services
from service.context import Context
from service.errors import TallybookError
from service.inbox.store import Landed

Answer = Callable[[int, Sequence[tuple[bytes, bytes]], bytes], None]
"""Sends status, headers (names in lower case, the length of the body among them) and body. To be called once."""


class Direct(Protocol):
    """What answers some requests directly."""

    def wants(self, scope: Scope) -> bool:
        """Tell by its head whether a request may be one to answer."""
        ...

    def take(self, scope: Scope, body: bytes, answer: Answer) -> bool:
        """Answer a complete request, at once or later; False leaves it to the application, as if nothing had been."""
        ...


class DirectWebhooks:
    """Takes pushes in. ``state`` is that of the application: its services, once it has started."""

    def __init__(self, state: State) -> None:
        self._state = state

    def wants(self, scope: Scope) -> bool:
        """Tell whether a request is a push."""
        path: str = scope["path"]
        return scope["method"] == "POST" and path.startswith(webhooks.PREFIX)

    def take(self, scope: Scope, body: bytes, answer: Answer) -> bool:
        """Take a push in, if nothing has to be found out for it."""
        services: Services = self._state.services
        address = scope["path"][len(webhooks.PREFIX) :]
        addressed = webhooks.addresses_of(self._state).remembered(address, services.context.monotonic())
        headers = webhooks.headers_of(scope)
        if addressed is None or "content-encoding" in headers or len(body) > addressed.connector.capabilities.max_body:
            return False
        push = _Push(scope, addressed.connector, answer, services.context)
        try:
            request = webhooks.request_of(scope, headers, body)
            webhooks.take_in(services, addressed, request).add_done_callback(push.kept)
        except Exception as error:  # noqa: BLE001 - nobody above could answer
            push.fail(error)
        return True


class _Push:
    """One request and its answer."""

    def __init__(self, scope: Scope, connector: Connector, answer: Answer, context: Context) -> None:
        scope[problems.REQUEST_ID] = str(context.new_id())
        scope["route"] = webhooks.ROUTE
        self._scope = scope
        self._connector = connector
        self._answer = answer
        self._context = context
        self._began = context.monotonic()

    def kept(self, landing: asyncio.Future[Landed]) -> None:
        """Answer what was kept, or was not."""
        try:
            self.reply(webhooks.kept(self._connector, landing.result()))
        except (Exception, asyncio.CancelledError) as error:  # noqa: BLE001 - nobody above could answer
            self.fail(error)

    def fail(self, error: BaseException) -> None:
        """Answer what was not kept."""
        if isinstance(error, SignatureInvalid):
            self.reply(webhooks.not_authentic(self._connector))
        elif isinstance(error, TallybookError):
            self.send(problems.own(self._scope, error))
        else:
            self.send(problems.unexpected(self._scope, error))

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
        self._answer(status, edge.dressed(self._scope, headers), body)
        edge.record(self._scope, status, self._context.monotonic() - self._began)
