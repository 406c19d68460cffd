"""How an answer leaves: not at all where the caller has it already, else in the form asked for.

The tag is told before any number is read, in the same snapshot as the answer. A route says what is asked
(:class:`Asking`) and hands over what answers it; tags, ages, 304 and forms are the business of this module.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import datetime
from http import HTTPStatus
from typing import Any
from urllib.parse import parse_qsl, urlencode
from uuid import UUID

import msgspec
from fastapi import Request, Response
from fastapi.responses import StreamingResponse
from sqlalchemy.ext.asyncio import AsyncConnection

from service import ids
from service.api import caching, exports, limits, unchanged
from service.api.auth import Caller
from service.api.kpi_answers import REF, platform_notes
from service.api.state import Services
from service.api.unchanged import Kept
from service.reports.answer import AnswerOut
from service.reports.question import Question
from service.reports.standing import Standing, standing, workspace_standing


class Asking(msgspec.Struct, frozen=True, kw_only=True):
    """What is asked, as far as it decides whether an answer is still the answer.

    ``words`` are all that the caller said, in any form that is JSON, ``question`` its range, its knowledge and what the
    caller may see. Without a ``campaign``, or where more than that campaign decides (other campaigns, other ways to
    credit), everything that is written in the workspace does; such an answer is one of its moment, unless it says that
    it is ``timeless``: once the range is over, nothing in it goes by the clock. ``form`` None is as ``Accept`` prefers.
    """

    question: Question
    words: Any = None
    campaign: UUID | None = None
    form: str | None = None
    timeless: bool = False


Report = Callable[[AsyncConnection, Question, datetime], Awaitable[msgspec.Struct]]
"""Answers a question at an instant, in a snapshot. The question is the asked one, with the posting to name."""


async def answered(request: Request, caller: Caller, parts: Services, asking: Asking, report: Report) -> Response:
    """Answer a question, or say that the answer is unchanged. Raises what the report does.

    Forms other than JSON are those of an ``AnswerOut``; whose report gives another shape asks for the form ``json``.
    """
    chosen = asking.form or exports.accepted(request.headers.get("accept"))
    async with parts.db.snapshot(caller.workspace_id) as connection:
        stands = await _standing(connection, caller.workspace_id, asking, parts.context.now())
        tag = _tag(parts, caller.workspace_id, asking, stands, exports.FORMS[chosen])
        headers = caching.headers_of(stands, tag)
        if caching.has(tag, request.headers.get("if-none-match")):
            _remember(request, caller, asking, stands, headers)
            return Response(status_code=HTTPStatus.NOT_MODIFIED, headers=headers)
        known = msgspec.structs.replace(asking.question, known=stands.known)
        answer = await report(connection, known, stands.clock)
    _remember(request, caller, asking, stands, headers)
    if not isinstance(answer, AnswerOut):
        return Response(exports.encoded(answer), media_type=exports.FORMS["json"], headers=headers)
    limits.charge(request.scope, caller.principal.key_id, len(answer.data) * len(answer.totals))
    headers["X-Data-As-Of"] = answer.meta.as_of
    if chosen == "json":
        return Response(exports.encoded(answer), media_type=exports.FORMS[chosen], headers=headers)
    headers |= _export_headers(request, asking, chosen, answer.meta.as_of)
    return StreamingResponse(exports.rendered(answer, chosen), media_type=exports.FORMS[chosen], headers=headers)


async def _standing(connection: AsyncConnection, workspace_id: UUID, asking: Asking, now: datetime) -> Standing:
    if asking.campaign is None:
        return await workspace_standing(connection, workspace_id, asking.question, now, timeless=asking.timeless)
    return await standing(connection, workspace_id, asking.campaign, asking.question, now)


def _tag(parts: Services, workspace_id: UUID, asking: Asking, stands: Standing, media_type: str) -> str:
    asked = msgspec.structs.replace(asking.question, known=None)
    words = (workspace_id, asking.campaign, asked, asking.words)
    return caching.tag_of(words, stands, platform_notes(parts.connectors), media_type)


def _remember(request: Request, caller: Caller, asking: Asking, stands: Standing, headers: dict[str, str]) -> None:
    """Let the next equal request with this tag be answered in front of the routes; browsers keep a pinned one."""
    if stands.posting is None:
        return
    principal = caller.principal
    kept = Kept(
        workspace_id=caller.workspace_id,
        campaign_id=asking.campaign,
        posting=stands.posting,
        key_id=principal.key_id,
        key_hash=principal.key_hash,
        until=stands.holds_until if principal.expires_at is None else min(stands.holds_until, principal.expires_at),
        headers=dict(headers),
        route=request.scope.get("route"),
    )
    unchanged.remember(request.scope, kept)


def _export_headers(request: Request, asking: Asking, form: str, as_of: str) -> dict[str, str]:
    pairs = [pair for pair in parse_qsl(request.url.query) if pair[0] not in {"format", "as_of"}]
    described = f"{request.url.path}?{urlencode([*pairs, ('format', 'json'), ('as_of', as_of)])}"
    name = "" if asking.campaign is None else ids.show("campaign", asking.campaign) + "-"
    return {
        "Content-Disposition": f'attachment; filename="{name}kpis.{form}"',
        "Link": f'<{described}>; rel="describedby"; type="application/json"',
    }


def declared(
    answer: type[msgspec.Struct], description: str = "The answer", *, exported: bool = True
) -> dict[int | str, dict[str, Any]]:
    """Return the responses of a route whose answers have a shape and leave by :func:`answered`."""
    header = {"schema": {"type": "string"}}
    told = {"ETag": header | {"description": "names these bytes; send it back as `If-None-Match`"}}
    content: dict[str, Any] = {"application/json": {"schema": {"$ref": REF.format(name=answer.__name__)}}}
    others = list(exports.FORMS.values())[1:] if exported else ()
    content |= {media.partition(";")[0]: {"schema": {"type": "string"}} for media in others}
    return {
        200: {"description": description, "headers": told, "content": content},
        304: {"description": "The answer that `If-None-Match` names is still the answer", "headers": told},
    }
