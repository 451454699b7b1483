"""What a run prints: kept for the UI, or shown in the terminal of whoever runs it."""

from pathlib import Path

import dagster as dg
import pytest

from lakehouse_assets.orchestration import run_output
from lakehouse_assets.orchestration.run_output import RunOutput, stays_in_terminal


@dg.asset
def talkative() -> None:
    """Print."""
    print("forty-two")  # noqa: T201


def printed(home: Path) -> str:
    """Run an asset that prints, and return what the UI shows of it."""
    with dg.DagsterInstance.local_temp(
        str(home),
        overrides={
            "compute_logs": {
                "module": "lakehouse_assets.orchestration.run_output",
                "class": "RunOutput",
                "config": {"base_dir": str(home / "storage")},
            }
        },
    ) as instance:
        logs = instance.compute_log_manager
        assert isinstance(logs, RunOutput)
        result = dg.materialize([talkative], instance=instance)
        (step,) = result.filter_events(lambda event: event.is_step_start)
        key = logs.build_log_key_for_run(result.run_id, captured_key(result))
        assert step.step_key == "talkative"
        assert logs.is_capture_complete(key)
        found = logs.get_log_data(key)
        return (found.stdout or b"").decode()


def captured_key(result: dg.ExecuteInProcessResult) -> str:
    """Return the name of the file that a run's event tells of."""
    (captured,) = result.filter_events(
        lambda event: event.event_type == dg.DagsterEventType.LOGS_CAPTURED
    )
    return str(captured.logs_captured_data.file_key)


def test_what_a_run_of_the_daemon_prints_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run_output, "_in_terminal", [])
    assert printed(tmp_path) == "forty-two\n"


def test_what_a_run_of_the_command_line_prints_stays_there_and_the_ui_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(run_output, "_in_terminal", [])
    stays_in_terminal()
    assert printed(tmp_path) == run_output._NOTE
    assert capfd.readouterr().out == "forty-two\n"
