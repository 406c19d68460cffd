"""How an answer about a campaign leaves: not at all where the caller has it already, else in the form asked for.

The tag is told before any number is read, in the same snapshot as the answer.
"""

from __future__ import annotations

from http import HTTPStatus
from typing import Any
from urllib.parse import parse_qsl, urlencode
from uuid import UUID

import msgspec
from fastapi import Request, Response
from fastapi.responses import StreamingResponse

from service import ids
from service.api import caching, exports, unchanged
from service.api.auth import Caller
from service.api.kpi_answers import REF, platform_notes
from service.api.state import Services
from service.api.unchanged import Kept
from service.reports.campaign import campaign_kpis
from service.reports.question import Question
from service.reports.standing import Standing, standing


async def answered(
    request: Request,
    caller: Caller,
    parts: Services,
    campaign_id: UUID,
    question: Question,
    form: str | None,
) -> Response:
    """Answer a question about a campaign, or say that the answer is unchanged. Raises what the report does."""
    notes = platform_notes(parts.connectors)
    chosen = form or exports.accepted(request.headers.get("accept"))
    home = caller.workspace_id
    async with parts.db.snapshot(home) as connection:
        now = parts.context.now()
        stands = await standing(connection, home, campaign_id, question, now)
        tag = caching.tag_of(campaign_id.hex, question, stands, notes, exports.FORMS[chosen])
        headers = caching.headers_of(question, stands, tag)
        if caching.has(tag, request.headers.get("if-none-match")):
            _remember(request, caller, campaign_id, stands, headers)
            return Response(status_code=HTTPStatus.NOT_MODIFIED, headers=headers)
        known = msgspec.structs.replace(question, known=stands.known)
        answer = await campaign_kpis(connection, home, campaign_id, known, notes, stands.clock)
    _remember(request, caller, campaign_id, stands, headers)
    headers["X-Data-As-Of"] = answer.meta.as_of
    if chosen == "json":
        body = b"".join(exports.rendered(answer, chosen))
        return Response(body, media_type=exports.FORMS[chosen], headers=headers)
    headers |= _export_headers(request, campaign_id, chosen, answer.meta.as_of)
    return StreamingResponse(exports.rendered(answer, chosen), media_type=exports.FORMS[chosen], headers=headers)


def _remember(request: Request, caller: Caller, campaign_id: UUID, stands: Standing, headers: dict[str, str]) -> None:
    """Let the next equal request with this tag be answered in front of the routes; browsers keep a pinned one."""
    if stands.posting is None:
        return
    principal = caller.principal
    kept = Kept(
        workspace_id=caller.workspace_id,
        campaign_id=campaign_id,
        posting=stands.posting,
        key_id=principal.key_id,
        key_hash=principal.key_hash,
        until=stands.holds_until if principal.expires_at is None else min(stands.holds_until, principal.expires_at),
        headers=dict(headers),
        route=request.scope.get("route"),
    )
    unchanged.remember(request.scope, kept)


def _export_headers(request: Request, campaign_id: UUID, form: str, as_of: str) -> dict[str, str]:
    pairs = [pair for pair in parse_qsl(request.url.query) if pair[0] not in {"format", "as_of"}]
    described = f"{request.url.path}?{urlencode([*pairs, ('format', 'json'), ('as_of', as_of)])}"
    return {
        "Content-Disposition": f'attachment; filename="{ids.show("campaign", campaign_id)}-kpis.{form}"',
        "Link": f'<{described}>; rel="describedby"; type="application/json"',
    }


def declared(answer: type[msgspec.Struct]) -> dict[int | str, dict[str, Any]]:
    """Return the responses of a route whose answers have a shape and leave by :func:`answered`."""
    header = {"schema": {"type": "string"}}
    told = {"ETag": header | {"description": "names these bytes; send it back as `If-None-Match`"}}
    content: dict[str, Any] = {"application/json": {"schema": {"$ref": REF.format(name=answer.__name__)}}}
    content |= {media.partition(";")[0]: {"schema": {"type": "string"}} for media in list(exports.FORMS.values())[1:]}
    return {
        200: {"description": "The answer", "headers": told, "content": content},
        304: {"description": "The answer that `If-None-Match` names is still the answer", "headers": told},
    }
