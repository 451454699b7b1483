"""Reference data of the retail domain.

Belongs here: what the spec lists by name and no source delivers. Not here: what is computed from
it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pyarrow as pa

# City, its name in GeoNames and its country, in the order of the stores' numbers (section 2).
_STORES = (
    ("Miami", "Miami", "US"), ("San Diego", "San Diego", "US"), ("New York", "New York City", "US"),
    ("San Francisco", "San Francisco", "US"), ("Las Vegas", "Las Vegas", "US"),
    ("London", "London", "GB"), ("Dubai", "Dubai", "AE"), ("Singapore", "Singapore", "SG"),
    ("Tokyo", "Tokyo", "JP"), ("Chicago", "Chicago", "US"),
)  # fmt: skip


def stores() -> pa.Table:
    """Return the stores: `store`, `store_id`, `city`, `place` and `country_code`."""
    import pyarrow as pa

    cities, places, countries = zip(*_STORES, strict=True)
    numbers = range(1, len(_STORES) + 1)
    return pa.table(
        {
            "store": pa.array(numbers, pa.int32()),
            "store_id": [f"S{number:03}" for number in numbers],
            "city": cities,
            "place": places,
            "country_code": countries,
        }
    )
