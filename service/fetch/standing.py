"""How a source stands towards its platform, in plain words and figures: tokens, subscription, budgets, circuit.

Everything here is read from the database; the platform is not asked.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

import msgspec

from connectors.contract import Connector, Finding, Source
from service.access.secrets import Vault
from service.context import Context
from service.db.engine import Database
from service.fetch import budget as budgets
from service.fetch import rates
from service.fetch.circuit import FAILURES, Circuits
from service.fetch.oauth import app_of
from service.fetch.tokens import lacking_to_renew
from service.records import SourceRow
from service.registry import sources, subscriptions, terms, workspaces
from service.settings import Settings


class Used(msgspec.Struct, frozen=True, kw_only=True):
    """A rate limit and how much of it is used, from 0 to 1; None where nobody knows."""

    bucket: str
    used: float | None


class Standing(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of a source. Ends are None where there is none or none is known.

    ``renews`` says that its token is renewed without a person; ``lacking`` why not. ``retry_at`` is until when its
    platform is left alone because it did not answer.
    """

    token_expires_at: datetime | None = None
    token_estimated: bool = False
    refresh_expires_at: datetime | None = None
    renews: bool = False
    lacking: str = ""
    token_error: str = ""
    missing_credentials: tuple[str, ...] = ()
    subscribed_at: datetime | None = None
    subscription_ends_at: datetime | None = None
    subscription_error: str = ""
    budgets: tuple[Used, ...] = ()
    failures: int = 0
    retry_at: datetime | None = None
    scopes: tuple[str, ...] = ()


class Standings:
    """Finds out how sources stand."""

    def __init__(
        self, db: Database, context: Context, settings: Settings, vault: Vault, connectors: Mapping[str, Connector]
    ) -> None:
        self._db = db
        self._context = context
        self._settings = settings
        self._vault = vault
        self._connectors = connectors

    async def of(self, row: SourceRow) -> Standing:
        """Return how a source stands; of a connector that is not installed nothing is known."""
        connector = self._connectors.get(row.connector)
        if connector is None:
            return Standing()
        async with self._db.workspace(row.workspace_id) as connection:
            vault = await workspaces.open_vault(connection, row.workspace_id, self._vault)
            source = sources.contract_source(row, vault, connector)
            auth = connector.auth_for(source.options)
            known = await terms.load(connection, row, auth.oauth2)
            pushed = await subscriptions.load(connection, row.workspace_id, row.source_id)
        app = app_of(self._settings, connector, source.credentials)
        lacking = "" if auth.oauth2 is None else lacking_to_renew(auth, app, source.credentials)
        circuit = await Circuits(self._db, self._context).state(connector, source)
        is_open = circuit is not None and circuit.failures >= FAILURES
        return Standing(
            token_expires_at=known.expires_at,
            token_estimated=known.estimated,
            refresh_expires_at=known.refresh_expires_at,
            renews=auth.oauth2 is not None and not lacking,
            lacking=lacking,
            token_error=known.error,
            missing_credentials=_missing(auth.credentials, source, has_app=app is not None),
            subscribed_at=None if pushed is None else pushed.subscribed_at,
            subscription_ends_at=None if pushed is None else pushed.ends_at,
            subscription_error="" if pushed is None else pushed.error,
            budgets=await self._budgets(connector, source, "" if app is None else app.client_id),
            failures=0 if circuit is None else circuit.failures,
            retry_at=circuit.open_until if circuit is not None and is_open else None,
            scopes=auth.scopes,
        )

    async def _budgets(self, connector: Connector, source: Source, client_id: str) -> tuple[Used, ...]:
        now = self._context.now().timestamp()
        found = []
        async with self._db.control() as connection:
            for limit in budgets.limits_of(connector, source, client_id).values():
                level = await budgets.load(connection, limit.key)
                used = None if level is None else rates.share_used(level, limit.budget, now)
                found.append(Used(bucket=limit.bucket, used=0.0 if level is None else used))
        return tuple(found)


def _missing(wanted: Mapping[str, str], source: Source, *, has_app: bool) -> tuple[str, ...]:
    """Return the credentials that a source was not given, but for those that the service has of its own."""
    has = {name for name, value in source.credentials.items() if value}
    if any(secret.value for secret in source.secrets):
        has |= {"webhook_secret", "app_secret"}
    if has_app:
        has |= {"client_id", "client_secret"}
    if source.webhook_url:
        has.add("callback")
    return tuple(name for name in wanted if name not in has)


# ------------------------------------------------------------------------------------------------ in plain words


def findings(standing: Standing, now: datetime) -> list[Finding]:
    """Return how a source stands as lines for a person."""
    return [*_of_tokens(standing, now), *_of_subscription(standing, now), *_of_limits(standing, now)]


def _of_tokens(standing: Standing, now: datetime) -> list[Finding]:
    found = []
    end = standing.token_expires_at
    if end is not None:
        when = f"{'probably ' if standing.token_estimated else ''}ends {_shown(end)}"
        how = "and is renewed before" if standing.renews else f"and is not renewed: {standing.lacking}"
        lives = end > now or standing.token_estimated
        text = f"the access token {when} {how}" if lives else f"the access token ended {_shown(end)}"
        found.append(Finding(ok=lives, text=text))
    if standing.refresh_expires_at is not None:
        lives = standing.refresh_expires_at > now
        found.append(Finding(ok=lives, text=f"the refresh token ends {_shown(standing.refresh_expires_at)}"))
    if standing.token_error:
        found.append(Finding(ok=False, text=f"the newest renewal failed: {standing.token_error}"))
    if standing.missing_credentials:
        named = ", ".join(standing.missing_credentials)
        found.append(Finding(ok=True, text=f"not given: {named}"))
    return found


def _of_subscription(standing: Standing, now: datetime) -> list[Finding]:
    if standing.subscription_error:
        return [Finding(ok=False, text=f"the subscription was not renewed: {standing.subscription_error}")]
    if standing.subscribed_at is None:
        return []
    end = standing.subscription_ends_at
    until = "" if end is None else f", until {_shown(end)}"
    return [Finding(ok=end is None or end > now, text=f"subscribed {_shown(standing.subscribed_at)}{until}")]


def _of_limits(standing: Standing, now: datetime) -> list[Finding]:
    found = [
        Finding(ok=one.used < 1, text=f"{one.used:.0%} of the rate budget {one.bucket} is used")
        for one in standing.budgets
        if one.used
    ]
    if standing.retry_at is not None:
        again = f"asked again {_shown(standing.retry_at)}" if standing.retry_at > now else "asked again now"
        found.append(Finding(ok=False, text=f"the platform did not answer {standing.failures} times: {again}"))
    return found


def _shown(at: datetime) -> str:
    return at.strftime("%Y-%m-%d %H:%M UTC")
