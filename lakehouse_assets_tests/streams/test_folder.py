"""A folder as a source: each line once and in order, however its files grow."""

from __future__ import annotations

import gzip
from collections.abc import Iterator
from pathlib import Path

import pytest

from lakehouse_assets.errors import LakehouseError
from lakehouse_assets.sources.folder_stream import FolderSource
from lakehouse_assets.sources.messages import RetentionGapError, open_stream


def put(folder: Path, first: int, *lines: str, partition: int = 0, mode: str = "a") -> Path:
    """Write lines of topic `t`, whole ones where they end with a line break."""
    path = folder / "t" / str(partition) / f"{first:020}.jsonl"
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open(mode, newline="") as file:
        file.writelines(lines)
    return path


def pack(path: Path) -> Path:
    """Compress a file, as a writer does with one that is complete."""
    packed = path.with_name(path.name + ".gz")
    packed.write_bytes(gzip.compress(path.read_bytes()))
    path.unlink()
    return packed


@pytest.fixture
def source(tmp_path: Path) -> Iterator[FolderSource]:
    opened = FolderSource(tmp_path)
    yield opened
    opened.close()


def values(source: FolderSource, most: int = 100, seconds: float = 0) -> list[tuple[int, str]]:
    return [(m.offset, m.value.decode()) for m in source.poll(most, seconds)]


@pytest.mark.parametrize("name", ["0.jsonl", "today.jsonl.gz"])
def test_a_file_whose_name_is_no_offset_is_not_left_unread(
    tmp_path: Path, source: FolderSource, name: str
) -> None:
    put(tmp_path, 0, "a\n").with_name(name).write_text("b\n")
    with pytest.raises(LakehouseError, match=rf"{name} cannot be read, because its name"):
        source.assign("t", {0: None})


def test_lines_of_files_plain_and_packed_are_read_in_order(tmp_path: Path, source) -> None:
    pack(put(tmp_path, 5, "a\n", "b\n", "c"))
    put(tmp_path, 8, "d\r\n", "\n", "half")
    put(tmp_path, 0, "other\n", partition=2)
    assert source.partitions("t") == [0, 2]
    source.assign("t", {0: None})
    assert source.ends() == {("t", 0): 10}
    assert values(source, most=2) == [(5, "a"), (6, "b")]
    assert source.positions() == {("t", 0): 7}
    assert values(source) == [(7, "c"), (8, "d\r"), (9, "")]
    put(tmp_path, 8, " and half\n")
    assert source.ends() == {("t", 0): 11}
    assert values(source) == [(10, "half and half")]
    source.assign("t", {2: 0, 0: 6})
    assert sorted(values(source)) == [
        (0, "other"), (6, "b"), (7, "c"), (8, "d\r"), (9, ""), (10, "half and half")
    ]  # fmt: skip


def test_a_file_that_is_followed_by_another_is_read_to_its_end_first(tmp_path, source) -> None:
    growing = put(tmp_path, 0, "a\n")
    source.assign("t", {0: 0})
    assert values(source) == [(0, "a")]
    put(tmp_path, 0, "b\n")
    pack(growing)
    put(tmp_path, 2, "c\n")
    assert values(source) == [(1, "b"), (2, "c")]
    assert source.positions() == source.ends() == {("t", 0): 3}


def test_a_long_backlog_of_one_partition_does_not_hold_up_another(tmp_path, source) -> None:
    put(tmp_path, 0, *(f"{n}\n" for n in range(100)))
    put(tmp_path, 0, "x\n", partition=1)
    source.assign("t", {0: None, 1: None})
    found = source.poll(10, 0)
    assert len(found) == 10
    assert {m.partition for m in found} == {0, 1}


def test_lines_that_are_gone_are_a_gap_and_say_how_many(tmp_path: Path, source) -> None:
    put(tmp_path, 10, "a\n", "b\n")
    with pytest.raises(RetentionGapError, match="7 offsets of topic t, partition 0 are gone"):
        source.assign("t", {0: 3})
    source.assign("t", {0: 10})
    put(tmp_path, 15, "c\n")
    with pytest.raises(RetentionGapError) as caught:
        values(source)
    assert (caught.value.wanted, caught.value.first) == (12, 15)
    assert not caught.value.transient


def test_offsets_that_cannot_be_are_refused(tmp_path, source) -> None:
    put(tmp_path, 0, "a\n", "b\n")
    with pytest.raises(LakehouseError, match="ends at offset 2, but the lake has read up to"):
        source.assign("t", {0: 3})
    put(tmp_path, 1, "again\n")
    source.assign("t", {0: 0})
    with pytest.raises(LakehouseError, match=r"begins at offset 1, but the previous file 0+"):
        values(source)


def test_a_packed_file_that_is_cut_off_is_one_sentence(tmp_path: Path, source) -> None:
    packed = pack(put(tmp_path, 0, *(f"{n}\n" for n in range(10_000))))
    packed.write_bytes(packed.read_bytes()[:-2000])
    with pytest.raises(LakehouseError, match=rf"{packed.name} cannot be read from"):
        source.assign("t", {0: None})


def test_an_address_may_be_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(tmp_path / "events", 0, "a\n")
    monkeypatch.setenv("LAKEHOUSE_HOME", str(tmp_path))
    with pytest.raises(LakehouseError, match="set LAKEHOUSE_STREAM_DEVICES to kafka://host:port"):
        open_stream("devices")
    default = open_stream("devices", default=tmp_path / "events")
    monkeypatch.setenv("LAKEHOUSE_STREAM_DEVICES", "events")
    monkeypatch.setenv("LAKEHOUSE_STREAM_DEVICES_GROUP", "test")
    named = open_stream("devices")
    assert named.partitions("t") == default.partitions("t") == [0]
    assert named.app_id("t", 0) == default.app_id("t", 0).replace(":lakehouse:", ":test:")
    with pytest.raises(
        LakehouseError,
        match=r"has no topic u\. Correct the folder, or put the messages into u/0/0000",
    ):
        named.partitions("u")
    monkeypatch.setenv("LAKEHOUSE_STREAM_DEVICES", "elsewhere")
    assert open_stream("devices").app_id("t", 0) != default.app_id("t", 0)
    monkeypatch.setenv("LAKEHOUSE_STREAM_DEVICES_GROUP", "a:b")
    with pytest.raises(LakehouseError, match="DEVICES_GROUP may only contain letters"):
        open_stream("devices")
