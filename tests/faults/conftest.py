"""One database per module: these tests make a workspace per case, and there are hundreds of cases."""

from __future__ import annotations

import uuid
from collections.abc import Iterator

import pytest

from service.db import embedded
from service.db.embedded import Embedded
from tests.database import TEMPLATE


@pytest.fixture(scope="module")
def shared_url(postgres: Embedded) -> Iterator[str]:
    """Copy the template for one module; yield the service role's address."""
    name = f"f_{uuid.uuid4().hex[:12]}"  # noqa: TID251 - the names of throw-away databases are no data
    postgres.psql(f"create database {name} template {TEMPLATE} strategy file_copy owner {embedded.OWNER}")
    yield postgres.url(embedded.SERVICE, name)
    postgres.psql(f"drop database {name} with (force)")
