"""What the demo remembers between two runs: what it made, by name, and the instant that its simulated world ends at.

The file lies beside the demo's own database, readable by its owner alone, since it holds keys.
"""

from __future__ import annotations

import os
from datetime import datetime
from pathlib import Path

import msgspec

from service.errors import Misconfigured

FILE = "demo.json"
"""Of the main demo; the one of a platform has a file of its own."""
VERSION = 1


class Memory(msgspec.Struct, kw_only=True):
    """``made`` maps the name of a thing to what was answered when it was made. ``until`` is the end of the world."""

    version: int = VERSION
    until: datetime
    platform_token: str = ""
    workspace: str = ""
    key: str = ""
    made: dict[str, dict[str, str]] = {}

    def __repr__(self) -> str:
        """Keep keys out of every log."""
        return f"Memory({self.workspace!r})"


def recall(data_dir: Path, file: str) -> Memory | None:
    """Return what was remembered, or None the first time. Raises :class:`Misconfigured` for a damaged file."""
    path = data_dir / file
    try:
        found = msgspec.json.decode(path.read_bytes(), type=Memory)
    except FileNotFoundError:
        return None
    except (OSError, msgspec.DecodeError) as error:
        raise Misconfigured(f"{path} cannot be read ({type(error).__name__}): remove it to begin anew") from None
    return found if found.version == VERSION else None


def remember(data_dir: Path, memory: Memory, file: str) -> None:
    """Write the file anew, whole or not at all."""
    fresh = data_dir / f"{file}.new"
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as opened:
        opened.write(msgspec.json.format(msgspec.json.encode(memory), indent=2))
    fresh.replace(data_dir / file)
