"""A landing zone on a disk: links, pipes, rights, and kills while a file is landed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from lakehouse_assets.errors import LakehouseError
from lakehouse_assets.ingest.landing import LandingZone
from lakehouse_assets_tests.ingest.samples import DAY, HEADER, THINGS, deliver
from lakehouse_assets_tests.ingest.test_landing_contract import DELIVERED, names


def put(zone: LandingZone, name: str, content: bytes = b"x") -> Path:
    path = zone.root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def test_a_zone_that_cannot_be_listed_is_an_error_and_not_empty(zone, monkeypatch):
    put(zone, "shop/things/2014-03-31/a.csv")
    for hidden in (zone.root / "shop" / "things", zone.root / "shop" / "things" / "2014-03-31"):
        with monkeypatch.context() as patch:
            list_folder = Path.iterdir

            def refuse(self, hidden=hidden, list_folder=list_folder):
                if self == hidden:
                    raise PermissionError(13, "Permission denied")
                return list_folder(self)

            patch.setattr(Path, "iterdir", refuse)
            with pytest.raises(LakehouseError, match=r"cannot be listed at .*Permission denied"):
                names(zone)


def test_a_missing_zone_is_an_error_and_not_empty(tmp_path):
    gone = LandingZone(tmp_path / "gone")
    with pytest.raises(LakehouseError, match="does not exist; create it"):
        gone.files(THINGS)
    with pytest.raises(LakehouseError, match="does not exist; create it"):
        gone.strays([THINGS])


def test_links_and_special_files_are_named_and_never_opened(zone, tmp_path, engine):
    good = put(zone, DELIVERED[0], HEADER.encode() + b"\n1,2,3\n")
    secret = tmp_path / "secret.csv"
    secret.write_text(f"{HEADER}\n7,8,9\n")
    day = good.parent
    (day / "broken.csv").symlink_to(day / "gone.csv")
    (day / "loop.csv").symlink_to(day / "loop.csv")
    (day / "out.csv").symlink_to(secret)
    (day / "again.csv").symlink_to(good)
    os.mkfifo(day / "pipe.csv")
    (day / "up").symlink_to(day)
    (day / os.fsdecode(b"odd\xff.csv")).write_bytes(good.read_bytes())
    (zone.root / "shop/things/2014-04-01").symlink_to(tmp_path)
    nowhere = "{} is a link that leads nowhere; deliver the file itself.".format
    with zone.fetched(zone.files(THINGS)) as files:
        outcome = deliver(engine, *files)
    assert [row["id"] for row in outcome.rows] == ["1", "1"]
    assert {row["_source_file"].rpartition("/")[2]: row["reason"] for row in outcome.rejects} == {
        "broken.csv": nowhere("broken.csv"),
        "loop.csv": nowhere("loop.csv"),
        "odd\\xff.csv": "odd\\xff.csv has a name that is not UTF-8; rename it.",
        "out.csv": "out.csv is a link that leads out of the zone; deliver the file itself.",
        "pipe.csv": "pipe.csv is no regular file but a pipe, socket or device; deliver the file "
        "itself.",
    }
    # Streams without a broker are no deliveries.
    (zone.root / "streams/devices/thermostat/0").mkdir(parents=True)
    assert zone.strays([THINGS]) == [
        "shop/things/2014-04-01 is a link that leads out of the zone; deliver the file itself."
    ]
    # A whole dataset that lies elsewhere is not read through a link either.
    (zone.root / "shop/things").rename(tmp_path / "elsewhere")
    (zone.root / "shop/things").symlink_to(tmp_path / "elsewhere")
    assert zone.files(THINGS) == []
    assert zone.strays([THINGS]) == [
        "shop/things is a link that leads out of the zone; deliver the file itself."
    ]


@pytest.mark.parametrize("mask", [0o022, 0o077, 0o002, 0o000])
@pytest.mark.parametrize("mode", [0o600, 0o640, 0o644, 0o664, 0o666, 0o755, 0o444])
def test_a_landed_file_is_for_those_who_may_read_its_source(zone, tmp_path, mode, mask):
    source = tmp_path / "a.csv"
    source.write_bytes(b"a\n1\n")
    source.chmod(mode)
    former = os.umask(mask)
    try:
        target, _ = zone.land(THINGS, source, DAY)
    finally:
        os.umask(former)
    assert target.stat().st_mode & 0o777 == mode & 0o666 & ~mask


def replaced_after_listing(zone, good, tmp_path, kind):
    """List the zone, put something else in the place of a file, and only then open it."""
    with zone.fetched(zone.files(THINGS)) as files:
        if kind == "folder":
            good.parent.rename(tmp_path / "elsewhere")
            good.parent.symlink_to(tmp_path / "elsewhere")
        else:
            good.unlink()
            if kind == "pipe":
                os.mkfifo(good)
            else:
                good.symlink_to("/dev/zero" if kind == "zero" else tmp_path / "secret.csv")
        return files


@pytest.mark.parametrize("kind", ["link", "pipe", "zero", "folder"])
def test_a_file_that_was_replaced_after_it_was_listed_is_refused(zone, tmp_path, engine, kind):
    good = put(zone, DELIVERED[0], HEADER.encode() + b"\n1,2,3\n")
    (tmp_path / "secret.csv").write_text(f"{HEADER}\n7,8,9\n")
    outcome = deliver(engine, *replaced_after_listing(zone, good, tmp_path, kind))
    ((line, text, reason),) = outcome.bad
    assert (outcome.rows, line, text) == ([], 0, None)
    assert reason.startswith(f"{good.name} ")
    assert "replaced by a link" in reason or "cannot be read (Too many levels" in reason


def test_a_hard_link_is_a_file_like_any_other(zone, tmp_path, engine):
    good = put(zone, DELIVERED[0], HEADER.encode() + b"\n1,2,3\n")
    os.link(good, good.parent / "hard.csv")
    (good.parent / "zero.csv").symlink_to("/dev/zero")
    with zone.fetched(zone.files(THINGS)) as files:
        outcome = deliver(engine, *files)
    assert [row["id"] for row in outcome.rows] == ["1", "1"]
    assert [reason for *_, reason in outcome.bad] == [
        "zero.csv is a link that leads out of the zone; deliver the file itself."
    ]


def test_a_failed_copy_leaves_nothing(zone, tmp_path, monkeypatch):
    source = tmp_path / "a.csv"
    source.write_bytes(b"a\n1\n")

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("shutil.copyfileobj", full)
    with pytest.raises(LakehouseError, match="No space left on device"):
        zone.land(THINGS, source, DAY)
    assert list((zone.root / "shop/things/2014-03-31").iterdir()) == []


def test_a_process_killed_in_mid_copy_leaves_no_visible_file(zone, tmp_path):
    source = tmp_path / "a.csv"
    source.write_bytes(b"x" * (3 << 20))
    code = f"""
        import shutil, time
        from datetime import date
        from pathlib import Path
        from lakehouse_assets.ingest.landing import LandingZone
        from lakehouse_assets_tests.ingest.samples import THINGS

        def half(source, out, size):
            out.write(source.read(size))
            out.flush()
            print("half", flush=True)
            time.sleep(900)

        shutil.copyfileobj = half
        LandingZone(Path({str(zone.root)!r})).land(THINGS, Path({str(source)!r}), date(2014, 3, 31))
    """
    process = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(code)],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    with process:
        assert process.stdout is not None
        assert process.stdout.readline() == "half\n"
        process.send_signal(signal.SIGKILL)
    folder = zone.root / "shop/things/2014-03-31"
    (left,) = folder.iterdir()
    assert left.name.startswith(".")
    assert left.stat().st_size == 1 << 20
    assert names(zone) == []
    # What is left behind is in nobody's way.
    assert zone.land(THINGS, source, DAY)[1] is True
    assert [file.size for file in zone.files(THINGS)] == [3 << 20]


def test_a_reader_never_sees_half_a_file(zone, tmp_path):
    """While a process lands versions of a file, each is seen whole."""
    code = f"""
        import itertools
        from datetime import date
        from pathlib import Path
        from lakehouse_assets.ingest.landing import LandingZone
        from lakehouse_assets_tests.ingest.samples import THINGS

        zone, source = LandingZone(Path({str(zone.root)!r})), Path({str(tmp_path / "a.csv")!r})
        for number in itertools.count():
            source.write_bytes(str(number % 10).encode() * (1 << 20))
            zone.land(THINGS, source, date(2014, 3, 31), replace=True)
    """
    process = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(code)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    seen = set()
    with process:
        while len(seen) < 5:
            assert process.poll() is None
            for file in zone.files(THINGS):
                content = file.path.read_bytes()
                assert len(content) == 1 << 20
                assert len(set(content)) == 1
                seen.add(content[:1])
        process.kill()


def test_a_file_that_gets_its_name_while_it_is_listed_is_no_error(zone, monkeypatch):
    folder = zone.root / "shop" / "things" / str(DAY)
    folder.mkdir(parents=True)
    (folder / "a.csv").write_text(HEADER)
    listed = sorted

    def renamed(children):
        found = listed(children)
        return [*found, *(folder / ".b.part" for child in found if child.parent == folder)]

    monkeypatch.setattr("lakehouse_assets.storage.local_files.sorted", renamed, raising=False)
    assert [file.name for file in zone.files(THINGS)] == [f"shop/things/{DAY}/a.csv"]
