"""``check --health``: one request to the service of this machine. Kept light: a container asks all the time."""

from __future__ import annotations

import http.client
from typing import Annotated

import typer

from service import settings
from service.commands.endings import Code, Ended
from service.errors import Misconfigured

app = typer.Typer(rich_markup_mode=None)
_SECONDS = 3.0
_EVERYWHERE = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - what a service may listen on


@app.command()
def check(
    *, _health: Annotated[bool, typer.Option("--health", help="ask /healthz of the local service and nothing else")]
) -> None:
    """Ask the service of this machine whether it is alive."""
    try:
        chosen = settings.load()
    except Misconfigured as error:
        raise Ended(Code.FAILED, str(error)) from None
    host = _EVERYWHERE.get(chosen.host, chosen.host)
    asked = http.client.HTTPConnection(host, chosen.port, timeout=_SECONDS)
    try:
        asked.request("GET", "/healthz", headers={"connection": "close"})
        status = asked.getresponse().status
    except (OSError, http.client.HTTPException) as error:
        raise Ended(Code.FAILED, f"no answer from {host} port {chosen.port}: {type(error).__name__}") from None
    finally:
        asked.close()
    if status != http.HTTPStatus.OK:
        raise Ended(Code.FAILED, f"{host} port {chosen.port} answers {status}")
