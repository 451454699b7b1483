"""Processes begin as copies of the first only while it has no other threads."""

from __future__ import annotations

import subprocess
import sys

import pytest

LINUX = pytest.mark.skipif(sys.platform != "linux", reason="copies are made on Linux only")


def beginning_after(what: str) -> str:
    """Ask a new interpreter that has imported the command line how it begins a process."""
    script = (
        "import time, threading, lakehouse_assets.cli.main\n"
        f"import lakehouse_assets.orchestration.lanes as l\n{what}\n"
        "print(l.beginning().get_start_method())"
    )
    asked = [sys.executable, "-c", script]
    return subprocess.run(asked, capture_output=True, text=True, check=True).stdout.strip()


@LINUX
def test_the_command_line_begins_processes_as_copies_until_a_run_opens_its_engine() -> None:
    assert beginning_after("l._load_shared()") == "fork"


@pytest.mark.parametrize(
    "what",
    [
        "threading.Thread(target=time.sleep, args=[3], daemon=True).start()",
        "import deltalake",
        "import duckdb",
        "import pyarrow",
        "import sys; sys.platform = 'darwin'",
    ],
)
def test_beside_threads_and_off_linux_processes_begin_anew(what: str) -> None:
    assert beginning_after(what) == "spawn"
