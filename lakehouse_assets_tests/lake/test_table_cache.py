"""Cached tables: what is new is seen, and another table in the same place is another one."""

from __future__ import annotations

import shutil

import deltalake
import pyarrow as pa
import pytest

from lakehouse_assets.lake import table_cache
from lakehouse_assets.lake.predicate import Everything
from lakehouse_assets.lake.table_cache import return_table, take_table
from lakehouse_assets.lake.table_path import TablePath
from lakehouse_assets_tests.lake.samples import WHOLE, content, embedded_lake, put


@pytest.fixture(autouse=True)
def kept(monkeypatch):
    found = {}
    monkeypatch.setattr(table_cache, "_cached", found)
    return found


@pytest.fixture
def folder(tmp_path):
    return TablePath(tmp_path, f"{WHOLE.domain}/{WHOLE.name}")


@pytest.fixture
def lake(tmp_path):
    found = embedded_lake(tmp_path)
    put(found, WHOLE, Everything(), [(1, ["a"])])
    return found


@pytest.fixture
def opened(monkeypatch):
    """The addresses that were opened anew."""
    real, addresses = deltalake.DeltaTable, []

    def opening(address, *arguments, **options):
        addresses.append(address)
        return real(address, *arguments, **options)

    monkeypatch.setattr(deltalake, "DeltaTable", opening)
    return addresses


def test_a_table_is_opened_once_and_what_others_commit_is_seen(lake, folder, opened):
    assert [lake.version(WHOLE) for _ in range(3)] == [1, 1, 1]
    other = take_table(folder)
    assert opened == []
    deltalake.write_deltalake(other, pa.table({"id": [2], "tags": [["b"]]}), mode="append")
    assert lake.version(WHOLE) == 2
    assert content(lake, WHOLE) == [(1, ["a"]), (2, ["b"])]


def test_a_write_leaves_the_log_open_at_its_own_version(lake, opened):
    report = put(lake, WHOLE, Everything(), [(2, ["b"])])
    assert (report.version, lake.version(WHOLE), opened) == (2, 2, [])
    assert content(lake, WHOLE) == [(2, ["b"])]


def test_an_open_log_has_one_holder(lake, folder):
    first, second = take_table(folder), take_table(folder)
    assert first is not second
    return_table(folder, second)
    assert take_table(folder) is second
    assert take_table(folder) is not second


def test_reading_an_older_version_does_not_hold_back_the_next_look(lake):
    put(lake, WHOLE, Everything(), [(2, ["b"])])
    assert content(lake, WHOLE, version=1) == [(1, ["a"])]
    assert lake.version(WHOLE) == 2


def test_a_table_that_was_removed_is_not_there(lake, folder):
    shutil.rmtree(folder.uri)
    assert lake.version(WHOLE) is None


def test_another_table_in_its_place_is_opened_anew(lake, folder, tmp_path):
    shutil.rmtree(folder.uri)
    put(embedded_lake(tmp_path / "elsewhere"), WHOLE, Everything(), [(7, ["z"])])
    shutil.copytree(tmp_path / "elsewhere" / WHOLE.domain / WHOLE.name, folder.uri)
    found = {take_table(folder).metadata().id for _ in range(2)}
    assert found == {deltalake.DeltaTable(folder.address).metadata().id}


def test_a_log_that_cannot_be_brought_up_to_date_is_opened_anew(lake, opened, monkeypatch):
    def refuse(_self):
        raise OSError("503 Slow Down")

    monkeypatch.setattr(deltalake.table.DeltaTable, "update_incremental", refuse)
    assert lake.version(WHOLE) == 1
    assert len(opened) == 1


def test_no_more_logs_are_kept_than_are_allowed(lake, folder, kept, tmp_path, monkeypatch):
    monkeypatch.setattr(table_cache, "_MOST", 1)
    for name in ("x", "y"):
        copy = TablePath(tmp_path, f"copy-{name}")
        shutil.copytree(folder.uri, copy.uri)
        return_table(copy, take_table(copy))
    assert list(kept) == [str(tmp_path / "copy-y")]


def test_what_has_no_fingerprint_is_not_kept(lake, folder, kept, monkeypatch):
    monkeypatch.setattr(type(folder), "fingerprint", lambda _self, _version: None)
    assert [lake.version(WHOLE) for _ in range(2)] == [1, 1]
    assert kept == {}
