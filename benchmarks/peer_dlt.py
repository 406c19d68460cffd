"""Run by the interpreter of the peers: pull the pages by dlt's REST source and merge the rows into PostgreSQL.

It imports nothing of the project. Default settings, but for telemetry, which is off.
"""

from __future__ import annotations

import json
import sys
import time
from typing import Any

import dlt  # type: ignore[import-not-found,unused-ignore]
from dlt.sources.rest_api import rest_api_source  # type: ignore[import-not-found,unused-ignore]


def source(address: str, accounts: list[str]) -> Any:
    """Return the REST source: one resource an account, all merged into one table by subject and day."""
    paging = {"type": "cursor", "cursor_path": "next", "cursor_param": "cursor"}
    return rest_api_source(
        {
            "client": {"base_url": address, "paginator": paging},
            "resource_defaults": {
                "primary_key": ["id", "day"],
                "write_disposition": "merge",
                "table_name": "load",
            },
            "resources": [
                {"name": account, "endpoint": {"path": f"{account}/load", "data_selector": "data"}}
                for account in accounts
            ],
        }
    )


def main() -> None:
    """Load all and answer how long that took."""
    orders = json.loads(sys.argv[1])
    pipeline = dlt.pipeline(
        "measured",
        pipelines_dir=orders["home"],
        destination=dlt.destinations.postgres(orders["url"]),
        dataset_name="measured",
    )
    begun = time.perf_counter()
    pipeline.run(source(orders["address"], orders["accounts"])).raise_on_failed_jobs()
    print(json.dumps({"seconds": time.perf_counter() - begun}), flush=True)


if __name__ == "__main__":
    main()
