"""From a kept delivery to a posting: claim, parse, normalise, assign, post."""
