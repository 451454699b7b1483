"""The IO manager's contract once more with the lake in a store, as far as the lake matters.

The tests are those of `lake/test_io_manager.py`, whose root is a location here instead of a folder.
"""

from __future__ import annotations

import pytest

from lakehouse_assets.storage.location import CloudLocation
from lakehouse_assets_tests.azure.cloud import ACCOUNT
from lakehouse_assets_tests.azure.entra import CLIENT, TENANT
from lakehouse_assets_tests.lake.test_io_manager import (  # noqa: F401 - its tests
    test_1_only_a_table_that_is_not_found_is_new,
    test_2_tables_are_created_from_their_declaration_even_for_an_empty_result,
    test_3_a_run_replaces_its_partitions_and_no_other,
    test_3_named_rows_are_replaced_and_no_others,
    test_4_an_asset_reads_its_own_past,
    test_7_an_empty_result_empties_its_partition_and_foreign_rows_are_refused,
    test_9_a_materialisation_shows_size_schema_place_and_version,
)


@pytest.fixture(autouse=True)
def _as_the_application(cloud, monkeypatch):
    monkeypatch.setenv("AZURE_TENANT_ID", TENANT)
    monkeypatch.setenv("AZURE_CLIENT_ID", CLIENT)


@pytest.fixture
def tmp_path(folder):
    """The root that the tests are given."""
    return CloudLocation.adls(ACCOUNT, "lake", folder)


@pytest.fixture(autouse=True)
def engine(engine):
    """The embedded engine for every test; the parameter names no other."""
    return engine
