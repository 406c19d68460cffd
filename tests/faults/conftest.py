"""One database per module: these tests make a workspace per case, and there are hundreds of cases."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator, Iterator

import pytest
import pytest_asyncio

from service.db import embedded
from service.db.embedded import Embedded
from service.db.engine import Database, make_engine
from tests.database import TEMPLATE
from tests.faults.driver import Spoilt

pytest.register_assert_rewrite("tests.faults.office")


@pytest.fixture(scope="module")
def shared_url(postgres: Embedded) -> Iterator[str]:
    """Copy the template for one module; yield the service role's address."""
    name = f"f_{uuid.uuid4().hex[:12]}"  # noqa: TID251 - the names of throw-away databases are no data
    postgres.psql(f"create database {name} template {TEMPLATE} strategy file_copy owner {embedded.OWNER}")
    yield postgres.url(embedded.SERVICE, name)
    postgres.psql(f"drop database {name} with (force)")


@pytest_asyncio.fixture
async def sound(shared_url: str) -> AsyncIterator[Database]:
    """Open the module's database as the service role."""
    engine = make_engine(shared_url, 10)
    yield Database(engine)
    await engine.dispose()


@pytest_asyncio.fixture
async def spoilt(shared_url: str) -> AsyncIterator[Spoilt]:
    """Open the module's database with a saboteur in the driver."""
    made = Spoilt(shared_url)
    yield made
    await made.engine.dispose()
