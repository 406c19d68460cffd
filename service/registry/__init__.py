"""The things people keep: workspaces, strategies, campaigns, sources, creators; each with its queries.

Every function takes an open transaction of the workspace and never ends it.
"""
