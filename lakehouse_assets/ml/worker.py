"""The process that trains and tracks models.

Belongs here: one worker process per lakehouse process, and handing it work. Not here: the work.

Importing scikit-learn and MLflow takes seconds, and training keeps a Python interpreter busy. In a
process of its own both happen beside the engine's work; `start` early, and the imports cost nobody
any time.
"""

from __future__ import annotations

import atexit
import os
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing import parent_process
from typing import ParamSpec, TypeVar

from lakehouse_assets.errors import LakehouseError
from lakehouse_assets.garbage import collect_rarely, leave_rest
from lakehouse_assets.processes import beginning

_P = ParamSpec("_P")
_T = TypeVar("_T")

_pool: list[ProcessPoolExecutor] = []


def start() -> None:
    """Start the worker unless it runs already; it imports what it needs meanwhile."""
    if not _pool:
        _pool.append(ProcessPoolExecutor(1, beginning(), initializer=_prepare))
        # By itself: the threads that hand it work would keep others from beginning as copies.
        _pool[0]._launch_processes()  # type: ignore[attr-defined]


@contextmanager
def started_early() -> Iterator[None]:
    """Start the worker before anybody knows what there is to train; if nothing is, it ends."""
    start()
    try:
        yield
    finally:
        _end_unasked()


def submit(work: Callable[_P, _T], *args: _P.args, **kwargs: _P.kwargs) -> Future[_T]:
    """Queue work, a function of an importable module; one piece after the other is done."""
    start()
    try:
        return _pool[0].submit(work, *args, **kwargs)
    except BrokenProcessPool:
        # It died with work that nobody waited for.
        _pool.clear()
        start()
        return _pool[0].submit(work, *args, **kwargs)


def result_of(future: Future[_T]) -> _T:
    """Wait for a piece of work; what it raised is raised here.

    Raises:
        LakehouseError: the worker died, most likely because memory ran out.
    """
    try:
        return future.result()
    except BrokenProcessPool:
        _pool.clear()
        raise LakehouseError(
            "The process that trains the models was ended from outside, most likely for want of "
            "memory; free some, or lower LAKEHOUSE_MEMORY_LIMIT, and run the partition again."
        ) from None


def abandon() -> None:
    """End the worker and forget what was queued, because this process is asked to stop."""
    while _pool:
        pool = _pool.pop()
        for process in list((pool._processes or {}).values()):
            process.kill()
        pool.shutdown(wait=False, cancel_futures=True)


def _end_unasked() -> None:
    """End a worker that was given nothing: Python would wait for it at its own end."""
    if _pool and not _pool[0]._queue_count:
        abandon()


atexit.register(_end_unasked)
if hasattr(os, "register_at_fork"):
    # The worker of a process is not that of its copies.
    os.register_at_fork(after_in_child=_pool.clear)


def _prepare() -> None:
    threading.Thread(target=_end_with_parent, daemon=True).start()
    # Registered first and so called last: taking a loaded interpreter apart takes a second.
    atexit.register(os._exit, 0)
    collect_rarely()
    from lakehouse_assets.ml.tracking import import_libraries

    import_libraries()
    leave_rest()


def _end_with_parent() -> None:
    """Leave no worker behind whose parent was killed and could not stop it."""
    parent = parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
