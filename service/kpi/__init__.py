"""KPIs as pure functions: what a number is, how it is computed, how sure one may be. No SQL, no HTTP, no clock."""
