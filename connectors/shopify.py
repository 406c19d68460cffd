"""Shopify: a shop's orders and refunds as conversions, pushed as they happen and fetched so that none is lost.

Counted once. An order counts when money has come for it (``counts``: or when it is placed), at the instant it was
processed, which is the one of Shopify's own reports. Its value is the total in the shop's currency, with tax and
shipping, before refunds: what the customer paid, so that a refund, which gives tax and shipping back too, is the same
money. A refund is an event of its own at its own instant: whatever its transactions gave back, for goods, for shipping
or by hand. Goods that an edit took out before they were paid lower the total instead. So an order and its refunds
always add up to the money that stayed, whichever way and order the pieces arrived in.

A cancelled order is taken back, unless money went back for it: then it stays an order, and its refund takes the money.
An order for nothing counts with the value 0. Test orders say that they are. Orders of the till and drafts are left out
by default, as no campaign brought them; with ``skip_sources`` empty they count too.

Three guards against twice. A delivery is known by its topic and body, which is the same in every retry and signed,
where the delivery id is a header that nothing vouches for. Topics that tell the same order meet in the order's id. Of
its versions the newest by ``updated_at`` stands, whatever came last. And since pushes get lost, or come a day late,
what changed in the last three days is fetched every hour, and all that is readable once a week.

Where an order came from is read in ``connectors.origin``. Of several codes the first is credited. A customer is
a number and nothing else; when webhooks are asked for here, names, addresses and e-mails are not among their fields.
The visits of a customer's journey name origins and are no clicks: those of buyers alone would make a false click rate.

The other parts are ``shopify_metrics`` (the tables), ``shopify_orders`` (what an order becomes),
``shopify_resource``, ``shopify_refunds`` and ``shopify_nodes`` (what an order says, pushed and fetched),
``shopify_shop`` (options, errors, throttling), ``shopify_fetching``, ``shopify_reading`` and ``shopify_pushes``.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any

from connectors import values
from connectors.contract import (
    Auth,
    AuthKind,
    BadPayload,
    Budget,
    Capabilities,
    Connector,
    ConnectorError,
    Delivery,
    Finding,
    Http,
    Item,
    MetricMapping,
    NeedsReauth,
    NotSupported,
    Page,
    Response,
    Secret,
    SignatureInvalid,
    Source,
    Task,
    TryLater,
    Usage,
    Verified,
    WebhookRequest,
    fingerprint,
)
from connectors.shopify_fetching import KINDS, READABLE, SHOP, pages_of
from connectors.shopify_metrics import declared
from connectors.shopify_pushes import FIELDS, TOPICS, read_push
from connectors.shopify_reading import read_page
from connectors.shopify_shop import BUCKET, VERSION_HEADER, Shop, ShopifyOptions, usage
from connectors.signatures import body_base64

SCOPES = ("read_orders", "read_customers")
_QUERY_POINTS = 500.0  # what a full page of orders comes to
_ACCESS = "query Access{currentAppInstallation{accessScopes{handle}}}"
_PROBE = "query Probe{orders(first:1){nodes{legacyResourceId}}}"
_SUBSCRIPTIONS = "query Subscriptions{webhookSubscriptions(first:100){nodes{id topic uri}}}"
_SUBSCRIBE = """mutation Subscribe($topic:WebhookSubscriptionTopic!,$wanted:WebhookSubscriptionInput!){
webhookSubscriptionCreate(topic:$topic,webhookSubscription:$wanted){userErrors{field message}}}"""


class Shopify(Connector):
    """See the head of this module."""

    name = "shopify"
    title = "Shopify"
    version = "1"
    platform = "shopify"
    options = ShopifyOptions
    auth = Auth(
        kind=AuthKind.TOKEN,
        credentials={
            "access_token": "Admin API token of an app in the shop; read_orders, and read_customers for customers",
            "app_secret": "the app's client secret, which signs the webhooks; the source's webhook secret",
        },
        scopes=SCOPES,
        header="x-shopify-access-token",
        scheme="",
    )
    capabilities = Capabilities(
        webhook=True,
        signature_headers=("x-shopify-hmac-sha256", "x-shopify-shop-domain", "x-shopify-topic"),
        fetch=KINDS,
        settle=READABLE,
        lag=timedelta(minutes=5),
        day_zone="",
        rate_limit="points by query, 1000 in the bucket and 50 a second in the smallest plan; told in every answer",
        budgets=(Budget(bucket=BUCKET, calls=3000, window=timedelta(minutes=1)),),
    )
    metrics: Sequence[MetricMapping] = declared()

    def check_options(self, options: ShopifyOptions) -> list[str]:
        return [] if options.shop else ["shop is the permanent name of the shop, such as example.myshopify.com"]

    def address(self, options: ShopifyOptions) -> str:
        """Return the address of the shop: a host of Shopify's own, whatever the options say; none without a shop."""
        return f"https://{options.shop}" if options.shop else ""

    def cost(self, method: str, path: str) -> tuple[str, float]:
        return BUCKET, _QUERY_POINTS

    def usage(self, response: Response) -> Sequence[Usage]:
        return usage(response)

    def verify(self, request: WebhookRequest, source: Source, now: datetime) -> Verified:
        """Check the signature; one app signs for all its shops, so a body of another shop is refused as well."""
        body_base64(request.headers.get("x-shopify-hmac-sha256"), request.body, _ring(source), now)
        sent_by = request.headers.get("x-shopify-shop-domain", "").lower()
        if sent_by and source.options.shop and sent_by != source.options.shop:
            raise SignatureInvalid("the request is of another shop")
        return Verified(
            key=fingerprint(request.headers.get("x-shopify-topic", "").encode(errors="replace"), request.body)
        )

    def parse(self, delivery: Delivery, options: Any) -> Iterable[Item]:
        if delivery.channel == "webhook":
            return list(read_push(delivery, options))
        if delivery.channel == "fetch":
            return list(read_page(delivery, options))
        raise BadPayload("Shopify is pushed or fetched, not uploaded")

    def fetch(self, http: Http, task: Task, now: datetime) -> AsyncIterator[Page]:
        return pages_of(Shop(http, task.source), task, now)

    async def check(self, http: Http, source: Source) -> list[Finding]:
        shop = Shop(http, source)
        reachable = await _check_shop(shop)
        secrets = [] if any(secret.value for secret in _ring(source)) else [_NO_SECRET]
        if not reachable[0].ok:
            return [*reachable, *secrets]
        return [*reachable, *await _check_scopes(shop), await _check_orders(shop), await _check_topics(shop), *secrets]

    async def subscribe(self, http: Http, source: Source, now: datetime) -> None:
        """Ask for the topics that are not sent yet. Shopify deletes a subscription that fails for hours."""
        shop = Shop(http, source)
        address = shop.webhook_url
        if not address:
            raise NotSupported("the option webhook_url says where webhooks are to be sent")
        for topic in await _missing_topics(shop):
            wanted: dict[str, Any] = {"uri": address, "format": "JSON"}
            if topic.startswith("orders/"):
                wanted["includeFields"] = FIELDS
            data = await shop.change(_SUBSCRIBE, "Subscribe", topic=_enum_of(topic), wanted=wanted)
            if values.items(values.mapping(data.get("webhookSubscriptionCreate")).get("userErrors")):
                raise ConnectorError(f"Shopify refuses the subscription to {topic}")


def _ring(source: Source) -> tuple[Secret, ...]:
    return source.secrets or (Secret(value=source.credentials.get("app_secret", "")),)


# ------------------------------------------------------------------------------------------------ proving a source

_NO_SECRET = Finding(ok=False, text="no app secret: webhooks cannot be verified and are refused")


async def _check_shop(shop: Shop) -> list[Finding]:
    try:
        response, data = await shop.ask(SHOP, "Shop")
    except NeedsReauth:
        return [Finding(ok=False, text="the access token is not accepted: connect the shop again")]
    except TryLater:
        return [Finding(ok=False, text="Shopify does not answer or throttles at the moment: try again later")]
    except ConnectorError as error:
        return [Finding(ok=False, text=f"the shop is not readable: {error}")]
    name = values.trimmed(values.mapping(data.get("shop")).get("name"), 100) or shop.options.shop
    found = [Finding(ok=True, text=f"the token is accepted and the shop {_line(name)} is readable")]
    answered = response.headers.get(VERSION_HEADER, shop.options.api_version)
    if answered != shop.options.api_version:
        version = values.shown(answered)
        found.append(Finding(ok=False, text=f"the API version is not supported any more, {version} answers: set it"))
    return found


async def _check_scopes(shop: Shop) -> list[Finding]:
    try:
        _, data = await shop.ask(_ACCESS, "Access")
    except ConnectorError:
        return [Finding(ok=True, text=f"this token does not list its scopes; needed are {', '.join(SCOPES)}")]
    entries = values.items(values.mapping(data.get("currentAppInstallation")).get("accessScopes"))
    granted = {values.mapping(entry).get("handle") for entry in entries}
    missing = [Finding(ok=False, text=f"the scope {scope} is missing") for scope in SCOPES if scope not in granted]
    if "read_all_orders" not in granted:
        missing.append(
            Finding(ok=True, text="without read_all_orders only the orders of the last 60 days are readable")
        )
    return missing or [Finding(ok=True, text="all scopes are granted")]


async def _check_orders(shop: Shop) -> Finding:
    try:
        await shop.ask(_PROBE, "Probe", SCOPES[0])
    except ConnectorError as error:
        return Finding(ok=False, text=f"the orders of the shop are not readable: {error}")
    return Finding(ok=True, text="the orders of the shop are readable")


async def _check_topics(shop: Shop) -> Finding:
    try:
        missing = await _missing_topics(shop)
    except ConnectorError:
        return Finding(
            ok=False, text="the webhook subscriptions cannot be read; orders are fetched every hour meanwhile"
        )
    if missing:
        return Finding(
            ok=False, text=f"not subscribed to {', '.join(missing)}; orders are fetched every hour meanwhile"
        )
    return Finding(ok=True, text="subscribed to all topics")


async def _missing_topics(shop: Shop) -> list[str]:
    """Return the topics that are not sent, to the address of the webhooks where one is known."""
    _, data = await shop.ask(_SUBSCRIPTIONS, "Subscriptions")
    entries = map(values.mapping, values.items(values.mapping(data.get("webhookSubscriptions")).get("nodes")))
    address = shop.webhook_url
    sent = {entry.get("topic") for entry in entries if not address or entry.get("uri") == address}
    return [topic for topic in TOPICS if _enum_of(topic) not in sent]


def _enum_of(topic: str) -> str:
    return topic.upper().replace("/", "_")


def _line(text: str) -> str:
    return "".join(letter for letter in text if letter.isprintable())


CONNECTOR = Shopify()
