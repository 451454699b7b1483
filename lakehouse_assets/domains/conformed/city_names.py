"""City names: finds the city that a text names."""

from __future__ import annotations

from lakehouse_assets.engine import Col, DataFrame, F, W
from lakehouse_assets.engine import vocabulary as v

# What people type instead of a place name; the wide forms come from East Asian keyboards.
NO_PLACES = (
    ".", "..", "...", "-", "--", "---", "*", "?", "??", "/", "`", "_", ",", "#",
    "\u3002", "\uff0e", "\uff0d", "\u2014", "\u2014\u2014", "\u2013", "\u3001", "\uff1f", "\uff0c",
)  # fmt: skip


def is_place_name(text: Col) -> Col:
    """Say whether text can name a place: it has letters and is not a number or a postcode.

    Text with a digit must have four letters, or two characters of a script without case, in a row:
    `50668 KOELN` names a place, `SW1A 1AA` and `CA91030` do not. Null if the text is null.
    """
    word = text.rlike(r"\p{L}{4}|\p{Lo}{2}")
    return text.rlike(r"\p{L}") & (word | ~text.rlike(r"\p{N}"))


def with_city_names(
    frame: DataFrame, column: str, names: DataFrame, regions: DataFrame
) -> DataFrame:
    """Replace city names as people write them with the unique names in `dim_places`.

    `London, Ontario`, `London ON` and `LONDON, CANADA` are the same city. If the text after a comma
    or the last word is a known country or state, it must be the city's; any other text after a
    comma is ignored. Text that names no city is kept.

    Args:
        frame: Rows with the text.
        column: The column that holds it.
        names: Rows of `gazetteer.city_names`: `name`, `place_name`, `known_as`, `country`, `state`
            and `weight`.
        regions: Rows of `gazetteer.regions`: `region`, `country` and `state`.
    """
    written = v.staged(frame.select(F.col(column).alias("written")).distinct())
    plain = F.regexp_replace(v.lower(F.col("written")), r"[ ]*[,/|;]+[ ]*| - ", ",")
    plain = F.regexp_replace(F.regexp_replace(plain, r"^,+|,+\z", ""), "[ ]+", " ")
    text = v.staged(written.select("written", plain.alias("plain")))
    whole = F.col("plain")
    rest, word = F.regexp_replace(whole, r"^[^,]*,?", ""), F.regexp_replace(whole, r"^[^\n]* ", "")
    # The text before the first comma, between the first and the second, and after the last one.
    by_comma = text.select(
        "written",
        F.lit(0).alias("reading"),
        F.regexp_replace(whole, r",[^\n]*\z", "").alias("called"),
        _region(F.regexp_replace(rest, r",[^\n]*\z", "")).alias("near"),
        _region(F.regexp_replace(rest, r"^[^\n]*,", "")).alias("far"),
    )
    by_word = text.filter(whole.contains(" ") & ~whole.contains(",")).select(
        "written",
        F.lit(1).alias("reading"),
        F.regexp_replace(whole, r" [^ ]*\z", "").alias("called"),
        _region(word).alias("near"),
        _region(word).alias("far"),
    )
    read = v.staged(by_comma.unionByName(by_word))
    cities = v.staged(read.join(names, F.col("called") == F.col("name"), "inner"))
    for part in ("near", "far"):
        known = regions.select(
            F.col("region").alias(f"{part}_region"),
            F.col("country").alias(f"{part}_country"),
            F.col("state").alias(f"{part}_state"),
        )
        named = known.select(F.col(f"{part}_region").alias(f"{part}_known")).distinct()
        fits = (
            (F.col(part) == F.col(f"{part}_region"))
            & (F.col("country") == F.col(f"{part}_country"))
            & (F.col(f"{part}_state").isNull() | (F.col("state") == F.col(f"{part}_state")))
        )
        cities = v.staged(cities.join(named, F.col(part) == F.col(f"{part}_known"), "left"))
        cities = v.staged(cities.join(known, fits, "left"))
    named_region = F.col("near_region").isNotNull()
    possible = (
        (F.col("near_known").isNull() | named_region)
        & (F.col("far_known").isNull() | F.col("far_region").isNotNull())
        & (named_region | ((F.col("weight") > F.lit(0)) & (F.col("reading") == F.lit(0))))
    )
    order = W.partitionBy("written").orderBy(
        F.col("reading").asc_nulls_last(),
        F.col("weight").desc_nulls_last(),
        F.col("place_name").asc_nulls_last(),
    )
    found = v.staged(cities.filter(possible)).select(
        F.col("written").alias("_written"),
        F.col("known_as").alias("_city"),
        F.row_number().over(order).alias("_place"),
    )
    best = v.staged(found).filter(F.col("_place") == F.lit(1)).select("_written", "_city")
    named = frame.join(best, F.col(column) == F.col("_written"), "left")
    return named.select(
        *[c for c in frame.columns if c != column],
        F.coalesce(F.col("_city"), F.col(column)).alias(column),
    )


def _region(text: Col) -> Col:
    return F.regexp_replace(text, r"[.]", "")
