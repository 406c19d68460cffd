"""Files as deliveries: the bytes of the request are the file, kept first and read later."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Request
from fastapi import Query as RequestQuery
from pydantic import Field

from connectors.contract import Connector
from service import ids
from service.api.auth import WritesDeliveries
from service.api.models import DeliveryId, Line, Output, Query
from service.api.state import Parts, Services
from service.errors import Invalid, TooLarge
from service.records import SourceRow
from service.registry import options, sources

router = APIRouter(prefix="/v1/sources", tags=["deliveries"])

_BODY = {
    "requestBody": {
        "required": True,
        "content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary", "minLength": 1}}},
    }
}


class UploadQuery(Query):
    """How the file is called and read."""

    filename: Line = ""
    options: str | None = Field(None, max_length=20_000, description="JSON object that overrides the source's options")


class Uploaded(Output):
    """The file is kept: new, or a duplicate of what was sent before with the same options."""

    delivery: DeliveryId
    outcome: str


@router.post("/{source}/uploads", status_code=202, openapi_extra=_BODY)
async def upload_file(
    source: str,
    request: Request,
    caller: WritesDeliveries,
    parts: Parts,
    query: Annotated[UploadQuery, RequestQuery()],
) -> Uploaded:
    """Keep a file of a source to be read soon. The answer names the delivery, where its outcome will stand."""
    row, connector = await _uploadable(parts, caller.workspace_id, ids.read("source", source))
    chosen = _merged(connector, row, query.options)
    body = await _file(request, connector.capabilities.max_body)
    landed = await parts.lander.land_upload(row, body, filename=query.filename, options=chosen)
    return Uploaded(delivery=ids.show("delivery", landed.delivery_id), outcome=landed.outcome.value)


async def _uploadable(parts: Services, workspace_id: UUID, source_id: UUID) -> tuple[SourceRow, Connector]:
    async with parts.db.workspace(workspace_id) as connection:
        row = await sources.load(connection, workspace_id, source_id)
    connector = options.connector_named(parts.connectors, row.connector)
    if not connector.capabilities.upload:
        raise Invalid(f"{connector.name} reads no files", pointer="path:source", code="not_supported")
    return row, connector


async def _file(request: Request, limit: int) -> bytes:
    """Return the body. Raises TooLarge beyond the connector's limit, Invalid when it is empty."""
    parts = bytearray()
    async for chunk in request.stream():
        parts += chunk
        if len(parts) > limit:
            raise TooLarge(f"a file for this source has {limit} bytes at most")
    if not parts:
        raise Invalid("the file is empty", code="empty")
    return bytes(parts)


def _merged(connector: Connector, row: SourceRow, given: str | None) -> Mapping[str, Any]:
    """Return the source's options with those given for this file. Raises Invalid."""
    if given is None:
        return row.options
    try:
        override = json.loads(given)
    except (ValueError, RecursionError):
        override = None
    if not isinstance(override, dict):
        raise Invalid("options is a JSON object", pointer="?options", code="malformed")
    return options.plain(options.decode(connector, {**row.options, **override}, "?options"))
