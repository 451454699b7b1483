"""What people write for a city, and the city that is meant."""

from __future__ import annotations

import pyarrow as pa
import pytest

from lakehouse_assets.domains.conformed import gazetteer
from lakehouse_assets.domains.conformed.city_names import with_city_names
from lakehouse_assets.engine.base import Engine

# Text, the city's one name, its country.
CITIES = {
    "New York": ("New York", "US"), "new york city": ("New York", "US"), "NYC": ("New York", "US"),
    "New York, NY": ("New York", "US"), "New York, New York": ("New York", "US"),
    "New York, N.Y., U.S.A.": ("New York", "US"), "New York USA": ("New York", "US"),
    "LONDON": ("London", "GB"), "London": ("London", "GB"), "London, UK": ("London", "GB"),
    "London, England": ("London", "GB"), "London UK": ("London", "GB"),
    "london / uk": ("London", "GB"), "London, baby": ("London", "GB"),
    "London, Ontario": ("London, ON", "CA"), "London, ON, Canada": ("London, ON", "CA"),
    "London Ontario": ("London, ON", "CA"), "London, Canada": ("London, ON", "CA"),
    "Zurich": ("Z\u00fcrich", "CH"), "Z\u00dcRICH": ("Z\u00fcrich", "CH"),
    "Zurich, Switzerland": ("Z\u00fcrich", "CH"),
    "Paris": ("Paris", "FR"), "Paris, TX": ("Paris, TX", "US"), "Paris,Texas": ("Paris, TX", "US"),
    "Paris, France": ("Paris", "FR"), "Vancouver": ("Vancouver", "CA"),
    "Vancouver, WA": ("Vancouver, WA", "US"), "Vancouver, BC": ("Vancouver", "CA"),
    "Birmingham, AL": ("Birmingham, AL", "US"), "Perth, Scotland": ("Perth, SCT", "GB"),
    "Perth, WA": ("Perth", "AU"), "Melbourne, VIC": ("Melbourne", "AU"),
    "San Jose, CA": ("San Jose", "US"), "Vancouver, CA": ("Vancouver", "CA"),
    "Munich, Deutschland": ("Munich", "DE"), "M\u00fcnchen": ("Munich", "DE"),
    "Bombay": ("Mumbai", "IN"), "\u4e1c\u4eac": ("Tokyo", "JP"),
    "\u041c\u043e\u0441\u043a\u0432\u0430": ("Moscow", "RU"),
    "Sao Paulo": ("S\u00e3o Paulo", "BR"), "S\u00e3o Paulo, Brasil": ("S\u00e3o Paulo", "BR"),
    "Washington, D.C.": ("Washington", "US"), "Washington DC": ("Washington", "US"),
    "Lagos, Nigeria": ("Lagos", "NG"), "Lagos, Portugal": ("Lagos, PT", "PT"),
    "Singapore": ("Singapore", "SG"), "Lebanon, TN": ("Lebanon, TN", "US"),
    "Hannover": ("Hannover", "DE"), "Hanover": ("Hannover", "DE"), "LA": ("Los Angeles", "US"),
    "Cambridge, MA": ("Cambridge, MA", "US"), "Cambridge": ("Cambridge", "GB"),
}  # fmt: skip
NO_CITIES = (
    "Online", "MFworld", "KWANGYA", "India", "#codedaily", "Mexico", "USA", "Nigeria", "Jamaica",
    "Paris, Ohio", "Berlin, Japan", "the", "earth", "worldwide", "your heart", "Lebanon",
)  # fmt: skip


@pytest.fixture
def found(engine: Engine) -> dict[str, str]:
    """Look up all texts at once."""
    written = [*CITIES, *NO_CITIES, None]
    frame = engine.from_arrow(pa.table({"n": list(range(len(written))), "city": written}))
    names, regions = (engine.from_arrow(f()) for f in (gazetteer.city_names, gazetteer.regions))
    rows = engine.rows(with_city_names(frame, "city", names, regions))
    assert len(rows) == len(written)
    return {written[row["n"]]: row["city"] for row in rows}


def test_spellings_of_a_city_are_one_and_what_stands_after_it_counts(found: dict[str, str]) -> None:
    places = {row["known_as"]: row["country"] for row in gazetteer.cities().to_pylist()}
    assert {text: (found[text], places.get(found[text])) for text in CITIES} == CITIES


def test_what_names_no_city_stays_as_it_is(found: dict[str, str]) -> None:
    assert {text: found[text] for text in NO_CITIES} == {text: text for text in NO_CITIES}
    names = set(gazetteer.cities()["known_as"].to_pylist())
    assert names.isdisjoint(NO_CITIES)


def test_every_city_has_a_name_of_its_own() -> None:
    cities = gazetteer.cities().to_pylist()
    keys = [row["place_name"] for row in cities]
    assert len(set(keys)) == len(keys) > 30_000
    assert keys == [row["known_as"].lower() for row in cities]
