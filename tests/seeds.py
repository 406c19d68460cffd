"""How many cases of a property are tried in a run: a few by default, as many as one likes where it is asked for."""

from __future__ import annotations

import os


def seeds(usual: int) -> range:
    """Return the seeds of a property; ``TALLYBOOK_SEEDS=100`` tries a hundred of each."""
    return range(int(os.environ.get("TALLYBOOK_SEEDS", usual)))
