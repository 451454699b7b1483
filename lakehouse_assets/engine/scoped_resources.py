"""Tables and views that an engine holds for the step that runs on it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Generic, TypeVar

T = TypeVar("T")


class ScopedResources(Generic[T]):
    """Resources that are freed when the scope ends in which they were added.

    Args:
        free: Frees one of them.
    """

    def __init__(self, free: Callable[[T], None]) -> None:
        self._free = free
        self._items: list[T] = []
        self._abandoned: list[T] = []

    def add(self, item: T) -> None:
        """Hold a resource until the innermost scope ends."""
        self._items.append(item)

    @property
    def last(self) -> T:
        """What was added last."""
        return self._items[-1]

    @contextmanager
    def scope(self) -> Iterator[None]:
        """Free what was added inside when it ends.

        A step that failed is closed whenever Python collects it, which may be in the middle of
        another call to the engine: its resources wait for the next scope.
        """
        self._free_abandoned()
        before = len(self._items)
        try:
            yield
        except GeneratorExit:
            self._abandoned += self._items[before:]
            del self._items[before:]
            raise
        finally:
            while len(self._items) > before:
                self._free(self._items.pop())

    def _free_abandoned(self) -> None:
        while self._abandoned:
            self._free(self._abandoned.pop())
