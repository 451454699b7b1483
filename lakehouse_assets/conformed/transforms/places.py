"""Places: where a city lies, by its name.

Belongs here: the columns of `dim_places`. Not here: where names of cities come from.
"""

from __future__ import annotations

from datetime import datetime

from lakehouse_assets.conformed.tables import DIM_PLACES
from lakehouse_assets.engine import DataFrame, F, W
from lakehouse_assets.engine import vocabulary as v


def dim_places(cities: DataFrame, loaded_at: datetime) -> DataFrame:
    """Describe the largest city of each name; columns as declared for `dim_places`.

    Args:
        cities: `geoname_id`, `place`, `country`, `latitude`, `longitude`, `population`.
        loaded_at: When the run began.
    """
    named = v.staged(cities.select(*cities.columns, v.lower(F.col("place")).alias("place_name")))
    largest = W.partitionBy("place_name").orderBy(
        F.col("population").desc_nulls_last(), F.col("geoname_id").asc_nulls_last()
    )
    ranked = named.select(*named.columns, F.row_number().over(largest).alias("rank"))
    chosen = ranked.filter(F.col("rank") == F.lit(1))
    loaded = chosen.withColumn("load_timestamp", F.lit(loaded_at).cast("timestamp"))
    return loaded.select(*DIM_PLACES.column_names)
