"""How the embedded engine reads object stores: DuckDB's Azure reader, secrets and their renewal.

Nothing is downloaded: the reader comes from a wheel.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from lakehouse_assets.engine.duckdb_readers import load
from lakehouse_assets.engine.duckdb_sql import literal
from lakehouse_assets.errors import LakehouseError

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa

# Fields of a secret whose values are DuckDB keywords.
_WORDS = {"type", "provider"}


@dataclass
class _Store:
    """An open store.

    Attributes:
        root: Location as the lake names it.
        address: The same location as DuckDB names it.
        secret: Returns the current fields of the secret; called before every query.
        explained: Raises the store's errors as a LakehouseError of one sentence.
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
        """Let the connection read everything below a root; the store is not accessed yet.

        Args:
            root: Location as the lake names it.
            address: The same location as DuckDB names it.
            secret: Returns the current fields of DuckDB's secret.
            explained: Raises the store's errors as a LakehouseError of one sentence.

        Raises:
            LakehouseError: DuckDB's Azure reader is not installed.
        """
        if not self._stores:
            self._load()
        before = self._stores.get(root)
        name = before.name if before else f"store_{len(self._stores)}"
        # Re-opening a root may change the identity and thereby the secret.
        known = before.known if before else {}
        self._stores[root] = _Store(root, address, secret, explained, name, known)

    def _load(self) -> None:
        try:
            import duckdb_extension_azure  # noqa: F401
        except ImportError:
            raise LakehouseError(
                "A lake in cloud storage needs more packages; install lakehouse_assets[azure]."
            ) from None
        load(self._connection, "azure")
        # This transport trusts the system's certificate authorities; the other has its own list.
        self._connection.execute("SET GLOBAL azure_transport_option_type = 'curl'")

    def address(self, uri: str) -> str:
        """Return DuckDB's address of a location in the lake."""
        store = self._of(uri)
        return uri if store is None else store.address + uri.removeprefix(store.root)

    def _of(self, uri: str) -> _Store | None:
        roots = [root for root in self._stores if uri == root or uri.startswith(f"{root}/")]
        return self._stores[max(roots, key=len)] if roots else None

    def renew(self) -> list[str]:
        """Give DuckDB the secrets that changed; return the roots that they open.

        A secret that cannot be obtained is not an error until a query needs it: the process may
        have opened a store that it no longer reads.
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
            # The statement takes no parameters, so it contains the secret and is not logged.
            fields = [
                f"{name} {value if name in _WORDS else literal(value)}"
                for name, value in current.items()
            ]
            scope = f"SCOPE {literal(store.address + '/')}"
            self._connection.execute(
                f"CREATE OR REPLACE SECRET {store.name} ({', '.join([*fields, scope])})"
            )
            store.known = dict(current)
            renewed.append(store.root)
        return renewed

    @contextmanager
    def explained(self) -> Iterator[None]:
        """Raise a store's errors as a LakehouseError of one sentence; others pass unchanged."""
        try:
            with ExitStack() as stack:
                for store in self._stores.values():
                    stack.enter_context(store.explained())
                yield
        except LakehouseError:
            # The store refused because no secret could be obtained.
            if self._refused is not None:
                raise self._refused from None
            raise

    def explaining(self, reader: pa.RecordBatchReader) -> pa.RecordBatchReader:
        """Return a reader of the same rows that raises the store's errors as `explained` does."""
        import pyarrow as pa

        def batches() -> Iterator[pa.RecordBatch]:
            with self.explained():
                yield from reader

        return pa.RecordBatchReader.from_batches(reader.schema, batches())
