"""A whole lakehouse as Dagster assets.

`domains` declares what the lake contains. The platform below it: `catalog` (declarations), `engine`
(one DataFrame API), `lake` (Delta tables), `storage` (files and identities), `sources` (databases),
`ingest` (landing files to bronze), `quality` (expectations, conservation), `ml` (MLflow, models),
`orchestration` (all of Dagster) and `cli`.
"""
