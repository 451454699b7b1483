"""How far Spark's own driver for ADLS can be shown without ADLS: to its token, and no further.

Azurite has no DFS endpoint, which the driver asks for everything else. So this shows that the
settings reach the driver, that its token providers take them, and that Spark does not show them.
"""

from __future__ import annotations

import pytest

from lakehouse_assets.catalog.registry import Registry
from lakehouse_assets.errors import LakehouseError
from lakehouse_assets.lake.delta import Lake
from lakehouse_assets.storage.access import Access
from lakehouse_assets.storage.identity import Identity
from lakehouse_assets.storage.location import CloudLocation
from lakehouse_assets_tests.azure.cloud import ACCOUNT, KEY, Cloud
from lakehouse_assets_tests.azure.entra import METADATA_PATH, TENANT
from lakehouse_assets_tests.lake.samples import DAILY

PLACE = CloudLocation.adls(ACCOUNT, "lake", "from-spark")
HOST = f"{ACCOUNT}.dfs.core.windows.net"


@pytest.fixture
def session(spark_engine):
    """The session; what a test sets is unset afterwards."""
    found = spark_engine.session
    before = {row.key for row in found.sql("SET").collect()}
    # The driver's own patience is minutes.
    for name in ("max.retries", "token.fetch.retry.max.retries"):
        prefix = "fs.azure.io.retry." if name == "max.retries" else "fs.azure.oauth."
        found.conf.set(prefix + name, "0")
    found.conf.set("fs.abfss.impl.disable.cache", "true")
    yield found
    for row in found.sql("SET").collect():
        if row.key not in before:
            found.conf.unset(row.key)


@pytest.mark.parametrize("kind", ["secret", "managed"])
def test_the_driver_asks_for_a_token_by_the_identity_it_was_given(
    cloud: Cloud, spark_engine, session, principal, kind
):
    identity = principal if kind == "secret" else Identity(kind="managed_identity")
    settings = Access(PLACE, identity).spark()
    # The stub speaks plain HTTP where it has no host name of its own.
    own = {
        f"fs.azure.account.oauth2.client.endpoint.{HOST}": f"/{TENANT}/oauth2/token",
        f"fs.azure.account.oauth2.msi.endpoint.{HOST}": METADATA_PATH,
    }
    spark_engine.open_store(
        {name: cloud.proxy + own[name] if name in own else v for name, v in settings.items()}
    )
    with pytest.raises(Exception, match=r"dfs\.core\.windows\.net"):
        session.read.parquet(f"{PLACE}/x").collect()
    flows = {r["flow"] for r in cloud.requests()}
    assert flows == {"client_secret" if kind == "secret" else "managed_identity"}


def test_settings_reach_the_driver_and_are_not_shown(
    cloud: Cloud, spark_engine, session, monkeypatch
):
    monkeypatch.setenv("AZURE_STORAGE_KEY", KEY)
    lake = Lake(PLACE, spark_engine, Registry((DAILY,)), Identity(kind="account_key"))
    assert lake.root == str(PLACE)
    hadoop = session._jsparkSession.sessionState().newHadoopConf()
    assert hadoop.get(f"fs.azure.account.key.{HOST}") == KEY
    shown = {row.key: row.value for row in session.sql("SET").collect()}
    assert f"fs.azure.account.key.{HOST}" in shown
    assert KEY not in str(shown)


def test_an_identity_that_the_driver_lacks_is_refused_at_once(cloud: Cloud, spark_engine):
    with pytest.raises(LakehouseError, match=r"ABFS driver does not support azure_cli"):
        Lake(PLACE, spark_engine, Registry((DAILY,)), Identity(kind="azure_cli"))
