"""A cloud location together with the identity that enters it, made ready for each client."""

from __future__ import annotations

import os
import time
from functools import lru_cache

from lakehouse_assets.storage import clients
from lakehouse_assets.storage.identity import (
    FEDERATED_VARIABLE,
    AccountKey,
    AzureCli,
    Concrete,
    Identity,
    ServicePrincipal,
    SharedAccessSignature,
    WorkloadIdentity,
    resolve,
)
from lakehouse_assets.storage.location import CloudLocation
from lakehouse_assets.storage.tokens import Token, TokenSource

# Longer than any one commit takes; what takes longer all the same is tried again with a new token.
_LONG_WORK_SECONDS = 45 * 60


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
            lasting: Whether the client may work for long. It then renews its token by itself,
                if it can, unless this process has one that lasts longer than work does: each
                token that is asked for costs a request to Entra.

        Raises:
            LakehouseError: a secret is missing, or no token is given.
        """
        token = self.token()
        if token is not None and lasting:
            lasts = token.expires - time.time() > _LONG_WORK_SECONDS
            if not lasts and self._renews_by_itself():
                token = None
        return clients.object_store_options(
            self.location, self.identity, os.environ, token.value if token else None
        )

    def _renews_by_itself(self) -> bool:
        """Say whether delta-rs gets the tokens of this identity, and of no other, by itself.

        It also reads variables, and takes a key, a signature or another identity that it finds
        there instead of what it is told; a token that it is told is all it uses.
        """
        if not isinstance(self.identity, ServicePrincipal | WorkloadIdentity | AzureCli):
            return False
        told = isinstance(self.identity, WorkloadIdentity)
        return not any(
            name.upper().startswith("AZURE_STORAGE_")
            or (name.upper() == FEDERATED_VARIABLE and not told)
            for name in os.environ
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
