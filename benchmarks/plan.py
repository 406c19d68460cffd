"""How much is measured: the sizes of a full run and of a quick one. Data only."""

from __future__ import annotations

import msgspec

from connectors.contract import ADDITIVE, MONEY

NARROW = ("impressions", "views", "clicks_all", "clicks_link", "likes", "comments", "shares", "saves")
WIDE = tuple(key for key in ADDITIVE if key not in MONEY)
"""Every metric that tallies sum, but money: an amount has a currency and so a series, and a line, of its own."""
SOURCES = 8
CAMPAIGNS = 10
PER_PAGE = 500
DAYS = 40
"""Days that a subject has rows for: rows of a source over this are its subjects."""
PROCESSES = 2
"""Worker processes of an ingestion; each pulls its share of the sources too."""


class Sizes(msgspec.Struct, frozen=True, kw_only=True):
    """The sizes of one run. ``rounds`` is how often each thing is measured; ``singer_rows`` what the slowest peer gets.

    ``small`` and ``large`` count ledger entries, ``worlds`` simulated platforms; times are seconds. No
    ``wide_rows`` leave out the wide ingestion.
    """

    rounds: int
    rows: int
    singer_rows: int
    wide_rows: int
    wide_peers: bool
    ack_seconds: float
    connections: int
    probes: int
    small: int
    large: int
    questions: int
    memory_rows: int
    worlds: int


FULL = Sizes(
    rounds=5,
    rows=200_000,
    singer_rows=200_000,
    wide_rows=100_000,
    wide_peers=True,
    ack_seconds=10.0,
    connections=64,
    probes=300,
    small=1_000_000,
    large=20_000_000,
    questions=200,
    memory_rows=5_000_000,
    worlds=5,
)
QUICK = Sizes(
    rounds=2,
    rows=24_000,
    singer_rows=4_000,
    wide_rows=0,
    wide_peers=False,
    ack_seconds=1.2,
    connections=64,
    probes=20,
    small=20_000,
    large=100_000,
    questions=40,
    memory_rows=50_000,
    worlds=1,
)
