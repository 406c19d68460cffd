"""Tracked links: what UTM parameters name together, as a subject.

GA4 has no object behind them, so the parameters themselves are the identity, case and all: two spellings are two links
there as well. A visit that no parameter brought is no subject; neither is a row whose parameters were lumped together.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

import msgspec

from connectors import origin, values
from connectors.contract import SubjectRef, SubjectSeen, SubjectType, fingerprint

OTHER = "(other)"
_NOT_SET = "(not set)"
_UNSAID = frozenset({"", _NOT_SET, "(direct)", "(none)", "(data not available)", "(data deleted)", OTHER})
_UNFILLED = re.compile(r"\{\{[^{}]*\}\}|__[A-Z][A-Z_]{0,40}__|\{[a-z]{1,40}\}")
_PAID = re.compile(r"[^\n]{0,100}cp[^\n]{0,100}|ppc|retargeting|paid[^\n]{0,100}", re.IGNORECASE)
_ORGANIC = frozenset({"social", "social-network", "social-media", "sm", "social network", "social media"})
_LONGEST = 255
_LONGEST_ID = 256


class Link(msgspec.Struct, frozen=True):
    """A tracked link. ``is_lumped`` says that a part of its parameters is *(other)*: several links in one row."""

    subject: SubjectRef
    utm: Mapping[str, str]
    is_lumped: bool = False

    @property
    def paid(self) -> bool | None:
        """Whether the medium says paid, by the rule of the platform's own channels; None where it says neither."""
        medium = self.utm.get("utm_medium", "")
        if _PAID.fullmatch(medium):
            return True
        return False if medium.lower() in _ORGANIC else None

    def seen(self) -> SubjectSeen:
        """Return the facts: what the parameters say, as they are written."""
        utm = self.utm
        shown = [utm[name] for name in ("utm_source", "utm_medium", "utm_campaign", "utm_content") if name in utm]
        marks: dict[str, Any] = origin.marks(utm)
        return SubjectSeen(
            subject=self.subject,
            title=" / ".join(shown)[:_LONGEST],
            content_type="link",
            platform_campaign=utm.get("utm_id"),
            paid=self.paid,
            **marks,
        )


def link_of(of: str, told: Mapping[str, str]) -> Link | None:
    """Return the link of a property that parameters name; None where they name none (a medium alone does not)."""
    utm = {name: text for name, value in told.items() if (text := _said(value))}
    if not set(utm) - {"utm_medium"}:
        return None
    parts = [f"{name}={quote(value, safe='', errors='replace')}" for name, value in told.items() if value != _NOT_SET]
    name = f"{of}/{'&'.join(parts)}"
    if len(name) > _LONGEST_ID:
        name = f"{of}/utm#{fingerprint(*parts)}"
    return Link(SubjectRef(name, SubjectType.LINK), utm, is_lumped=OTHER in told.values())


def _said(value: str) -> str:
    """Return what a parameter says; empty for what the platform puts in place of nothing and for unfilled templates."""
    text = values.trimmed(value, _LONGEST) or ""
    return "" if text.lower() in _UNSAID or _UNFILLED.search(text) else text
