"""Run by the interpreter of the peers: feed Singer messages to target-postgres, which upserts them by their key.

It imports nothing of the project. Default settings; the messages come from a file, as they would from a tap.
"""

from __future__ import annotations

import io
import json
import logging
import sys
import time
from contextlib import redirect_stdout
from pathlib import Path

from target_postgres.target import TargetPostgres  # type: ignore[import-not-found,unused-ignore]


def main() -> None:
    """Load all and answer how long that took; what the target says of its state is not kept."""
    orders = json.loads(sys.argv[1])
    logging.disable(logging.INFO)
    target = TargetPostgres(config={"sqlalchemy_url": orders["url"], "default_target_schema": "measured"})
    with Path(orders["messages"]).open(encoding="utf-8") as messages, redirect_stdout(io.StringIO()):
        begun = time.perf_counter()
        target.listen(messages)
        seconds = time.perf_counter() - begun
    print(json.dumps({"seconds": seconds}), flush=True)


if __name__ == "__main__":
    main()
