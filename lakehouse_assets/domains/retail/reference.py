"""Reference data of the retail domain."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pyarrow as pa

# City, named as in dim_places, and country of each store, in order of store number (section 2).
_STORES = (
    ("Miami", "US"), ("San Diego", "US"), ("New York", "US"), ("San Francisco", "US"),
    ("Las Vegas", "US"), ("London", "GB"), ("Dubai", "AE"), ("Singapore", "SG"), ("Tokyo", "JP"),
    ("Chicago", "US"),
)  # fmt: skip


def stores() -> pa.Table:
    """Return the stores: `store`, `store_id`, `city` and `country_code`."""
    import pyarrow as pa

    cities, countries = zip(*_STORES, strict=True)
    numbers = range(1, len(_STORES) + 1)
    return pa.table(
        {
            "store": pa.array(numbers, pa.int32()),
            "store_id": [f"S{number:03}" for number in numbers],
            "city": cities,
            "country_code": countries,
        }
    )
