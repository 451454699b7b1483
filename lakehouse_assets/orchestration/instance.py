"""Dagster's persistent instance: its home, and the settings that it starts with."""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import dagster as dg
from dagster._core.remote_origin import (
    ManagedGrpcPythonEnvCodeLocationOrigin,
    RemoteRepositoryOrigin,
)
from dagster._core.types.loadable_target_origin import LoadableTargetOrigin

from lakehouse_assets.errors import LakehouseError
from lakehouse_assets.orchestration.run_output import stays_in_terminal
from lakehouse_assets.settings import Settings

# A range's partitions have an event each; Dagster stores them one by one unless told otherwise.
_EVENTS_AT_ONCE = 1_000
_LOG = logging.getLogger(__name__)
# As `workspace.yaml` names it, and Dagster what it holds.
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
compute_logs:
  module: lakehouse_assets.orchestration.run_output
  class: RunOutput
  config: {}
# Every table has a pool: whoever writes it, a load, a backfill or its maintenance, writes alone.
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


# Former versions wrote the home's own folders with their whole paths.
_PLACED = re.compile(
    r"(class: (?:PooledSqliteEventLogStorage|RunOutput)\n  config:)\n"
    r'    base_dir: "(?P<home>.*)/(?:history|storage)"\n'
)


def bring_home(config: Path) -> None:
    """Let a `dagster.yaml` of a former version keep history in the home in which it lies now.

    It names the folders of the home for which it was written, which is another one if the project
    was copied or moved since.

    Raises:
        OSError: it cannot be read or written.
    """
    text = config.read_text(encoding="utf-8")
    homes = {found["home"] for found in _PLACED.finditer(text)}
    # Whoever chose another folder wants it there.
    if not homes or any(Path(home).name != config.parent.name for home in homes):
        return
    config.write_text(_PLACED.sub(r"\1 {}\n", text), encoding="utf-8")
    for home in sorted(homes - {str(config.parent)}):
        _LOG.warning("%s kept its history in %s; it is kept in its own folder now.", config, home)


@contextmanager
def dagster_instance(settings: Settings) -> Iterator[dg.DagsterInstance]:
    """Open the persistent Dagster instance, which the UI shows; telemetry is off."""
    home = settings.dagster_home
    try:
        home.mkdir(parents=True, exist_ok=True)
        config = home / "dagster.yaml"
        if not config.exists():
            config.write_text(_CONFIG, encoding="utf-8")
        bring_home(config)
    except OSError as error:
        raise LakehouseError(
            f"Dagster's home {home} cannot be written ({error.strerror or error}); check its "
            "rights or set LAKEHOUSE_DAGSTER_HOME."
        ) from None
    os.environ["DAGSTER_HOME"] = str(home)
    os.environ.setdefault("DAGSTER_EVENT_BATCH_SIZE", str(_EVENTS_AT_ONCE))
    stays_in_terminal()
    with dg.DagsterInstance.get() as instance:
        yield instance


def show_in_code_location(instance: dg.DagsterInstance, run_id: str) -> None:
    """Let Dagster's pages count a run of the command line among those of the code location.

    A run that Dagster executes in the process that asked for it names no code location, and Dagster
    leaves it out of its home page and of the pages of jobs.
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
