"""``python -m benchmarks [ingest|ack|freshness|kpi|overview|cached|memory|refresh|all]``: measure, print, keep results.

``QUICK=1`` in the environment measures less: about three minutes on two free cores. The file holds the last run alone.
"""

from __future__ import annotations

import asyncio
import os
import platform
import sys
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import msgspec
from rich.console import Console

from benchmarks import ack, cached, figures, freshness, ground, ingest, kpi, memory, overview, peers, refresh
from benchmarks.figures import Figure
from benchmarks.ground import Ground
from benchmarks.plan import FULL, QUICK, Sizes

Part = Callable[[Ground, Sizes], Awaitable[tuple[list[Figure], dict[str, Any]]]]
PARTS: Mapping[str, Part] = {
    "ingest": ingest.measure,
    "ack": ack.measure,
    "freshness": freshness.measure,
    "kpi": kpi.measure,
    "overview": overview.measure,
    "cached": cached.measure,
    "memory": memory.measure,
    "refresh": refresh.measure,
}
_RESULTS = peers.HERE / "results.json"


async def _measure(names: list[str], sizes: Sizes, place: Ground) -> tuple[list[Figure], dict[str, Any]]:
    found: list[Figure] = []
    details: dict[str, Any] = {}
    for name in names:
        print(f"{name}:", flush=True)
        begun = place.context.monotonic()
        more, told = await PARTS[name](place, sizes)
        details[f"{name}_seconds"] = round(place.context.monotonic() - begun, 1)
        found += more
        details |= told
    return found, details


def main() -> None:
    """Measure what is named, or all."""
    asked = sys.argv[1:] or ["all"]
    names = list(PARTS) if asked == ["all"] else asked
    if unknown := [name for name in names if name not in PARTS]:
        raise SystemExit(f"no such part: {unknown[0]}; one of {', '.join([*PARTS, 'all'])}")
    quick = os.environ.get("QUICK", "0") not in {"", "0"}
    sizes = QUICK if quick else FULL
    if "ingest" in names:
        peers.install()
    with ground.opened() as place:
        found, details = asyncio.run(_measure(names, sizes, place))
        version = place.server.psql("show server_version").strip()
    setting = {
        "quick": quick,
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "postgresql": version,
        "fsync": True,
        "sizes": msgspec.to_builtins(sizes),
    }
    figures.write(_RESULTS, figures.document(found, details, setting))
    Console(width=200 if not sys.stdout.isatty() else None).print(figures.table(found))


if __name__ == "__main__":
    main()
