"""The settings, read from the environment and `.env`.

Every `LAKEHOUSE_*` variable is declared here, with its default and its meaning.
"""

from __future__ import annotations

import json
import re
from dataclasses import fields
from datetime import date
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, Literal, TypeAlias
from urllib.parse import urlsplit

from pydantic import (
    BeforeValidator,
    Field,
    PlainValidator,
    SecretStr,
    ValidationError,
    field_validator,
)
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from lakehouse_assets.catalog.datasets import LossLimit
from lakehouse_assets.domains.retail.tags import CAMPAIGN_TAGS
from lakehouse_assets.engine.vocabulary import Weekday
from lakehouse_assets.errors import LakehouseError
from lakehouse_assets.ingest.limits import FileLimits
from lakehouse_assets.ml.mlflow_address import check_uri
from lakehouse_assets.project import project_folder, variables
from lakehouse_assets.storage.identity import DEFAULT, Identity
from lakehouse_assets.storage.location import (
    Location,
    lake_root,
    landing_root,
    local_folder,
    parse_location,
    plainly_named,
)
from lakehouse_assets.timeouts import DATABASE_SECONDS, REQUEST_SECONDS

STATE = Path(".lakehouse")
_DURATION = re.compile(r"none|(?P<number>[1-9]\d*)[mh]")


def _lake_root(value: Any) -> Location:
    return lake_root(str(value))


def _landing_root(value: Any) -> Location:
    return landing_root(str(value))


def _location(value: Any) -> Location | None:
    found = None if value is None else parse_location(str(value))
    return plainly_named(found) if isinstance(found, Path) else found


def _folder(value: Any) -> Path:
    if "://" in str(value) or ":/" in str(value):
        raise ValueError("must be a local folder")
    return plainly_named(local_folder(str(value)))


def _json(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value)
    except ValueError:
        raise ValueError("must be written as JSON") from None


def _limits(value: Any) -> Any:
    given, known = _json(value), [field.name for field in fields(FileLimits)]
    if isinstance(given, dict) and (unknown := sorted(given.keys() - known)):
        raise ValueError(f"{unknown[0]} is not a limit; the limits are {', '.join(known)}")
    return given


Folder: TypeAlias = Annotated[Path, BeforeValidator(_folder)]


class Settings(BaseSettings):
    """Settings of one lakehouse; each field is the variable `LAKEHOUSE_<FIELD>`.

    The text below a field is its meaning, which docs/reference/settings.md lists.
    """

    model_config = SettingsConfigDict(
        env_prefix="LAKEHOUSE_",
        extra="ignore",
        frozen=True,
        validate_default=True,
        # Errors do not show inputs, which may be secrets in the wrong place.
        hide_input_in_errors=True,
    )

    landing: Annotated[Location, NoDecode, PlainValidator(_landing_root)] = Path("data")
    """Landing zone, with files at <domain>/<dataset>/<YYYY-MM-DD>/<file>: a folder outside
    .lakehouse, or abfss:// or https:// of ADLS Gen2 or OneLake."""
    root: Annotated[Location, NoDecode, PlainValidator(_lake_root)] = STATE / "lake"
    """The lake, with Delta tables at <domain>/<table>: a folder, ADLS Gen2 or OneLake."""
    identity: Annotated[Identity, NoDecode] = DEFAULT
    """Identity that accesses cloud locations: a kind such as azure_cli, or JSON with its fields.
    Secrets are named by variable or file, not written here."""
    landing_identity: Annotated[Identity | None, NoDecode] = None
    """Identity that accesses the landing zone; by default that of the lake."""
    engine: Literal["duckdb", "spark"] = "duckdb"
    """Engine that runs the transformations."""
    spark_master: str = "local[*]"
    """Spark on this machine (local[<n>]), or a cluster (spark://<host>:<port>)."""
    spark_remote: str | None = None
    """Spark Connect server, sc://<host>:<port>; replaces the master."""
    spark_token: SecretStr | None = None
    """Token for the Spark Connect server."""
    spark_tls: bool = False
    """Use TLS for the Spark Connect server."""
    spark_databricks: str | None = None
    """Databricks: serverless, or the id of a cluster; replaces the master."""
    spark_jars: Folder = STATE / "spark-jars"
    """Folder of the jars that `make spark` fetched."""
    spark_memory: str | None = None
    """Memory of Spark's driver, as Java writes it (8g); by default a third of the machine's, and at
    least 2g."""
    spark_options: Annotated[dict[str, str], NoDecode, BeforeValidator(_json)] = Field(
        default_factory=dict
    )
    """Further options of Spark as JSON, without secrets; they override those of the project."""
    mlflow_uri: str = f"sqlite:///{(STATE / 'mlflow' / 'mlflow.db').as_posix()}"
    """MLflow tracking store: sqlite:///<file>, a database or a server."""
    mlflow_artifacts: Annotated[Location | None, NoDecode, PlainValidator(_location)] = None
    """Where MLflow keeps artefacts: a folder, ADLS Gen2 or OneLake; by default next to its SQLite
    store."""
    dagster_home: Folder = STATE / "dagster"
    """Home of the persistent Dagster instance; its telemetry is off."""
    pages: Folder = STATE / "pages"
    """Folder that `lakehouse pages` writes to."""
    training_rows: int = Field(250_000, ge=100)
    """Maximum number of rows that a model is fitted on. A sample is taken of larger data; all rows
    are scored."""
    first_partition: date | None = None
    """First day for which partitions exist, in every domain; the first day of a month. By default
    airline begins on 2014-01-01 and retail on 2021-01-01."""
    week_starts_on: Weekday = "monday"
    """First day of the week in tables by week; thursday gives weeks that count from the epoch."""
    campaign_tags: Annotated[tuple[str, ...], NoDecode, BeforeValidator(_json)] = CAMPAIGN_TAGS
    """Hashtags by which tweets are collected, as a JSON list."""
    loss_limits: Annotated[
        dict[str, dict[Literal["rejected", "quarantined"], LossLimit]],
        NoDecode,
        BeforeValidator(_json),
    ] = Field(default_factory=dict)
    """How much of a partition may be rejected or quarantined before nothing is built from it, as
    JSON: {"airline/flights": {"rejected": {"share": 0.1, "rows": 20}}}. * means every dataset;
    "whole": false allows the loss of all rows. By default 5 % and 50 rows."""
    file_limits: Annotated[FileLimits, NoDecode, BeforeValidator(_limits)] = FileLimits()
    """Limits on a delivered file, as JSON: {"line_bytes": 33554432}. Limits that are not named keep
    their defaults."""
    automation: bool = False
    """Whether sensors and schedules run without being switched on in Dagster."""
    alert_webhook: SecretStr | None = None
    """Slack or Teams webhook that alerts are sent to. Alerts contain counts only."""
    serving_token: SecretStr | None = None
    """Token that `lakehouse serve model` and `lakehouse serve catalog` ask for."""
    forget_key: SecretStr | None = None
    """Key by which loads recognise the records of forgotten people."""
    sql_users: SecretStr | None = None
    """File of the SQL users, one line of `lakehouse serve user` each; or the lines themselves,
    separated by `;`."""
    mask_key: SecretStr | None = None
    """Key for the hashes that roles read instead of identifiers; without it, each process has its
    own hashes."""
    audit: Folder = STATE / "audit"
    """Folder where statements are recorded until the audit log reads them."""
    openlineage_file: Folder = STATE / "openlineage.jsonl"
    """File that OpenLineage events of runs are added to."""
    openlineage_url: SecretStr | None = None
    """Address that OpenLineage events are posted to instead of the file."""
    openlineage_token: SecretStr | None = None
    """Bearer token for the receiver of OpenLineage events."""
    audit_days: int = Field(400, ge=1)
    """Days that the audit log keeps its events."""
    request_timeout: int = Field(REQUEST_SECONDS, ge=1, le=3600)
    """Seconds that MLflow, cloud storage, Entra, a broker or the webhook may stay silent before a
    call is retried."""
    database_timeout: int = Field(DATABASE_SECONDS, ge=1, le=86400)
    """Seconds that a source database may stay silent while it answers a query."""
    run_time_limit: str = "24h"
    """How long a run may take before it is terminated: 90m, 24h or none."""
    memory_limit: str = "4GB"
    """Memory that the embedded engine may use."""
    threads: int = Field(0, ge=0)
    """Threads of the embedded engine; 0 means every core."""

    @field_validator("run_time_limit")
    @classmethod
    def _is_a_duration(cls, value: str) -> str:
        if not _DURATION.fullmatch(value):
            raise ValueError("must be a whole number of minutes or hours, such as 90m, 24h or none")
        return value

    @property
    def run_time_limit_seconds(self) -> float | None:
        """How long a run may take, in seconds; None for no limit."""
        found = _DURATION.fullmatch(self.run_time_limit)
        number = int(found["number"]) if found and found["number"] else None
        return number and number * {"m": 60.0, "h": 3600.0}[self.run_time_limit[-1]]

    @field_validator("campaign_tags")
    @classmethod
    def _are_tags(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if not value or not all(re.fullmatch("#[A-Za-z0-9_]+", tag) for tag in value):
            raise ValueError('must be hashtags of letters, digits and _, e.g. ["#beach"]')
        return value

    @field_validator("first_partition")
    @classmethod
    def _starts_a_month(cls, value: date | None) -> date | None:
        if value is not None and value.day != 1:
            raise ValueError("must be the first day of a month, e.g. 2014-01-01")
        return value

    @property
    def zone_identity(self) -> Identity:
        """The identity that accesses the landing zone."""
        return self.landing_identity or self.identity

    @field_validator("alert_webhook", "openlineage_url")
    @classmethod
    def _sent_safely(cls, value: SecretStr | None) -> SecretStr | None:
        if value is None:
            return None
        address = urlsplit(value.get_secret_value())
        here = address.scheme == "http" and address.hostname in {"127.0.0.1", "::1", "localhost"}
        if not address.hostname or not (address.scheme == "https" or here):
            raise ValueError("must be an https:// address")
        return value

    @field_validator("mlflow_uri")
    @classmethod
    def _usable_by_mlflow(cls, value: str) -> str:
        try:
            check_uri(value)
        except LakehouseError as error:
            raise ValueError(str(error)) from None
        scheme, slashes, rest = value.partition(":///")
        if not scheme.startswith("sqlite"):
            return value
        path, mark, query = rest.partition("?")
        return f"{scheme}{slashes}{plainly_named(local_folder(path)).as_posix()}{mark}{query}"


def load_settings() -> Settings:
    """Read the settings from the environment and from `.env` in the project's folder.

    Raises:
        LakehouseError: a variable has an invalid value, or its name is close to that of a setting;
            the message names the variable and the reason, but not the value, which may be secret.
    """
    for name, meant in unknown_variables().items():
        if meant:
            raise LakehouseError(
                f"{name} is not a setting; {meant} is one. Rename the variable in the environment "
                "or in .env, or remove it."
            )
    try:
        return Settings(_env_file=project_folder() / ".env")
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        name = str(first["loc"][0]).upper()
        reason = str(first["msg"]).removeprefix("Value error, ").rstrip(".")
        raise LakehouseError(
            f"Setting LAKEHOUSE_{name} cannot be used: {reason}; change it in the environment or "
            "in .env."
        ) from None


def unknown_variables() -> dict[str, str | None]:
    """Return variables that look like settings but are not, with the setting that may be meant.

    Variables of sources and streams, and those that an identity names, are left out.
    """
    prefix = "LAKEHOUSE_"
    settings = [prefix + name.upper() for name in Settings.model_fields]
    given = {name: value for name, value in variables().items() if name.upper().startswith(prefix)}
    named = " ".join(value for name, value in given.items() if name.upper().endswith("IDENTITY"))
    return {
        name: next(iter(get_close_matches(name.upper(), settings, 1, cutoff=0.85)), None)
        for name in sorted(given)
        if name.upper() not in {*settings, f"{prefix}HOME"}
        and not name.upper().startswith((f"{prefix}SOURCE_", f"{prefix}STREAM_"))
        and name not in named
    }
