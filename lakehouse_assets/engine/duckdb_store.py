"""How the embedded engine reads object stores: DuckDB's Azure reader, secrets and their renewal.

Nothing is downloaded: the reader comes from a wheel.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from lakehouse_assets.engine.duckdb_readers import load
from lakehouse_assets.errors import LakehouseError

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa

# Fields of a secret that are words of DuckDB's and no values.
_WORDS = {"type", "provider"}


@dataclass
class _Store:
    """A store that was opened.

    Attributes:
        root: Location by which the lake names what lies there.
        address: The same for DuckDB.
        secret: Gives the current fields of the secret; asked before every query.
        explained: Turns the store's refusals into sentences.
        name: Name of the secret.
        known: Fields that DuckDB was last given.
    """

    root: str
    address: str
    secret: Callable[[], Mapping[str, str]]
    explained: Callable[[], AbstractContextManager[None]]
    name: str
    known: Mapping[str, str] = field(default_factory=dict, repr=False)


class DuckDBStores:
    """The stores that a connection may read.

    Args:
        connection: The connection, whose cursors share them.
    """

    def __init__(self, connection: duckdb.DuckDBPyConnection) -> None:
        self._connection = connection
        self._stores: dict[str, _Store] = {}
        self._refused: LakehouseError | None = None

    def __bool__(self) -> bool:
        return bool(self._stores)

    def open(
        self,
        root: str,
        address: str,
        secret: Callable[[], Mapping[str, str]],
        explained: Callable[[], AbstractContextManager[None]],
    ) -> None:
        """Let the connection read what lies below a root; nothing is asked of the store yet.

        Raises:
            LakehouseError: DuckDB's Azure reader is not installed.
        """
        if not self._stores:
            self._load()
        before = self._stores.get(root)
        name = before.name if before else f"store_{len(self._stores)}"
        # The same root may be read by another identity from now on: its secret is another then.
        known = before.known if before else {}
        self._stores[root] = _Store(root, address, secret, explained, name, known)

    def _load(self) -> None:
        try:
            import duckdb_extension_azure  # noqa: F401
        except ImportError:
            raise LakehouseError(
                "A lake in a store needs the packages of the extra `azure`; install "
                "lakehouse_assets[azure]."
            ) from None
        load(self._connection, "azure")
        # This transport takes the authorities that the system trusts, the other has its own list.
        self._connection.execute("SET GLOBAL azure_transport_option_type = 'curl'")

    def address(self, uri: str) -> str:
        """Return where DuckDB finds what the lake names so."""
        store = self._of(uri)
        return uri if store is None else store.address + uri.removeprefix(store.root)

    def _of(self, uri: str) -> _Store | None:
        roots = [root for root in self._stores if uri == root or uri.startswith(f"{root}/")]
        return self._stores[max(roots, key=len)] if roots else None

    def renew(self) -> list[str]:
        """Give DuckDB the secrets that are not what it has; return the roots that they open.

        A secret that cannot be had is no error before a query needs it: the process may have
        opened a store that it does not read any more.
        """
        renewed = []
        self._refused = None
        for store in self._stores.values():
            try:
                current = store.secret()
            except LakehouseError as error:
                self._refused = error
                continue
            if current == store.known:
                continue
            # No parameters are taken here, so the statement holds the secret: it is not logged.
            fields = [
                f"{name} {value if name in _WORDS else _quoted(value)}"
                for name, value in current.items()
            ]
            scope = f"SCOPE {_quoted(store.address + '/')}"
            self._connection.execute(
                f"CREATE OR REPLACE SECRET {store.name} ({', '.join([*fields, scope])})"
            )
            store.known = dict(current)
            renewed.append(store.root)
        return renewed

    @contextmanager
    def explained(self) -> Iterator[None]:
        """Raise what a store refuses as a sentence; other errors pass unchanged."""
        try:
            with ExitStack() as stack:
                for store in self._stores.values():
                    stack.enter_context(store.explained())
                yield
        except LakehouseError:
            # That no secret was given is why the store refused.
            if self._refused is not None:
                raise self._refused from None
            raise

    def close(self) -> list[str]:
        """Take back every secret; return the roots that cannot be read any more."""
        roots = list(self._stores)
        for store in self._stores.values():
            self._connection.execute(f"DROP SECRET IF EXISTS {store.name}")
        self._stores.clear()
        return roots

    def explaining(self, reader: pa.RecordBatchReader) -> pa.RecordBatchReader:
        """Return the same rows, whose reading raises sentences."""
        import pyarrow as pa

        def batches() -> Iterator[pa.RecordBatch]:
            with self.explained():
                yield from reader

        return pa.RecordBatchReader.from_batches(reader.schema, batches())


def _quoted(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"
