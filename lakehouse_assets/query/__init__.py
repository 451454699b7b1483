"""Queries the lake in SQL: sessions, checks of statements, and the rights of roles."""
