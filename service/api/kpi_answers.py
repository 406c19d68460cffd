"""Answers about a campaign: a report, asked in one snapshot, goes out as it is, to the byte.

Their shapes are declared once, by the structs of ``service.reports``; the OpenAPI document is made of them.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, Concatenate, ParamSpec
from uuid import UUID

import msgspec
from fastapi import Response
from sqlalchemy.ext.asyncio import AsyncConnection

from connectors.contract import Connector
from service import ids
from service.api.auth import Caller
from service.api.state import Services
from service.reports.question import PlatformNotes, Question

_encode = msgspec.json.Encoder().encode
REF = "#/components/schemas/{name}"


Page = ParamSpec("Page")
Report = Callable[
    Concatenate[AsyncConnection, UUID, UUID, Question, PlatformNotes, datetime, Page], Awaitable[msgspec.Struct]
]
"""A question about a campaign (workspace, campaign) becomes an answer; a page is what it has beyond the question."""


def schemas(*answers: type[msgspec.Struct]) -> dict[str, Any]:
    """Return the JSON Schemas of answers, by name, for the OpenAPI document."""
    _, found = msgspec.json.schema_components(answers, ref_template=REF)
    return found


def declared(answer: type[msgspec.Struct], description: str) -> dict[int | str, dict[str, Any]]:
    """Return the responses of a route that gives an answer of a shape."""
    content = {"application/json": {"schema": {"$ref": REF.format(name=answer.__name__)}}}
    return {200: {"description": description, "content": content}}


async def answered(
    report: Report[Page],
    campaign: str,
    question: Question,
    caller: Caller,
    parts: Services,
    *page: Page.args,
    **pages: Page.kwargs,
) -> Response:
    """Ask a report about a campaign, in one snapshot. Raises what the report does."""
    async with parts.db.snapshot(caller.workspace_id) as connection:
        answer = await report(
            connection,
            caller.workspace_id,
            ids.read("campaign", campaign),
            question,
            platform_notes(parts.connectors),
            parts.context.now(),
            *page,
            **pages,
        )
    return Response(_encode(answer), media_type="application/json")


def platform_notes(connectors: Mapping[str, Connector]) -> PlatformNotes:
    """Return what the connectors declare of mapping rules, simulated platforms and doubtful numbers."""
    named: Sequence[Connector] = [connector for connector in connectors.values() if connector.platform]
    return PlatformNotes(
        mappings={
            (connector.platform or "", line.metric): line.mapping
            for connector in named
            for line in connector.metrics
            if line.mapping and line.metric
        },
        simulated=frozenset(connector.platform or "" for connector in named if connector.capabilities.simulated),
        doubtful=frozenset(
            (connector.platform or "", line.metric)
            for connector in named
            for line in connector.metrics
            if line.quality and line.metric and line.counting
        ),
    )
