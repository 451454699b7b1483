"""Faults that pass: telling them from mistakes, and having Dagster try a step again.

Belongs here: which errors of stores, disks and networks may be gone in a minute. Not here: errors
of data or settings, which fail at once: trying them again would only delay the message.
"""

import errno
import random
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from typing import Any

import dagster as dg

from lakehouse_assets.lake.faults import StoreError
from lakehouse_assets.lake.writer import OvertakenError

# Seconds before each further attempt; a store that throttles needs longer pauses, not more of them.
PAUSES = (2.0, 8.0, 30.0, 60.0)
_ERRNOS = frozenset(
    {
        errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.ETIMEDOUT, errno.ECONNRESET, errno.EPIPE,
        errno.ECONNREFUSED, errno.ECONNABORTED, errno.ENETUNREACH, errno.EHOSTUNREACH, errno.EAGAIN,
    }
)  # fmt: skip
# Libraries in Rust and database drivers tell what happened in their text only.
_TEXT = re.compile(
    r"\b(429|500|502|503|504)\b.{0,40}(server|service|gateway|too many|unavailable|internal|slow)"
    r"|server returned error status[^\d]{0,20}(429|5\d\d)|status:? (429|5\d\d)"
    r"|service unavailable|too many requests|server ?busy|slow ?down"
    r"|\btimed? ?out\b|connection (was )?(reset|refused|closed|aborted)|connection error"
    r"|error sending request|broken pipe|temporary failure in name resolution"
    r"|database is locked|no space left on device",
    re.IGNORECASE,
)
_OS_ERROR = re.compile(r"\(os error (\d+)\)")


def is_transient(error: BaseException | None) -> bool:
    """Say whether an error, or what it was raised from, may be gone at the next attempt."""
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        if isinstance(error, OvertakenError | TimeoutError | ConnectionError):
            return True
        if isinstance(error, StoreError):
            return error.passes
        if isinstance(error, OSError) and error.errno in _ERRNOS:
            return True
        text = str(error)
        if any(int(number) in _ERRNOS for number in _OS_ERROR.findall(text)):
            return True
        if _TEXT.search(text):
            return True
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    return False


@contextmanager
def tried_again(attempts: int) -> Iterator[None]:
    """Ask Dagster for another attempt of the step when a fault passes that may be transient.

    Args:
        attempts: Attempts of the step before this one.
    """
    try:
        yield
    except Exception as error:
        if attempts >= len(PAUSES) or not is_transient(error):
            raise
        # Jitter keeps steps apart that failed together; it decides nothing about the data.
        pause = PAUSES[attempts] * (0.75 + random.random() / 2)  # noqa: S311
        raise dg.RetryRequested(max_retries=len(PAUSES), seconds_to_wait=pause) from error


def transient_faults_tried_again(compute: Callable[..., Any]) -> Callable[..., Any]:
    """Wrap the generator that computes an asset, so that its transient faults are tried again."""

    @wraps(compute)
    def wrapped(context: Any, *args: Any, **kwargs: Any) -> Iterator[Any]:
        with tried_again(context.retry_number):
            yield from compute(context, *args, **kwargs)

    return wrapped
