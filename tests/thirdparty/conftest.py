"""The packages here are not of this project: their own tests run where they are installed, started by ours."""

from __future__ import annotations

collect_ignore = ["pebble"]
