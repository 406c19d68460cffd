"""Proving a source, for ``check``: one finding per fact, in plain words, whatever the platform.

What has to be asked is the platform's; how a failure is said is the same everywhere.
"""

from __future__ import annotations

from collections.abc import Awaitable, Iterable

from connectors.contract import ConnectorError, Finding, NeedsReauth, Secret, TryLater
from connectors.webhooks import has_key

_BUSY = "does not answer or throttles at the moment: try again later"


def unreachable(
    error: ConnectorError, title: str, what: str = "account", owner: str = "account", *, tells: bool = False
) -> Finding:
    """Say why something cannot be read.

    ``owner`` is what a person connects again; a platform that ``tells`` why it has to be waited for is quoted.
    """
    if isinstance(error, NeedsReauth):
        return Finding(ok=False, text=f"the access token is not accepted: connect the {owner} again")
    if isinstance(error, TryLater):
        why = f"cannot be asked at the moment: {error}" if tells else _BUSY
        return Finding(ok=False, text=f"{title} {why}")
    return Finding(ok=False, text=f"the token is accepted, the {what} is not readable: {error}")


async def readable(what: str, call: Awaitable[object]) -> Finding:
    """Say whether something can be read: the call that reads it raises what speaks against it."""
    try:
        await call
    except ConnectorError as error:
        return Finding(ok=False, text=f"{what} are not readable: {error}")
    return Finding(ok=True, text=f"{what} are readable")


def missing(*wanted: tuple[object, str]) -> list[Finding]:
    """Say what is not there, of things given with the words for their lack."""
    return [Finding(ok=False, text=text) for has, text in wanted if not has]


def unsigned(keys: Iterable[Secret], called: str = "app secret") -> list[Finding]:
    """Say that webhooks cannot be verified, where there is no key for it."""
    return missing((has_key(keys), f"no {called}: webhooks cannot be verified and are refused"))


def permissions(wanted: Iterable[str], granted: Iterable[object], called: str = "permission") -> list[Finding]:
    """Say which permissions are missing, or that all are granted."""
    held = list(granted)
    lacking = [Finding(ok=False, text=f"the {called} {one} is missing") for one in wanted if one not in held]
    return lacking or [Finding(ok=True, text=f"all {called}s are granted")]
