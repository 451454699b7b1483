"""Declarations: tables, columns, delivered datasets, expectations and database sources."""
