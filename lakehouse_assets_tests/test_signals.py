"""Ctrl-C, SIGTERM and the time limit end a process, whatever it waits for, and record its run."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import dagster as dg
import pytest

from lakehouse_assets.orchestration.instance import dagster_instance
from lakehouse_assets_tests.airline.samples import REPOSITORY, House, member, variables_of
from lakehouse_assets_tests.peers import Peer, running_peer

# An assertion would be the clock's; this only ends a test that would else never end.
PATIENCE = 120

# A step that waits in C for itself, where Python cannot be interrupted, beside a process of its
# own; `dagster asset materialize` executes it as run workers do.
STUCK = """
import ctypes, os, subprocess, threading, time, dagster as dg
from lakehouse_assets.orchestration.io_manager import DeltaIOManager
from lakehouse_assets.orchestration.resources import LakeResource

@dg.asset(io_manager_key="io_manager")
def stuck():
    child = subprocess.Popen(["sleep", "1000"])

    def tell():
        time.sleep(0.5)
        open("child", "w").write(str(child.pid))

    threading.Thread(target=tell, daemon=True).start()
    libc, mutex = ctypes.CDLL(None), ctypes.create_string_buffer(64)
    libc.pthread_mutex_init(mutex, None)
    libc.pthread_mutex_lock(mutex)
    libc.pthread_mutex_lock(mutex)

limit = float(os.environ["LIMIT"]) if "LIMIT" in os.environ else None
lake = LakeResource(root=os.environ["LAKEHOUSE_ROOT"])
defs = dg.Definitions(
    [stuck],
    resources={"io_manager": DeltaIOManager(lake=lake, run_time_limit=limit)},
    executor=dg.in_process_executor,
)
"""


@pytest.fixture
def peer() -> Iterator[Peer]:
    """A server that accepts connections and never answers."""
    with running_peer("silent") as silent:
        yield silent


def wait_until_asked(peer: Peer, process: subprocess.Popen[str]) -> None:
    """Wait until a process waits for a peer."""
    while not peer.connections:
        assert process.poll() is None, process.communicate()
        time.sleep(0.05)


def _default_signals() -> None:
    """Undo that signals are ignored, which a process inherits.

    In the background of a shell, interrupts are. Dagster then ignores SIGTERM with them in every
    process that has executed a run, as those of tests have.
    """
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)


@contextmanager
def started(
    house: House, *command: str, **variables: str
) -> Iterator[tuple[subprocess.Popen[str], Path]]:
    """Start a process with a folder of its own for temporary files."""
    scratch = house.settings.landing.parent / "scratch"
    scratch.mkdir()
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("LAKEHOUSE_", "DAGSTER_"))}
    home = {"DAGSTER_HOME": str(house.settings.dagster_home), "TMPDIR": str(scratch)}
    with subprocess.Popen(
        [sys.executable, *command],
        env={**clean, **variables_of(house), **home, "PYTHONPATH": str(REPOSITORY), **variables},
        cwd=house.settings.landing.parent,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=_default_signals,
    ) as process:
        try:
            yield process, scratch
        finally:
            process.kill()


def is_alive(number: int) -> bool:
    """Say whether a process is there and has not ended."""
    try:
        text = Path(f"/proc/{number}/stat").read_text(encoding="utf-8")
    except OSError:
        return False
    return text.rpartition(")")[2].split()[0] != "Z"


def ended(process: subprocess.Popen[str]) -> tuple[int, str, str]:
    out, err = process.communicate(timeout=PATIENCE)
    return process.returncode, out, err


COMMANDS = {
    "an MLflow server": (["home"], {"LAKEHOUSE_MLFLOW_URI": "{peer}"}, signal.SIGINT),
    "a store": (
        ["run"],
        {
            "LAKEHOUSE_ROOT": "abfss://lake@devstoreaccount1.dfs.core.windows.net/",
            "LAKEHOUSE_IDENTITY": json.dumps(
                {"kind": "account_key", "endpoint": "{peer}/devstoreaccount1"}
            ),
            "AZURE_STORAGE_KEY": "a2V5",
        },
        signal.SIGTERM,
    ),
    "a database": (
        ["extract", "retail/campaigns"],
        {"LAKEHOUSE_SOURCE_MARKETING": "postgresql://u:p@127.0.0.1:{port}/d"},
        signal.SIGINT,
    ),
}


def given_for(waits_for: str, peer: Peer) -> dict[str, str]:
    """Return the settings with which a command waits for a peer."""
    return {
        name: value.replace("{peer}", peer.address).replace("{port}", str(peer.port))
        for name, value in COMMANDS[waits_for][1].items()
    }


@pytest.mark.parametrize("waits_for", COMMANDS)
def test_a_command_ends_whatever_it_waits_for(house: House, peer: Peer, waits_for: str) -> None:
    house.deliver_members("2014-03-31", [member(1)])
    arguments, _, sent = COMMANDS[waits_for]
    given = given_for(waits_for, peer)
    with started(house, "-m", "lakehouse_assets", *arguments, **given) as (process, scratch):
        wait_until_asked(peer, process)
        process.send_signal(sent)
        code, _, err = ended(process)
        assert code == 128 + sent, err
        assert f"asked to end ({sent.name})" in err
        assert "Traceback" not in err
        assert list(scratch.iterdir()) == []


def test_a_query_of_the_engine_ends(house: House) -> None:
    pipe = house.settings.landing.parent / "pipe.csv"
    os.mkfifo(pipe)
    house.settings.root.mkdir()
    query = f"select * from read_csv('{pipe}', columns = {{'a': 'int'}})"  # noqa: S608
    with started(house, "-m", "lakehouse_assets", "sql", query) as (process, scratch):
        # Opened as soon as the engine reads.
        with pipe.open("w"):
            process.send_signal(signal.SIGTERM)
            assert ended(process)[0] == 128 + signal.SIGTERM
        assert list(scratch.iterdir()) == []


def test_a_second_ctrl_c_ends_at_once(house: House, peer: Peer) -> None:
    script = (
        "from lakehouse_assets.orchestration import signals; signals._GRACE_SECONDS = 10_000\n"
        "from lakehouse_assets.cli.main import main; main()"
    )
    house.deliver_members("2014-03-31", [member(1)])
    given = given_for("a store", peer)
    with started(house, "-c", script, "run", **given) as (process, _):
        wait_until_asked(peer, process)
        while process.poll() is None:
            process.send_signal(signal.SIGINT)
            time.sleep(1)
        assert ended(process)[0] == 128 + signal.SIGINT


@pytest.mark.parametrize("limited", [False, True], ids=["signal", "time limit"])
def test_a_run_of_dagster_ends_with_its_processes_and_is_recorded(
    house: House, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limited: bool
) -> None:
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    with dagster_instance(house.settings):
        pass
    file = tmp_path / "stuck.py"
    file.write_text(STUCK, encoding="utf-8")
    command = ("-m", "dagster", "asset", "materialize", "-f", str(file), "--select", "stuck")
    given = {"LIMIT": "3"} if limited else {}
    told_child = house.settings.landing.parent / "child"
    with started(house, *command, **given) as (process, _):
        while not told_child.exists() or not told_child.read_text():
            assert process.poll() is None, process.communicate()
            time.sleep(0.05)
        if not limited:
            process.send_signal(signal.SIGTERM)
        code, _out, err = ended(process)
    assert code == (1 if limited else 128 + signal.SIGTERM), err
    why = "LAKEHOUSE_RUN_TIME_LIMIT" if limited else "SIGTERM"
    assert why in err
    assert not is_alive(int(told_child.read_text()))
    with dagster_instance(house.settings) as instance:
        (run,) = instance.get_runs()
        assert run.status is dg.DagsterRunStatus.FAILURE
        events = [entry.dagster_event for entry in instance.all_logs(run.run_id)]
        assert any(why in str(event.message) for event in events if event)
    assert run.tags.get("dagster/max_retries") == ("0" if limited else None)


KEEPING = """
import tempfile
from lakehouse_assets.orchestration.signals import keep_temporary_files_together
keep_temporary_files_together()
print(tempfile.mkdtemp(), flush=True)
input()
"""


def test_temporary_files_of_killed_processes_go_and_those_of_living_ones_stay(
    tmp_path: Path,
) -> None:
    def started() -> tuple[subprocess.Popen[str], Path]:
        child = subprocess.Popen(
            [sys.executable, "-c", KEEPING],
            env={**os.environ, "TMPDIR": str(tmp_path), "PYTHONPATH": str(REPOSITORY)},
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        assert child.stdout is not None
        return child, Path(child.stdout.readline().strip())

    (killed, left), (living, kept) = started(), started()
    killed.kill()
    killed.communicate()
    others = [tmp_path / "lakehouse-spark-a1b2c3d4", tmp_path / "lakehouse-process-a1b2c3d4"]
    for folder in others:
        folder.mkdir()
        os.utime(folder, (0, 0))
    for folder in (left, kept):
        (lock,) = folder.parent.glob(".*")
        os.utime(lock, (0, 0))
    third, own = started()
    assert not left.parent.exists()
    assert all(folder.exists() for folder in others)
    assert kept.exists()
    assert own.exists()
    for child in (living, third):
        child.communicate("\n")


def test_a_development_server_ends_with_all_its_processes(house: House) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])
    house.settings.dagster_home.mkdir(parents=True)
    command = ["-m", "dagster", "dev", "-w", str(REPOSITORY / "workspace.yaml"), "-p", port]
    with started(house, *command) as (process, scratch):
        # Those that it starts inherit its folder for temporary files.
        mark = f"TMPDIR={scratch}".encode()

        def all_of_it() -> set[int]:
            found = set()
            for entry in Path("/proc").glob("[0-9]*"):
                with suppress(OSError):
                    if mark in (entry / "environ").read_bytes() and is_alive(int(entry.name)):
                        found.add(int(entry.name))
            return found

        until = time.monotonic() + PATIENCE
        while time.monotonic() < until and process.poll() is None:
            with suppress(OSError), socket.create_connection(("127.0.0.1", int(port)), 1):
                break
            time.sleep(0.2)
        assert len(all_of_it()) >= 3, ended(process)
        process.send_signal(signal.SIGTERM)
        assert ended(process)[0] == 0
        assert all_of_it() == set()
