"""What a source may be connected with: connector, platform, options, credentials. Pure checks with pointers."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec

from connectors.contract import Connector
from service import capabilities
from service.errors import Invalid, Misconfigured
from service.registry import checks

RING = frozenset({"webhook_secret", "app_secret"})
"""Credentials of these names are keys that senders sign with: they go to the ring, where they can be rotated."""
GENERATED = "webhook_secret"
"""The one that is made when a connector asks for it and none is given."""
LOGIN = ("refresh_token", "client_id", "client_secret")
"""Credentials that every connector with a login takes: what renews its token, and the app if it is not in settings."""

_DEEPEST = 32
_PLATFORM = re.compile(r"[a-z0-9_]{1,40}")
_PLACE = re.compile(r"(.*?)(?: - at `\$(.*)`)?", re.DOTALL)


def connector_named(connectors: Mapping[str, Connector], name: str) -> Connector:
    """Return the connector of a name. Raises :class:`Invalid` with those there are."""
    found = connectors.get(name)
    if found is None:
        near = checks.nearest(name, connectors)
        known = tuple(connectors)
        raise Invalid("no such connector", pointer="/connector", code="unknown_connector", allowed=known, nearest=near)
    return found


def platform_of(connector: Connector, named: str | None) -> str:
    """Return the platform of a source. Raises :class:`Invalid` where it is missing, malformed or another's."""
    if connector.platform is not None:
        if named not in {None, connector.platform}:
            text = f"{connector.name} speaks for {connector.platform} alone"
            raise Invalid(text, pointer="/platform", code="other_platform", allowed=(connector.platform,))
        return connector.platform
    if named is None:
        raise Invalid(f"{connector.name} needs to know the platform", pointer="/platform", code="missing")
    if not _PLATFORM.fullmatch(named):
        raise Invalid("a platform is a word of a-z, 0-9 and _, at most 40", pointer="/platform", code="malformed")
    return named


def decode(connector: Connector, given: Mapping[str, Any], at: str = "/options") -> Any:
    """Return options as the connector's struct. Raises :class:`Invalid` with a pointer below ``at``."""
    if not _is_storable(given):
        raise Invalid(
            "an option cannot be stored: NUL, half a surrogate pair, NaN, or too deep", pointer=at, code="malformed"
        )
    known = {field.encode_name for field in msgspec.structs.fields(connector.options)}
    for name in given:
        if name not in known:
            near = checks.nearest(name, known)
            allowed = tuple(sorted(known))
            raise Invalid(
                "no such option", pointer=f"{at}/{escape(name)}", code="unknown_field", allowed=allowed, nearest=near
            )
    try:
        options = msgspec.convert(given, connector.options)
    except (msgspec.ValidationError, ValueError) as error:
        text, place = _placed(str(error))
        raise Invalid(text, pointer=at + place, code="invalid") from None
    wrong = connector.check_options(options)
    if wrong:
        raise Invalid(wrong[0], pointer=at, code="invalid")
    return options


def _is_storable(value: Any, depth: int = _DEEPEST) -> bool:
    """Tell whether a JSON value, as Python reads it, is one that PostgreSQL keeps."""
    if isinstance(value, str):
        return "\x00" not in value and value.encode("utf-8", "replace").decode() == value
    if isinstance(value, Mapping):
        value = [*value, *value.values()]
    if isinstance(value, Sequence):
        return depth > 0 and all(_is_storable(part, depth - 1) for part in value)
    return not isinstance(value, float) or math.isfinite(value)


def plain(options: Any) -> dict[str, Any]:
    """Return options as what is stored: every field, so that a later default changes no earlier source."""
    stored: dict[str, Any] = msgspec.to_builtins(options)
    return stored


def restored(connector: Connector, stored: Mapping[str, Any]) -> Any:
    """Return stored options as the connector's struct. Raises :class:`Misconfigured` when they no longer fit."""
    try:
        return msgspec.convert(stored, connector.options)
    except (msgspec.ValidationError, ValueError):
        raise Misconfigured(f"the stored options do not fit {connector.name} {connector.version}") from None


def sort_credentials(
    connector: Connector, given: Mapping[str, str], at: str = "/credentials"
) -> tuple[dict[str, str], str | None]:
    """Return (credentials, key for the ring) out of what was given. Raises :class:`Invalid` for an unknown name."""
    declared = known_credentials(connector)
    for name in given:
        if name not in declared:
            near = checks.nearest(name, declared)
            raise Invalid(
                "the connector asks for no such credential",
                pointer=f"{at}/{escape(name)}",
                code="unknown_field",
                allowed=tuple(declared),
                nearest=near,
            )
    ring = [value for name, value in given.items() if name in RING]
    return {name: value for name, value in given.items() if name not in RING}, ring[0] if ring else None


def known_credentials(connector: Connector) -> tuple[str, ...]:
    """Return the names of what a source of a connector may be given."""
    ways = list(capabilities.ways_of(connector))
    declared = tuple(dict.fromkeys(name for auth in ways for name in auth.credentials))
    return declared if all(auth.oauth2 is None for auth in ways) else tuple(dict.fromkeys((*declared, *LOGIN)))


def refuse_ring(given: Iterable[str]) -> None:
    """Raise :class:`Invalid` where a change of credentials names a signing key, which is rotated instead."""
    for name in given:
        if name in RING:
            raise Invalid("a signing key is rotated", pointer=f"/credentials/{name}", code="not_here")


def wants_generated(connector: Connector) -> bool:
    """Tell whether a signing key is made for a source of this connector when none is given."""
    return connector.capabilities.webhook and GENERATED in connector.auth.credentials


def escape(name: str) -> str:
    """Return a name as one step of a JSON pointer (RFC 6901)."""
    return name.replace("~", "~0").replace("/", "~1")


def _placed(message: str) -> tuple[str, str]:
    """Return (text, pointer) of a message of msgspec, which says places like ``$.columns[...]``."""
    found = _PLACE.fullmatch(message)
    text, place = (found[1], found[2] or "") if found else (message, "")
    steps = [step for step in re.split(r"[.\[\]]+", place) if step and step != ""]
    return text.splitlines()[0], "".join(f"/{escape(step)}" for step in steps)
