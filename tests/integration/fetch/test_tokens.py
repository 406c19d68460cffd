"""Tokens that end: renewed once by many processes, kept before use, given up where a person must help."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from datetime import datetime, timedelta
from typing import Any

import httpx
import msgspec
import pytest
import sqlalchemy as sa

from connectors.contract import (
    Auth,
    AuthKind,
    Connector,
    ConnectorError,
    Http,
    NeedsReauth,
    OAuth2,
    Page,
    Source,
    Task,
    TokenCall,
    TryLater,
)
from connectors.http import Limits, PlatformHttp, new_client
from service.db.engine import Database, make_engine
from service.fetch.plan import TaskState
from service.fetch.pull import Puller
from service.fetch.rounds import Rounds
from service.fetch.tokens import CLAIM, Tokens
from service.records import SourceRow, SourceState
from service.registry import rings, sources, workspaces
from service.settings import OAuthApp
from tests.fakes.identity import CLIENT, SECRET, FakeIdentity, Machine, refusal
from tests.integration.fetch.test_pull import NoHttp
from tests.integration.inbox.world import SETTINGS, VAULT, Clock, Toy, make_source, rows

TOKEN_URL = "https://id.example/oauth/token"
APPS = {"toy": OAuthApp(client_id=CLIENT, client_secret=SECRET)}
ROTATING = OAuth2(
    authorize_url="https://id.example/authorize",
    code=TokenCall(url=TOKEN_URL, grant="authorization_code", sends="code"),
    refresh=TokenCall(url=TOKEN_URL, grant="refresh_token", sends="refresh_token", client_secret="", basic=True),
    rotates=True,
    lifetime=timedelta(hours=2),
)
RENEWING = msgspec.structs.replace(
    ROTATING,
    refresh=TokenCall(url=TOKEN_URL, grant="", sends="access_token", method="query"),
    rotates=False,
    lifetime=timedelta(days=60),
    refresh_before=timedelta(days=53),
)


_BEARER = "urn:ietf:params:oauth:grant-type:jwt-bearer"
_SIGNED = TokenCall(url=TOKEN_URL, grant=_BEARER, sends="assertion", client_id="", client_secret="")
SIGNING = OAuth2(authorize_url="", code=_SIGNED, refresh=_SIGNED, lifetime=timedelta(hours=1), key="machine")


class OAuthToy(Toy):
    """The small connector with a login."""

    def __init__(self, oauth: OAuth2 | None = ROTATING, fetch: Any = None) -> None:
        super().__init__(fetch)
        self.auth = Auth(kind=AuthKind.OAUTH2, credentials={"access_token": "a token"}, oauth2=oauth)


class Office:
    """Tokens of one source in front of a fake identity provider."""

    def __init__(
        self, database: Database, oauth: OAuth2 | None = ROTATING, identity: FakeIdentity | None = None
    ) -> None:
        self.database = database
        self.clock = Clock()
        self.connector = OAuthToy(oauth)
        self.identity = identity or FakeIdentity()
        self.tokens = self.another(database)
        self.source: SourceRow

    def another(self, database: Database, **settings: Any) -> Tokens:
        """Return the tokens of one more replica."""
        chosen = SETTINGS.model_copy(update={"oauth_apps": APPS} | settings)
        client = new_client(transport=httpx.MockTransport(self.identity.handle))

        def http_at(connector: Connector, url: str) -> Http:
            limits = Limits(attempts=1)
            now = self.clock.now
            return PlatformHttp(client, "https://id.example", now=now, uniform=lambda: 0.0, limits=limits, secret=True)

        async def short(_: float) -> None:
            await asyncio.sleep(0.01)

        return Tokens(database, self.clock.context(), chosen, VAULT, http_at, short)

    async def open(self, credentials: Mapping[str, str] | None = None, **terms: Any) -> SourceRow:
        """Make the source; ``terms`` are written as those of its token."""
        row = await make_source(self.database, self.clock.context())
        given = {"access_token": "access-0", "refresh_token": "refresh-0"} if credentials is None else credentials
        async with self.database.workspace(row.workspace_id) as connection:
            vault = await workspaces.open_vault(connection, row.workspace_id, VAULT)
            sealed = rings.seal_credentials(vault, row.source_id, given)
            self.source = await sources.update(connection, row, self.clock.context(), credentials=sealed)
        if terms:
            known = {"obtained_at": self.clock.now(), "estimated": False, "generation": 1} | terms
            names, values = ", ".join(known), ", ".join(f":{name}" for name in known)
            statement = f"insert into source_tokens (workspace_id, source_id, {names}) values (:ws, :src, {values})"
            async with self.database.workspace(row.workspace_id) as connection:
                await connection.execute(sa.text(statement), {"ws": row.workspace_id, "src": row.source_id, **known})
        return self.source

    async def ending(self, **more: Any) -> SourceRow:
        """Make a source whose token ends in a minute."""
        return await self.open(expires_at=self.clock.now() + timedelta(minutes=1), **more)

    async def credentials(self) -> dict[str, str]:
        async with self.database.workspace(self.source.workspace_id) as connection:
            row = await sources.load(connection, self.source.workspace_id, self.source.source_id)
            vault = await workspaces.open_vault(connection, row.workspace_id, VAULT)
        return rings.unseal_credentials(vault, row.source_id, row.credentials)

    async def terms(self) -> Any:
        (row,) = await rows(self.database, self.source.workspace_id, "select * from source_tokens")
        return row

    async def state(self) -> tuple[str, str]:
        (row,) = await rows(self.database, self.source.workspace_id, "select state, state_detail from sources")
        return row.state, row.state_detail

    async def fresh(self, refused: str | None = None) -> SourceRow:
        return await self.tokens.fresh(self.source, self.connector, refused)


# ------------------------------------------------------------------------------------------------ once, by one


async def test_a_token_near_its_end_is_renewed_and_kept(database: Database) -> None:
    office = Office(database)
    await office.ending()
    row = await office.fresh()
    assert await office.credentials() == {"access_token": "access-1", "refresh_token": "refresh-1"}
    (call,) = office.identity.calls
    assert call == {"grant_type": "refresh_token", "client_id": CLIENT, "refresh_token": "refresh-0"}
    terms = await office.terms()
    assert (terms.generation, terms.claimed_until, terms.estimated) == (2, None, False)
    assert timedelta(hours=1, minutes=59) < terms.expires_at - office.clock.now() < timedelta(hours=2)
    assert row.credentials is not None
    assert b"access-1" not in row.credentials
    await office.fresh()
    assert len(office.identity.calls) == 1


async def test_a_token_with_time_left_is_left_alone(database: Database) -> None:
    office = Office(database)
    await office.open(expires_at=office.clock.now() + timedelta(minutes=17))
    await office.fresh()
    assert office.identity.calls == []
    office.clock.ahead = timedelta(minutes=2)  # a pull may take a quarter of an hour
    await office.fresh()
    assert len(office.identity.calls) == 1


async def test_eight_replicas_make_one_call(database: Database, database_url: str) -> None:
    """Each replica has its own pool; the provider revokes everything when a refresh token comes twice."""
    office = Office(database)
    await office.ending()

    async def slow() -> None:
        await asyncio.sleep(0.2)

    office.identity.before = slow
    engines = [make_engine(database_url, pool_size=2) for _ in range(8)]
    replicas = [office.another(Database(engine)) for engine in engines]
    found = await asyncio.gather(*(one.fresh(office.source, office.connector) for one in replicas))
    for engine in engines:
        await engine.dispose()
    assert len(office.identity.calls) == 1
    assert not office.identity.revoked
    assert len({row.credentials for row in found}) == 1
    assert (await office.credentials())["refresh_token"] == office.identity.current


async def test_no_connection_is_held_while_the_provider_thinks(database: Database, database_url: str) -> None:
    office = Office(database)
    await office.ending()
    engine = make_engine(database_url, pool_size=1)
    one = office.another(Database(engine))

    async def look() -> None:
        async with engine.connect() as connection:
            assert await connection.scalar(sa.text("select 1")) == 1

    office.identity.before = look
    await one.fresh(office.source, office.connector)
    await engine.dispose()


async def test_refresh_tokens_that_rotate_survive_many_turns(database: Database) -> None:
    office = Office(database)
    await office.ending()
    for turn in range(1, 6):
        await office.fresh()
        assert await office.credentials() == {"access_token": f"access-{turn}", "refresh_token": f"refresh-{turn}"}
        office.clock.ahead += timedelta(hours=2)
    assert not office.identity.revoked


async def test_a_refresh_token_that_is_not_replaced_stays(database: Database) -> None:
    office = Office(database, identity=FakeIdentity(rotates=False))
    await office.ending()
    await office.fresh()
    assert await office.credentials() == {"access_token": "access-1", "refresh_token": "refresh-0"}


# ------------------------------------------------------------------------------------------------ lost, refused


async def test_an_answer_that_was_lost_ends_in_a_word_to_the_tenant(database: Database) -> None:
    """The provider has turned the token over and the process dies before it keeps the new one."""
    office = Office(database)
    await office.ending()

    async def die() -> None:
        raise asyncio.CancelledError

    office.identity.after = die
    with pytest.raises(asyncio.CancelledError):
        await office.fresh()
    office.identity.after = None
    assert (await office.terms()).claimed_until is not None
    assert await office.credentials() == {"access_token": "access-0", "refresh_token": "refresh-0"}
    office.clock.ahead = CLAIM + timedelta(seconds=1)
    with pytest.raises(NeedsReauth, match="interrupted"):
        await office.fresh()
    assert len(office.identity.calls) == 2
    assert await office.state() == (
        "needs_reauth",
        "a renewal of the token was interrupted and its answer is lost: connect the account again",
    )


async def test_a_call_that_never_arrived_is_made_again(database: Database) -> None:
    office = Office(database)
    await office.ending()
    office.identity.answers = [httpx.ReadTimeout("late")]
    row = await office.fresh()  # the old token has a minute left
    assert row.state is SourceState.ACTIVE
    terms = await office.terms()
    assert terms.claimed_until is not None
    assert terms.next_try > office.clock.now()
    await office.fresh()
    assert len(office.identity.calls) == 1  # not before its time
    office.clock.ahead = timedelta(minutes=2)
    await office.fresh()
    assert (await office.credentials())["access_token"] == "access-1"


async def test_a_grant_that_is_no_more_asks_once_and_then_never(database: Database) -> None:
    office = Office(database)
    await office.ending()
    office.identity.revoked = True
    with pytest.raises(NeedsReauth, match="invalid_grant") as caught:
        await office.fresh()
    assert "secret words" not in str(caught.value)
    assert caught.value.__context__ is None or "refresh-0" not in repr(caught.value.__context__)
    state, detail = await office.state()
    assert (state, "connect the account again" in detail) == ("needs_reauth", True)
    assert len(office.identity.calls) == 1
    rounds = Rounds(database, office.clock.context(), {"toy": office.connector}, puller(office))
    assert await rounds.fetch_due() == []
    assert len(office.identity.calls) == 1


async def test_a_refusal_is_forgotten_where_a_person_was_faster(database: Database) -> None:
    office = Office(database)
    await office.ending()

    async def connect_again() -> None:
        async with database.workspace(office.source.workspace_id) as connection:
            row = await sources.load(connection, office.source.workspace_id, office.source.source_id, lock=True)
            vault = await workspaces.open_vault(connection, row.workspace_id, VAULT)
            sealed = rings.seal_credentials(vault, row.source_id, {"access_token": "new", "refresh_token": "newer"})
            await sources.update(connection, row, office.clock.context(), credentials=sealed)

    office.identity.revoked = True
    office.identity.before = connect_again
    await office.fresh()
    assert await office.credentials() == {"access_token": "new", "refresh_token": "newer"}
    assert (await office.state())[0] == "active"


@pytest.mark.parametrize("answer", [refusal("server_error", 400), httpx.Response(503), httpx.Response(429)])
async def test_a_provider_that_is_down_does_not_stop_a_living_token(database: Database, answer: httpx.Response) -> None:
    office = Office(database)
    await office.ending()
    office.identity.answers = [answer]
    await office.fresh()
    assert (await office.state())[0] == "active"
    office.clock.ahead = timedelta(seconds=61)
    office.identity.answers = [httpx.Response(503)]
    with pytest.raises(TryLater):
        await office.fresh()
    office.clock.ahead = timedelta(seconds=125)
    await office.fresh()
    assert (await office.credentials())["access_token"] == "access-1"


async def test_a_wrong_app_is_no_lost_account(database: Database) -> None:
    office = Office(database)
    await office.ending()
    other = {"toy": OAuthApp(client_id="other", client_secret="wrong")}
    tokens = office.another(database, oauth_apps=other)
    await tokens.fresh(office.source, office.connector)
    office.clock.ahead = timedelta(minutes=11)
    with pytest.raises(ConnectorError, match="the app's id or secret") as caught:
        await tokens.fresh(office.source, office.connector)
    assert not isinstance(caught.value, NeedsReauth)
    assert (await office.state())[0] == "active"


# ------------------------------------------------------------------------------------------------ in hand


async def test_a_token_in_hand_is_renewed_when_it_is_refused(database: Database) -> None:
    office = Office(database)
    await office.open()
    assert await office.fresh() == office.source
    assert office.identity.calls == []
    found = await office.tokens.replaced(office.source, office.connector, "access-0")
    assert found is not None
    assert (await office.credentials())["access_token"] == "access-1"
    # The one that a slower peer holds was renewed already: nothing is asked.
    assert await office.tokens.replaced(office.source, office.connector, "access-0") is not None
    assert len(office.identity.calls) == 1
    # And one that was just given is not renewed over and over.
    assert await office.tokens.replaced(office.source, office.connector, "access-1") is None
    assert len(office.identity.calls) == 1


@pytest.mark.parametrize("credentials", [{"access_token": "access-0"}, {}])
async def test_without_a_refresh_token_a_refused_one_is_the_end(
    database: Database, credentials: dict[str, str]
) -> None:
    office = Office(database)
    await office.open(credentials)
    assert await office.fresh() == office.source
    if credentials:
        with pytest.raises(NeedsReauth, match="no refresh token"):
            await office.fresh("access-0")
    assert office.identity.calls == []


async def test_without_an_app_a_token_that_ended_is_the_end(database: Database) -> None:
    office = Office(database)
    await office.ending()
    tokens = office.another(database, oauth_apps={})
    await tokens.fresh(office.source, office.connector)
    office.clock.ahead = timedelta(minutes=2)
    with pytest.raises(NeedsReauth, match="no app"):
        await tokens.fresh(office.source, office.connector)


async def test_the_app_of_a_source_goes_before_the_settings(database: Database) -> None:
    office = Office(database)
    own = {"access_token": "a", "refresh_token": "refresh-0", "client_id": "mine", "client_secret": SECRET}
    await office.open(own, expires_at=office.clock.now())
    tokens = office.another(database, oauth_apps={})
    form = msgspec.structs.replace(ROTATING, refresh=msgspec.structs.replace(ROTATING.code, grant="refresh_token"))
    assert form.refresh is not None
    office.connector.auth = Auth(oauth2=form)
    office.identity.answers = [httpx.Response(200, json={"access_token": "b"})]
    await tokens.fresh(office.source, office.connector)
    assert office.identity.calls[0]["client_id"] == "mine"


async def test_a_token_that_renews_itself_is_renewed_from_its_seventh_day_on(database: Database) -> None:
    office = Office(database, RENEWING)
    await office.open({"access_token": "long-0"})
    office.clock.ahead = timedelta(days=6)
    await office.fresh()
    assert office.identity.calls == []
    office.clock.ahead = timedelta(days=8)
    office.identity.answers = [httpx.Response(200, json={"access_token": "long-1", "expires_in": "5184000"})]
    await office.fresh()
    assert office.identity.calls == [{"access_token": "long-0", "client_id": CLIENT, "client_secret": SECRET}]
    assert await office.credentials() == {"access_token": "long-1"}
    # A refusal is no end while the token lives: it is tried again a day later, and not before.
    office.clock.ahead = timedelta(days=20)
    office.identity.answers = [httpx.Response(400, json={"error": {"code": 190, "message": "x"}})] * 2
    for _ in range(3):
        await office.fresh()
    assert len(office.identity.calls) == 2
    assert (await office.state())[0] == "active"
    assert "code 190" in (await office.terms()).error
    office.clock.ahead = timedelta(days=70)
    with pytest.raises(NeedsReauth):
        await office.fresh()
    assert (await office.state())[0] == "needs_reauth"


async def test_a_service_account_signs_for_its_tokens_and_nobody_logs_in(database: Database) -> None:
    machine, office = Machine(), Office(database, SIGNING)
    office.connector.auth = msgspec.structs.replace(office.connector.auth, scopes=("read", "more"))
    office.identity.answers = [
        httpx.Response(200, json={"access_token": f"at-{n}", "expires_in": 3600}) for n in (1, 2)
    ]
    await office.open({"machine": machine.key()})
    others = [office.another(database) for _ in range(3)]
    await asyncio.gather(*(one.fresh(office.source, office.connector) for one in (office.tokens, *others)))
    (call,) = office.identity.calls  # four replicas, one call, and of the app nothing
    assert set(call) == {"grant_type", "assertion"}
    assert call["grant_type"] == "urn:ietf:params:oauth:grant-type:jwt-bearer"
    assert machine.proven(call["assertion"], TOKEN_URL, office.clock.now())["scope"] == "read more"
    assert (await office.credentials())["access_token"] == "at-1"
    await office.fresh()
    assert len(office.identity.calls) == 1
    office.clock.ahead = timedelta(minutes=50)
    await office.fresh()
    assert (await office.credentials())["access_token"] == "at-2"
    # A key that was deleted at the platform is a person's business, and so is one that is none.
    office.clock.ahead = timedelta(hours=3)
    office.identity.answers = [refusal("invalid_grant")]
    with pytest.raises(NeedsReauth):
        await office.fresh()
    assert (await office.state())[0] == "needs_reauth"


@pytest.mark.parametrize("key", ["", "{}", "no JSON", '{"client_email": "a", "private_key": "no PEM"}'])
async def test_what_is_no_key_of_a_service_account_is_said_to_be_none(database: Database, key: str) -> None:
    office = Office(database, SIGNING)
    await office.open({"machine": key})
    with pytest.raises(NeedsReauth, match="key of"):
        await office.fresh()
    assert office.identity.calls == []


async def test_a_platform_that_renews_nothing_says_when_it_is_over(database: Database) -> None:
    office = Office(database, msgspec.structs.replace(ROTATING, refresh=None))
    await office.ending()
    await office.fresh()
    office.clock.ahead = timedelta(minutes=2)
    with pytest.raises(NeedsReauth, match="renews no tokens"):
        await office.fresh()


# ------------------------------------------------------------------------------------------------ in a pull


def puller(office: Office) -> Puller:
    def http_for(source: Source, connector: Connector) -> Http:
        return NoHttp()

    chosen = SETTINGS.model_copy(update={"oauth_apps": APPS})
    parts = (office.database, office.clock.context(), chosen, VAULT)
    return Puller(*parts, http_for, tokens=office.tokens)


async def test_a_pull_goes_on_with_another_token_where_one_dies_on_the_way(database: Database) -> None:
    office = Office(database)
    seen: list[str] = []

    async def fetch(http: Http, task: Task, now: datetime) -> AsyncIterator[Page]:
        for number in range(int(task.cursor.get("after", "0")) + 1, 4):
            token = task.source.credentials["access_token"]
            seen.append(f"{number} with {token}")
            if number == 2 and token == "access-0":
                raise NeedsReauth("the access token is not accepted")
            cursor = {"after": str(number)}
            yield Page(body=b"%d" % number, request=cursor, cursor=cursor, received_at=now, last=number == 3)

    office.connector = OAuthToy(fetch=fetch)
    await office.open()
    rounds = Rounds(database, office.clock.context(), {"toy": office.connector}, puller(office))
    (first,) = await rounds.fetch_due()
    assert (first.state, first.pages) == (TaskState.WAITING, 1)
    (second,) = await rounds.fetch_due()
    assert second.state is TaskState.DONE
    assert seen == ["1 with access-0", "2 with access-0", "2 with access-1", "3 with access-1"]
    assert (await office.state())[0] == "active"


async def test_a_pull_whose_new_token_is_refused_too_ends_the_connection(database: Database) -> None:
    office = Office(database)

    async def fetch(http: Http, task: Task, now: datetime) -> AsyncIterator[Page]:
        none: tuple[Page, ...] = ()
        for page in none:
            yield page
        raise NeedsReauth("the access token is not accepted")

    office.connector = OAuthToy(fetch=fetch)
    await office.open()
    rounds = Rounds(database, office.clock.context(), {"toy": office.connector}, puller(office))
    states = [pulled.state for _ in range(3) for pulled in await rounds.fetch_due()]
    assert states == [TaskState.WAITING, TaskState.FAILED]
    assert len(office.identity.calls) == 1
    assert (await office.state())[0] == "needs_reauth"
