"""How the numbers of Meta's platforms are booked: what they share in their tables of rules (``connectors.rules``)."""

from __future__ import annotations

from functools import partial

from connectors import graph_values, rules

VIEWS = ("views", "impressions")
"""The keys of what Meta calls a view, where it replaced impressions by views (rule :data:`META_VIEWS`)."""
META_VIEWS = "meta_views@1"

book = partial(rules.book, number=graph_values.count)
"""Book numbers as Meta writes them."""
