"""The public HTTP interface: one module per resource, its models beside its routes."""
