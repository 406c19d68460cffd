"""Stripe: payments and refunds as conversions, pushed as events and listed so that none is lost.

Counted once. One payment is told by several events: by its checkout session, by its payment intent and by its charge.
Which of them is the order is chosen per source (``counts``), never both: a paid checkout session, which knows the
campaign and the code, or, for shops without Checkout, the payment intent that succeeded (a charge only where it has
none). An order goes by the id of its payment intent. Complete is not paid: a session whose debit is under way waits for
the event that says so. It stands at the instant of the event that paid it. A subscription's renewal is no conversion.

A refund is an event of its own, at the instant it was made, by its own id: the sum on the charge is of all its refunds
and is not read. One that fails after all is taken back. A lost dispute is a refund where ``disputes`` says so. Payments
of the test mode say that they are.

Money is told in the smallest unit of its currency: hundredths, whole ones (yen) or thousandths (dinar).

Three guards against twice. A delivery is known by the id of its event, which is signed with the body; an object by its
own id; and of its readings the newest stands, since events come in any order. What was not pushed is listed every hour
for three days back, and once a week for the thirty that Stripe keeps. An event names a promotion code by an id only:
the session is then asked for again with the text, and a refund is listed with its payment, whose metadata say where the
order came from. UTM parameters and click ids are in the metadata if the shop put them there.

The other parts are ``stripe_metrics`` (the tables), ``stripe_values``, ``stripe_events`` and ``stripe_fetching``.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Sequence
from datetime import datetime, timedelta
from http import HTTPStatus
from typing import Any

from connectors import stripe_metrics as metrics
from connectors import stripe_values as own
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
    Page,
    Response,
    Source,
    Task,
    TryLater,
    Usage,
    Verified,
    WebhookRequest,
    fingerprint,
)
from connectors.signatures import timed_hex
from connectors.stripe_events import StripeOptions, read_page, read_push
from connectors.stripe_fetching import EVENTS_SCOPE, KEPT, KINDS, Account, pages_of, require

BUCKET = "read"


class Stripe(Connector):
    """See the head of this module."""

    name = "stripe"
    title = "Stripe"
    version = "1"
    platform = "stripe"
    options = StripeOptions
    base_url = "https://api.stripe.com"
    auth = Auth(
        kind=AuthKind.TOKEN,
        credentials={
            "access_token": "a restricted key that may read events, checkout sessions, refunds and payment intents",
            "webhook_secret": "the signing secret of the endpoint, whsec_ included; each endpoint and mode has its own",
        },
        scopes=(EVENTS_SCOPE, "Checkout Sessions: read", "Refunds: read", "PaymentIntents: read"),
    )
    capabilities = Capabilities(
        webhook=True,
        signature_headers=("stripe-signature",),
        fetch=KINDS,
        settle=KEPT,
        lag=timedelta(minutes=1),
        rate_limit="100 reads a second, 25 in test mode; answered with 429",
        budgets=(Budget(bucket=BUCKET, calls=25, window=timedelta(seconds=1)),),
    )
    metrics: Sequence[MetricMapping] = metrics.declared()

    def usage(self, response: Response) -> Sequence[Usage]:
        """Stripe tells of its limits only when they are used up."""
        return (Usage(bucket=BUCKET, used=1.0),) if response.status == HTTPStatus.TOO_MANY_REQUESTS else ()

    def verify(self, request: WebhookRequest, source: Source, now: datetime) -> Verified:
        """The key is the id of the event: between two tries a body changes, it counts the tries left."""
        timed_hex(request.headers.get("stripe-signature"), request.body, source.secrets, now)
        try:
            event = own.optional_identifier(values.document(request.body).get("id"))
        except BadPayload:
            event = None
        return Verified(key=event or fingerprint(request.body))

    def parse(self, delivery: Delivery, options: Any) -> Iterable[Item]:
        if delivery.channel == "webhook":
            return list(read_push(delivery, options))
        if delivery.channel == "fetch":
            return list(read_page(delivery, options))
        raise BadPayload("Stripe is pushed or fetched, not uploaded")

    def fetch(self, http: Http, task: Task, now: datetime) -> AsyncIterator[Page]:
        return pages_of(Account(http, task.source), task, now)

    async def check(self, http: Http, source: Source) -> list[Finding]:
        account = Account(http, source)
        secrets = [] if any(secret.value for secret in source.secrets) else [_NO_SECRET]
        events = await _check_events(account)
        if not events.ok:
            return [events, *secrets]
        readable = [await _check_readable(account, path, needs) for path, needs in _READ]
        return [events, *readable, await _check_endpoints(account), *secrets]


# ------------------------------------------------------------------------------------------------ proving a source

_NO_SECRET = Finding(ok=False, text="no signing secret: webhooks cannot be verified and are refused")
_READ = (("checkout/sessions", "Checkout Sessions: read"), ("refunds", "Refunds: read"))


async def _check_events(account: Account) -> Finding:
    try:
        require(await account.get("events", {"limit": "1"}), EVENTS_SCOPE)
    except NeedsReauth:
        return Finding(ok=False, text="the key is not accepted: give a new one")
    except TryLater:
        return Finding(ok=False, text="Stripe does not answer or throttles at the moment: try again later")
    except ConnectorError as error:
        return Finding(ok=False, text=f"the events are not readable: {error}")
    return Finding(ok=True, text="the key is accepted and the events are readable")


async def _check_readable(account: Account, path: str, needs: str) -> Finding:
    try:
        require(await account.get(path, {"limit": "1"}), needs)
    except ConnectorError as error:
        return Finding(ok=False, text=f"{needs.partition(':')[0]} are not readable: {error}")
    return Finding(ok=True, text=f"{needs.partition(':')[0]} are readable")


async def _check_endpoints(account: Account) -> Finding:
    """Look for an endpoint that is sent what counts. Which one is ours is not known: its secret is not told again."""
    try:
        body = require(await account.get("webhook_endpoints", {"limit": "100"}), "Webhook Endpoints: read")
    except ConnectorError:
        return Finding(
            ok=True, text="this key does not list webhook endpoints; events are listed every hour in any case"
        )
    endpoints = [values.mapping(one) for one in values.items(body.get("data"))]
    enabled = [values.items(one.get("enabled_events")) for one in endpoints if one.get("status") == "enabled"]
    sent = [{name for name in names if isinstance(name, str)} for names in enabled]
    needed = metrics.NEEDED[account.options.counts]
    if any("*" in names or names.issuperset(needed) for names in sent):
        return Finding(ok=True, text="a webhook endpoint is sent all that counts")
    return Finding(ok=False, text=f"no enabled webhook endpoint is sent all of: {', '.join(needed)}")


CONNECTOR = Stripe()
