"""The landing zone: what counts as a delivery, and that files arrive whole or not at all."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
from datetime import date
from pathlib import Path

import pytest

from lakehouse_assets.errors import FileRefusedError, LakehouseError
from lakehouse_assets.ingest.landing import LandingZone
from lakehouse_assets_tests.ingest.samples import DAY, HEADER, THINGS, deliver


@pytest.fixture
def zone(tmp_path):
    root = tmp_path / "landing"
    root.mkdir()
    return LandingZone(root)


def put(zone: LandingZone, name: str, content: bytes = b"x") -> Path:
    path = zone.root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def names(zone: LandingZone, *window: date | None) -> list[str]:
    return [file.name for file in zone.files(THINGS, *window)]


def test_files_are_listed_oldest_first(zone):
    for name in ("2014-03-31/b.csv", "2014-03-31/a.csv", "2013-12-01/z.csv"):
        put(zone, f"shop/things/{name}", b"12345")
    found = zone.files(THINGS)
    assert [file.name for file in found] == [
        "shop/things/2013-12-01/z.csv",
        "shop/things/2014-03-31/a.csv",
        "shop/things/2014-03-31/b.csv",
    ]
    first = found[0]
    assert (first.delivered_on, first.size) == (date(2013, 12, 1), 5)
    assert first.path.read_bytes() == b"12345"


def test_a_file_delivered_anew_has_another_version(zone):
    path = put(zone, "shop/things/2014-03-31/a.csv", b"12345")
    (before,) = zone.files(THINGS)
    os.utime(path, ns=(1, 1))
    (after,) = zone.files(THINGS)
    assert before.version != after.version
    assert zone.files(THINGS) == [after]


def test_the_window_is_half_open(zone):
    for day in ("2014-03-30", "2014-03-31", "2014-04-01"):
        put(zone, f"shop/things/{day}/a.csv")
    window = date(2014, 3, 31), date(2014, 4, 1)
    assert names(zone, *window) == ["shop/things/2014-03-31/a.csv"]
    assert len(names(zone, window[0], None)) == 2
    assert len(names(zone, None, window[0])) == 1
    assert names(zone, window[0], window[0]) == []


def test_what_is_no_delivery_is_not_listed(zone):
    for name in (
        "2014-03-31/_SUCCESS", "2014-03-31/.hidden.csv", "2014-03-31/a.csv.part",
        "2014-03-31/a.csv.tmp", "2014-03-31/a.csv.crdownload", "_old/a.csv", ".cache/a.csv",
        "_SUCCESS", "2014-03-31/_temporary/0/a.csv", "2014-03-31/.staging/a.csv",
        "2014-03-31/~$a.csv", "2014-03-31/Thumbs.db", "2014-03-31/deep/.hidden.csv",
    ):  # fmt: skip
        put(zone, f"shop/things/{name}")
    assert names(zone) == []
    put(zone, "shop/things/2014-03-31/a.csv")
    assert names(zone) == ["shop/things/2014-03-31/a.csv"]


def test_a_dataset_nobody_delivered_has_no_files(zone):
    assert names(zone) == []


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


# What lies in a zone: the deliveries, what is listed with a problem, and what is named.
DELIVERED = ["shop/things/2014-03-31/a.csv"]
TOO_DEEP = ["shop/things/2014-03-31/new/b.csv", "shop/things/2014-03-31/new/old/c.csv"]
IGNORED = ["_notes.txt", ".git/x", "_old/x.csv", "shop/_ignored/a.csv", "shop/things/_mark"]
STRAYS = [
    "readme.txt", "shopp/things/2014-03-31/a.csv", "shop/thing/2014-03-31/a.csv", "shop/a.csv",
    "shop/things/b.csv", "shop/things/a.csv", "shop/things/2014-3-1/a.csv",
    "shop/things/20140331/a.csv", "shop/things/2014/03/31/a.csv",
]  # fmt: skip
NOBODYS = (
    "The {} of the landing zone belongs to no dataset; known are shop/things. Move or rename it, "
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


def test_what_belongs_to_nothing_is_named(zone):
    for name in (*DELIVERED, *TOO_DEEP, *IGNORED, *STRAYS):
        put(zone, name)
    assert names(zone) == [*DELIVERED, *TOO_DEEP]
    assert [file.problem for file in zone.files(THINGS)] == [
        "",
        "b.csv lies too deep, in the folder new; move it to shop/things/2014-03-31/.",
        "c.csv lies too deep, in the folder new/old; move it to shop/things/2014-03-31/.",
    ]
    assert set(zone.strays([THINGS])) == SENTENCES
    assert set(zone.strays_of(THINGS)) < SENTENCES


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


def test_landing_a_file(zone, tmp_path):
    source = tmp_path / "a.csv"
    source.write_bytes(b"a\n1\n")
    target, news = zone.land(THINGS, source, DAY)
    assert (target, news) == (zone.root / "shop/things/2014-03-31/a.csv", True)
    assert target.read_bytes() == source.read_bytes() == b"a\n1\n"
    assert [file.name for file in target.parent.iterdir()] == ["a.csv"]


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


def test_landing_the_same_content_twice_changes_nothing(zone, tmp_path):
    source = tmp_path / "a.csv"
    source.write_bytes(b"a\n1\n")
    target, _ = zone.land(THINGS, source, DAY)
    before = target.stat()
    assert zone.land(THINGS, source, DAY) == (target, False)
    assert zone.land(THINGS, source, DAY, replace=True) == (target, False)
    assert (target.stat().st_mtime_ns, target.stat().st_ino) == (before.st_mtime_ns, before.st_ino)


def test_other_content_needs_replace(zone, tmp_path):
    source = tmp_path / "a.csv"
    source.write_bytes(b"a\n1\n")
    target, _ = zone.land(THINGS, source, DAY)
    source.write_bytes(b"a\n2\n")
    with pytest.raises(LakehouseError, match="already delivered with other content; use --replace"):
        zone.land(THINGS, source, DAY)
    assert target.read_bytes() == b"a\n1\n"
    assert zone.land(THINGS, source, DAY, replace=True) == (target, True)
    assert target.read_bytes() == b"a\n2\n"
    # Another day is another delivery.
    assert zone.land(THINGS, source, date(2014, 4, 1))[1] is True


def test_what_cannot_be_landed(zone, tmp_path):
    with pytest.raises(LakehouseError, match=r"There is no file .*nothing\.csv"):
        zone.land(THINGS, tmp_path / "nothing.csv", DAY)
    (tmp_path / "a.xlsx").write_bytes(b"x")
    with pytest.raises(FileRefusedError, match="neither CSV, JSON nor Parquet"):
        zone.land(THINGS, tmp_path / "a.xlsx", DAY)
    assert list(zone.root.iterdir()) == []


@pytest.mark.parametrize("name", [".a.csv", "_a.csv"])
def test_a_name_that_would_never_be_listed_is_refused(zone, tmp_path, name):
    (tmp_path / name).write_bytes(b"x")
    with pytest.raises(LakehouseError, match="would be overlooked"):
        zone.land(THINGS, tmp_path / name, DAY)


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


def test_a_name_that_is_no_text_is_not_landed(zone, tmp_path):
    odd = tmp_path / os.fsdecode(b"odd\xff.csv")
    odd.write_bytes(b"a\n1\n")
    with pytest.raises(LakehouseError, match="not UTF-8 or do not print; rename"):
        zone.land(THINGS, odd, DAY)
