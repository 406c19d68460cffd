"""The report of a proof: what was checked, and what is not as the ledger says."""

from __future__ import annotations

import msgspec

MAX_LISTED = 1000


class Difference(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that is not as the ledger says: what was checked, of what, what it must be and what it is."""

    check: str
    about: str
    expected: str
    found: str


class Report(msgspec.Struct, kw_only=True):
    """The result of a proof. ``evidence`` is the share of entries whose raw delivery is kept (null without entries)."""

    differences: list[Difference] = []
    checked: dict[str, int] = msgspec.field(default_factory=dict)
    total_differences: int = 0
    replay_would_change: int = 0
    evidence: float | None = None

    def differs(self, check: str, about: object, expected: object, found: object) -> None:
        """Add a difference; beyond a thousand they are only counted."""
        self.total_differences += 1
        if len(self.differences) < MAX_LISTED:
            self.differences.append(
                Difference(check=check, about=str(about), expected=str(expected)[:300], found=str(found)[:300])
            )

    def count(self, check: str, number: int = 1) -> None:
        """Count things checked."""
        self.checked[check] = self.checked.get(check, 0) + number
