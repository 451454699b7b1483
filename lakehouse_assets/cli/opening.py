"""Opens what commands use: settings, the lake, SQL sessions and MLflow, imported on first use."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lakehouse_assets.lake.delta import Lake
    from lakehouse_assets.ml.tracking import MlflowTracking
    from lakehouse_assets.query.deliveries import Deliveries
    from lakehouse_assets.query.session import Sessions
    from lakehouse_assets.settings import Settings


def load_settings() -> Settings:
    """Read the settings; see `lakehouse_assets.settings`."""
    from lakehouse_assets.settings import load_settings as load

    return load()


def open_lake(settings: Settings, engine: str | None = None, *, any_format: bool = False) -> Lake:
    """Open the lake of the settings outside Dagster, on their engine or another."""
    from lakehouse_assets.orchestration.open_lake import open_lake as open_it

    return open_it(settings, engine, any_format=any_format)


def open_sessions(
    settings: Settings, timeout: float | None = None, *, with_deliveries: bool = False
) -> Sessions:
    """Open SQL sessions on the lake of the settings, with their masks and audit log.

    Args:
        settings: Settings of the lakehouse.
        timeout: Maximum seconds for a statement.
        with_deliveries: Whether the owner may query delivered files too.
    """
    from lakehouse_assets.query.audit import AuditFolder
    from lakehouse_assets.query.session import Sessions

    return Sessions(
        open_lake(settings, "duckdb"),
        timeout,
        settings.mask_key.get_secret_value() if settings.mask_key else None,
        audit=AuditFolder(settings.audit).add,
        deliveries=deliveries_of(settings) if with_deliveries else None,
    )


def open_tracking(settings: Settings | None = None) -> MlflowTracking:
    """Return the MLflow store of some settings; by default of those in the environment."""
    from lakehouse_assets.ml.tracking import MlflowTracking

    return MlflowTracking.of(settings or load_settings())


def deliveries_of(settings: Settings) -> Deliveries:
    """Return the delivered files of the settings' landing zone."""
    from lakehouse_assets.domains import DATASETS
    from lakehouse_assets.ingest.landing import LandingZone
    from lakehouse_assets.query.deliveries import Deliveries

    zone = LandingZone(settings.landing, settings.zone_identity, settings.file_limits)
    return Deliveries(zone, DATASETS)


def no_lake(settings: Settings) -> str:
    """Return the message for a lake that has no table yet."""
    return (
        f"There is no lake at {settings.root}; build one with `lakehouse run`, or set "
        "LAKEHOUSE_ROOT to another location."
    )
