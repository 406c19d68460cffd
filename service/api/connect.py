"""Connecting an account by a login at its platform. Tokens never come near a browser: only a code does, once."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from fastapi import APIRouter
from fastapi import Query as RequestQuery
from pydantic import Field

from service import ids
from service.api.auth import WritesRegistry
from service.api.models import Instant, Line, Name, Output, Query, Slug, SourceId
from service.api.state import Parts
from service.errors import Invalid
from service.records import SourceState
from service.registry.sources import NewSource

router = APIRouter(prefix="/v1/sources", tags=["sources"])


class LoginQuery(Query):
    """What to connect. Without `source` a new one is made when the person comes back."""

    source: SourceId | None = Field(None, description="a source that is there: its account is connected again")
    name: Name | None = Field(None, description="what people call the new source; default: the connector's name")
    account: Line = Field("", description="the platform's id of the account; empty where there is none")
    options: str = Field("{}", max_length=16_384, description="options of the new source, as a JSON object")


class LoginOutput(Output):
    """Where to send the person who may give access, in a browser. It works once, until it expires."""

    authorize_url: str
    redirect_uri: str = Field(description="to be entered where the app is set up at the platform")
    expires_at: Instant


class ConnectedOutput(Output):
    """An account is connected: its source was created, or has new tokens."""

    source: SourceId
    connector: str
    state: SourceState
    created: bool
    message: str


@router.get("/{platform}/authorize")
async def authorize_source(
    platform: Slug, caller: WritesRegistry, parts: Parts, asked: Annotated[LoginQuery, RequestQuery()]
) -> LoginOutput:
    """Begin to connect an account by a login; `platform` is the name of a connector."""
    wanted = NewSource(
        connector=platform,
        name=asked.name or platform,
        account=asked.account,
        options=_options(asked.options),
    )
    source_id = None if asked.source is None else ids.read("source", asked.source)
    login = await parts.logins.begin(caller.workspace_id, wanted, source_id)
    return LoginOutput(authorize_url=login.url, redirect_uri=login.redirect, expires_at=login.expires_at)


def _options(text: str) -> dict[str, Any]:
    try:
        return msgspec.json.decode(text, type=dict[str, Any])
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        raise Invalid("options are a JSON object", pointer="?options", code="malformed") from None


_State = Annotated[str, RequestQuery(min_length=1, max_length=200)]
_Code = Annotated[str | None, RequestQuery(min_length=1, max_length=4096)]
_Error = Annotated[str | None, RequestQuery(max_length=200)]


@router.get("/callback", openapi_extra={"security": []})
async def finish_login(parts: Parts, state: _State, code: _Code = None, error: _Error = None) -> ConnectedOutput:
    """Take in the code that a platform sends a person back with. Whatever else it says is passed over."""
    done = await parts.logins.finish(state, code, error)
    return ConnectedOutput(
        source=ids.show("source", done.row.source_id),
        connector=done.row.connector,
        state=done.row.state,
        created=done.created,
        message="the account is connected: you can close this window",
    )
