"""The lake as clients of PostgreSQL see it."""
