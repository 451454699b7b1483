"""What a landing zone promises wherever it is; `azure/test_landing.py` runs these in a store."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import date
from pathlib import Path

import pytest

from lakehouse_assets.errors import FileRefusedError, LakehouseError
from lakehouse_assets.ingest.landing import LandingZone
from lakehouse_assets.storage.identity import DEFAULT
from lakehouse_assets.storage.store import files_at
from lakehouse_assets_tests.ingest.samples import DAY, HEADER, THINGS, deliver

# What is in a zone: the deliveries, what is listed with a problem, and what is named.
DELIVERED = ["shop/things/2014-03-31/a.csv"]
TOO_DEEP = ["shop/things/2014-03-31/new/b.csv", "shop/things/2014-03-31/new/old/c.csv"]
IGNORED = [
    "_notes.txt", ".git/x", "_old/x.csv", "shop/_ignored/a.csv", "shop/things/_mark",
    "shop/things/_old/a.csv", "shop/things/.cache/a.csv", "shop/things/_SUCCESS",
    *(f"shop/things/2014-03-31/{name}" for name in (
        "_SUCCESS", ".hidden.csv", "a.csv.part", "a.csv.tmp", "a.csv.crdownload", "~$a.csv",
        "_temporary/0/a.csv", ".staging/a.csv", "Thumbs.db", "deep/.hidden.csv",
    )),
]  # fmt: skip
STRAYS = [
    "readme.txt", "shopp/things/2014-03-31/a.csv", "shop/thing/2014-03-31/a.csv", "shop/a.csv",
    "shop/things/b.csv", "shop/things/a.csv", "shop/things/2014-3-1/a.csv",
    "shop/things/20140331/a.csv", "shop/things/2014/03/31/a.csv",
]  # fmt: skip
NOBODYS = (
    "The {} in the landing zone belongs to no dataset; the datasets are shop/things. Move or "
    "rename it, "
    "or put _ before the name to have it ignored."
).format
SENTENCES = {
    NOBODYS("file readme.txt"),
    NOBODYS("folder shopp"),
    NOBODYS("folder shop/thing"),
    NOBODYS("file shop/a.csv"),
    "shop/things has folders that are not named by a date: 2014, 2014-3-1, 20140331; name them "
    "YYYY-MM-DD, the day of delivery, or put _ before the name to have it ignored.",
    "shop/things has files outside a dated folder: a.csv, b.csv; move them to "
    "shop/things/<YYYY-MM-DD>/, or use `lakehouse land`, or put _ before the name to have it "
    "ignored.",
}


def put(zone: LandingZone, name: str, content: bytes = b"x") -> None:
    files_at(zone.root, DEFAULT).put(name, content)


def names(zone: LandingZone, *window: date | None) -> list[str]:
    return [file.name for file in zone.files(THINGS, *window)]


def content(zone: LandingZone) -> dict[str, bytes]:
    with zone.fetched(zone.files(THINGS)) as files:
        return {file.short_name: file.local.read_bytes() for file in files}


def test_concurrent_updates_of_a_file_are_all_kept(zone):
    def add(number: int) -> None:
        line = f"{number}\n".encode()
        files_at(zone.root, DEFAULT).update("_lines", lambda content: (content or b"") + line)

    with ThreadPoolExecutor(4) as threads:
        list(threads.map(add, range(8)))
    found = files_at(zone.root, DEFAULT).read("_lines")
    assert found is not None
    assert sorted(map(int, found.split())) == [*range(8)]


def test_files_are_listed_oldest_first_and_fetched_as_they_are(zone):
    for name in ("2014-03-31/b.csv", "2014-03-31/a.csv", "2013-12-01/z.csv"):
        put(zone, f"shop/things/{name}", name.encode())
    found = zone.files(THINGS)
    assert [file.name for file in found] == [
        "shop/things/2013-12-01/z.csv",
        "shop/things/2014-03-31/a.csv",
        "shop/things/2014-03-31/b.csv",
    ]
    assert (found[0].delivered_on, found[0].size) == (date(2013, 12, 1), 16)
    assert content(zone) == {n[-5:]: n.encode() for n in ("2013-12-01/z.csv", "2014-03-31/a.csv",
                                                          "2014-03-31/b.csv")}  # fmt: skip


def test_a_file_delivered_anew_has_another_version(zone):
    put(zone, DELIVERED[0], b"12345")
    (before,) = zone.files(THINGS)
    assert zone.files(THINGS) == [before]
    put(zone, DELIVERED[0], b"54321")
    (after,) = zone.files(THINGS)
    assert before.fingerprint != after.fingerprint
    assert before.size == after.size


def test_the_window_is_half_open(zone):
    for day in ("2014-03-30", "2014-03-31", "2014-04-01"):
        put(zone, f"shop/things/{day}/a.csv")
    first, last = date(2014, 3, 31), date(2014, 4, 1)
    assert names(zone, first, last) == DELIVERED
    assert [len(names(zone, *w)) for w in ((first, None), (None, first), (first, first))] == [
        2, 1, 0,
    ]  # fmt: skip


def test_a_dataset_nobody_delivered_has_no_files(zone):
    assert names(zone) == []


def test_what_belongs_to_nothing_is_named(zone, engine):
    for name in (*DELIVERED, *TOO_DEEP, *IGNORED, *STRAYS):
        put(zone, name, f"{HEADER}\n1,2,3\n".encode())
    listed = zone.files(THINGS)
    assert [file.name for file in listed] == [*DELIVERED, *TOO_DEEP]
    assert [file.problem for file in listed] == [
        "",
        "b.csv is too deep, in the folder new; move it to shop/things/2014-03-31/.",
        "c.csv is too deep, in the folder new/old; move it to shop/things/2014-03-31/.",
    ]
    assert set(zone.strays([THINGS])) == SENTENCES
    assert set(zone.strays_of(THINGS)) < SENTENCES
    with zone.fetched(listed) as fetched:
        outcome = deliver(engine, *fetched)
    assert [row["id"] for row in outcome.rows] == ["1"]
    assert [row["_source_file"] for row in outcome.rejects] == TOO_DEEP


def test_landing_is_whole_and_once_and_replaces_only_where_asked(zone, tmp_path):
    source = tmp_path / "a.csv"
    source.write_bytes(b"a\n1\n")
    target, news = zone.land(THINGS, source, DAY)
    assert (target, news) == (zone.root / DELIVERED[0], True)
    (before,) = zone.files(THINGS)
    for replace in (False, True):
        assert zone.land(THINGS, source, DAY, replace=replace) == (target, False)
    assert zone.files(THINGS) == [before], "the same content twice changes nothing"
    source.write_bytes(b"a\n2\n")
    with pytest.raises(
        LakehouseError, match="already delivered with different content; use --replace"
    ):
        zone.land(THINGS, source, DAY)
    assert content(zone) == {"a.csv": b"a\n1\n"}
    assert zone.land(THINGS, source, DAY, replace=True) == (target, True)
    assert content(zone) == {"a.csv": source.read_bytes()} == {"a.csv": b"a\n2\n"}
    assert zone.land(THINGS, source, date(2014, 4, 1))[1] is True, "another day, another delivery"
    assert names(zone) == [*DELIVERED, "shop/things/2014-04-01/a.csv"]


@pytest.mark.parametrize(
    ("name", "error", "told"),
    [
        ("a.xlsx", FileRefusedError, "has no known file extension"),
        (".a.csv", LakehouseError, "would be ignored"),
        ("_a.csv", LakehouseError, "would be ignored"),
        ("odd\udcff.csv", LakehouseError, "not UTF-8 or not printable; rename"),
        ("none.csv", LakehouseError, r"There is no file .*none\.csv"),
    ],
)
def test_what_cannot_be_landed(zone, tmp_path: Path, name, error, told):
    if name != "none.csv":
        (tmp_path / name).write_bytes(b"x")
    with pytest.raises(error, match=told):
        zone.land(THINGS, tmp_path / name, DAY)
    assert files_at(zone.root, DEFAULT).children("") == []


def test_a_note_is_kept_beside_the_deliveries_and_is_none(zone):
    assert zone.note(THINGS, "_seen") is None
    for text in (b"one", b"two"):
        zone.keep_note(THINGS, "_seen", text)
        assert zone.note(THINGS, "_seen") == text
    assert names(zone) == []
    assert zone.strays([THINGS]) == []
