"""What engines keep is freed when its scope ends, and never in the middle of something else."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from lakehouse_assets.engine.scoped_resources import ScopedResources


def test_what_was_added_inside_is_freed_last_first_and_the_rest_stays() -> None:
    freed: list[str] = []
    resources = ScopedResources(freed.append)
    with resources.scope():
        resources.add("outer")
        with resources.scope():
            resources.add("a")
            resources.add("b")
        assert freed == ["b", "a"]
        assert resources.last == "outer"
    assert freed == ["b", "a", "outer"]


def test_a_failed_step_frees_at_once() -> None:
    freed: list[str] = []
    resources = ScopedResources(freed.append)

    def step() -> None:
        with resources.scope():
            resources.add("a")
            raise ValueError("step")

    with pytest.raises(ValueError, match="step"):
        step()
    assert freed == ["a"]


def test_a_suspended_step_that_is_closed_frees_with_the_next_scope() -> None:
    freed: list[str] = []
    resources = ScopedResources(freed.append)

    def step() -> Iterator[None]:
        with resources.scope():
            resources.add("a")
            yield

    suspended = step()
    next(suspended)
    # As the garbage collector does, possibly while the engine is being called.
    suspended.close()
    assert freed == []
    with resources.scope():
        assert freed == ["a"]
        resources.add("b")
    assert freed == ["a", "b"]
