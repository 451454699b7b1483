"""Where a lake may lie: every form that people write or copy, and what a wrong one is told."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lakehouse_assets.errors import LakehouseError
from lakehouse_assets.storage.location import (
    CloudLocation,
    LocationError,
    lake_root,
    landing_root,
    parse_location,
)

ADLS = "abfss://lake@acc01.dfs.core.windows.net"
ONELAKE = "abfss://Sales@onelake.dfs.fabric.microsoft.com/air.Lakehouse"
WS, LH = "11111111-2222-3333-4444-555555555555", "AAAAAAAA-2222-3333-4444-555555555555"

_SIGNS = "aZ9_-.~!$&'()*+,;=:@%?#[]{}|<>^`\"é\u00fc\u0131\u65e5\u0301\U0001f600"
_segments = st.text(_SIGNS, min_size=1, max_size=12).filter(lambda text: not text.endswith("."))
_paths = st.lists(_segments | st.just("with blank"), max_size=4).map("/".join)
_containers = st.from_regex(r"[a-z0-9]{3,8}(-[a-z0-9]{1,8}){0,3}", fullmatch=True)
_adls = st.builds(
    CloudLocation.adls,
    account=st.from_regex(r"[a-z0-9]{3,24}", fullmatch=True),
    container=_containers,
    path=_paths,
    suffix=st.sampled_from(["core.windows.net", "core.chinacloudapi.cn", "core.usgovcloudapi.net"]),
)
_area = st.tuples(st.sampled_from(["Tables", "Files"]), _paths).map(
    lambda pair: "/".join(part for part in pair if part)
)
_named = st.tuples(
    st.from_regex(r"[A-Za-z][A-Za-z0-9_-]{0,20}", fullmatch=True),
    st.from_regex(r"[A-Za-z][A-Za-z0-9_]{0,20}\.Lakehouse", fullmatch=True),
)
_numbered = st.tuples(st.uuids().map(str), st.uuids().map(str))
_onelake = st.builds(
    lambda names, path, region: CloudLocation.onelake(*names, path, region),
    _named | _numbered,
    _area | st.just(""),
    st.sampled_from(["", "westeurope-"]),
)


@settings(max_examples=50)
@given(_adls | _onelake, _segments, _segments)
def test_a_place_reads_back_in_both_forms_and_is_extended_like_a_path(place, one, other):
    assert parse_location(str(place)) == place
    assert str(place).startswith("abfss://")
    assert "?" not in str(place)
    start, _, rest = str(place).partition("@")
    host, slash, path = rest.partition("/")
    address = f"https://{host}/{start.removeprefix('abfss://')}{slash}{path}"
    assert parse_location(address) == parse_location(address.replace(".dfs.", ".blob.")) == place
    if not place.is_onelake or place.area:
        assert place / one / other == place / f"{one}/{other}"
        assert parse_location(str(place / one)).path.endswith(one)


@given(st.text(max_size=60))
def test_any_text_is_a_location_or_a_plain_error(text):
    # Any other exception fails the test.
    with suppress(LocationError):
        found = parse_location(text)
        assert isinstance(found, Path) or parse_location(str(found)) == found


@pytest.mark.parametrize(
    ("text", "place"),
    [
        (ADLS, CloudLocation.adls("acc01", "lake")),
        (ADLS + "/", CloudLocation.adls("acc01", "lake")),
        (f" {ADLS}/a/b/ ", CloudLocation.adls("acc01", "lake", "a/b")),
        ("https://acc01.blob.core.windows.net/lake/a", CloudLocation.adls("acc01", "lake", "a")),
        (
            "abfss://lake@acc01.dfs.core.usgovcloudapi.net/a%20b",
            CloudLocation.adls("acc01", "lake", "a b", "core.usgovcloudapi.net"),
        ),
        (f"{ONELAKE}/Files/in", CloudLocation.onelake("Sales", "air.Lakehouse", "Files/in")),
        (
            f"https://westeurope-onelake.dfs.fabric.microsoft.com/{WS}/{LH}/Tables/airline",
            CloudLocation.onelake(WS, LH, "Tables/airline", "westeurope-"),
        ),
        ("file:///data/a%20b", Path("/data/a b")),
        ("/data/lake", Path("/data/lake")),
    ],
)
def test_a_place_reads_in_every_form(text, place):
    assert parse_location(text) == place


def test_a_relative_folder_is_made_absolute(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert parse_location("lake") == tmp_path / "lake"
    assert parse_location("~/lake") == Path.home() / "lake"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "empty"),
        ("abfss:/lake@acc01.dfs.core.windows.net", "two slashes"),
        ("abfss://acc01.dfs.core.windows.net/lake", "'' is not the name of a container"),
        ("abfss://Lake@acc01.dfs.core.windows.net", "'Lake' is not the name of a container"),
        ("abfss://la--ke@acc01.dfs.core.windows.net", "is not the name of a container"),
        (
            "abfss://lake@my-acc.dfs.core.windows.net",
            "'my-acc' is not the name of a storage account",
        ),
        (
            "abfss://lake@acc01.dfs.example.org",
            "acc01.dfs.example.org is neither a storage account",
        ),
        ("abfss://lake@acc01.dfs.core.windows.net:443/a", "contains a port"),
        ("abfss://lake@acc01.dfs.core.windows.net/a//b", "two slashes in a row"),
        ("abfss://lake@acc01.dfs.core.windows.net/a/../b", "ends with a dot"),
        ("wasbs://lake@acc01.blob.core.windows.net/a", "wasbs:// is not supported; write a folder"),
        ("abfs://lake@acc01.dfs.core.windows.net/a", "abfs:// is not supported; write a folder"),
        ("s3://bucket/a", "s3:// is not supported; write a folder, abfss://<container>@"),
        (f"abfss://{WS}@onelake.dfs.fabric.microsoft.com/air.Lakehouse", "both GUIDs"),
        (f"abfss://Sales@onelake.dfs.fabric.microsoft.com/{LH}", "both GUIDs"),
        ("abfss://Sales@onelake.dfs.fabric.microsoft.com/air", "'air' is not a lakehouse"),
        ("abfss://Sales@onelake.dfs.fabric.microsoft.com", "'' is not a lakehouse"),
        ("abfss://My%20Sales@onelake.dfs.fabric.microsoft.com/air.Lakehouse", "by their GUIDs"),
        (f"{ONELAKE}/Shortcuts/a", "no 'Shortcuts'"),
        ("file://data/lake", "three slashes"),
        ("~nobody-of-that-name/lake", "no home"),
    ],
)
def test_a_wrong_place_is_told_its_fault_and_the_right_form(text, told):
    with pytest.raises(LakehouseError) as caught:
        parse_location(text)
    assert told in str(caught.value)


@pytest.mark.parametrize(
    "text",
    [
        "https://acc01.blob.core.windows.net/lake?sv=2024&sig=T0pSecret",
        "abfss://lake:T0pSecret@acc01.dfs.core.windows.net/a",
        "abfss://lake@acc01.dfs.core.windows.net/a#T0pSecret",
        "wasbs://lake@acc01.blob.core.windows.net/a?sig=T0pSecret",
    ],
)
def test_what_may_be_a_secret_is_refused_and_not_repeated(text):
    with pytest.raises(LocationError) as caught:
        parse_location(text)
    assert "T0pSecret" not in str(caught.value)
    assert "never has" in str(caught.value)


@pytest.mark.parametrize("copied", [ONELAKE, f"{ONELAKE}/Files", f"{ONELAKE}/Tables/"])
def test_a_lake_in_fabric_lies_in_tables_whatever_was_copied(copied):
    assert str(lake_root(copied)) == f"{ONELAKE}/Tables"


@settings(max_examples=20)
@given(_onelake, _paths)
def test_a_files_path_and_its_tables_path_are_told_from_each_other(place, path):
    files = CloudLocation.onelake(place.container, place.lakehouse, f"Files/{path}".strip("/"))
    tables = files.in_area("Tables")
    assert tables.area == "Tables"
    assert tables.in_area("Files") == files


def test_tables_where_fabric_would_not_find_them_are_refused():
    with pytest.raises(LocationError, match=r"write abfss://Sales@.*/air.Lakehouse/Tables$"):
        lake_root(f"{ONELAKE}/Files/lake")


@pytest.mark.parametrize(
    ("given_path", "right"),
    [("", "/Files"), ("/Tables", "/Files"), ("/Tables/in", "/Files/in")],
)
def test_files_among_tables_are_refused(given_path, right):
    with pytest.raises(LocationError) as caught:
        landing_root(ONELAKE + given_path)
    assert str(caught.value).endswith(f"write {ONELAKE}{right}")
    assert str(landing_root(ONELAKE + right)) == ONELAKE + right
