"""Declarations: domains, datasets, streams, tables, columns, measures, roles, pages and terms."""
