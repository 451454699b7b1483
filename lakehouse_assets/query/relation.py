"""Tables and statements as relations, whose rows Python reads on demand."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import TYPE_CHECKING, Any

from lakehouse_assets.errors import LakehouseError, did_you_mean
from lakehouse_assets.lake.views import views
from lakehouse_assets.query.session import Session, Sessions

if TYPE_CHECKING:
    import pandas as pd
    import polars as pl
    import pyarrow as pa

_SHOWN = 10


@dataclass(eq=False)
class Relation:
    """The rows of a statement, which runs each time that its rows are read.

    pandas, Polars, PyArrow and DuckDB read it directly, because it is a stream of Arrow data.

    Args:
        session: The session that runs it.
        text: The statement.
        parameters: Values of its parameters.
    """

    _session: Session
    _text: str
    _parameters: Sequence[Any] = ()

    @property
    def schema(self) -> pa.Schema:
        """Names and types of the columns, without running the statement."""
        return self._session.describe(self._text, self._parameters or None)

    @property
    def columns(self) -> list[str]:
        """Names of the columns."""
        return list(self.schema.names)

    def sql(self, query: str) -> Relation:
        """Return a query on this relation, which it calls `this`.

        Args:
            query: One SELECT, such as `select count(*) from this`.
        """
        common = re.match(r"\s*with\s+(recursive\s+)?", query, re.IGNORECASE)
        this = f"this AS ({self._text}\n)"
        if common is None:
            text = f"WITH {this} {query}"
        else:
            text = f"WITH {common[1] or ''}{this}, {query[common.end() :]}"
        return Relation(self._session, text, self._parameters)

    def batches(self, rows: int = 100_000) -> pa.RecordBatchReader:
        """Run it and stream its rows in Arrow batches, one in memory at a time."""
        return self._session.run(self._text, self._parameters, rows).rows

    def arrow(self) -> pa.Table:
        """Run it and return its rows as an Arrow table."""
        return self.batches().read_all()

    def df(self) -> pd.DataFrame:
        """Run it and return its rows as a pandas frame; decimals and dates stay exact objects."""
        return self.arrow().to_pandas()

    def pl(self) -> pl.DataFrame:
        """Run it and return its rows as a Polars frame.

        Raises:
            LakehouseError: Polars is not installed.
        """
        try:
            import polars
        except ImportError:
            raise LakehouseError(
                "Polars is not installed; install lakehouse_assets[polars], or use .df() or "
                ".arrow()."
            ) from None
        frame = polars.from_arrow(self.arrow())
        return frame if isinstance(frame, polars.DataFrame) else frame.to_frame()

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        """Run it for a library that reads Arrow streams."""
        return self.batches().__arrow_c_stream__(requested_schema)

    def __repr__(self) -> str:
        """Show the first rows, for notebooks."""
        text = f"SELECT * FROM ({self._text}\n) LIMIT {_SHOWN}"  # noqa: S608
        first = Relation(self._session, text, self._parameters)
        return f"{first.df().to_string(index=False)}\n(the first {_SHOWN} rows at most)"


def table_relation(
    sessions: Sessions, session: Session, name: str, as_of: int | str | date | None
) -> Relation:
    """Return the rows of a table, now or at an earlier state.

    Raises:
        LakehouseError: there is no such table.
    """
    known = views(sessions.lake.registry)
    if name.lower() not in known:
        close = did_you_mean(name, (n for n in known if ("." in n) == ("." in name))) or "."
        raise LakehouseError(f"No table is called {name}{close}")
    if isinstance(as_of, datetime | date):
        as_of = as_of.isoformat()
    text = f"SELECT * FROM {name}"  # noqa: S608 - a declared name
    if isinstance(as_of, int):
        text += f" AS OF VERSION {as_of}"
    elif as_of is not None:
        quoted = as_of.replace("'", "''")
        text += f" AS OF TIMESTAMP '{quoted}'"
    return Relation(session, text)
