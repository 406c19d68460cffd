"""Google Analytics 4: the visits that tracked links bring to a site, pulled day by day through the Data API.

Counted once. A subject is a **tracked link**: what campaign, source, medium and content of the UTM parameters (and
``utm_id``) name together, by the session's own dimensions, which give other numbers than those of a user's first visit
or of an event. One report has all metrics, so each link and day has one row. Visits that no parameter brought are no
part of a campaign and are left out.

Visits are ``sessions`` and never clicks. Of key events the one that the options declare is counted, by its own metric
(``keyEvents:purchase``): a filter would leave out the links that have lost their last one, and with it the news of it.
What the platform claims stays apart from orders: ``conversions_platform`` and ``conversion_value_platform``, with the
event as goal; fractions of credit and converted money are rounded to millionths. Users are distinct people of a site,
no audience of a post, and are not read.

What the platform says against a report goes with each number of it: *sampled*, *thresholded* (rows with few people
withheld) and *truncated* (rows beyond a limit lumped together as "(other)"). A row of which nothing but "(other)" is
known is a drop, since visits of no link are in it as well.

Days are those of the property's zone, which each report names. They are complete after a day or two, and key events
move for twelve days more: fourteen are read again each time, yesterday the last unless the options ask for today.

This file is what the service calls; its parts are ``ga4_metrics`` (the tables), ``ga4_property`` (options, refusals),
``ga4_fetching``, ``ga4_reading``, ``ga4_links`` (identities) and ``ga4_quota``.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from connectors import proving, rules, values
from connectors.contract import (
    Auth,
    AuthKind,
    BadPayload,
    Capabilities,
    Connector,
    ConnectorError,
    Delivery,
    Finding,
    Http,
    Item,
    MetricMapping,
    NeedsReauth,
    OAuth2,
    Page,
    Response,
    Source,
    Task,
    TokenCall,
    TryLater,
    Usage,
)
from connectors.ga4_fetching import KINDS, LINK_DAYS, SETTLE, pages_of
from connectors.ga4_metrics import ANSWERS, SESSIONS, former, of_event
from connectors.ga4_property import (
    HOST,
    REVENUE_EVENTS,
    SCOPE,
    Ga4Options,
    Property,
    require,
)
from connectors.ga4_quota import BUDGETS, RATE_LIMIT, cost_of, quotas, usage_of
from connectors.ga4_reading import read_report

_TOKEN_URL = "https://oauth2.googleapis.com/token"  # noqa: S105 - an address
_BEARER = "urn:ietf:params:oauth:grant-type:jwt-bearer"
_KEY = "service_account"
_BY_KEY = Auth(
    kind=AuthKind.OAUTH2,
    credentials={_KEY: "the JSON key of a service account that is a Viewer of the property"},
    scopes=(SCOPE,),
    oauth2=OAuth2(
        authorize_url="",
        code=TokenCall(url=_TOKEN_URL, grant=_BEARER, sends="assertion", client_id="", client_secret=""),
        refresh=TokenCall(url=_TOKEN_URL, grant=_BEARER, sends="assertion", client_id="", client_secret=""),
        lifetime=timedelta(hours=1),
        key=_KEY,
    ),
)


class Ga4(Connector):
    """See the head of this module."""

    name = "ga4"
    title = "Google Analytics 4"
    version = "1"
    platform = "ga4"
    options = Ga4Options
    base_url = HOST
    auth = Auth(
        kind=AuthKind.OAUTH2,
        credentials={"access_token": "OAuth token of someone who may read the property; it lives an hour"},
        scopes=(SCOPE,),
        oauth2=OAuth2(
            authorize_url="https://accounts.google.com/o/oauth2/v2/auth",
            code=TokenCall(url=_TOKEN_URL, grant="authorization_code", sends="code"),
            refresh=TokenCall(url=_TOKEN_URL, grant="refresh_token", sends="refresh_token"),
            # Without both, a second consent gives no refresh token.
            parameters={"access_type": "offline", "prompt": "consent"},
            pkce=True,
            lifetime=timedelta(hours=1),
        ),
    )
    capabilities = Capabilities(
        fetch=KINDS,
        settle=SETTLE,
        lag=timedelta(hours=48),
        day_zone="account",
        rate_limit=RATE_LIMIT,
        budgets=BUDGETS,
    )
    metrics: Sequence[MetricMapping] = tuple(rules.declared(ANSWERS))

    def auth_for(self, options: Ga4Options) -> Auth:
        """Return how a property is read: by somebody's login, or by the key of a service account."""
        return _BY_KEY if options.login == _KEY else self.auth

    def check_options(self, options: Ga4Options) -> list[str]:
        """Return what is wrong: only purchases have a revenue."""
        if options.revenue and options.key_event and options.key_event not in REVENUE_EVENTS:
            return [f"revenue: it is of purchases and not of {options.key_event}, set it to false"]
        return []

    def cost(self, method: str, path: str) -> tuple[str, float]:
        return cost_of(path)

    def usage(self, response: Response) -> Sequence[Usage]:
        return tuple(usage_of(response))

    def parse(self, delivery: Delivery, options: Any) -> Iterable[Item]:
        if delivery.channel != "fetch" or delivery.request.get("page") != LINK_DAYS:
            raise BadPayload("GA4 is fetched, and the request of a page says which one it is")
        return list(read_report(delivery, options))

    def fetch(self, http: Http, task: Task, now: datetime) -> AsyncIterator[Page]:
        return pages_of(Property(http, task.source), task, now)

    async def check(self, http: Http, source: Source) -> list[Finding]:
        try:
            of = Property(http, source)
        except ConnectorError as error:
            return [Finding(ok=False, text=str(error))]
        try:
            body = require(await of.report(_PROBE))
        except NeedsReauth as error:
            return [proving.unreachable(error, "GA4")]
        except TryLater:
            return [Finding(ok=False, text="GA4 does not answer or a quota is used up: try again later")]
        except ConnectorError as error:
            return [Finding(ok=False, text=str(error))]
        return [_found(of, body), _quota(body), await _check_event(of)]


CONNECTOR = Ga4()


# ------------------------------------------------------------------------------------------------ proving a source

_PROBE: Mapping[str, Any] = {
    "dateRanges": [{"startDate": "yesterday", "endDate": "yesterday"}],
    "metrics": [{"name": SESSIONS}],
    "limit": "1",
    "returnPropertyQuota": True,
}


def _found(of: Property, body: Mapping[str, Any]) -> Finding:
    metadata = values.mapping(body.get("metadata"))
    zone, currency = (_word(metadata.get(name)) for name in ("timeZone", "currencyCode"))
    return Finding(ok=True, text=f"the property {of.id} is readable; its days are of {zone}, its money is {currency}")


def _word(value: Any) -> str:
    return value[:64] if isinstance(value, str) and value.isascii() and value.isprintable() else "nothing it says"


def _quota(body: Mapping[str, Any]) -> Finding:
    low = [one.bucket for one in quotas(body) if one.remaining == 0]
    if low:
        return Finding(ok=False, text=f"used up for now: {', '.join(low)}; every tool on the property waits for it")
    return Finding(ok=True, text="quota is left on the property")


async def _check_event(of: Property) -> Finding:
    event = of.options.key_event
    if not event:
        return Finding(ok=True, text="no key event is declared: the platform's claims of conversions are left out")
    try:
        body = require(await of.http.get(f"{of.path}/metadata"))
    except ConnectorError as error:
        return Finding(ok=False, text=f"the property does not list its metrics: {error}")
    known = [values.mapping(one).get("apiName") for one in values.items(body.get("metrics"))]
    if of_event(event) in known or former(of_event(event)) in known:
        return Finding(ok=True, text=f"conversions are the key event {event}")
    return Finding(ok=False, text=f"the property has no key event {event}: mark the event as one, or declare another")
