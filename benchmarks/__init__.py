"""Measurements of the service against what people would use instead, on one machine, in one run.

A figure is a ratio of two things measured side by side, so that it says something on any machine. None is a test: what
misses its goal is printed as missed. All of it needs Linux, listens on localhost only and leaves nothing behind but
``results.json`` and the environment of the peers.
"""
