"""Answers: named queries over tallies and ledger, put through the pure KPI functions. Read-only."""
