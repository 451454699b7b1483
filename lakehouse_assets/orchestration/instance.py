"""Dagster's persistent instance: its home and default settings."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

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
# Written by `lakehouse`; yours to change.
telemetry:
  enabled: false
nux:
  enabled: false
event_log_storage:
  module: lakehouse_assets.orchestration.event_log
  class: PooledSqliteEventLogStorage
  config: {}
# Every table has a pool: whatever writes it, a load, a backfill or its maintenance, writes alone.
concurrency:
  pools:
    default_limit: 1
    granularity: op
  runs:
    max_concurrent_runs: 2
# Runs wait while the code server is being started again, instead of failing one by one.
run_coordinator:
  module: dagster.core.run_coordinator
  class: QueuedRunCoordinator
  config:
    max_user_code_failure_retries: 1000
    user_code_failure_retry_delay: 10
# A run whose process was killed starts again; steps try transient faults again by themselves.
run_retries:
  enabled: true
  max_retries: 2
  retry_on_asset_or_op_failure: false
run_monitoring:
  enabled: true
  free_slots_after_run_end_seconds: 60
freshness:
  enabled: true
# Each tick of a sensor keeps a copy of what it remembers.
retention:
  sensor:
    purge_after_days:
      skipped: 1
      success: 30
"""


# Entries that earlier versions wrote for their own classes, some with absolute paths in the home.
_EVENT_LOG = re.compile(
    r"  module: lakehouse_assets(?:\.orchestration)?\.event_log\n"
    r"  class: PooledSqliteEventLogStorage\n"
    r'  config:(?: \{\}\n|\n    base_dir: "?(?P<folder>.*?)"?\n)'
)
_PRINTED = re.compile(
    r"compute_logs:\n"
    r"  module: lakehouse_assets(?:\.orchestration)?\.run_output\n"
    r"  class: RunOutput\n"
    r'  config:(?: \{\}\n|\n    base_dir: "?(?P<folder>.*?)"?\n)'
)
_MOVED = re.compile(r"lakehouse_assets(?:\.event_log|\.run_output|\.orchestration\.run_output)\b")


def up_to_date(config: Path) -> str:
    """Return the text of a `dagster.yaml`, updated to the settings of this version.

    Moved classes get their new names, the home's default folders are no longer named (so that a
    copied home uses its own), and missing sections are added. Everything else, including comments,
    stays.

    Raises:
        OSError: the file cannot be read.
        ValueError: the file is not UTF-8.
    """

    def folder_of(found: re.Match[str], name: str) -> str | None:
        """Return a folder that a user chose; None for the home's default folder."""
        folder = Path(found["folder"]) if found["folder"] else None
        own = folder is None or (folder.name, folder.parent.name) == (name, config.parent.name)
        return None if own else str(folder)

    def event_log(found: re.Match[str]) -> str:
        folder = folder_of(found, "history")
        where = f'\n    base_dir: "{folder}"' if folder else " {}"
        return (
            "  module: lakehouse_assets.orchestration.event_log\n"
            f"  class: PooledSqliteEventLogStorage\n  config:{where}\n"
        )

    def printed(found: re.Match[str]) -> str:
        folder = folder_of(found, "storage")
        kept = "dagster._core.storage.local_compute_log_manager"
        return (
            f"compute_logs:\n  module: {kept}\n  class: LocalComputeLogManager\n"
            f'  config:\n    base_dir: "{folder}"\n'
            if folder
            else ""
        )

    text = _PRINTED.sub(printed, _EVENT_LOG.sub(event_log, config.read_text(encoding="utf-8")))
    there = set(_sections(text))
    if "storage" in there:
        # `storage` covers the event log too.
        there |= {"event_log_storage"}
    added = [section for name, section in _sections(_CONFIG).items() if name not in there]
    return "".join([text, "" if text.endswith("\n") or not text else "\n", *added])


def bring_up_to_date(config: Path) -> Path | None:
    """Bring a `dagster.yaml` up to date; return the path of the backup, or None if unchanged.

    Raises:
        OSError: a file cannot be read or written.
        ValueError: the file is not UTF-8.
    """
    text = up_to_date(config)
    if text == config.read_text(encoding="utf-8"):
        return None
    copy = config.with_name(f"{config.name}.bak-{clock.now():%Y%m%dT%H%M%S%f}")
    shutil.copy2(config, copy)
    part = config.with_suffix(".part")
    part.write_text(text, encoding="utf-8")
    part.replace(config)
    return copy


def _sections(text: str) -> dict[str, str]:
    """Split YAML into its top-level sections, by key, each with the comments before it."""
    found: dict[str, str] = {}
    for section in re.findall(r"(?m)(?:^(?:#.*)?\n)*^\w.*\n(?:^[ \t].*\n)*", f"{text}\n"):
        (key, *_) = re.findall(r"(?m)^(\w+)", section)
        found[key] = section
    return found


def _check(config: Path) -> None:
    """Bring the file up to date if an earlier version wrote it and users have not changed it.

    Raises:
        LakehouseError: users have changed it, and it names classes that have moved.
        OSError: a file cannot be read or written.
        ValueError: the file is not UTF-8.
    """
    text, new = config.read_text(encoding="utf-8"), up_to_date(config)
    if text == new:
        return
    whole = _sections(_CONFIG).keys() - {"event_log_storage"}
    there = _sections(text).keys() - {"compute_logs", "event_log_storage"}
    # The sections that earlier versions wrote.
    former = there in (
        {"telemetry"}, {"telemetry", "nux"}, whole - {"run_coordinator"}, whole,
    )  # fmt: skip
    if former and yaml.safe_load(new) == yaml.safe_load(_CONFIG):
        bring_up_to_date(config)
    elif _MOVED.search(text):
        raise LakehouseError(
            f"{config} names classes of an earlier version; `lakehouse doctor --fix` brings it up "
            "to date and keeps a copy."
        )


@contextmanager
def dagster_instance(settings: Settings) -> Iterator[dg.DagsterInstance]:
    """Open the persistent Dagster instance, which the UI shows; telemetry is off."""
    home = settings.dagster_home
    try:
        home.mkdir(parents=True, exist_ok=True)
        config = home / "dagster.yaml"
        if not config.exists():
            config.write_text(_CONFIG, encoding="utf-8")
        _check(config)
    except OSError as error:
        raise LakehouseError(
            f"Dagster's home {home} cannot be written ({error.strerror or error}); check its "
            "rights or set LAKEHOUSE_DAGSTER_HOME."
        ) from None
    except (ValueError, yaml.YAMLError) as error:
        raise LakehouseError(
            f"{config} cannot be read ({one_line(error)}); correct it, or move it away and have it "
            "made again."
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
