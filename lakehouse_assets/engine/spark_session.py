"""Spark sessions: checking the environment, and configuring, opening and stopping a session.

Nothing is downloaded: `make spark` has put the jars in place.
"""

from __future__ import annotations

import atexit
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from importlib import import_module, metadata
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit
from xml.etree import ElementTree

from pydantic import SecretStr

from lakehouse_assets.engine.spark_memory import default_memory
from lakehouse_assets.errors import LakehouseError

_JARS = Path(__file__).parent / "jars"
_POM = "{http://maven.apache.org/POM/4.0.0}"
_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
_JAVA = (17, 21)
_CONNECT_PORT, _MASTER_PORT = 15002, 7077
_PATIENCE = 5.0

# Settings that correct results require of any session, including those of a server.
_MEANING: Mapping[str, str] = {
    "spark.sql.session.timeZone": "UTC",
    # Overflow is an error, as on the embedded engine; the vocabulary asks for null where needed.
    "spark.sql.ansi.enabled": "true",
    # Splits the same files the same way in every job, however many workers there are by then.
    "spark.sql.files.minPartitionNum": "32",
    # `versions_read` parses the text of plans, which must not be truncated.
    "spark.sql.maxPlanStringLength": "2147483632",
}
# Further settings of sessions that we start ourselves.
_OWN: Mapping[str, str] = {
    "spark.app.name": "lakehouse",
    "spark.sql.extensions": "io.delta.sql.DeltaSparkSessionExtension",
    "spark.sql.catalog.spark_catalog": "org.apache.spark.sql.delta.catalog.DeltaCatalog",
    "spark.sql.catalogImplementation": "in-memory",
    "spark.sql.execution.arrow.pyspark.enabled": "true",
    # Writes kept rows several times faster, and smaller, than Java's own serializer.
    "spark.serializer": "org.apache.spark.serializer.KryoSerializer",
    # Other engines read this timestamp type more reliably than the older default, and cannot purge
    # rows that are only marked as deleted.
    "spark.sql.parquet.outputTimestampType": "TIMESTAMP_MICROS",
    "spark.databricks.delta.properties.defaults.enableDeletionVectors": "false",
    # Spark's default pattern for values to redact, plus keys of stores and logins of Kafka.
    "spark.redaction.regex": "(?i)secret|password|token|access[.]?key|account[.]key|jaas",
    "spark.ui.enabled": "false",
    "spark.ui.showConsoleProgress": "false",
}


@dataclass(frozen=True)
class SparkConfig:
    """Where Spark runs, and the configuration of its session.

    Attributes:
        master: `local[*]`, `local[<n>]` or `spark://host:port`; used if neither `remote` nor
            `databricks` is set.
        remote: A Spark Connect server, `sc://host:port`.
        tls: Whether to connect to the Connect server over TLS.
        databricks: `serverless` or the id of a cluster; host and credentials come from the
            environment or profile that Databricks' own tools read.
        jars: Folder of the jars that `make spark` fetched.
        memory: Memory of the driver, which is all of Spark with a local master; by default a third
            of the machine's.
        options: Further Spark options, which override all others.
        token: Token for the Connect server.
    """

    master: str = "local[*]"
    remote: str | None = None
    tls: bool = False
    databricks: str | None = None
    jars: Path = Path(".lakehouse/spark-jars")
    memory: str | None = None
    options: Mapping[str, str] = field(default_factory=dict)
    token: SecretStr | None = None


class Jar(NamedTuple):
    """A jar that our own sessions load."""

    artifact: str
    version: str

    @property
    def file_name(self) -> str:
        """The file name that Maven gives it."""
        return f"{self.artifact}-{self.version}.jar"


def declared_jars() -> list[Jar]:
    """Read the pinned jars from the project's `pom.xml`."""
    # The file is part of this package and therefore trusted.
    root = ElementTree.parse(_JARS / "pom.xml").getroot()  # noqa: S314
    properties = {
        node.tag.removeprefix(_POM): node.text or "" for node in root.findall(f"{_POM}properties/*")
    }

    def text(node: ElementTree.Element, name: str) -> str:
        raw = node.findtext(f"{_POM}{name}") or ""
        return re.sub(r"\$\{([^}]+)\}", lambda match: properties[match[1]], raw)

    return [
        Jar(text(node, "artifactId"), text(node, "version"))
        for node in root.findall(f"{_POM}dependencies/{_POM}dependency")
    ]


def open_session(config: SparkConfig) -> Any:
    """Open a session that is stopped when the process ends.

    Raises:
        LakehouseError: no session can be opened; the message is one sentence with the remedy.
    """
    if config.remote and config.databricks:
        raise LakehouseError(
            "Both LAKEHOUSE_SPARK_REMOTE and LAKEHOUSE_SPARK_DATABRICKS are set; unset one of them."
        )
    if config.databricks:
        session = _databricks(config)
    elif config.remote:
        session = _connect(config, config.remote)
    else:
        session = _classic(config)
    changeable = {n: value for n, value in config.options.items() if n.startswith("spark.sql.")}
    for name, value in {**_MEANING, **changeable}.items():
        if session.conf.get(name, None) != value and session.conf.isModifiable(name):
            session.conf.set(name, value)
    _silence()
    atexit.register(_stop, session)
    return session


def check_versions() -> None:
    """Check that the installed Python packages match the jars.

    Raises:
        LakehouseError: a package is missing or has another version.
    """
    (delta,) = (jar for jar in declared_jars() if jar.artifact.startswith("delta-spark_"))
    spark = delta.artifact.split("_")[1]
    wanted = {"pyspark": spark, "delta-spark": ".".join(delta.version.split(".")[:2])}
    for package, version in wanted.items():
        try:
            found = metadata.version(package)
        except metadata.PackageNotFoundError:
            raise LakehouseError(
                f"The package {package} is not installed; install {package} {version} as "
                "constraints.txt pins it (make setup)."
            ) from None
        if found.split(".")[:2] != version.split("."):
            raise LakehouseError(
                f"Spark's jars are made for {package} {version}, but {found} is installed; install "
                "what constraints.txt pins (make setup)."
            )


def check_connect() -> None:
    """Check that the packages that pyspark needs for Spark Connect are installed.

    Raises:
        LakehouseError: a package is missing.
    """
    for package in ("grpcio", "grpcio-status", "googleapis-common-protos", "zstandard"):
        try:
            metadata.version(package)
        except metadata.PackageNotFoundError:
            raise LakehouseError(
                f"Spark Connect needs the package {package}, which is not installed; "
                "pip install 'lakehouse_assets[connect]'."
            ) from None


def check_java() -> None:
    """Check that a version of Java that Spark supports is installed.

    Raises:
        LakehouseError: there is none, or it is too old or too new.
    """
    home = os.environ.get("JAVA_HOME")
    java = str(Path(home) / "bin" / "java") if home else shutil.which("java")
    wanted = " or ".join(map(str, _JAVA))
    remedy = f"install Java {wanted}, or set JAVA_HOME to where it is"
    if java is None:
        raise LakehouseError(f"Spark needs Java, but none is on the PATH; {remedy}.")
    try:
        done = subprocess.run(  # noqa: S603 - the Java that Spark itself would start
            [java, "-version"], capture_output=True, text=True, timeout=60, check=True
        )
    except (OSError, subprocess.SubprocessError):
        raise LakehouseError(f"Spark needs Java, and {java} does not run; {remedy}.") from None
    match = re.search(r'version "(?:1\.)?(\d+)', done.stderr + done.stdout)
    found = int(match[1]) if match else 0
    if found not in _JAVA:
        raise LakehouseError(f"Spark needs Java {wanted}, but {java} is Java {found}; {remedy}.")


def find_jars(folder: Path) -> list[Path]:
    """Return the paths of the jars that our own sessions load.

    Raises:
        LakehouseError: one is missing.
    """
    paths = [folder / jar.file_name for jar in declared_jars()]
    missing = [path.name for path in paths if not path.is_file()]
    if missing:
        raise LakehouseError(
            f"{len(missing)} of the {len(paths)} jars of Spark are missing in {folder}, such as "
            f"{missing[0]}; run `make spark` once, or set LAKEHOUSE_SPARK_JARS to where they are."
        )
    return paths


def _classic(config: SparkConfig) -> Any:
    here = config.master.startswith("local")
    if not here and not config.master.startswith("spark://"):
        raise LakehouseError(
            f"LAKEHOUSE_SPARK_MASTER is {config.master!r}, which is not a supported master; "
            "use local[*], local[<n>] or spark://<host>:<port>."
        )
    check_versions()
    check_java()
    jars = find_jars(config.jars)
    host = "127.0.0.1"
    if not here:
        host, port = _address(config.master, "LAKEHOUSE_SPARK_MASTER", _MASTER_PORT)
        _reach(host, port, "Spark master", "LAKEHOUSE_SPARK_MASTER")
    work = tempfile.TemporaryDirectory(prefix="lakehouse-spark-")
    atexit.register(work.cleanup)
    options = {
        **_OWN,
        **_MEANING,
        "spark.master": config.master,
        "spark.jars": ",".join(map(str, jars)),
        "spark.driver.memory": config.memory or default_memory(),
        "spark.driver.extraJavaOptions": (
            f"-Dlog4j2.configurationFile={(_JARS / 'log4j2.properties').as_uri()} "
            f"-Dderby.system.home={work.name}"
        ),
        "spark.sql.warehouse.dir": (Path(work.name) / "warehouse").as_uri(),
    }
    if host in _LOOPBACK:
        options |= {"spark.driver.bindAddress": "127.0.0.1", "spark.driver.host": "127.0.0.1"}
    if here:
        # Spark's defaults are for clusters: 200 partitions per join, 50 per table log.
        options |= {
            "spark.local.dir": work.name,
            "spark.sql.shuffle.partitions": str(max(8, 4 * (os.cpu_count() or 1))),
            "spark.databricks.delta.snapshotPartitions": "2",
            # All tasks share one heap: with Spark's default, four times this, 50 million purchases
            # ran out of 4 GB.
            "spark.sql.files.maxPartitionBytes": str(32 * 2**20),
        }
        # Workers use the Python that runs this process.
        os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    java = "spark.driver.extraJavaOptions"
    given = dict(config.options)
    if java in given:
        # Given Java options are appended to ours instead of replacing them.
        given[java] = f"{options[java]} {given[java]}"
    session = _build({**options, **given}, f"Spark does not start on {config.master}")
    _remember_classes(session)
    return session


def _remember_classes(session: Any) -> None:
    """Cache classes that PySpark looks up for each column, searching every jar for short names."""
    jvm = session.sparkContext._jvm
    for name in ("functions", "org.apache.spark.sql.functions", "PythonUtils"):
        setattr(jvm, name, getattr(jvm, name))


def _connect(config: SparkConfig, remote: str) -> Any:
    host, port = _address(remote, "LAKEHOUSE_SPARK_REMOTE", _CONNECT_PORT)
    check_versions()
    check_connect()
    _reach(host, port, "Spark Connect server", "LAKEHOUSE_SPARK_REMOTE")
    url = f"sc://{host}:{port}/"
    parameters = ["use_ssl=true"] if config.tls else []
    if config.token:
        if not config.tls and host not in _LOOPBACK:
            raise LakehouseError(
                "LAKEHOUSE_SPARK_TOKEN would be sent unencrypted; set LAKEHOUSE_SPARK_TLS=true."
            )
        parameters.append(f"token={config.token.get_secret_value()}")
    if parameters:
        url += ";" + ";".join(parameters)
    session = _build(
        {"spark.remote": url}, f"The Spark Connect server {host}:{port} did not open a session"
    )
    if "delta" not in (session.conf.get("spark.sql.catalog.spark_catalog", "") or "").lower():
        raise LakehouseError(
            f"The Spark Connect server {host}:{port} has no Delta Lake; start it with the jars of "
            "`make spark`, spark.sql.extensions and spark.sql.catalog.spark_catalog set for Delta."
        )
    return session


def _databricks(config: SparkConfig) -> Any:
    try:
        # Its package replaces pyspark, so that the two are never installed together.
        builder = import_module("databricks.connect").DatabricksSession.builder
    except ImportError:
        raise LakehouseError(
            "Databricks Connect is not installed; in an environment without pyspark, "
            "pip install 'lakehouse_assets[databricks]'."
        ) from None
    if config.databricks == "serverless":
        builder = builder.serverless(True)
    else:
        builder = builder.clusterId(config.databricks)
    try:
        return builder.getOrCreate()
    except Exception as error:  # noqa: BLE001 - whatever the error, the remedy is the same
        raise LakehouseError(
            f"Databricks did not open a session ({type(error).__name__}); check DATABRICKS_HOST, "
            "the credentials and LAKEHOUSE_SPARK_DATABRICKS (serverless or the id of a cluster)."
        ) from None


def _build(options: Mapping[str, str], complaint: str) -> Any:
    from dagster_pyspark import LazyPySparkResource

    try:
        session = LazyPySparkResource(spark_config=dict(options)).spark_session
        # A remote session does not connect before its first use.
        session.conf.get("spark.sql.session.timeZone", None)
    except Exception as error:  # noqa: BLE001 - Java's, gRPC's and Spark's errors share no class
        raise LakehouseError(
            f"{complaint} ({_reason(error)}); check its address, token, TLS and memory "
            "(LAKEHOUSE_SPARK_*)."
        ) from None
    return session


def _reason(error: Exception) -> str:
    """Describe an error without the text of the request, which holds the token."""
    # PySpark's errors, which wrap most of gRPC's, have another method for the code than gRPC's.
    for ask in ("getGrpcStatusCode", "code"):
        code = getattr(error, ask, None)
        if callable(code):
            return str(getattr(code(), "name", type(error).__name__))
    return type(error).__name__


def _address(url: str, setting: str, default_port: int) -> tuple[str, int]:
    """Split an address; error messages never repeat it, as it may hold a secret."""
    scheme = "sc" if default_port == _CONNECT_PORT else "spark"
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port or default_port
        more = (parts.username, parts.path.strip("/"), parts.query, parts.fragment)
        sound = parts.scheme == scheme and not any(more)
    except ValueError:
        host, port, sound = None, 0, False
    if not host or not sound:
        raise LakehouseError(
            f"{setting} must have the form {scheme}://<host>:<port>; give the token in "
            "LAKEHOUSE_SPARK_TOKEN and TLS in LAKEHOUSE_SPARK_TLS."
        )
    return host, port


def _reach(host: str, port: int, what: str, setting: str) -> None:
    try:
        socket.create_connection((host, port), timeout=_PATIENCE).close()
    except OSError as error:
        raise LakehouseError(
            f"No {what} answers at {host}:{port} ({error.strerror or error}); start it, or correct "
            f"{setting}."
        ) from None


def _silence() -> None:
    """Keep PySpark from logging the errors that it raises: their texts repeat values of rows."""
    from pyspark.logger import PySparkLogger

    for name in ("DataFrameQueryContextLogger", "SQLQueryContextLogger"):
        PySparkLogger.getLogger(name).disabled = True


def _stop(session: Any) -> None:
    # The JVM or the server may already be gone.
    with suppress(Exception):
        session.stop()
