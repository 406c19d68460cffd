from __future__ import annotations

from collections.abc import AsyncIterator

import pytest_asyncio

from service.db.embedded import Embedded
from tests.integration.query.world import World, copied, open_world


@pytest_asyncio.fixture(scope="package", loop_scope="package")
async def world(postgres: Embedded) -> AsyncIterator[World]:
    """One world for all tests of the package: they only ask."""
    with copied(postgres) as url:
        async with open_world(url) as made:
            yield made
