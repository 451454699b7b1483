"""The lake: declared tables, partition predicates, Delta storage and the Dagster IO manager."""
