"""Pages of the list ``load`` of the simulated platform, as long as a test wants them."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import msgspec

_encode = msgspec.json.Encoder().encode


def load_pages(subjects: int, rows: int, metrics: tuple[str, ...], per_page: int, at: datetime) -> Iterator[bytes]:
    """Yield bodies of the list ``load``: one total a day and subject, ``rows`` in all.

    Row n is day n // subjects of subject n % subjects, counted back from the day of ``at``; numbers are made of n.
    """
    last = at.astimezone(UTC).date()
    for start in range(0, rows, per_page):
        data = [
            {
                "id": f"load-{n % subjects}",
                "day": (last - timedelta(days=1 + n // subjects)).isoformat(),
                "m": {key: n * 7 % 1009 + place for place, key in enumerate(metrics)},
            }
            for n in range(start, min(start + per_page, rows))
        ]
        yield _encode({"at": at.isoformat(), "simulated": True, "zone": "UTC", "data": data, "next": None})
