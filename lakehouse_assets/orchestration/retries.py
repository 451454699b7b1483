"""Dagster runs a step again that failed for a transient reason."""

import logging
import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from typing import Any

import dagster as dg

from lakehouse_assets import timeouts
from lakehouse_assets.errors import LakehouseError
from lakehouse_assets.storage.transient import is_transient

_LOG = logging.getLogger(__name__)


@contextmanager
def retry_transient(attempts: int) -> Iterator[None]:
    """Ask Dagster for another attempt of the step after a transient error, and report it.

    Args:
        attempts: Attempts of the step before this one.
    """
    try:
        yield
    except Exception as error:
        pauses = timeouts.STEP_PAUSES
        if attempts >= len(pauses) or not is_transient(error):
            raise
        # Jitter keeps steps apart that failed together; it decides nothing about the data.
        pause = pauses[attempts] * (0.75 + random.random() / 2)  # noqa: S311
        # A library's error may hold an address with its secret.
        reason = str(error) if isinstance(error, LakehouseError) else type(error).__name__
        _LOG.warning("%s Retry %d of %d in %.0f s.", reason, attempts + 1, len(pauses), pause)
        raise dg.RetryRequested(max_retries=len(pauses), seconds_to_wait=pause) from error


def retries_transient(compute: Callable[..., Any]) -> Callable[..., Any]:
    """Wrap the generator that computes an asset in `retry_transient`."""

    @wraps(compute)
    def wrapped(context: Any, *args: Any, **kwargs: Any) -> Iterator[Any]:
        with retry_transient(context.retry_number):
            yield from compute(context, *args, **kwargs)

    return wrapped
