"""Places: where a city lies, by its name.

Belongs here: the columns of `dim_places`. Not here: where names of cities come from.
"""

from __future__ import annotations

from datetime import datetime

from lakehouse_assets.conformed.tables import DIM_PLACES
from lakehouse_assets.engine import Col, DataFrame, F, W
from lakehouse_assets.engine import vocabulary as v

# Signs that people write where they name no place; the wide forms come from East Asian keyboards.
NO_PLACES = (
    ".", "..", "...", "-", "--", "---", "*", "?", "??", "/", "`", "_", ",", "#",
    "\u3002", "\uff0e", "\uff0d", "\u2014", "\u2014\u2014", "\u2013", "\u3001", "\uff1f", "\uff0c",
)  # fmt: skip


def is_place_name(text: Col) -> Col:
    """Say whether text can name a place: it has letters, and is no number or postcode.

    With a digit in it, four letters or two characters of a script without case must follow each
    other: `50668 KOELN` names a place, `SW1A 1AA` and `CA91030` do not. Null if the text is null.
    """
    word = text.rlike(r"\p{L}{4}|\p{Lo}{2}")
    return text.rlike(r"\p{L}") & (word | ~text.rlike(r"\p{N}"))


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
