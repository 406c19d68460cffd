"""Tallybook: keeps the books of social-media campaigns and can prove every number."""
