"""Accounts connected by a login: from the address that a person is sent to, to a source with tokens."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import httpx
import msgspec
import pytest
import pytest_asyncio
import sqlalchemy as sa

from connectors.contract import Auth, AuthKind, OAuth2, TokenCall
from service import context as contexts
from service import ids
from service.access import keys
from service.api.state import Services
from service.app import build
from service.fetch.oauth import challenge_of
from service.records import SourceState
from service.registry import rings, sources, workspaces
from service.settings import OAuthApp
from tests.fakes.identity import CLIENT, SECRET, FakeIdentity
from tests.integration.api.office import CONNECTORS, Desk, Office, Platform, settings_for

TOKEN_URL = "https://id.example/oauth/token"
LOGIN = OAuth2(
    authorize_url="https://id.example/authorize?brand=1",
    code=TokenCall(url=TOKEN_URL, grant="authorization_code", sends="code"),
    refresh=TokenCall(url=TOKEN_URL, grant="refresh_token", sends="refresh_token"),
    client_id="client_key",
    scope_separator=",",
    parameters={"access_type": "offline"},
    pkce=True,
    rotates=True,
    lifetime=timedelta(hours=2),
)


class Chatter(Platform):
    """A made-up platform with a login."""

    name = "chatter"
    platform = "chatter"
    auth = Auth(
        kind=AuthKind.OAUTH2,
        credentials={"access_token": "a token", "app_secret": "signs the webhooks"},
        scopes=("read", "insights"),
        oauth2=LOGIN,
    )


class Site(msgspec.Struct):
    """An office whose token calls end at a fake provider."""

    office: Office
    identity: FakeIdentity
    desk: Desk
    at: list[datetime]

    async def begin(
        self, path: str = "/v1/sources/chatter/authorize", **asked: str
    ) -> tuple[dict[str, Any], dict[str, str]]:
        login = await self.desk.get(path, params=asked)
        query = dict(parse_qsl(urlsplit(login["authorize_url"]).query))
        self.identity.codes["good"] = query.get("code_challenge")
        return login, query

    async def come_back(self, state: str, status: int = 200, **said: str) -> Any:
        answer = await self.office.nobody.ask("GET", "/v1/sources/callback", params={"state": state, **said})
        assert answer.status_code == status, answer.text
        return answer.json()

    async def credentials(self, source: str) -> dict[str, str]:
        services: Services = self.office.services
        home = ids.read("workspace", str(self.desk.workspace))
        async with services.db.workspace(home) as connection:
            row = await sources.load(connection, home, ids.read("source", source))
            vault = await workspaces.open_vault(connection, home, services.vault)
        return rings.unseal_credentials(vault, row.source_id, row.credentials)


@pytest_asyncio.fixture
async def site(database_url: str) -> AsyncIterator[Site]:
    identity = FakeIdentity()
    at = [datetime(2026, 8, 20, 12, tzinfo=UTC)]
    context = msgspec.structs.replace(contexts.real(), now=lambda: at[0])
    apps = {"chatter": OAuthApp(client_id=CLIENT, client_secret=SECRET)}
    settings = settings_for(database_url, public_url="https://books.example/", oauth_apps=apps)
    connectors = {**CONNECTORS, "chatter": Chatter()}
    transport = httpx.MockTransport(identity.handle)
    app = build(settings, context, roles=("api",), connectors=connectors, transport=transport)
    async with app.router.lifespan_context(app):
        async with app.state.services.db.control() as connection:
            instance = await keys.create_instance(connection, context)
        office = Office(app, instance.token)
        yield Site(office=office, identity=identity, desk=await office.workspace(), at=at)


async def test_a_person_connects_a_new_source(site: Site) -> None:
    login, query = await site.begin(name="Brand", account="42", options='{"region": "us"}')
    assert login["redirect_uri"] == "https://books.example/v1/sources/callback"
    assert login["expires_at"] == "2026-08-20T12:10:00Z"
    assert urlsplit(login["authorize_url"]).netloc == "id.example"
    state, challenge = query.pop("state"), query.pop("code_challenge")
    assert len(state) == 64
    assert query == {
        "response_type": "code",
        "client_key": CLIENT,
        "redirect_uri": "https://books.example/v1/sources/callback",
        "scope": "read,insights",
        "access_type": "offline",
        "code_challenge_method": "S256",
    }
    done = await site.come_back(state, code="good", scope="read", authuser="0")
    assert (done["connector"], done["created"], done["state"]) == ("chatter", True, "active")
    (call,) = site.identity.calls
    assert challenge_of(call.pop("code_verifier")) == challenge
    assert call == {
        "grant_type": "authorization_code",
        "code": "good",
        "redirect_uri": "https://books.example/v1/sources/callback",
        "client_id": CLIENT,
        "client_secret": SECRET,
    }
    shown = await site.desk.get(f"/v1/sources/{done['source']}")
    assert (shown["name"], shown["account"], shown["options"]["region"]) == ("Brand", "42", "us")
    assert await site.credentials(done["source"]) == {"access_token": "access-1", "refresh_token": "refresh-1"}
    assert "access-1" not in str(shown) + str(done)


async def test_an_account_is_connected_again(site: Site) -> None:
    made = await site.desk.post(
        "/v1/sources", {"connector": "chatter", "name": "B", "credentials": {"access_token": "x"}}
    )
    services = site.office.services
    home, source_id = ids.read("workspace", str(site.desk.workspace)), ids.read("source", made["id"])
    async with services.db.workspace(home) as connection:
        await sources.set_state(connection, home, source_id, SourceState.NEEDS_REAUTH, services.context, "gone")
    _, query = await site.begin(source=made["id"])
    done = await site.come_back(query["state"], code="good")
    assert (done["source"], done["created"], done["state"]) == (made["id"], False, "active")
    assert (await site.desk.get(f"/v1/sources/{made['id']}"))["state_detail"] == ""
    assert (await site.credentials(made["id"]))["access_token"] == "access-1"


async def test_a_state_answers_once(site: Site) -> None:
    _, query = await site.begin()
    await site.come_back(query["state"], code="good")
    site.identity.codes["good"] = query["code_challenge"]
    await site.come_back(query["state"], 404, code="good")
    assert len(site.identity.calls) == 1
    assert len((await site.desk.get("/v1/sources"))["data"]) == 1


async def test_a_state_lives_for_ten_minutes(site: Site) -> None:
    _, query = await site.begin()
    site.at[0] += timedelta(minutes=10)
    await site.come_back(query["state"], 404, code="good")
    assert site.identity.calls == []


@pytest.mark.parametrize("state", ["x", "A" * 64, "é" * 10, "A" * 63 + "=", "../../etc"])
async def test_a_state_of_nobody_finds_nothing(site: Site, state: str) -> None:
    await site.come_back(state, 404, code="good")
    await site.office.nobody.problem(422, "GET", "/v1/sources/callback", params={"code": "good"})


async def test_a_state_of_another_workspace_is_not_moved(site: Site) -> None:
    """The workspace stands in the state: changed, it finds nothing, and the real one is not used up."""
    other = await site.office.workspace("Other")
    _, query = await site.begin()
    foreign = dict(parse_qsl(urlsplit((await other.get("/v1/sources/chatter/authorize"))["authorize_url"]).query))
    mixed = foreign["state"][:21] + query["state"][21:]
    await site.come_back(mixed, 404, code="good")
    site.identity.codes["good"] = query["code_challenge"]
    await site.come_back(query["state"], code="good")
    assert (await other.get("/v1/sources"))["data"] == []


async def test_what_the_platform_refuses_is_said_without_its_words(site: Site) -> None:
    _, query = await site.begin()
    said = await site.come_back(query["state"], 422, error="access_denied", error_description="<b>no</b>")
    assert "access_denied" in said["detail"]
    _, query = await site.begin()
    said = await site.come_back(query["state"], 422, error="<script>")
    assert "<script>" not in str(said)
    _, query = await site.begin()
    said = await site.come_back(query["state"], 422, code="wrong")
    assert "invalid_grant" in said["detail"]
    assert "secret words" not in str(said)
    assert (await site.desk.get("/v1/sources"))["data"] == []


async def test_a_provider_that_is_down_leaves_nothing_behind(site: Site) -> None:
    _, query = await site.begin()
    site.identity.answers = [httpx.Response(503)]
    await site.come_back(query["state"], 503, code="good")
    await site.come_back(query["state"], 404, code="good")
    assert (await site.desk.get("/v1/sources"))["data"] == []


async def test_what_is_missing_is_said_before_anybody_is_sent_away(site: Site) -> None:
    for path, words in (
        ("/v1/sources/chirper/authorize", "no login"),
        ("/v1/sources/nothing/authorize", "no such connector"),
        ("/v1/sources/chatter/authorize?options=[]", "JSON object"),
        ('/v1/sources/chatter/authorize?options={"speed":1}', "no such option"),
    ):
        assert words in str(await site.desk.problem(422, "GET", path)), path
    await site.desk.problem(404, "GET", f"/v1/sources/chatter/authorize?source=src_{'0' * 32}")
    reader = await site.office.caller(site.desk, ["registry:read"])
    await reader.problem(403, "GET", "/v1/sources/chatter/authorize")


async def test_nothing_of_a_login_lies_open_in_the_database(site: Site) -> None:
    _, query = await site.begin()
    home = ids.read("workspace", str(site.desk.workspace))
    async with site.office.services.db.workspace(home) as connection:
        (row,) = (await connection.execute(sa.text("select * from connect_requests"))).all()
    assert query["state"].encode() not in row.state_hash + row.wanted
    assert b"verifier" not in row.wanted
    assert b"chatter" not in row.wanted


async def test_new_credentials_by_hand_begin_anew(site: Site) -> None:
    """A token that a person brings has another end than the one before it."""
    _, query = await site.begin()
    done = await site.come_back(query["state"], code="good")
    body = {"credentials": {"access_token": "mine", "refresh_token": None, "client_id": "own"}}
    await site.desk.patch(f"/v1/sources/{done['source']}", body)
    assert await site.credentials(done["source"]) == {"access_token": "mine", "client_id": "own"}
    home = ids.read("workspace", str(site.desk.workspace))
    async with site.office.services.db.workspace(home) as connection:
        (row,) = (await connection.execute(sa.text("select * from source_tokens"))).all()
    assert (row.expires_at, row.generation) == (None, 2)
