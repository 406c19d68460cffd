"""Conditional answers: a strong tag for every KPI answer, told before the numbers are looked at, and how long it lasts.

A tag is a hash of the question as it was understood, what the caller may see, the form, the posting that last shaped
the campaign, the definitions in force and the resolved range. Equal tags are equal bytes.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import msgspec

from service.kpi.catalogue import CATALOGUE
from service.reports.question import PlatformNotes
from service.reports.standing import STEP, Standing

FORM = 1
"""Raised when the shape of answers changes: a tag of before is then no tag of ours."""
_PINNED = "private, max-age=31536000, immutable"
_SETTLED = "private, max-age=300"
_RUNNING = f"private, max-age={int(STEP.total_seconds())}"
_VARY = "Authorization, Accept"


def tag_of(words: Any, standing: Standing, notes: PlatformNotes, media_type: str) -> str:
    """Return the ETag of an answer; ``words`` are all that was asked and all that the caller may see."""
    parts = (FORM, _definitions(), _noted(notes), words, standing.facts, media_type)
    digest = hashlib.sha256(msgspec.json.encode(parts)).digest()
    return f'"{base64.urlsafe_b64encode(digest[:18]).decode()}"'


def headers_of(standing: Standing, tag: str) -> dict[str, str]:
    """Return the headers of an answer, full or unchanged."""
    lasting = _PINNED if standing.posting is None else _RUNNING if standing.running else _SETTLED
    return {"ETag": tag, "Cache-Control": lasting, "Vary": _VARY}


def has(tag: str, none_match: str | None) -> bool:
    """Tell whether an ``If-None-Match`` names a tag, by the weak comparison that RFC 9110 (13.1.2) asks for.

    ``*`` names none: whoever has no tag of ours is answered in full.
    """
    return none_match is not None and tag in {one.strip().removeprefix("W/") for one in none_match.split(",")}


@lru_cache(maxsize=1)
def _definitions() -> str:
    return hashlib.sha256(repr(sorted((kpi.slug, kpi.definition) for kpi in CATALOGUE.values())).encode()).hexdigest()


def _noted(notes: PlatformNotes) -> tuple[Any, ...]:
    mappings: Mapping[tuple[str, str], str] = notes.mappings
    return sorted((*key, rule) for key, rule in mappings.items()), sorted(notes.simulated)
