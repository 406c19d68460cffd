"""Reports about a campaign that more than its own postings decide: answered with a tag, or said to be unchanged."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import msgspec
from fastapi import Request, Response
from sqlalchemy.ext.asyncio import AsyncConnection

from service import ids
from service.api import answers
from service.api.answers import Asking
from service.api.auth import Caller
from service.api.kpi_answers import Page, Report, platform_notes
from service.api.state import Services
from service.reports.question import Question


def declared(answer: type[msgspec.Struct], description: str) -> dict[int | str, dict[str, Any]]:
    """Return the responses of a route whose answers leave by :func:`told`."""
    return answers.declared(answer, description, exported=False)


async def told(
    request: Request,
    report: Report[Page],
    campaign: str,
    question: Question,
    caller: Caller,
    parts: Services,
    *page: Page.args,
    **pages: Page.kwargs,
) -> Response:
    """Ask a report about a campaign, in one snapshot. Raises what the report does.

    Policies, benchmarks, other campaigns and whole conversions decide too, so any posting of the workspace may.
    """
    campaign_id, notes = ids.read("campaign", campaign), platform_notes(parts.connectors)

    async def answer(connection: AsyncConnection, question: Question, now: datetime) -> msgspec.Struct:
        return await report(connection, caller.workspace_id, campaign_id, question, notes, now, *page, **pages)

    words = (request.scope["route"].path, campaign_id.hex, page, pages)
    return await answers.answered(request, caller, parts, Asking(question=question, words=words, form="json"), answer)
