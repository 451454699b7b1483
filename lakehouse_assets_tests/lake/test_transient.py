"""Faults that pass are tried again, with growing pauses; mistakes fail at once."""

from __future__ import annotations

import errno
from collections.abc import Callable
from typing import Any

import dagster as dg
import pytest

from lakehouse_assets.airline import tables as t
from lakehouse_assets.conformed.tables import DIM_DATE
from lakehouse_assets.errors import LakehouseError
from lakehouse_assets.ingest.datasets import bronze_table, rejects_table
from lakehouse_assets.lake import transient
from lakehouse_assets.lake.delta_rs import DeltaRsWriter
from lakehouse_assets.lake.transient import PAUSES, is_transient, tried_again
from lakehouse_assets.lake.writer import OvertakenError
from lakehouse_assets_tests.airline.samples import House, purchase

AZURE = (
    "Generic MicrosoftAzure error: Error after 3 retries in 1.2s, max_retries:3, source:Server "
    "error, retrying: Server returned error status code: 503 Service Unavailable: ServerBusy"
)


TABLES = (bronze_table(t.TRANSACTIONS), rejects_table(t.TRANSACTIONS))


def caused(error: Exception, cause: Exception) -> Exception:
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.ENOSPC, "No space left on device"),
        OSError(AZURE),
        OSError("Generic error: IO error: No space left on device (os error 28)"),
        LakehouseError("MLflow failed: OperationalError: database is locked"),
        ConnectionResetError("gone"),
        TimeoutError(),
        OSError("error sending request for url (https://x.blob.core.windows.net/c)"),
        OvertakenError(DIM_DATE),
        caused(LakehouseError("The table cannot be written."), OSError(errno.EIO, "I/O error")),
    ],
    ids=lambda error: str(error)[:30],
)
def test_faults_that_may_pass(error: Exception) -> None:
    assert is_transient(error)


@pytest.mark.parametrize(
    "error",
    [
        LakehouseError("503 rows for table dim_date break a constraint; nothing was written."),
        LakehouseError("The file has 500 columns where 9 are expected."),
        PermissionError(errno.EACCES, "Permission denied"),
        FileNotFoundError(errno.ENOENT, "No such file"),
        ValueError("504"),
        KeyError("timeout_column"),
        None,
    ],
    ids=str,
)
def test_mistakes(error: Exception | None) -> None:
    assert not is_transient(error)


def test_pauses_grow_and_end() -> None:
    asked = []
    for attempt in range(len(PAUSES)):
        with pytest.raises(dg.RetryRequested) as caught, tried_again(attempt):
            raise TimeoutError
        asked.append(caught.value.seconds_to_wait)
    assert all(0.7 * p < s < 1.3 * p for p, s in zip(PAUSES, asked, strict=True))
    with pytest.raises(TimeoutError), tried_again(len(PAUSES)):
        raise TimeoutError


def failing(monkeypatch: pytest.MonkeyPatch, times: int, error: Exception) -> list[str]:
    """Let the first writes fail; return the tables of all attempts."""
    attempts: list[str] = []
    real: Callable[..., Any] = DeltaRsWriter.replace

    def replace(self: DeltaRsWriter, target: Any, change: Any) -> Any:
        attempts.append(target.table.name)
        if len(attempts) <= times:
            raise error
        return real(self, target, change)

    monkeypatch.setattr(DeltaRsWriter, "replace", replace)
    monkeypatch.setattr(transient, "PAUSES", (0.01, 0.01, 0.01))
    return attempts


def test_a_full_disk_is_tried_again_and_the_run_heals(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    attempts = failing(monkeypatch, 2, OSError(errno.ENOSPC, "No space left on device"))
    house.deliver_purchases("2014-03-05", [purchase("A")])
    result = house.materialise("airline_daily", "2014-03-05", *TABLES)
    assert result.success
    assert attempts[:3] == ["bronze_transactions"] * 3
    assert len([e for e in result.all_events if e.is_step_up_for_retry]) == 2
    assert house.count(bronze_table(t.TRANSACTIONS)) == 1


def test_a_fault_that_stays_ends_the_run_with_its_own_words(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    attempts = failing(monkeypatch, 99, OSError(AZURE))
    house.deliver_purchases("2014-03-05", [purchase("A")])
    result = house.materialise("airline_daily", "2014-03-05", *TABLES)
    assert not result.success
    assert len(attempts) == 4
    (failure,) = [e for e in result.all_events if e.is_step_failure]
    assert "503 Service Unavailable" in str(failure.step_failure_data.error)


def test_a_mistake_fails_at_once(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    attempts = failing(monkeypatch, 99, LakehouseError("The rows do not fit; change them."))
    house.deliver_purchases("2014-03-05", [purchase("A")])
    result = house.materialise("airline_daily", "2014-03-05", *TABLES)
    assert not result.success
    assert len(attempts) == 1
