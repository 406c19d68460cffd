from __future__ import annotations

from collections.abc import AsyncIterator

import pytest_asyncio

from tests.integration.api.office import Desk, Office, open_office


@pytest_asyncio.fixture
async def office(database_url: str) -> AsyncIterator[Office]:
    async with open_office(database_url) as opened:
        yield opened


@pytest_asyncio.fixture
async def desk(office: Office) -> Desk:
    return await office.workspace()
