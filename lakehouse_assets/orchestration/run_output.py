"""Where what a run prints goes.

Dagster's own class copies what a run prints to files that its UI shows, and to do so starts four
processes for each run. Runs of the command line print to the terminal that somebody looks at: there
they stay in this process, and the UI says where to look.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import dagster as dg
from dagster._core.storage.compute_log_manager import CapturedLogContext, ComputeIOType
from dagster._core.storage.local_compute_log_manager import (
    IO_TYPE_EXTENSION,
    LocalComputeLogManager,
)

_NOTE = "What this run printed went to the terminal of the command that ran it.\n"
_in_terminal: list[bool] = []


def stays_in_terminal() -> None:
    """Let the runs of this process print where the process prints."""
    _in_terminal[:] = [True]


class RunOutput(LocalComputeLogManager):
    """Keeps what runs print in files, but for runs that somebody watches in a terminal."""

    @classmethod
    def from_config_value(cls, inst_data: Any, config_value: Mapping[str, Any]) -> RunOutput:
        """Build the storage from its entry in `dagster.yaml`; its folder is in Dagster's home."""
        if "base_dir" in config_value:
            return cls(inst_data=inst_data, **config_value)
        folder = str(Path(os.environ["DAGSTER_HOME"]) / "storage")
        return cls(inst_data=inst_data, base_dir=folder, **config_value)

    @classmethod
    def config_type(cls) -> Any:
        """Return the fields of the entry in `dagster.yaml`, none of which is required."""
        fields: Any = super().config_type()
        return {**fields, "base_dir": dg.Field(dg.StringSource, is_required=False)}

    @contextmanager
    def capture_logs(self, log_key: Sequence[str]) -> Iterator[CapturedLogContext]:
        """Keep what is printed meanwhile, or say where it went."""
        if not _in_terminal:
            with super().capture_logs(log_key) as context:
                yield context
            return
        shown = Path(self.get_captured_local_path(log_key, IO_TYPE_EXTENSION[ComputeIOType.STDOUT]))
        shown.parent.mkdir(parents=True, exist_ok=True)
        shown.write_text(_NOTE, encoding="utf-8")
        # What tells the UI that nothing more will come.
        shown.with_suffix(".complete").touch()
        yield CapturedLogContext(list(log_key))
