"""Retries steps that failed with a transient error."""

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
    """Ask Dagster to retry the step after a transient error, and log the retry.

    Args:
        attempts: Attempts of the step before this one.

    Raises:
        RetryRequested: the error is transient and the step has retries left.
    """
    try:
        yield
    except Exception as error:
        pauses = timeouts.STEP_PAUSES
        if attempts >= len(pauses) or not is_transient(error):
            raise
        # Jitter separates the retries of steps that failed together; it does not affect data.
        pause = pauses[attempts] * (0.75 + random.random() / 2)  # noqa: S311
        # A library's error may contain an address with a secret.
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
