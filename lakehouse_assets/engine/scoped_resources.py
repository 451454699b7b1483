"""Resources, such as temporary tables, that an engine holds until a scope ends."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Generic, TypeVar

T = TypeVar("T")


class ScopedResources(Generic[T]):
    """Resources that are freed at the end of the scope in which they were added.

    Args:
        free: Frees one resource.
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
        """The resource that was added last."""
        return self._items[-1]

    @contextmanager
    def scope(self) -> Iterator[None]:
        """Open a scope; resources that are added inside are freed when it ends.

        Python closes a failed step when it collects it, possibly during another call to the engine:
        the step's resources are then freed when the next scope starts.
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

    @contextmanager
    def apart(self) -> Iterator[list[T]]:
        """Collect the resources that are added inside; the caller has to `abandon` them at last."""
        before, kept = len(self._items), list[T]()
        try:
            yield kept
        finally:
            kept += self._items[before:]
            del self._items[before:]

    def abandon(self, items: list[T]) -> None:
        """Free resources when the next scope starts."""
        self._abandoned += items

    def _free_abandoned(self) -> None:
        while self._abandoned:
            self._free(self._abandoned.pop())
