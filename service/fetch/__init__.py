"""Pulling what platforms do not push: what is due, one task at a time, page by page into the inbox."""
