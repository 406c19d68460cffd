"""Subscriptions: asked for once, renewed in time by one replica, told where the address is; and how a source stands."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta
from typing import Any

import pytest

from connectors.contract import Auth, Budget, Capabilities, ConnectorError, Http, NotSupported, Source, TryLater
from service import ids
from service.db.engine import Database
from service.errors import Busy, Invalid
from service.fetch.budget import Budgets
from service.fetch.circuit import FAILURES, Circuits
from service.fetch.rounds import Rounds
from service.fetch.schedule import Scheduler
from service.fetch.standing import Standings, findings
from service.fetch.subscribing import Subscriber
from service.fetch.tokens import Tokens
from service.records import SourceRow
from service.registry import sources, subscriptions, workspaces
from service.telemetry import NEEDS_REAUTH, TOKEN_SECONDS
from tests.integration.fetch.test_pull import NoHttp
from tests.integration.fetch.test_tokens import APPS, ROTATING, Office, puller
from tests.integration.inbox.world import SETTINGS, VAULT, Clock, Toy, make_source

LEASE = timedelta(minutes=1)
SET = SETTINGS.model_copy(update={"public_url": "https://books.example/tally/"})


class Hub(Toy):
    """A platform that pushes for a minute at a time."""

    def __init__(self) -> None:
        super().__init__()
        self.capabilities = Capabilities(webhook=True, lease=LEASE)
        self.asked: list[tuple[str, str]] = []
        self.error: Exception | None = None

    async def subscribe(self, http: Http, source: Source, now: datetime) -> None:
        self._ask("subscribe", source)

    async def renew(self, http: Http, source: Source, now: datetime) -> None:
        await asyncio.sleep(0.05)
        self._ask("renew", source)

    def _ask(self, what: str, source: Source) -> None:
        self.asked.append((what, source.webhook_url))
        if self.error is not None:
            raise self.error


class Site:
    def __init__(self, database: Database) -> None:
        self.database = database
        self.clock = Clock()
        self.hub = Hub()
        self.row: SourceRow
        self.address = ""

    async def open(self) -> Subscriber:
        row = await make_source(self.database, self.clock.context())
        async with self.database.workspace(row.workspace_id) as connection:
            vault = await workspaces.open_vault(connection, row.workspace_id, VAULT)
            context = self.clock.context()
            self.address = await sources.rotate_address(connection, row.workspace_id, row.source_id, context, vault)
            self.row = await sources.load(connection, row.workspace_id, row.source_id)
        return self.subscriber()

    def subscriber(self) -> Subscriber:
        parts = (self.database, self.clock.context(), SET, VAULT)

        def http_for(*_: object) -> Http:
            return NoHttp()

        return Subscriber(*parts, {"toy": self.hub}, http_for, Tokens(*parts, http_for))

    async def subscription(self) -> Any:
        async with self.database.workspace(self.row.workspace_id) as connection:
            return await subscriptions.load(connection, self.row.workspace_id, self.row.source_id)


async def test_a_platform_is_told_the_address_and_asked_again_in_time(database: Database) -> None:
    site = Site(database)
    subscriber = await site.open()
    home = site.row.workspace_id
    await subscriber.subscribe(home, site.row.source_id)
    url = f"https://books.example/tally/v1/webhooks/{site.address}"
    assert site.hub.asked == [("subscribe", url)]
    assert site.row.address is not None
    assert site.address.encode() not in site.row.address
    assert await subscriber.renew_due(home) == 0
    site.clock.ahead = LEASE * 2 / 3 + timedelta(seconds=1)
    replicas = [site.subscriber() for _ in range(4)]
    assert sorted(await asyncio.gather(*(one.renew_due(home) for one in replicas))) == [0, 0, 0, 1]
    assert site.hub.asked[1:] == [("renew", url)]
    kept = await site.subscription()
    assert LEASE * 0.9 < kept.ends_at - site.clock.now() <= LEASE


async def test_a_renewal_that_fails_is_noted_and_tried_again(database: Database) -> None:
    site = Site(database)
    subscriber = await site.open()
    await subscriber.subscribe(site.row.workspace_id, site.row.source_id)
    site.clock.ahead = LEASE
    site.hub.error = TryLater("the hub is busy")
    assert await subscriber.renew_due(site.row.workspace_id) == 0
    assert (await site.subscription()).error == "the hub is busy"
    assert await subscriber.renew_due(site.row.workspace_id) == 0
    assert len(site.hub.asked) == 2
    site.hub.error = None
    site.clock.ahead += timedelta(minutes=15)
    assert await subscriber.renew_due(site.row.workspace_id) == 1
    assert (await site.subscription()).error == ""


async def test_a_new_address_is_told_soon(database: Database) -> None:
    site = Site(database)
    subscriber = await site.open()
    await subscriber.subscribe(site.row.workspace_id, site.row.source_id)
    async with database.workspace(site.row.workspace_id) as connection:
        await subscriptions.moved(connection, site.row.workspace_id, site.row.source_id, site.clock.now())
    assert await subscriber.renew_due(site.row.workspace_id) == 1


@pytest.mark.parametrize(
    ("error", "kind"), [(NotSupported("no"), Invalid), (ConnectorError("no"), Invalid), (TryLater("no", 7.0), Busy)]
)
async def test_what_stands_in_the_way_is_said(database: Database, error: Exception, kind: type[Exception]) -> None:
    site = Site(database)
    subscriber = await site.open()
    site.hub.error = error
    with pytest.raises(kind, match="no"):
        await subscriber.subscribe(site.row.workspace_id, site.row.source_id)
    assert await site.subscription() is None


async def test_how_a_source_stands_in_plain_words(database: Database) -> None:
    office = Office(database)
    connector = office.connector
    connector.capabilities = Capabilities(budgets=(Budget(bucket="data", calls=10, window=timedelta(hours=1)),))
    connector.auth = Auth(credentials={"access_token": "a", "verify_token": "b"}, scopes=("read",), oauth2=ROTATING)
    row = await office.ending()
    chosen = SET.model_copy(update={"oauth_apps": APPS})
    standings = Standings(database, office.clock.context(), chosen, VAULT, {"toy": connector})
    known = Source(id=ids.show("source", row.source_id), platform="toy", account="", options=None)
    client_id = APPS["toy"].client_id
    connector.cost = lambda *_: ("data", 5.0)  # type: ignore[method-assign]
    await Budgets(database, office.clock.context()).of(connector, known, client_id).draw("GET", "/")
    circuits = Circuits(database, office.clock.context())
    for _ in range(FAILURES):
        await circuits.failed(connector, known)
    found = await standings.of(row)
    assert (found.renews, found.missing_credentials, found.scopes) == (True, ("verify_token",), ("read",))
    assert found.token_expires_at is not None
    said = {finding.text.split(":")[0]: finding.ok for finding in findings(found, office.clock.now())}
    assert f"the access token ends {found.token_expires_at:%Y-%m-%d %H}" in said
    assert said["50% of the rate budget data is used"] is True
    assert said["the platform did not answer 3 times"] is False
    bare = Standings(database, office.clock.context(), SET, VAULT, {"toy": connector})
    assert (await bare.of(row)).lacking == "no app is set up that could renew it"


async def test_ends_and_lost_accounts_are_gauges(database: Database) -> None:
    office = Office(database)
    await office.ending()
    rounds = Rounds(database, office.clock.context(), {"toy": office.connector}, puller(office))
    scheduler = Scheduler(database, office.clock.context(), SETTINGS, rounds)
    await scheduler.renew()
    assert 0 < TOKEN_SECONDS.labels("toy")._value.get() <= 60
    office.identity.revoked = True
    with pytest.raises(Exception, match="renews the token no more"):
        await office.fresh()
    await scheduler.renew()
    assert NEEDS_REAUTH._value.get() == 1
    assert not next(iter(TOKEN_SECONDS.collect())).samples
