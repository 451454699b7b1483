"""The machine that is soaked: a daemon, a code server and the workers of runs, as users have them.

Everything it starts, however long ago and by whomever, is found by a variable of its own.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from lakehouse_assets_tests.airline.samples import REPOSITORY

_MARK = "SOAK_FOLDER"
_PAGE = os.sysconf("SC_PAGE_SIZE")
_LOCATION = "lakehouse_assets"


class Disk:
    """A folder on a disk of its own, if one can be mounted, which fails and fills up on demand."""

    def __init__(self, folder: Path, size: str | None) -> None:
        self.folder = folder
        self._mounted = size is not None
        folder.mkdir(parents=True)
        if size is not None:
            subprocess.run(
                ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)], check=True
            )

    @contextmanager
    def failing(self) -> Iterator[None]:
        """Refuse every write."""
        if not self._mounted:
            folders = [self.folder, *(p for p in self.folder.rglob("*") if p.is_dir())]
            for folder in folders:
                folder.chmod(0o555)
            yield
            for folder in folders:
                with suppress(FileNotFoundError):
                    folder.chmod(0o755)
            return
        self._remount("ro")
        try:
            yield
        finally:
            self._remount("rw")

    @contextmanager
    def full(self) -> Iterator[None]:
        """Leave no byte free."""
        ballast = self.folder / ".ballast"
        try:
            with ballast.open("wb", buffering=0) as stream, suppress(OSError):
                while True:
                    stream.write(b"\0" * (1 << 20))
            with ballast.open("ab", buffering=0) as stream, suppress(OSError):
                while True:
                    stream.write(b"\0" * 4096)
            yield
        finally:
            ballast.unlink()

    def release(self) -> None:
        """Unmount the disk; files that are still open end with this process."""
        if self._mounted:
            subprocess.run(["umount", "--lazy", str(self.folder)], check=True)

    def _remount(self, how: str) -> None:
        # Busy while a file is open for writing.
        for _ in range(200):
            command = ["mount", "-o", f"remount,{how}", str(self.folder)]
            if not subprocess.call(command, stderr=subprocess.DEVNULL):
                return
            time.sleep(0.05)
        raise RuntimeError(f"{self.folder} cannot be mounted {how}")


class Machine:
    """The processes of one lakehouse.

    Attributes:
        clock: Variables that set the clock of daemon and code server.
        impatience: How often one did not end when it was asked to.
    """

    def __init__(self, folder: Path, variables: Mapping[str, str]) -> None:
        self.folder = folder
        clean = {k: v for k, v in os.environ.items() if not k.startswith(("LAKEHOUSE_", "DAGSTER"))}
        self.variables = {
            **clean,
            **variables,
            _MARK: str(folder),
            "PYTHONPATH": str(REPOSITORY),
            "NO_COLOR": "1",
        }
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self._port = str(probe.getsockname()[1])
        self._workspace = folder / "workspace.yaml"
        self._workspace.write_text(
            f"load_from: [{{grpc_server: {{host: 127.0.0.1, port: {self._port}, "
            f"location_name: {_LOCATION}}}}}]\n",
            encoding="utf-8",
        )
        self._long: dict[str, subprocess.Popen[bytes]] = {}
        self.impatience = 0
        self.clock: dict[str, str] = {}

    def run(self, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
        """Run `lakehouse` and wait for it."""
        return subprocess.run(
            [sys.executable, "-m", "lakehouse_assets", *arguments],
            env={**self.variables, **variables},
            cwd=self.folder,
            capture_output=True,
            text=True,
            check=False,
        )

    def start(self) -> None:
        """Start what is not running of code server and daemon."""
        commands = {
            "code server": [
                sys.executable, "-m", "dagster", "api", "grpc", "-h", "127.0.0.1",
                "-p", self._port, "-m", "lakehouse_assets.definitions",
                "--location-name", _LOCATION,
            ],
            "daemon": [
                str(Path(sys.executable).with_name("dagster-daemon")), "run",
                "-w", str(self._workspace),
            ],
        }  # fmt: skip
        for name, command in commands.items():
            if name in self._long and self._long[name].poll() is None:
                continue
            with (self.folder / f"{name}.log").open("ab") as log:
                self._long[name] = subprocess.Popen(
                    command, env={**self.variables, **self.clock}, cwd=self.folder,
                    stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
                )  # fmt: skip

    def end(self, name: str, with_signal: signal.Signals) -> int | None:
        """Send a signal to the daemon, the code server or a run worker.

        Returns:
            The process that it was; None if there is none.
        """
        if name == "run worker":
            for number in self.workers()[:1]:
                with suppress(ProcessLookupError):
                    os.kill(number, with_signal)
                    return number
            return None
        found = self._long.get(name)
        if found is None or found.poll() is not None:
            return None
        found.send_signal(with_signal)
        self._wait_for(found, 10)
        return found.pid

    def stop(self) -> None:
        """Ask daemon and code server to end."""
        for found in self._long.values():
            if found.poll() is None:
                found.terminate()
        for found in self._long.values():
            self._wait_for(found, 60)

    def _wait_for(self, process: subprocess.Popen[bytes], seconds: float) -> None:
        """Wait for the end of a process, as a supervisor does, which ends it itself after a while.

        A code server that is asked to stop waits for its runs.
        """
        try:
            process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.impatience += 1
            process.kill()
            process.wait()

    def processes(self) -> dict[int, str]:
        """Return every process of this machine that runs, with its command."""
        mark = f"{_MARK}={self.folder}\0".encode()
        found = {}
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit():
                with suppress(OSError):
                    if mark in (entry / "environ").read_bytes() + b"\0":
                        command = (entry / "cmdline").read_bytes().replace(b"\0", b" ")
                        found[int(entry.name)] = command.decode(errors="replace")
        return {number: command for number, command in sorted(found.items()) if command}

    def workers(self) -> list[int]:
        """Return the processes that execute runs."""
        return [n for n, command in self.processes().items() if "spawn_main" in command]

    def memory(self) -> float:
        """Return the memory that all processes hold, in MB."""
        pages = 0
        for number in self.processes():
            with suppress(OSError):
                pages += int(Path(f"/proc/{number}/statm").read_text("ascii").split()[1])
        return pages * _PAGE / 1e6
