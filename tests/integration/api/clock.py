"""A context whose clock is moved by hand."""

from __future__ import annotations

from datetime import UTC, timedelta

import msgspec

from service.api.models import shown_instant
from service.context import Context, real


class Clock:
    """Stands still, at a second past noon of today, until it is moved; ids and randomness are real."""

    def __init__(self) -> None:
        self.at = real().now().astimezone(UTC).replace(hour=12, minute=0, second=1, microsecond=0)
        self.seconds = 0.0

    @property
    def context(self) -> Context:
        """Return the context."""
        return msgspec.structs.replace(real(), now=lambda: self.at, monotonic=lambda: self.seconds)

    def said(self, **later: float) -> str:
        """Return an instant so much later, as it is written."""
        return shown_instant(self.at + timedelta(**later))

    def move(self, **by: float) -> None:
        """Let time pass."""
        passed = timedelta(**by)
        self.at += passed
        self.seconds += passed.total_seconds()
