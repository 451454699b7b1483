"""Ends a process on Ctrl-C or SIGTERM within ten seconds, whatever it is doing.

Python runs signal handlers in the main thread, between two instructions, so they are delayed while
a library call waits for a store. A separate thread sees every signal at once.
"""

from __future__ import annotations

import fcntl
import os
import select
import shutil
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from multiprocessing.util import Finalize
from pathlib import Path

from lakehouse_assets import clock

# How long a process may take to end by itself, and after that to record why it is ended by force.
_GRACE_SECONDS = 5.0
_RECORD_SECONDS = 4.5
# Wrappers such as `uv run` forward a signal that the terminal has already sent to this process.
_SAME_SIGNAL_SECONDS = 0.3
# Prefix of the folder that holds a process's temporary files; random characters follow.
_FOLDER = "lakehouse-process-"
# Locked by the folder's process; a folder without this file is not ours.
_LOCK = ".lakehouse-process"
_YOUNG_SECONDS = 60.0
# How soon a wait notices a request to stop.
_LOOK_SECONDS = 0.1
_STOPS = (signal.SIGINT, signal.SIGTERM)


@dataclass
class _Process:
    """State of ending this process.

    Attributes:
        received: The first signal that asked it to end.
        interrupted: Whether KeyboardInterrupt was raised for it.
        reason: Why it ends, if `stop` was called.
        watching: Whether signals are watched.
        last_calls: Functions to call before the process is ended by force, by name.
        folder: The folder of its temporary files.
    """

    received: int | None = None
    interrupted: bool = False
    reason: str | None = None
    watching: bool = False
    last_calls: dict[str, Callable[[], None]] = field(default_factory=dict)
    folder: str | None = None


_process = _Process()


def stop_requested() -> bool:
    """Say whether a signal has asked this process to end, whichever handler received it."""
    return _process.received is not None


def stop_reason() -> str:
    """Say why this process ends."""
    name = signal.Signals(_process.received or signal.SIGINT).name
    return _process.reason or f"The process was asked to end ({name})."


def exit_code() -> int:
    """Return the exit code: 1 after `stop`, otherwise 128 plus the signal, as in shells."""
    return 1 if _process.reason else 128 + (_process.received or signal.SIGINT)


def stop(reason: str) -> None:
    """End this process as SIGTERM would.

    Args:
        reason: A sentence for the user; the exit code is 1.
    """
    _process.reason = reason
    if _process.watching:
        os.kill(os.getpid(), signal.SIGTERM)


@contextmanager
def last_call(name: str, call: Callable[[], None]) -> Iterator[None]:
    """Register a function to call if the process is ended by force within the context."""
    _process.last_calls[name] = call
    try:
        yield
    finally:
        _process.last_calls.pop(name, None)


@contextmanager
def ending_on_signals() -> Iterator[None]:
    """Watch SIGINT and SIGTERM.

    After the first signal the process has five seconds to end by itself. After that, or on a second
    signal, the last calls are made, child processes are killed, and the process ends. Existing
    signal handlers stay in effect. Outside the main thread nothing is watched.
    """
    if _process.watching or threading.current_thread() is not threading.main_thread():
        yield
        return
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    _process.watching = True
    # Python writes each signal's number to the pipe as soon as it arrives.
    before = signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    threading.Thread(target=_watch, args=[reader], name="signals", daemon=True).start()
    try:
        yield
    finally:
        # A process that was asked to end is watched until it has ended.
        if not stop_requested():
            signal.set_wakeup_fd(before)
            os.close(writer)
            _process.watching = False


def raise_on_signals() -> None:
    """Let SIGINT and SIGTERM raise KeyboardInterrupt; a signal that is ignored stays ignored."""
    for number in _STOPS:
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, _interrupt)


class StopRequest:
    """A request to stop, which a signal's handler may make at any moment.

    It takes no lock, unlike `threading.Event`: the handler may interrupt the very thread that holds
    it, and would then wait for ever.
    """

    def __init__(self) -> None:
        self._made = False

    def set(self) -> None:
        """Make the request."""
        self._made = True

    def is_set(self) -> bool:
        """Say whether the request was made."""
        return self._made

    def wait(self, seconds: float) -> bool:
        """Wait until the request is made or the time is over; say whether it was made."""
        end = time.monotonic() + seconds
        while not self._made and (left := end - time.monotonic()) > 0:
            time.sleep(min(left, _LOOK_SECONDS))
        return self._made


@contextmanager
def setting_on_signals(stop: StopRequest) -> Iterator[None]:
    """Let SIGINT and SIGTERM request a stop instead of raising: work ends between two steps.

    At the end of the context a signal that came raises KeyboardInterrupt.
    """
    before = {number: signal.getsignal(number) for number in _STOPS}

    def note(number: int, _frame: object) -> None:
        _process.received = _process.received or number
        stop.set()

    for number, handler in before.items():
        if handler is not signal.SIG_IGN:
            signal.signal(number, note)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    if stop_requested():
        raise KeyboardInterrupt


def _interrupt(number: int, _frame: object) -> None:
    # The watching thread may have seen the signal before.
    _process.received = _process.received or number
    # A second signal must not interrupt the shutdown that the first one started.
    if not _process.interrupted:
        _process.interrupted = True
        raise KeyboardInterrupt


def keep_temporary_files_together() -> None:
    """Put temporary files of this process into one folder, which is removed when it ends.

    Folders of killed processes are removed too: a folder is locked while its process lives.
    """
    if _process.folder is None:
        for folder in Path(tempfile.gettempdir()).glob(f"{_FOLDER}*"):
            with suppress(OSError):
                _remove_if_left(folder)
        _process.folder = tempfile.tempdir = tempfile.mkdtemp(prefix=_FOLDER)
        lock = os.open(Path(_process.folder, _LOCK), os.O_RDONLY | os.O_CREAT, 0o600)
        fcntl.flock(lock, fcntl.LOCK_EX)
        # Dagster's run workers are multiprocessing children, which do not run `atexit` handlers.
        Finalize(None, shutil.rmtree, (_process.folder, True), exitpriority=0)


def _remove_if_left(folder: Path) -> None:
    """Remove the temporary folder of one of this user's processes if the process has ended."""
    handle = os.open(folder / _LOCK, os.O_RDONLY | os.O_NOFOLLOW)
    try:
        found = os.fstat(handle)
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        # A young folder may not be locked yet.
        if (
            found.st_uid == os.getuid()
            and clock.now().timestamp() - found.st_mtime > _YOUNG_SECONDS
        ):
            shutil.rmtree(folder, ignore_errors=True)
    finally:
        os.close(handle)


def _watch(reader: int) -> None:
    first: float | None = None
    while True:
        left = first and max(0.0, first + _GRACE_SECONDS - time.monotonic())
        if not select.select([reader], [], [], left)[0]:
            _end_by_force()
        numbers = os.read(reader, 64)
        if not numbers:
            os.close(reader)
            return
        for number in numbers:
            if number not in _STOPS:
                continue
            if first is None:
                first = time.monotonic()
                _process.received = _process.received or number
            elif time.monotonic() > first + _SAME_SIGNAL_SECONDS:
                _end_by_force()


def _end_by_force() -> None:
    recording = threading.Thread(target=_record, daemon=True)
    recording.start()
    recording.join(_RECORD_SECONDS)
    for child in _descendants(os.getpid()):
        with suppress(ProcessLookupError):
            os.kill(child, signal.SIGKILL)
    os._exit(exit_code())


def _record() -> None:
    sys.stderr.write(f"{stop_reason()}\n")
    sys.stderr.flush()
    for call in list(_process.last_calls.values()):
        # The call may need the very store that does not answer.
        with suppress(Exception):
            call()
    if _process.folder is not None:
        shutil.rmtree(_process.folder, ignore_errors=True)


def _descendants(parent: int) -> list[int]:
    """Return a process's descendants; none without /proc, where they end with their pipes."""
    parents = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            parents[int(path.parent.name)] = int(
                path.read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()[1]
            )
    found = [parent]
    for process in found:
        found += [child for child, above in parents.items() if above == process]
    return found[1:]
