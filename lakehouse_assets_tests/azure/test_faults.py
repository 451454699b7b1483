"""What goes wrong with stores: tried again where that helps, else one plain sentence."""

from __future__ import annotations

import itertools
import time
import traceback
from collections import Counter

import duckdb
import pytest

from lakehouse_assets import timeouts
from lakehouse_assets.catalog.registry import Registry
from lakehouse_assets.errors import LakehouseError
from lakehouse_assets.lake.delta import Lake
from lakehouse_assets.storage.faults import StoreError, explain, fault_of
from lakehouse_assets.storage.identity import Identity
from lakehouse_assets.storage.location import CloudLocation
from lakehouse_assets.storage.transient import is_transient
from lakehouse_assets_tests.azure.cloud import ACCOUNT, Cloud, account_signature
from lakehouse_assets_tests.azure.entra import CLIENT, SECRET, TENANT
from lakehouse_assets_tests.lake.samples import DAILY, A, B, C, content, day, put, window


@pytest.fixture
def lake(engine, folder, principal) -> Lake:
    return Lake(CloudLocation.adls(ACCOUNT, "lake", folder), engine, Registry((DAILY,)), principal)


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Clients give up after one more attempt."""
    monkeypatch.setattr(timeouts, "RETRIES", 1)


def told(attempt) -> StoreError:
    """Return the sentence that an attempt ends with; nothing in its traceback is a secret."""
    with pytest.raises(StoreError) as caught:
        attempt()
    text = "".join(traceback.format_exception(caught.value))
    assert SECRET not in text
    assert "Bearer" not in text
    assert "eyJ" not in str(caught.value)
    assert "\n" not in str(caught.value)
    return caught.value


@pytest.mark.parametrize(
    "fault",
    [
        {"status": 503, "code": "ServerBusy", "retry_after": 1},
        {"status": 500, "code": "InternalError"},
        {"action": "cut"},
    ],
    ids=lambda fault: str(fault.get("status", fault.get("action"))),
)
def test_what_passes_is_tried_again_and_nothing_is_lost(cloud: Cloud, lake, fault):
    put(lake, DAILY, window(1, 3), [A, B, C])
    for target in ("_delta_log", "parquet", "comp=list"):
        cloud.fault(target, times=2, **fault)
    put(lake, DAILY, window(2, 2), [(day(2), 7, "new")])
    for target in ("_delta_log", "parquet"):
        cloud.fault(target, times=2, **fault)
    assert content(lake, DAILY) == [A, (day(2), 7, "new"), C]
    assert lake.version(DAILY) == 2
    broken = [r for r in cloud.requests() if r["status"] == fault.get("status", 0)]
    assert len(broken) >= 8, "the faults did strike"


def test_too_many_requests_are_waited_out_by_writers_and_told_by_readers(cloud: Cloud, lake):
    """DuckDB's Azure reader does not try again then, so that Dagster tries the step again."""
    busy = {"status": 429, "code": "TooManyRequests", "retry_after": 1}
    for target in ("_delta_log", "parquet", "comp=list"):
        cloud.fault(target, times=2, **busy)
    put(lake, DAILY, window(1, 3), [A, B, C])
    cloud.fault("parquet", times=1, **busy)
    error = told(lambda: content(lake, DAILY))
    assert "is still throttling" in str(error)
    assert is_transient(error)
    assert content(lake, DAILY) == [A, B, C]


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_an_answer_that_breaks_off_is_asked_for_again(cloud: Cloud, lake, method):
    put(lake, DAILY, window(1, 3), [A, B, C])
    cloud.fault("parquet", method=method, action="break", times=2)
    assert content(lake, DAILY) == [A, B, C]


@pytest.mark.parametrize("target", ["part-", "_delta_log"])
def test_a_write_whose_answer_is_lost_is_whole_or_not_there(cloud: Cloud, lake, target):
    """The store did what it was asked for, and nobody heard of it."""
    put(lake, DAILY, window(1, 3), [A, B, C])
    cloud.fault(target, method="PUT", action="lose", times=1)
    new = (day(2), 7, "new")
    failures = []
    try:
        put(lake, DAILY, window(2, 2), [new])
    except LakehouseError as error:
        failures.append(error)
    assert all(is_transient(error) for error in failures), failures
    # Whatever the writer was told, a reader sees the old or the new state and no third.
    assert content(lake, DAILY) in ([A, B, C], [A, new, C])
    put(lake, DAILY, window(2, 2), [new])
    assert content(lake, DAILY) == [A, new, C]


def test_a_store_that_stays_busy_is_told_as_that(cloud: Cloud, lake, impatient):
    put(lake, DAILY, window(1, 1), [A])
    before = lake.version(DAILY)
    cloud.fault("blob", status=503, code="ServerBusy", times=-1)
    error = told(lambda: put(lake, DAILY, window(1, 1), [A]))
    assert "is still throttling" in str(error)
    assert is_transient(error)
    cloud.order("heal")
    cloud.fault("_delta_log", method="PUT", status=503, code="ServerBusy", times=-1)
    error = told(lambda: put(lake, DAILY, window(1, 1), [(day(1), 9, "x")]))
    assert "is still throttling" in str(error)
    cloud.order("heal")
    assert lake.version(DAILY) == before
    assert content(lake, DAILY) == [A]


def test_a_missing_container_is_no_empty_lake(cloud, engine, principal):
    lake = Lake(CloudLocation.adls(ACCOUNT, "nolake"), engine, Registry((DAILY,)), principal)
    for attempt in (lambda: lake.read(DAILY), lambda: put(lake, DAILY, window(1, 1), [A])):
        assert f"{ACCOUNT} has no container nolake" in str(told(attempt))


def test_a_wrong_secret_is_told_as_that(cloud, engine, folder, monkeypatch):
    monkeypatch.setenv("WRONG_SECRET", "not-the-secret")
    identity = Identity(
        kind="service_principal",
        tenant_id=TENANT,
        client_id=CLIENT,
        secret_env="WRONG_SECRET",  # noqa: S106
    )
    lake = Lake(CloudLocation.adls(ACCOUNT, "lake", folder), engine, Registry((DAILY,)), identity)
    error = told(lambda: lake.read(DAILY))
    assert "AADSTS7000215" in str(error)
    assert "give its value, not its id" in str(error)
    assert "not-the-secret" not in "".join(traceback.format_exception(error))
    assert not is_transient(error), "asking again would lock the application out"


def test_a_role_that_is_missing_is_told_as_that(cloud: Cloud, lake):
    put(lake, DAILY, window(1, 1), [A])
    frame = lake.read(DAILY)
    cloud.fault("blob", status=403, code="AuthorizationPermissionMismatch", times=-1)
    attempts = (
        lambda: lake.read(DAILY),
        lambda: lake.engine.rows(frame),
        lambda: put(lake, DAILY, window(1, 1), [B]),
    )
    for attempt in attempts:
        assert "assign it the role Storage Blob Data Contributor" in str(told(attempt))


def test_data_that_may_not_be_read_is_told_by_the_engine(cloud: Cloud, lake):
    put(lake, DAILY, window(1, 1), [A])
    frame = lake.read(DAILY)
    cloud.fault("parquet", status=403, code="AuthorizationPermissionMismatch", times=-1)
    assert "Storage Blob Data Contributor" in str(told(lambda: lake.engine.rows(frame)))
    stream = lake.engine.arrow_stream
    assert "Storage Blob Data" in str(told(lambda: stream(lake.read(DAILY)).read_all()))


def test_tokens_are_renewed_on_a_long_run(cloud: Cloud, lake):
    """Tokens of six seconds, work for three of them: reading, writing, and a frame that is kept."""
    cloud.order("lifetime", 6)
    put(lake, DAILY, window(1, 3), [A, B, C])
    kept = lake.read(DAILY)
    for number in itertools.count(1):
        put(lake, DAILY, window(2, 2), [(day(2), number, "n")])
        assert content(lake, DAILY) == [A, (day(2), number, "n"), C]
        assert lake.engine.rows(kept.filter("id = 2"))[0]["email"] == "b@x"
        if Counter(r["flow"] for r in cloud.requests())["client_secret"] > 2:
            break
        time.sleep(0.5)
    assert [r for r in cloud.requests() if r["status"] in {401, 403}] == []


def test_a_token_of_somebody_else_that_ends_is_told_as_that(
    cloud: Cloud, engine, folder, monkeypatch
):
    """A signature cannot be renewed: what ends is told, and nothing is half done."""
    monkeypatch.setenv("AZURE_STORAGE_SAS_TOKEN", account_signature(seconds=-5))
    place = CloudLocation.adls(ACCOUNT, "lake", folder)
    lake = Lake(place, engine, Registry((DAILY,)), Identity(kind="sas"))
    assert "the signature has expired" in str(told(lambda: lake.read(DAILY)))


PLACE = CloudLocation.adls("acc01", "lake")
ASKED = "Generic MicrosoftAzure error: Error performing GET https://acc01.blob.core.windows.net/l "


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        (ASKED + "HTTP error: error sending request: dns error: failed to lookup", "name"),
        (ASKED + "HTTP error: invalid peer certificate: UnknownIssuer", "certificate"),
        (ASKED + "tcp connect error: Connection refused (os error 111)", "network"),
        (ASKED + "status code: 403 Forbidden: <Code>AuthorizationFailure</Code>", "network rules"),
        (ASKED + "status code: 403 F: <Code>KeyBasedAuthenticationNotPermitted</Code>", "key"),
        (ASKED + "status code: 404 Not Found: <Code>BlobNotFound</Code>", None),
        (ASKED + "status code: 404 Not Found: <Code>ContainerNotFound</Code>", "container"),
        (ASKED + "status code: 409 Conflict: <Code>BlobAlreadyExists</Code>", None),
        (ASKED + "\x1b[31m\u21b3\x1b[0m 429 Too Many Requests", "throttled"),
        (ASKED + "status code: 504 Gateway Timeout", "network"),
        ("'az account get-access-token' command failed: Azure Cli not installed", "login"),
        # Words about rows are no words of a store.
        ("Invalid data found: 3 rows failed validation check: id 403 is 503, Unauthorized", None),
        ("Conversion Error: could not cast 'connection refused' to INT32", None),
    ],
)
def test_faults_are_told_apart(text, fault):
    assert fault_of(text) == fault
    found = explain(OSError(text), PLACE, Identity(kind="azure_cli"))
    assert (found is None) == (fault is None)
    if found is not None:
        assert found.fault == fault
        assert str(found).endswith(".")
        assert is_transient(found) == (fault in {"network", "throttled"})


def test_values_that_hold_the_words_of_a_store_are_no_fault_of_it():
    with pytest.raises(duckdb.ConversionException) as caught:
        duckdb.sql(f"SELECT CAST('{ASKED}status code: 503' AS INT)").fetchall()
    assert fault_of(str(caught.value)) == "throttled"
    assert explain(caught.value, PLACE, Identity(kind="azure_cli")) is None
    assert not is_transient(caught.value)


def test_a_failing_login_of_the_cli_says_what_to_do():
    text = "Generic MicrosoftAzure error: 'az account get-access-token' command failed"
    found = explain(OSError(text), PLACE, Identity(kind="azure_cli"))
    assert "run `az login`" in str(found)


def test_rows_that_are_refused_are_not_mistaken_for_a_store(cloud, lake):
    put(lake, DAILY, window(1, 1), [A])
    with pytest.raises(LakehouseError, match="violate a constraint"):
        put(lake, DAILY, window(1, 1), [(day(1), -403, "https://x.blob.core.windows.net 503")])
    assert content(lake, DAILY) == [A]
