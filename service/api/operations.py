"""For those who run the service: is it alive, is it ready, what does it measure."""

from __future__ import annotations

import asyncio

import sqlalchemy as sa
from fastapi import APIRouter, Response

from service import telemetry
from service.api.models import Output
from service.api.state import Parts, Services
from service.db.faults import DATABASE_ERRORS
from service.db.partitions import days_left

router = APIRouter(tags=["operations"])
_PING_SECONDS = 1.0
_FEWEST_DAYS = 2
_REVISION = sa.text("select version_num from alembic_version")


class Health(Output):
    """The process answers; nothing else was asked."""

    status: str


class Readiness(Output):
    """Whether requests can be served, and what stands in the way."""

    ready: bool
    database: bool
    migrated: bool | None
    partition_days: int | None
    problems: list[str]


@router.get("/healthz")
async def get_health() -> Health:
    """Tell that the process is alive."""
    return Health(status="ok")


@router.get("/readyz", responses={503: {"model": Readiness, "description": "Not ready"}})
async def get_readiness(parts: Parts, response: Response) -> Readiness:
    """Tell whether the database answers within a second, is migrated, and has its partitions."""
    found = await _look(parts)
    if not found.ready:
        response.status_code = 503
        response.headers["Retry-After"] = "5"
    return found


@router.get("/metrics", include_in_schema=False)
async def get_metrics() -> Response:
    """Return the metrics of this process for Prometheus."""
    body, media_type = telemetry.exposition()
    return Response(body, headers={"content-type": media_type})


async def _look(parts: Services) -> Readiness:
    try:
        async with asyncio.timeout(_PING_SECONDS), parts.db.control() as connection:
            revision = await connection.scalar(_REVISION)
            days = await days_left(connection, parts.context.now().date())
    except DATABASE_ERRORS:
        away = ["the database does not answer"]
        return Readiness(ready=False, database=False, migrated=None, partition_days=None, problems=away)
    telemetry.PARTITION_DAYS.set(days)
    problems = [] if revision == parts.revision else ["the database is not at the newest migration: tallybook migrate"]
    if days < _FEWEST_DAYS:
        problems.append("partitions end within two days: the scheduler makes them")
    return Readiness(
        ready=not problems,
        database=True,
        migrated=revision == parts.revision,
        partition_days=days,
        problems=problems,
    )
