"""The models of the retail domain, one per module."""
