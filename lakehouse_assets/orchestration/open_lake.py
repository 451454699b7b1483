"""Opens the lake, for commands without Dagster, whose import takes as long as the rest."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from lakehouse_assets.catalog.registry import Registry
from lakehouse_assets.domains import REGISTRY
from lakehouse_assets.engine.start import start_engine
from lakehouse_assets.errors import LakehouseError
from lakehouse_assets.lake.delta import Lake
from lakehouse_assets.lake.format import check_format
from lakehouse_assets.storage.identity import Identity
from lakehouse_assets.storage.location import lake_root

if TYPE_CHECKING:
    from lakehouse_assets.engine.spark_session import SparkConfig
    from lakehouse_assets.orchestration.resources import LakeResource
    from lakehouse_assets.settings import Settings


def open_lake(
    of: Settings | LakeResource,
    engine: str | None = None,
    registry: Registry = REGISTRY,
    *,
    any_format: bool = False,
) -> Lake:
    """Start the engine if it is not running and return the lake.

    Args:
        of: Where the lake is and what runs.
        engine: Name of the engine, if it is another one.
        registry: The declared tables.
        any_format: Whether to open a lake of another format too, for migration.

    Raises:
        LakehouseError: the engine does not start or cannot see the lake, or the lake has another
            format than this version writes.
    """
    engine = engine or of.engine
    root, governed = lake_root(str(of.root)), engine == "spark" and of.spark_databricks is not None
    if governed and isinstance(root, Path):
        raise LakehouseError(
            f"Databricks cannot read folders of this machine, such as {of.root}; set "
            "LAKEHOUSE_ROOT to an abfss:// location to which Unity Catalog grants it access."
        )
    spark = spark_config(of) if engine == "spark" else None
    started = start_engine(engine, of.memory_limit, of.threads, spark)
    identity = Identity.model_validate(of.identity)
    if not (governed or any_format):
        check_format(root, identity, registry)
    return Lake(root, started, registry, identity, governed=governed)


def spark_config(of: Settings | LakeResource) -> SparkConfig:
    """Return where Spark runs, with its token from the environment."""
    from lakehouse_assets.engine.spark_session import SparkConfig
    from lakehouse_assets.settings import load_settings

    return SparkConfig(
        master=of.spark_master,
        remote=of.spark_remote,
        tls=of.spark_tls,
        databricks=of.spark_databricks,
        jars=Path(of.spark_jars),
        memory=of.spark_memory,
        options=of.spark_options,
        # Dagster would show a token in the resource's configuration.
        token=load_settings().spark_token,
    )
