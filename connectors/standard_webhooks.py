"""Signed JSON from any sender: Standard Webhooks around the item language of Tallybook.

The way in for a shop, a link shortener, a script or a platform without a connector of its own: whoever signs a body
by the Standard Webhooks scheme may say subjects, totals and events (``docs/standard_webhooks.md``). The platform of
its subjects is the one that the source names. Nothing is fetched.

The answer is an empty 200 for what was stored and for what was stored before; the scheme asks for no more than a 2xx.
A wrong signature is 401, without a word on what was wrong.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from connectors.contract import (
    Auth,
    Capabilities,
    Connector,
    Delivery,
    Finding,
    Http,
    Item,
    Source,
    Verified,
    WebhookRequest,
)
from connectors.items import Defaults, read
from connectors.items_schema import MAPPINGS, document
from connectors.signatures import standard_secret_problem, standard_webhooks


class StandardWebhooks(Connector):
    """The connector ``standard_webhooks``. Its options are the defaults for money and days."""

    name = "standard_webhooks"
    title = "Standard Webhooks"
    version = "2"
    platform = None
    options = Defaults
    auth = Auth(credentials={"webhook_secret": "the signing key: whsec_ and base64, or whpk_ and a public key"})
    capabilities = Capabilities(webhook=True, day_zone="account")
    metrics = MAPPINGS

    def verify(self, request: WebhookRequest, source: Source, now: datetime) -> Verified:
        """The key of the delivery is the message id, which is the same on every retry."""
        return Verified(key=standard_webhooks(request.headers, request.body, source.secrets, now))

    def parse(self, delivery: Delivery, options: Any) -> Iterable[Item]:
        """Read the items of the body."""
        return read(delivery.body, delivery.received_at, options)

    def schema(self) -> dict[str, Any]:
        """Say what a body may be."""
        return document()

    async def check(self, http: Http, source: Source) -> list[Finding]:
        """Look at the form of every signing key; whether the sender has the same one shows at its first message."""
        if not source.secrets:
            return [Finding(ok=False, text="there is no signing key: nothing that is sent can be believed")]
        problems = (standard_secret_problem(secret.value) for secret in source.secrets)
        return [Finding(ok=problem is None, text=problem or "the signing key is well-formed") for problem in problems]


CONNECTOR = StandardWebhooks()
