"""A whole lakehouse as Dagster assets.

Domains first (`airline`), then the rooms of the platform: `engine` (one DataFrame API), `lake`
(Delta tables), `ingest` (landing files to bronze), `quality` (expectations, conservation) and `ml`
(MLflow, clustering).
"""
