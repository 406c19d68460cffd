"""Sources below HTTP: looking them up by address, what a connector gets to see, what stays sealed."""

from __future__ import annotations

import base64
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.contract import Secret
from service.access.secrets import SealBroken, Vault
from service.context import fixed
from service.db.engine import Database
from service.errors import Invalid, Misconfigured, NotFound
from service.records import Workspace
from service.registry import options, rings, sources, workspaces
from service.registry.sources import Created, NewSource
from tests.integration.api.office import CONNECTORS

NOW = datetime(2026, 6, 1, tzinfo=UTC)
CONTEXT = fixed(NOW, seed=11)
VAULT = Vault(base64.b64encode(b"k" * 32).decode(), CONTEXT)
SHOP = NewSource(connector="standard_webhooks", name="Shop", platform="shop")
BRAND = NewSource(
    connector="chirper",
    name="Brand",
    account="42",
    credentials={"access_token": "t0ken", "app_secret": "s3cret"},
)


async def open_workspace(database: Database) -> Workspace:
    made = workspaces.new("Acme", "UTC", "EUR", CONTEXT)
    async with database.workspace(made.workspace_id) as connection:
        return await workspaces.create(connection, made, VAULT)


async def connect(database: Database, workspace_id: UUID, wanted: NewSource) -> Created:
    async with database.workspace(workspace_id) as connection:
        vault = await workspaces.open_vault(connection, workspace_id, VAULT)
        return await sources.create(connection, workspace_id, wanted, CONNECTORS, vault, CONTEXT)


async def test_an_address_leads_to_its_source_alone(database: Database) -> None:
    home = (await open_workspace(database)).workspace_id
    made = await connect(database, home, SHOP)
    assert await sources.by_address(database, made.address) == made.row
    for address in ("", "x", made.address[:-1], made.address + "=", "ü", "\ud800"):
        assert await sources.by_address(database, address) is None
    async with database.workspace(home) as connection:
        fresh = await sources.rotate_address(connection, home, made.row.source_id, CONTEXT)
    assert await sources.by_address(database, made.address) is None
    assert (await sources.by_address(database, fresh) or made.row).source_id == made.row.source_id


async def test_a_connector_sees_its_source_opened(database: Database) -> None:
    home = (await open_workspace(database)).workspace_id
    made = await connect(database, home, BRAND)
    async with database.workspace(home) as connection:
        vault = await workspaces.open_vault(connection, home, VAULT)
        row = await sources.load(connection, home, made.row.source_id)
    assert row == made.row
    opened = sources.contract_source(row, vault, CONNECTORS["chirper"])
    assert opened.id == f"src_{row.source_id.hex}"
    assert opened.credentials == {"access_token": "t0ken"}
    assert opened.secrets == (Secret(value="s3cret"),)
    assert (opened.options.region, opened.options.limit) == ("eu", 50)
    for shown in (repr(row), repr(made), repr(opened), repr(BRAND), repr(vault), repr(VAULT)):
        assert "t0ken" not in shown
        assert "s3cret" not in shown
        assert made.address not in shown


async def test_seals_of_two_sources_cannot_be_exchanged(database: Database) -> None:
    home = (await open_workspace(database)).workspace_id
    one, two = await connect(database, home, BRAND), await connect(database, home, BRAND)
    async with database.workspace(home) as connection:
        vault = await workspaces.open_vault(connection, home, VAULT)
    with pytest.raises(SealBroken):
        rings.unseal_ring(vault, two.row.source_id, one.row.secrets)
    with pytest.raises(SealBroken):
        rings.unseal_credentials(vault, one.row.source_id, one.row.secrets)


async def test_sources_of_another_workspace_are_not_there(database: Database) -> None:
    home, other = [(await open_workspace(database)).workspace_id for _ in range(2)]
    made = await connect(database, home, SHOP)
    async with database.workspace(other) as connection:
        for workspace_id in (home, other):
            with pytest.raises(NotFound):
                await sources.load(connection, workspace_id, made.row.source_id)
            assert await sources.listing(connection, workspace_id, 10) == []
        assert await sources.missing(connection, other, [made.row.source_id]) == {made.row.source_id}


def test_options_that_no_longer_fit_are_named() -> None:
    with pytest.raises(Misconfigured, match="chirper 3"):
        options.restored(CONNECTORS["chirper"], {"limit": "many"})


def test_a_wrong_option_has_a_pointer() -> None:
    with pytest.raises(Invalid) as caught:
        options.decode(CONNECTORS["files"], {"columns": {"likes": 7}})
    assert caught.value.pointer.startswith("/options/columns")
    with pytest.raises(Invalid) as caught:
        options.decode(CONNECTORS["chirper"], {"a/b": 1})
    assert (caught.value.pointer, caught.value.allowed) == ("/options/a~1b", ("limit", "region"))


@given(st.lists(st.tuples(st.text(min_size=1, max_size=5), st.integers(0, 100)), min_size=1, max_size=12))
def test_a_ring_holds_the_newest_and_what_still_overlaps(turns: list[tuple[str, int]]) -> None:
    ring: tuple[Secret, ...] = ()
    now = NOW
    for value, minutes in turns:
        ring = rings.turned(ring, value, now, timedelta(minutes=minutes))
        assert ring[0] == Secret(value=value)
        assert all(secret.valid_until is not None and secret.valid_until > now for secret in ring[1:])
        assert len({secret.value for secret in ring}) == len(ring) <= rings.LONGEST
        now += timedelta(minutes=30)


def test_no_turn_prolongs_an_older_key() -> None:
    ring = rings.turned((Secret(value="a"),), "b", NOW, timedelta(minutes=10))
    ring = rings.turned(ring, "c", NOW, timedelta(days=1))
    assert ring[2] == Secret(value="a", valid_until=NOW + timedelta(minutes=10))
    assert isinstance(ring[1].valid_until, datetime)
