"""Connections to source databases: addresses, secrets and errors.

An address is a SQLAlchemy URL in the variable `LAKEHOUSE_SOURCE_<NAME>` (environment or `.env`), or
in the file that `LAKEHOUSE_SOURCE_<NAME>_FILE` names. Its password may be in
`LAKEHOUSE_SOURCE_<NAME>_PASSWORD`, or in the file named by `…_PASSWORD_FILE`. It is read when a
connection is opened, and never appears in logs, metadata, run configuration or errors.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator, Mapping
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import SecretStr

from lakehouse_assets import timeouts
from lakehouse_assets.errors import LakehouseError
from lakehouse_assets.project import variables
from lakehouse_assets.sources.dialects import DIALECTS, Dialect

if TYPE_CHECKING:
    import sqlalchemy as sa

_REASONS = (
    (r"refused|10061|cannot connect|can't connect|unable to connect", "connection refused"),
    (r"closed the connection|reset by peer", "it closed the connection"),
    (r"timed? ?out|DPY-6005.*timeout", "the connection timed out"),
    (r"name or service|name resolution|getaddrinfo|no such host|nodename", "the host is unknown"),
    (
        r"password|authenticat|access denied|login failed|logon|ORA-01017|DPY-4001|08001",
        "wrong user or password",
    ),
    (r"unable to open database file", "the file does not exist"),
)
_TRANSIENT = {"connection refused", "the connection timed out", "it closed the connection"}
# Errors that repeat values and statements, which may contain any of the words above.
_OF_STATEMENTS = {"DataError", "IntegrityError", "ProgrammingError"}


def variable_of(source: str) -> str:
    """Return the name of the variable for a source's address."""
    return f"LAKEHOUSE_SOURCE_{source.upper()}"


def is_configured(source: str) -> bool:
    """Return whether a source has an address."""
    variable, given = variable_of(source), variables()
    return bool(given.get(variable) or given.get(f"{variable}_FILE"))


@dataclass(frozen=True)
class Source:
    """A source database.

    Attributes:
        name: Name of the source.
        url: Its address, including the password.
    """

    name: str
    url: SecretStr

    @property
    def dialect(self) -> Dialect:
        """Its kind of database.

        Raises:
            LakehouseError: the address does not begin with a supported database.
        """
        scheme = self.url.get_secret_value().partition(":")[0].partition("+")[0].lower()
        if scheme not in DIALECTS:
            raise LakehouseError(
                f"The address in {variable_of(self.name)} does not name a supported database; "
                f"begin it with one of {', '.join(f'{name}://' for name in DIALECTS)}."
            )
        return DIALECTS[scheme]

    @classmethod
    def named(cls, name: str, demo: SecretStr | None = None) -> Source:
        """Return a source with its configured address.

        Args:
            name: Name of the source.
            demo: Address of the embedded database, to use instead.

        Raises:
            LakehouseError: no address is configured, or it cannot be read.
        """
        if demo is not None:
            return cls(name, demo)
        variable, given = variable_of(name), variables()
        text = secret_of(given, variable)
        if text is None:
            raise LakehouseError(
                f"The source {name} has no address; set {variable} to its URL, such as "
                "postgresql://user@host:5432/database, or use --demo for the embedded sample."
            )
        source = cls(name, SecretStr(text))
        password = secret_of(given, f"{variable}_PASSWORD")
        if password is None:
            return source
        with_password = source.parsed().set(password=password)
        return cls(name, SecretStr(with_password.render_as_string(hide_password=False)))

    def parsed(self) -> sa.URL:
        """Return the parsed address, with the dialect's driver.

        Raises:
            LakehouseError: it is not a URL.
        """
        import sqlalchemy as sa

        driver = self.dialect.driver
        try:
            url = sa.make_url(self.url.get_secret_value())
        except (sa.exc.ArgumentError, ValueError):
            raise LakehouseError(
                f"The address in {variable_of(self.name)} is not a database URL; write it as "
                "postgresql://user@host:5432/database, with special characters as %xx."
            ) from None
        return url.set(drivername=driver)

    @property
    def place(self) -> str:
        """Host and port, or the database file, without secrets."""
        url = self.parsed()
        if url.host is None:
            return url.database or "memory"
        port = url.port or self.dialect.port
        return f"{url.host}:{port}" if port else url.host

    @contextmanager
    def connected(self) -> Iterator[sa.Connection]:
        """Open a connection with a UTC session; errors within the block are explained.

        Raises:
            LakehouseError: it cannot be opened, or a statement fails.
        """
        import sqlalchemy as sa
        from sqlalchemy.pool import NullPool

        with self.explained():
            limits = timeouts.database(self.dialect.module)
            engine = sa.create_engine(
                self.parsed(), poolclass=NullPool, connect_args={**self.dialect.arguments, **limits}
            )
            with self._opened(engine) as connection:
                for statement in self.dialect.session:
                    connection.execute(sa.text(statement))
                yield connection

    def _opened(self, engine: sa.Engine) -> sa.Connection:
        """Open a connection, with a timeout."""
        if self.dialect.module != "oracledb":
            return engine.connect()
        # Oracle's driver has a timeout for reaching a server, but none for logging in.
        opened: Future[sa.Connection] = Future()

        def open_it() -> None:
            try:
                opened.set_result(engine.connect())
            except BaseException as error:  # noqa: BLE001 - the waiting thread raises it
                opened.set_exception(error)

        threading.Thread(target=open_it, daemon=True).start()
        connection = opened.result(timeouts.connect_seconds())
        driver: Any = connection.connection.dbapi_connection
        driver.call_timeout = timeouts.database_seconds() * 1000
        return connection

    @contextmanager
    def explained(self) -> Iterator[None]:
        """Turn drivers' errors into one sentence with a remedy, without secrets."""
        from sqlalchemy.exc import NoSuchModuleError

        try:
            yield
        except LakehouseError:
            raise
        except (ImportError, NoSuchModuleError) as error:
            raise LakehouseError(
                f"The source {self.name} needs a driver that is not installed "
                f"({self._short(error)}); install lakehouse_assets[sources]."
            ) from None
        except Exception as error:
            # Drivers' errors have no common base class, so their modules identify them.
            if not _is_of_a_driver(error):
                raise
            raise self._explained(error) from None

    def _explained(self, error: Exception) -> LakehouseError:
        from lakehouse_assets.storage.transient import is_transient

        # Python's own TimeoutError has no text.
        text = str(error) or "timed out"
        transient = is_transient(error)
        of_a_statement = _OF_STATEMENTS & {kind.__name__ for kind in type(error).__mro__}
        for pattern, reason in () if of_a_statement else _REASONS:
            if re.search(pattern, text, re.IGNORECASE | re.DOTALL):
                return LakehouseError(
                    f"The source {self.name} cannot be reached at {self.place}: {reason}. Check "
                    f"that it is running, the network, and {variable_of(self.name)}.",
                    transient=transient or reason in _TRANSIENT,
                )
        return LakehouseError(
            f"The source {self.name} at {self.place} reports: {self._short(error)}. Check the "
            f"user's permissions and {variable_of(self.name)}.",
            transient=transient,
        )

    def _short(self, error: BaseException) -> str:
        """Return the first line of the driver's message, without the password."""
        cause = getattr(error, "orig", None) or error
        text = (str(cause).strip() or type(cause).__name__).splitlines()[0]
        url = self.parsed()
        for secret in (self.url.get_secret_value(), str(url.password or "")):
            if secret:
                text = text.replace(secret, "***")
        return text[:300].rstrip(".; ")


def secret_of(given: Mapping[str, str], variable: str) -> str | None:
    """Read a secret from the file that `<variable>_FILE` names, or else from the variable.

    Returns:
        The secret; None if neither is set.

    Raises:
        LakehouseError: the file cannot be read, or is empty.
    """
    file = given.get(f"{variable}_FILE")
    if not file:
        return given.get(variable) or None
    try:
        text = Path(file).read_text(encoding="utf-8").strip()
    except (OSError, ValueError):
        text = ""
    if not text:
        raise LakehouseError(
            f"The file in {variable}_FILE is missing, empty or not readable; set {variable}_FILE "
            "to the path of the secret's file."
        )
    return text


def _is_of_a_driver(error: BaseException) -> bool:
    modules = ("sqlalchemy", "sqlite3", *(d.module for d in DIALECTS.values()))
    return any(
        kind.__module__.partition(".")[0] in modules
        for kind in type(error).__mro__
        if kind.__module__ != "builtins"
    ) or isinstance(error, ConnectionError | TimeoutError)
