"""The query grammar: what may be asked of campaigns, read and answered."""
