"""Distinguish transient errors, where a retry may succeed, from permanent ones.

An error is classified by its class and by the code or status that it carries. Four clients
(`_UNCODED`) give neither: their text is searched only for the operating system's phrase at the end
of a line and for known errors of stores. No other error's text is searched, because it may repeat
delivered values.
"""

import errno
import os
import re
import socket
import sqlite3
from collections.abc import Iterator

from lakehouse_assets.errors import LakehouseError
from lakehouse_assets.storage.faults import fault_of, is_transient_fault

_ERRNOS = frozenset(
    {
        errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EROFS, errno.ETIMEDOUT, errno.ECONNRESET,
        errno.EPIPE, errno.ECONNREFUSED, errno.ECONNABORTED, errno.ENETUNREACH, errno.EHOSTUNREACH,
        errno.EAGAIN, socket.EAI_AGAIN,
    }
)  # fmt: skip
_STATUSES = frozenset({429, 500, 502, 503, 504})
# Classes by name, so that no client library has to be imported.
_NETWORK = frozenset(
    {
        "azure.core.exceptions.ServiceRequestError",
        "azure.core.exceptions.ServiceResponseError",
        "http.client.IncompleteRead",
        "requests.exceptions.ChunkedEncodingError",
        "requests.exceptions.ConnectionError",
        "requests.exceptions.Timeout",
    }
)
_CERTIFICATES = frozenset({"ssl.SSLCertVerificationError", "requests.exceptions.SSLError"})
# Database error codes: too busy, locked, deadlocked, shutting down, connection lost.
_SQLITE = frozenset(
    {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_FULL}
)
_SQLSTATES = re.compile(r"08|53|57P|40|55P03")
_NUMBERS = {
    "pymysql.err.OperationalError": frozenset({1040, 1053, 1205, 1213, 2002, 2003, 2006, 2013}),
    "pymssql.exceptions.OperationalError": frozenset(
        {1205, 20002, 20003, 20009, 20047, 40501, 40613}
    ),
}
# Errors without a code: a line of their text ends with the operating system's phrase, or
# `faults.py` recognises them.
_UNCODED = frozenset(
    {
        "_duckdb.IOException", "_internal.DeltaError", "obstore.exceptions.BaseError",
        "py4j.protocol.Py4JJavaError",
    }
)  # fmt: skip
_SYSTEM_WORDS = re.compile(
    rf"(?:\(os error (?:{'|'.join(map(str, sorted(_ERRNOS)))})\)"
    rf"|: (?:{'|'.join(re.escape(os.strerror(code)) for code in _ERRNOS if code > 0)}))\s*$",
    re.MULTILINE,
)


def is_transient(error: BaseException | None) -> bool:
    """Return whether an error, or one that it was raised from, is transient."""
    chain = [*_chain(error)]
    names = [_names(link) for link in chain]
    if any(found & _CERTIFICATES for found in names):
        return False
    return any(
        link.transient if isinstance(link, LakehouseError) else _is_transient(link, found)
        for link, found in zip(chain, names, strict=True)
    )


def is_unanswered(error: BaseException) -> bool:
    """Return whether a peer could not be reached or did not answer in time."""
    return any(
        isinstance(link, TimeoutError | ConnectionError) or _names(link) & _NETWORK
        for link in _chain(error)
    )


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    """Yield an error and the errors that it was raised from."""
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)


def _names(error: BaseException) -> set[str]:
    return {f"{kind.__module__}.{kind.__qualname__}" for kind in type(error).__mro__}


def _is_transient(error: BaseException, names: set[str]) -> bool:
    """Return whether a library's error is transient, without the errors it was raised from."""
    if isinstance(error, TimeoutError | ConnectionError) or names & _NETWORK:
        return True
    if "requests.exceptions.RetryError" in names:
        # The client retries only transient statuses.
        return True
    if isinstance(error, OSError) and error.errno is not None:
        return error.errno in _ERRNOS
    if isinstance(error, sqlite3.Error):
        # The low byte is the primary code; the rest extends it.
        return getattr(error, "sqlite_errorcode", 0) & 0xFF in _SQLITE
    if "psycopg.Error" in names:
        return bool(_SQLSTATES.match(getattr(error, "sqlstate", None) or ""))
    if "sqlalchemy.exc.DBAPIError" in names:
        return bool(getattr(error, "connection_invalidated", False))
    first = error.args[0] if error.args else None
    if isinstance(first, tuple) and first:
        # pymssql's only argument is a pair of number and text.
        first = first[0]
    if "oracledb.exceptions.Error" in names:
        return bool(getattr(first, "isrecoverable", False))
    if any(first in _NUMBERS[name] for name in names & _NUMBERS.keys()):
        return True
    if _status(error, names) in _STATUSES:
        return True
    # delta-rs's subclasses of DeltaError are not about a disk or a store.
    special = "_internal.DeltaError" in names and type(error).__name__ != "DeltaError"
    if (names & _UNCODED and not special) or type(error) is OSError:
        text = str(error)
        return bool(_SYSTEM_WORDS.search(text)) or is_transient_fault(fault_of(text), text)
    return False


def _status(error: BaseException, names: set[str]) -> int | None:
    """Return the HTTP status of a client's error; None if it has none."""
    if "mlflow.exceptions.MlflowException" in names:
        # 500 is MLflow's default and says nothing; nor does the status of a wrapped error.
        status = error.get_http_status_code()  # type: ignore[attr-defined]
        return None if status == 500 or error.__cause__ or error.__context__ else int(status)
    if "urllib.error.HTTPError" in names:
        return int(error.code)  # type: ignore[attr-defined]
    answer = getattr(error, "response", None)
    status = getattr(error, "status_code", None) or getattr(answer, "status_code", None)
    return status if isinstance(status, int) else None
