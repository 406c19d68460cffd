"""Who may do what, and what is kept under lock: API keys, scopes, secrets at rest."""
