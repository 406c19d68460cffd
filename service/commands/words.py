"""What people type after an option, as what it stands for: pairs, dates, options of connectors, secrets."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec

from connectors.contract import Connector
from service.commands.endings import Code, Ended
from service.errors import Invalid

_DAY = re.compile(r"\d{4}-\d{2}-\d{2}")


def pairs(given: Iterable[str] | None, option: str) -> dict[str, str]:
    """Return ``NAME=VALUE`` words as a mapping. Raises :class:`Invalid` for another form and for a name twice."""
    found: dict[str, str] = {}
    for word in given or ():
        name, middle, value = word.partition("=")
        name = name.strip()
        if not middle or not name:
            raise Invalid(f"write NAME=VALUE, not {word!r}", pointer=option)
        if name in found:
            raise Invalid(f"{name} is given twice", pointer=option)
        found[name] = value
    return found


def instant(text: str | None) -> str | None:
    """Return an instant as the API takes it; a date stands for its midnight in UTC."""
    return f"{text}T00:00:00Z" if text is not None and _DAY.fullmatch(text) else text


def moment(text: str | None, option: str) -> datetime | None:
    """Return an instant; a date stands for its midnight in UTC. Raises :class:`Invalid` for what is neither."""
    if text is None:
        return None
    try:
        found = datetime.fromisoformat(str(instant(text)))
    except ValueError:
        raise Invalid("write YYYY-MM-DD, or an instant with its offset", pointer=option) from None
    if found.tzinfo is None:
        raise Invalid("an instant has an offset, as 2026-06-01T12:00:00Z", pointer=option)
    return found.astimezone(UTC)


def options(connector: Connector, given: Mapping[str, str]) -> dict[str, Any]:
    """Return typed values for texts, by the connector's options; what does not fit is left to their own check."""
    kinds = {field.encode_name: field.type for field in msgspec.structs.fields(connector.options)}
    return {name: _typed(text, kinds.get(name, str)) for name, text in given.items()}


def _typed(text: str, kind: Any) -> Any:
    for read in (_from_text, _from_json, _as_json):
        try:
            return msgspec.to_builtins(read(text, kind))
        except (msgspec.DecodeError, msgspec.ValidationError, ValueError):
            continue
    return text


def _from_text(text: str, kind: Any) -> Any:
    return msgspec.convert(text, kind, strict=False)


def _from_json(text: str, kind: Any) -> Any:
    return msgspec.json.decode(text, type=kind)


def _as_json(text: str, _kind: Any) -> Any:
    """Read an object or a list whose parts do not fit, so that the part is named that does not."""
    if not text.startswith(("{", "[")):
        raise ValueError
    return msgspec.json.decode(text)


def secrets(given: Iterable[str] | None, option: str) -> dict[str, str]:
    """Return the contents of ``NAME=@FILE`` words (``@-``: standard input), without the line end.

    A secret itself is refused: command lines are seen by everybody on a machine and kept in histories.
    """
    return {name: _secret(value, option) for name, value in pairs(given, option).items()}


def _secret(value: str, option: str) -> str:
    if not value.startswith("@"):
        raise Invalid(
            "write NAME=@FILE, or NAME=@- for standard input: a secret is no word of a command", pointer=option
        )
    raw = file_bytes(value[1:], 64 * 1024)
    try:
        return raw.decode().rstrip("\r\n")
    except UnicodeDecodeError:
        raise Ended(Code.FAILED, f"{value[1:]} is no text") from None


def file_bytes(name: str, limit: int) -> bytes:
    """Return the bytes of a file, or of standard input for ``-``. Ends the command when they are not to be had."""
    try:
        if name == "-":
            found = sys.stdin.buffer.read(limit + 1)
        else:
            with Path(name).open("rb") as file:
                found = file.read(limit + 1)
    except OSError as error:
        raise Ended(Code.FAILED, f"{name}: {error.strerror or type(error).__name__}") from None
    if len(found) > limit:
        raise Ended(Code.FAILED, f"{name} has more than {limit} bytes")
    if not found:
        raise Ended(Code.FAILED, f"{name} is empty")
    return found
