from __future__ import annotations

import pytest

from connectors.files import CONNECTOR
from connectors.testing import Check, Recording, contract_suite
from tests.contract.files.sheet import GB, UCI, chosen, upload

FACTS = {
    "published_column": "published",
    "title_column": "title",
    "hashtags_column": "tags",
    "paid_column": "paid",
    "content_type_column": "kind",
    "utm_campaign_column": "utm",
}
METRICS = {"views": "views", "spend_media": "spend", "conversions": "goals", "reach": "reach"}
WIDE = chosen(columns=METRICS, instant_column="at", currency="EUR", zone="Europe/Berlin", **FACTS)
DAILY = chosen(columns=METRICS, kinds={"views": "period"}, instant_column="at", window="day", currency_column="money")
LINES = b"""{"id":"p1","at":"2026-03-01T10:00:00Z","views":10,"spend":1.25,"goals":0.5,"reach":8,"title":"A","tags":[]}
{"id":2,"at":"2026-03-02","views":0,"spend":null,"published":"2026-02-01","paid":true,"kind":"REEL","utm":"spring"}
"""
TABLE = (
    "id;at;views;spend;goals;reach;money;published;title;tags;paid;kind;utm\n"
    'p1;2026-03-01;10;1.25;0.5;8;EUR;2026-02-01 10:00;"A ""new"" one\nin two lines";#a #b;1;Reel;spring\n'
    "p2;2026-03-29;0;;;;USD;;Grüße;;no;;\n"
)
SUITE = contract_suite(
    CONNECTOR,
    [
        Recording(
            name="uci", delivery=upload(b"\r\n".join(UCI.split(b"\r\n")[:8])), options=chosen(preset="uci-facebook")
        ),
        Recording(name="gb", delivery=upload(b"\r\n".join(GB.split(b"\r\n")[:8])), options=chosen(preset="gb-youtube")),
        Recording(name="lines", delivery=upload(LINES), options=WIDE),
        Recording(name="table", delivery=upload(TABLE), options=WIDE),
        Recording(name="daily", delivery=upload(TABLE), options=DAILY),
        Recording(name="utf-16", delivery=upload(TABLE.encode("utf-16")), options=WIDE),
        Recording(name="latin-1", delivery=upload(TABLE.encode("latin-1")), options=WIDE),
        Recording(name="defaults", delivery=upload(TABLE), unreadable=True),
    ],
)


@pytest.mark.parametrize("check", SUITE, ids=str)
async def test_contract(check: Check) -> None:
    await check()
