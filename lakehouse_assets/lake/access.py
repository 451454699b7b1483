"""A cloud location together with the identity that enters it, made ready for each client.

Belongs here: what a translation needs beside location and identity: the environment, a proxy, and
a token that is renewed. Not here: the words of the clients (`clients.py`).
"""

from __future__ import annotations

import os
from functools import lru_cache

from lakehouse_assets.lake import clients
from lakehouse_assets.lake.identity import (
    AccountKey,
    Concrete,
    Identity,
    ServicePrincipalCertificate,
    SharedAccessSignature,
    resolve,
)
from lakehouse_assets.lake.location import CloudLocation
from lakehouse_assets.lake.tokens import Token, TokenSource


class Access:
    """A cloud location and as whom it is entered.

    Args:
        location: Where.
        identity: As whom; the default is resolved here.
    """

    def __init__(self, location: CloudLocation, identity: Identity) -> None:
        self.location = location
        self.identity: Concrete = resolve(identity)

    def __repr__(self) -> str:
        return f"Access({self.location}, {self.identity.kind})"

    def token(self) -> Token | None:
        """Return the identity's current token; None if it carries its right with it.

        Raises:
            LakehouseError: no token is given.
        """
        if isinstance(self.identity, AccountKey | SharedAccessSignature):
            return None
        login = clients.authority(self.location, os.environ)
        return _source(self.identity, login).token()

    def object_store(self, *, lasting: bool) -> dict[str, str]:
        """Return the options for delta-rs and obstore.

        Args:
            lasting: Whether the client works for long, and then renews its token by itself; one
                that only looks is given this process's token, which saves it a request to Entra.
                By certificate nobody but this process gets tokens.

        Raises:
            LakehouseError: a secret is missing, or no token is given.
        """
        token = None
        if not lasting or isinstance(self.identity, ServicePrincipalCertificate):
            token = self.token()
        return clients.object_store_options(
            self.location, self.identity, os.environ, token.value if token else None
        )

    def object_store_uri(self) -> str:
        """Return the address that delta-rs opens."""
        return clients.object_store_uri(self.location, self.identity)

    def duckdb_uri(self) -> str:
        """Return the address that DuckDB attaches.

        Raises:
            LakehouseError: DuckDB cannot go there as that identity.
        """
        return clients.duckdb_uri(self.location, self.identity)

    def duckdb_secret(self) -> dict[str, str]:
        """Return the fields of DuckDB's secret, with a token that lasts for some minutes.

        Raises:
            LakehouseError: a secret is missing, or no token is given.
        """
        token = self.token()
        proxy = os.environ.get("HTTPS_PROXY") or os.environ.get("https_proxy")
        return clients.duckdb_secret(
            self.location, self.identity, token.value if token else None, proxy
        )

    def spark(self) -> dict[str, str]:
        """Return the settings for Spark.

        Raises:
            LakehouseError: a secret is missing, or Spark has no such identity.
        """
        return clients.spark_settings(self.location, self.identity, os.environ)

    def mlflow(self) -> dict[str, str]:
        """Return the variables for MLflow's clients.

        Raises:
            LakehouseError: a secret is missing, or MLflow has no such identity.
        """
        return clients.mlflow_environment(self.location, self.identity, os.environ)


# A process asks Entra once for all of its lakes and zones that one identity enters.
_source = lru_cache(maxsize=None)(TokenSource)


def forget_tokens() -> None:
    """Ask Entra anew from now on, for instance because an identity's secret is another now."""
    _source.cache_clear()
