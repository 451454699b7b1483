"""Soak the daemon, as `make soak` does: `python -m lakehouse_assets_tests.soak --minutes 60`."""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from lakehouse_assets import clock
from lakehouse_assets_tests.clocks import at
from lakehouse_assets_tests.soak.soak import soak

_OWN_MOUNTS = "SOAK_HAS_MOUNTS_OF_ITS_OWN"


def main() -> int:
    """Read the arguments, take mounts of our own where that can be had, and soak."""
    parser = argparse.ArgumentParser(prog="make soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=60, help="how long files are delivered")
    parser.add_argument("--seed", type=int, default=1, help="seed of deliveries, kills and faults")
    parser.add_argument("--kills", type=int, help="how many processes are ended; one each 40 s")
    parser.add_argument("--folder", type=Path, help="an empty folder to keep; a temporary one else")
    parser.add_argument("--cores", type=int, help="how many cores everything has together")
    given = parser.parse_args()
    _take_mounts()
    if given.cores is not None:
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[-given.cores :])
    os.nice(10)
    # What was started ends when this is asked to stop, too. In the background of a shell script
    # interrupts are ignored, and Dagster's code server would ignore SIGTERM with them.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler)
    try:
        at(clock.now(), "UTC")
    except pytest.skip.Exception as reason:
        parser.error(str(reason))
    folder = given.folder or Path(tempfile.mkdtemp(prefix="soak-"))
    folder.mkdir(parents=True, exist_ok=True)
    seconds = int(given.minutes * 60)
    kills = given.kills if given.kills is not None else seconds // 40
    report = soak(folder.resolve(), seconds, given.seed, kills, mounts=_OWN_MOUNTS in os.environ)
    (folder / "report.json").write_text(json.dumps(report, indent=1), encoding="utf-8")
    if given.folder is None and not report["wrong"]:
        shutil.rmtree(folder)
    return 1 if report["wrong"] else 0


def _take_mounts() -> None:
    """Begin again with mounts that end with the processes that see them, where that is allowed."""
    if _OWN_MOUNTS in os.environ:
        return
    unshare = ["unshare", "--mount"] if os.geteuid() == 0 else ["unshare", "-r", "--mount"]
    tried = "d=$(mktemp -d) && mount -t tmpfs tmpfs $d && umount $d && rmdir $d"
    can = shutil.which("unshare") and not subprocess.call(
        [*unshare, "sh", "-c", tried], stderr=subprocess.DEVNULL
    )
    if can:
        again = [sys.executable, "-m", "lakehouse_assets_tests.soak", *sys.argv[1:]]
        os.execvpe("unshare", [*unshare, *again], {**os.environ, _OWN_MOUNTS: "1"})  # noqa: S606


if __name__ == "__main__":
    sys.exit(main())
