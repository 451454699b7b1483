"""Asks the lake in SQL: sessions, checks of statements, and what a role may read."""
