"""The WebSub hub in front of YouTube's feeds: its challenge, and how a subscription is asked for.

A subscription is a lease of five days. The hub confirms each one, and each renewal, with a challenge to the webhook
address, and signs with HMAC-SHA1: it knows no other scheme. W3C WebSub, https://www.w3.org/TR/websub/.
"""

from __future__ import annotations

import hmac
from datetime import datetime
from http import HTTPStatus
from urllib.parse import urlencode

from connectors import webhooks
from connectors.contract import (
    ConnectorError,
    Http,
    NotPermitted,
    Reply,
    Source,
    TryLater,
    WebhookRequest,
)
from connectors.signatures import active

LEASE_SECONDS = 432_000
_LONGEST_SECRET = 200  # the limit of the standard, in bytes
_FORM = {"content-type": "application/x-www-form-urlencoded"}


def topic_of(channel: str) -> str:
    """Return the feed of a channel. Another spelling of it (http, without /xml) is subscribed to and stays silent."""
    return f"https://www.youtube.com/xml/feeds/videos.xml?channel_id={channel}"


def handshake(request: WebhookRequest, channel: str) -> Reply | None:
    """Confirm a subscription to this channel's feed and nothing else; None when it is no message of a hub.

    An unsubscription is never ours, and a refusal (``denied``) has nothing to confirm.
    """
    mode = request.query.get("hub.mode")
    if request.method != "GET" or mode is None:
        return None
    topic = request.query.get("hub.topic", "").encode(errors="replace")
    known = bool(channel) and hmac.compare_digest(topic, topic_of(channel).encode())
    if known and mode == "denied":
        return Reply(status=200)
    challenge = request.query.get("hub.challenge", "")
    plain = webhooks.is_plain(challenge)
    return webhooks.echoed(challenge) if known and mode == "subscribe" and plain else Reply(status=404)


def callback_of(source: Source) -> str:
    """Return the address that the hub is to push to: the source's own, or one that was given; empty without either."""
    return source.webhook_url or source.credentials.get("callback", "")


async def subscribe(http: Http, source: Source, now: datetime) -> None:
    """Ask the hub for a lease, or for its renewal, which is the same. The hub answers before it has confirmed.

    Raises :class:`ConnectorError` for what is missing and :class:`TryLater` where the hub is busy: it is at times.
    """
    callback = callback_of(source)
    keys = active(source.secrets, now)
    if not source.account or not callback or not keys:
        raise ConnectorError("a subscription takes the id of the channel, the webhook's address and its secret")
    if len(keys[0].encode()) >= _LONGEST_SECRET:
        raise ConnectorError(f"the webhook's secret has {_LONGEST_SECRET} bytes or more: the hub takes shorter ones")
    asked = {
        "hub.mode": "subscribe",
        "hub.topic": topic_of(source.account),
        "hub.callback": callback,
        "hub.verify": "async",
        "hub.secret": keys[0],
        "hub.lease_seconds": str(LEASE_SECONDS),
    }
    response = await http.at("hub").post("subscribe", body=urlencode(asked).encode(), headers=_FORM)
    if response.status == HTTPStatus.REQUEST_TIMEOUT:
        raise TryLater("the hub did not wait for the request")
    if response.status not in {HTTPStatus.OK, HTTPStatus.ACCEPTED, HTTPStatus.NO_CONTENT}:
        raise NotPermitted(f"the hub refuses the subscription ({response.status}): is the webhook's address public?")
