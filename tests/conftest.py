"""What every test run has: the report of what did not run, a closed network, databases."""

from __future__ import annotations

pytest_plugins = ["pytester", "tests.skip_report", "tests.socket_guard", "tests.database"]
