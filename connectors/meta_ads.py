"""Ad accounts of Meta: campaigns, ad sets and ads with their days, pulled through the Marketing API.

Counted once. An **ad** is the counting grain; rows of ad sets and campaigns hold the ads' numbers again and are checks,
whatever they say. Of several names for one thing one counts: ``inline_link_clicks`` for link clicks (the action
``link_click`` is a check), and **one declared action type** for conversions (``omni_purchase`` unless the options say
another). ``purchase``, ``omni_purchase`` and ``offsite_conversion.fb_pixel_purchase`` are the same sales three times,
so what is not declared is never added. Likes of the page that an ad brought stand in the page's own days and are
checks here. All of it is paid delivery.

Meta writes no zeros: a row leaves out what is 0, and a day without delivery has no row. So a number that was asked for
and left out of a row with others is 0 (which is how a conversion that is taken back disappears); a row that is not
there says nothing. Where leaving out may mean *has none* (reach, plays of a picture) nothing is booked.

Conversions are what Meta claims for itself, by the attribution that the ad set is set to or by one click window and
one view window of the options together; windows of one kind hold each other and are never added. They are booked on the
day of the ad's click or view and grow for 28 days, all of which are read again. Claims are rounded to millionths; money
spent is exact or refused. Days are those of the ad account's zone, today among them.

Deliveries are pages and the answers about background reports; the latter hold no numbers. Meta pushes nothing of this.

This file is what the service calls; its parts are ``meta_ads_metrics`` (the tables), ``meta_ads_account`` (options,
refusals), ``meta_ads_plan`` (steps and cursor), ``meta_ads_days`` and ``meta_ads_fetching`` (calls),
``meta_ads_reading``, ``meta_ads_rows`` and ``meta_ads_structure`` (reading) and ``meta_ads_usage`` (rate limits).
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from datetime import datetime
from typing import Any

from connectors import graph, proving, rules, values
from connectors.contract import (
    Auth,
    AuthKind,
    BadPayload,
    Capabilities,
    Connector,
    ConnectorError,
    Delivery,
    Drop,
    DropReason,
    Finding,
    Http,
    Item,
    MetricMapping,
    Page,
    Response,
    Source,
    Task,
    Usage,
)
from connectors.graph_login import FACEBOOK_LOGIN
from connectors.meta_ads_account import HOST, NEEDS, Account, MetaAdsOptions, is_too_much
from connectors.meta_ads_fetching import KINDS, pages_of
from connectors.meta_ads_metrics import ACTIONS, ANSWERS
from connectors.meta_ads_plan import SETTLE
from connectors.meta_ads_reading import read_report
from connectors.meta_ads_structure import PAGES, read_listing
from connectors.meta_ads_usage import BUDGETS, RATE_LIMIT, cost_of, usage_of


class MetaAds(Connector):
    """See the head of this module."""

    name = "meta_ads"
    title = "Meta ads"
    version = "1"
    platform = "meta_ads"
    options = MetaAdsOptions
    base_url = HOST
    auth = Auth(
        kind=AuthKind.OAUTH2,
        credentials={"access_token": "user or system user token with ads_read; a system user's need not end"},
        scopes=(NEEDS, "read_insights", "business_management"),
        oauth2=FACEBOOK_LOGIN,
    )
    capabilities = Capabilities(
        fetch=KINDS,
        settle=SETTLE,
        day_zone="account",
        rate_limit=RATE_LIMIT,
        budgets=BUDGETS,
    )
    metrics: Sequence[MetricMapping] = tuple(rules.declared(ANSWERS))

    def check_options(self, options: MetaAdsOptions) -> list[str]:
        """Return what is wrong: an action that has a key of its own is no conversion."""
        rule = ACTIONS.get(options.conversion_action)
        if rule is not None and rule.key:
            return [f"conversion_action: {options.conversion_action} counts as {rule.key}, name a conversion"]
        return []

    def hears(self, response: Response) -> bool:
        return is_too_much(response)

    def cost(self, method: str, path: str) -> tuple[str, float]:
        return cost_of(path)

    def usage(self, response: Response) -> Sequence[Usage]:
        return tuple(usage_of(response))

    def parse(self, delivery: Delivery, options: Any) -> Iterable[Item]:
        if delivery.channel != "fetch":
            raise BadPayload("Meta ads are fetched")
        return list(_read(delivery, options))

    def fetch(self, http: Http, task: Task, now: datetime) -> AsyncIterator[Page]:
        return pages_of(Account(http, task.source), task, now)

    async def check(self, http: Http, source: Source) -> list[Finding]:
        try:
            account = Account(http, source)
        except ConnectorError as error:
            return [Finding(ok=False, text=str(error))]
        reachable = await _check_account(account)
        if not reachable.ok:
            return [reachable]
        found = [
            reachable,
            *_check_version(account),
            await proving.readable("the insights of the ad account", _read_insights(account)),
            *await _check_permissions(account),
        ]
        return [*found, _check_conversions(account.options)]


def _read(delivery: Delivery, options: MetaAdsOptions) -> Iterator[Item]:
    page = delivery.request.get("page", "")
    fault = graph.fault_of(values.document(delivery.body))
    if fault is not None:
        yield Drop(reason=DropReason.NOT_AVAILABLE, detail=f"{fault.refusal.value} ({fault.label})")
    elif page == "insights":
        yield from read_report(delivery, options)
    elif page in PAGES:
        yield from read_listing(delivery)
    elif page != "report_run":
        raise BadPayload("the request of the page does not say which page it is")


# ------------------------------------------------------------------------------------------------ proving a source


async def _check_account(account: Account) -> Finding:
    try:
        about = await account.about()
    except ConnectorError as error:
        return proving.unreachable(error, "Meta", "ad account")
    name = values.text(about.get("name"), 100) or account.id
    zone, currency = (values.text(about.get(key), 64) or "none" for key in ("timezone_name", "currency"))
    return Finding(ok=True, text=f"the ad account {name} is readable; its days are of {zone}, its money is {currency}")


def _check_version(account: Account) -> list[Finding]:
    """Meta answers calls of a version that has ended by a newer one, without an error."""
    asked, answered = account.options.graph_version, account.answered_as
    if answered in {"", asked}:
        return []
    return [Finding(ok=False, text=f"Meta answers as {answered} what was asked of {asked}: set graph_version anew")]


async def _read_insights(account: Account) -> None:
    params = {"level": "account", "fields": "impressions", "date_preset": "last_7d", "limit": "1"}
    graph.require(await account.http.get(account.edge("insights"), params), NEEDS)


async def _check_permissions(account: Account) -> list[Finding]:
    """Only a user's token lists its permissions; nothing is wrong with one that does not."""
    try:
        body = graph.require(await account.http.get(account.path("me", "permissions")), NEEDS)
    except ConnectorError:
        return [Finding(ok=True, text=f"this token does not list its permissions; needed is {NEEDS}")]
    entries = [values.mapping(entry) for entry in values.items(body.get("data"))]
    granted = [entry.get("permission") for entry in entries if entry.get("status") == "granted"]
    if NEEDS in granted or not entries:
        return [Finding(ok=True, text=f"the permission {NEEDS} is granted")]
    return [Finding(ok=False, text=f"the permission {NEEDS} is missing: connect the account again and allow it")]


def _check_conversions(options: MetaAdsOptions) -> Finding:
    if not options.conversion_action:
        return Finding(ok=True, text="no action type is declared: Meta's claims of conversions are left out")
    windows = " and ".join(options.windows) or "the ad sets' own attribution"
    return Finding(ok=True, text=f"conversions are the action {options.conversion_action}, by {windows}")


CONNECTOR = MetaAds()
