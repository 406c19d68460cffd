"""The books: series, entries, tallies, memberships, postings, and the proof that they agree."""
