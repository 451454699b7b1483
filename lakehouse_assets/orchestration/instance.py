"""Dagster's persistent instance: its home and default settings."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import dagster as dg
import yaml  # type: ignore[import-untyped]
from dagster._core.instance.ref import InstanceRef
from dagster._core.remote_origin import (
    ManagedGrpcPythonEnvCodeLocationOrigin,
    RemoteRepositoryOrigin,
)
from dagster._core.storage.noop_compute_log_manager import NoOpComputeLogManager
from dagster._core.types.loadable_target_origin import LoadableTargetOrigin

from lakehouse_assets import clock
from lakehouse_assets.errors import LakehouseError, one_line
from lakehouse_assets.settings import Settings

# The code location's name in `[tool.dg.project]` and `workspace.yaml`, and Dagster's name for the
# repository in it.
_CODE_LOCATION = "lakehouse_assets"
_REPOSITORY = "__repository__"
_CONFIG = """\
# Written by `lakehouse`; you may edit it.
telemetry:
  enabled: false
nux:
  enabled: false
event_log_storage:
  module: lakehouse_assets.orchestration.event_log
  class: PooledSqliteEventLogStorage
  config: {}
# Every table has a pool, so that only one load, backfill or maintenance writes it at a time.
concurrency:
  pools:
    default_limit: 1
    granularity: op
  runs:
    max_concurrent_runs: 2
# Runs wait while the code server restarts, instead of failing one by one.
run_coordinator:
  module: dagster.core.run_coordinator
  class: QueuedRunCoordinator
  config:
    max_user_code_failure_retries: 1000
    user_code_failure_retry_delay: 10
# A run whose process was killed is retried; steps retry transient errors themselves.
run_retries:
  enabled: true
  max_retries: 2
  retry_on_asset_or_op_failure: false
run_monitoring:
  enabled: true
  free_slots_after_run_end_seconds: 60
freshness:
  enabled: true
# Every tick of a sensor stores a copy of its cursor.
retention:
  sensor:
    purge_after_days:
      skipped: 1
      success: 30
"""


# Patterns of what earlier versions wrote about their own classes, and the current text.
_FORMER = (
    (r"lakehouse_assets\.event_log\b", "lakehouse_assets.orchestration.event_log"),
    (
        r"compute_logs:\n  module: lakehouse_assets(?:\.orchestration)?\.run_output\n"
        r"  class: RunOutput\n  config: \{\}\n",
        "",
    ),
    (
        r"lakehouse_assets(?:\.orchestration)?\.run_output\n  class: RunOutput\b",
        "dagster._core.storage.local_compute_log_manager\n  class: LocalComputeLogManager",
    ),
)
_SECTION = r"(?m)(?:^#.*\n)*^(\w+):.*\n(?:^[ \t].*\n)*"


def names_former_classes(text: str) -> bool:
    """Say whether a `dagster.yaml` names classes of an earlier version, which do not load."""
    return any(re.search(former, text) for former, _ in _FORMER)


def missing_settings(found: Mapping[str, Any]) -> list[str]:
    """Return the sections that this version writes to `dagster.yaml` and a parsed one lacks."""
    # `storage` covers the event log too.
    there = {*found, *({"event_log_storage"} if "storage" in found else ())}
    return sorted(yaml.safe_load(_CONFIG).keys() - there)


def bring_up_to_date(config: Path) -> Path | None:
    """Give a `dagster.yaml` the classes and the missing settings of this version.

    Everything else stays, including comments.

    Returns:
        Path of a copy of the old file; None if there was nothing to do.

    Raises:
        OSError: a file cannot be read or written.
        ValueError: the file is not UTF-8.
        yaml.YAMLError: the file is not YAML.
    """
    before = text = config.read_text(encoding="utf-8")
    for former, now in _FORMER:
        text = re.sub(former, now, text)
    missing = missing_settings(yaml.safe_load(text) or {})
    if missing and not text.endswith("\n"):
        text += "\n"
    text += "".join(f[0] for f in re.finditer(_SECTION, _CONFIG) if f[1] in missing)
    if text == before:
        return None
    copy = config.with_name(f"{config.name}.bak-{clock.now():%Y%m%dT%H%M%S%f}")
    shutil.copy2(config, copy)
    part = config.with_suffix(".part")
    part.write_text(text, encoding="utf-8")
    part.replace(config)
    return copy


@contextmanager
def dagster_instance(settings: Settings) -> Iterator[dg.DagsterInstance]:
    """Open the persistent Dagster instance, which the UI shows; telemetry is off."""
    home = settings.dagster_home
    try:
        home.mkdir(parents=True, exist_ok=True)
        config = home / "dagster.yaml"
        if not config.exists():
            config.write_text(_CONFIG, encoding="utf-8")
        if names_former_classes(config.read_text(encoding="utf-8")):
            raise LakehouseError(
                f"{config} names classes of an earlier version; `lakehouse doctor --fix` updates "
                "it and keeps a copy."
            )
    except OSError as error:
        raise LakehouseError(
            f"Dagster's home {home} is not writable ({error.strerror or error}); check its "
            "permissions, or set LAKEHOUSE_DAGSTER_HOME."
        ) from None
    except ValueError as error:
        raise LakehouseError(
            f"{config} cannot be read ({one_line(error)}); correct it, or move it away so that the "
            "next run creates it."
        ) from None
    os.environ["DAGSTER_HOME"] = str(home)
    with open_home(home) as instance:
        yield instance


def open_home(home: Path) -> dg.DagsterInstance:
    """Open the instance of a home for runs in this process.

    Their output goes to the terminal only: to capture it for the UI, Dagster would start four
    processes per run.
    """
    printed = {"module": NoOpComputeLogManager.__module__, "class": NoOpComputeLogManager.__name__}
    ref = InstanceRef.from_dir(str(home), overrides={"compute_logs": printed})
    return dg.DagsterInstance.from_ref(ref)


def show_in_code_location(instance: dg.DagsterInstance, run_id: str) -> None:
    """Assign a command-line run to the code location, so that the UI's pages include it.

    A run that is executed in process names no code location, and Dagster leaves it out of its home
    page and the pages of jobs.
    """
    target = LoadableTargetOrigin(module_name="lakehouse_assets.definitions")
    location = ManagedGrpcPythonEnvCodeLocationOrigin(target, _CODE_LOCATION)
    repository = RemoteRepositoryOrigin(location, _REPOSITORY)
    instance.add_run_tags(
        run_id,
        {".dagster/repository": repository.get_label(), "dagster/code_location": _CODE_LOCATION},
    )
    run = instance.get_run_by_id(run_id)
    if run is not None:
        instance.run_storage.replace_job_origin(run, repository.get_job_origin(run.job_name))
