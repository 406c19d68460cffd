"""What the service calls of every pushed and fetched platform of Meta's: the part that is the same in all of them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from connectors import graph, graph_pushes
from connectors.contract import Connector, Reply, Response, Source, Usage, Verified, WebhookRequest


class GraphConnector(Connector):
    """A platform derives from it."""

    def usage(self, response: Response) -> Sequence[Usage]:
        return graph.usages(response.headers)

    def handshake(self, request: WebhookRequest, source: Source) -> Reply | None:
        return graph.handshake(request, source.credentials.get("verify_token", ""))

    def verify(self, request: WebhookRequest, source: Source, now: datetime) -> Verified:
        return graph_pushes.verify(request, source, now)
