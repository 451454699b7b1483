"""What engines keep is freed when its scope ends, and never in the middle of something else."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from lakehouse_assets.engine.kept import Kept


def test_what_was_added_inside_is_freed_last_first_and_the_rest_stays() -> None:
    freed: list[str] = []
    kept = Kept(freed.append)
    with kept.scope():
        kept.add("outer")
        with kept.scope():
            kept.add("a")
            kept.add("b")
        assert freed == ["b", "a"]
        assert kept.last == "outer"
    assert freed == ["b", "a", "outer"]


def test_a_failed_step_frees_at_once() -> None:
    freed: list[str] = []
    kept = Kept(freed.append)

    def step() -> None:
        with kept.scope():
            kept.add("a")
            raise ValueError("step")

    with pytest.raises(ValueError, match="step"):
        step()
    assert freed == ["a"]


def test_a_suspended_step_that_is_closed_frees_with_the_next_scope() -> None:
    freed: list[str] = []
    kept = Kept(freed.append)

    def step() -> Iterator[None]:
        with kept.scope():
            kept.add("a")
            yield

    suspended = step()
    next(suspended)
    # As the garbage collector does, possibly while the engine is being called.
    suspended.close()
    assert freed == []
    with kept.scope():
        assert freed == ["a"]
        kept.add("b")
    assert freed == ["a", "b"]
