"""What stands between a user and a Spark session is said in one sentence, before any work."""

from __future__ import annotations

import socket
from importlib import metadata
from pathlib import Path

import pytest
from grpc import StatusCode
from pydantic import SecretStr

from lakehouse_assets.engine import spark_session
from lakehouse_assets.engine.spark_session import (
    SparkConfig,
    check_connect,
    check_java,
    declared_jars,
    find_jars,
    open_session,
)
from lakehouse_assets.errors import LakehouseError
from lakehouse_assets.orchestration.open_lake import spark_config
from lakehouse_assets.orchestration.resources import LakeResource
from lakehouse_assets.settings import Settings, load_settings

SECRET = "dapi-s3cret"  # noqa: S105 - a made-up token


@pytest.fixture
def no_session(monkeypatch):
    """Nothing starts while a mistake is looked for."""

    def start(*_: object) -> None:
        raise AssertionError("a session was started")

    monkeypatch.setattr(spark_session, "_build", start)


@pytest.fixture
def sound(monkeypatch, tmp_path):
    """A machine on which nothing is missing: Java as it is said to be, and a folder of jars."""
    for jar in declared_jars():
        (tmp_path / jar.file_name).touch()
    monkeypatch.setattr(spark_session, "check_java", lambda: None)
    return tmp_path


@pytest.fixture(autouse=True)
def _connect_is_installed(monkeypatch):
    """Spark Connect's packages are an extra; what is tested here does not use them."""
    monkeypatch.setattr(spark_session, "check_connect", lambda: None)


def mistake(config: SparkConfig) -> str:
    with pytest.raises(LakehouseError) as caught:
        open_session(config)
    sentence = str(caught.value)
    assert sentence.endswith(".")
    assert ". " not in sentence
    assert "\n" not in sentence
    assert SECRET not in sentence
    return sentence


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


@pytest.fixture
def listening():
    """A port at which somebody answers, though no Spark."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        yield listener.getsockname()[1]


def java(folder: Path, says: str, code: int = 0) -> Path:
    """Make a Java that says which it is."""
    path = folder / "home" / "bin" / "java"
    path.parent.mkdir(parents=True)
    path.write_text(f"#!/bin/sh\necho '{says}' >&2\nexit {code}\n")
    path.chmod(0o755)
    return folder / "home"


def test_no_java(monkeypatch, tmp_path, no_session):
    monkeypatch.delenv("JAVA_HOME", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    sentence = mistake(SparkConfig(jars=tmp_path))
    assert sentence == (
        "Spark needs Java, but none is on the PATH; install Java 17 or 21, or set JAVA_HOME "
        "to where it is."
    )


@pytest.mark.parametrize(
    ("says", "version"),
    [('openjdk version "11.0.2" 2019-01-15', 11), ('java version "1.8.0_202"', 8)],
)
def test_a_java_of_another_age(monkeypatch, tmp_path, no_session, says, version):
    monkeypatch.setenv("JAVA_HOME", str(java(tmp_path, says)))
    assert f"is Java {version}; install Java 17 or 21" in mistake(SparkConfig(jars=tmp_path))


def test_a_java_that_does_not_run(monkeypatch, tmp_path, no_session):
    monkeypatch.setenv("JAVA_HOME", str(tmp_path / "nowhere"))
    assert "does not run; install Java 17 or 21" in mistake(SparkConfig(jars=tmp_path))
    monkeypatch.setenv("JAVA_HOME", str(java(tmp_path, "no", code=1)))
    assert "does not run; install Java 17 or 21" in mistake(SparkConfig(jars=tmp_path))


@pytest.mark.parametrize("says", ['openjdk version "17.0.15" 2025-04-15', 'java version "21"'])
def test_a_java_that_fits(monkeypatch, tmp_path, says):
    monkeypatch.setenv("JAVA_HOME", str(java(tmp_path, says)))
    check_java()


@pytest.mark.parametrize("package", ["pyspark", "delta-spark"])
@pytest.mark.parametrize("found", ["3.5.1", None])
def test_wrong_versions(monkeypatch, sound, no_session, package, found):
    version = metadata.version

    def other(name: str) -> str:
        if name != package:
            return version(name)
        if found is None:
            raise metadata.PackageNotFoundError(name)
        return found

    monkeypatch.setattr(spark_session.metadata, "version", other)
    sentence = mistake(SparkConfig(jars=sound))
    assert package in sentence
    assert "constraints.txt pins" in sentence
    assert (found or "is not installed") in sentence


def test_the_jars_fit_the_packages():
    """The pins in `pom.xml` are those of the installed packages."""
    spark_session.check_versions()
    jars = {jar.artifact: jar for jar in declared_jars()}
    assert len(jars) == len(declared_jars())
    bundled = Path(__import__("pyspark").__file__).parent / "jars"
    (hadoop,) = bundled.glob("hadoop-client-api-*.jar")
    assert jars["hadoop-azure"].version == hadoop.stem.rpartition("-")[2]
    (jackson,) = bundled.glob("jackson-databind-*.jar")
    assert jars["jackson-datatype-jdk8"].version == jackson.stem.rpartition("-")[2]
    (core,) = bundled.glob("spark-core_*.jar")
    assert jars["spark-sql-kafka-0-10_2.13"].version == core.stem.rpartition("-")[2]
    for jar in jars.values():
        # What pyspark brings along is not brought a second time.
        assert not list(bundled.glob(f"{jar.artifact}-[0-9]*.jar"))


def test_missing_jars(sound, no_session):
    lost = declared_jars()[0].file_name
    (sound / lost).unlink()
    sentence = mistake(SparkConfig(jars=sound))
    assert f"1 of the {len(declared_jars())} jars of Spark are missing in {sound}" in sentence
    assert lost in sentence
    assert "run `make spark` once, or set LAKEHOUSE_SPARK_JARS" in sentence


def test_found_jars_are_those_declared(sound):
    (sound / "stranger-1.0.jar").touch()
    assert [path.name for path in find_jars(sound)] == [jar.file_name for jar in declared_jars()]


@pytest.mark.parametrize("master", ["yarn", "k8s://https://x", "mesos://x", "", "http://x:7077"])
def test_masters_that_are_none(no_session, master):
    assert "use local[*], local[<n>] or spark://<host>:<port>" in mistake(
        SparkConfig(master=master)
    )


def test_a_master_that_does_not_answer(sound, no_session):
    port = free_port()
    sentence = mistake(SparkConfig(master=f"spark://127.0.0.1:{port}", jars=sound))
    assert sentence.startswith(f"No Spark master answers at 127.0.0.1:{port} (")
    assert "LAKEHOUSE_SPARK_MASTER" in sentence


def test_a_server_that_does_not_answer(no_session):
    port = free_port()
    sentence = mistake(SparkConfig(remote=f"sc://127.0.0.1:{port}", token=SecretStr(SECRET)))
    assert sentence.startswith(f"No Spark Connect server answers at 127.0.0.1:{port} (")
    assert "LAKEHOUSE_SPARK_REMOTE" in sentence


@pytest.mark.parametrize(
    "remote",
    [
        f"sc://host:15002/;token={SECRET}", f"sc://{SECRET}@host", "http://host:15002",
        "host:15002", f"sc://host:15002/?token={SECRET}", "sc://", "sc://host:port", f"sc://host/{SECRET}",
    ],
)  # fmt: skip
def test_addresses_that_are_none(no_session, remote):
    sentence = mistake(SparkConfig(remote=remote))
    assert "LAKEHOUSE_SPARK_REMOTE must have the form sc://<host>:<port>" in sentence
    assert "LAKEHOUSE_SPARK_TOKEN" in sentence


def test_a_token_does_not_travel_in_the_open(monkeypatch, no_session):
    monkeypatch.setattr(spark_session, "_reach", lambda *_: None)
    sentence = mistake(SparkConfig(remote="sc://spark.example.org", token=SecretStr(SECRET)))
    assert "LAKEHOUSE_SPARK_TLS=true" in sentence


def test_what_the_session_is_asked_for(monkeypatch, listening):
    asked = {}

    def build(options, complaint):
        asked.update(options)
        raise LakehouseError("Enough.")

    monkeypatch.setattr(spark_session, "_build", build)
    remote = f"sc://127.0.0.1:{listening}"
    for tls, token, want in (
        (False, None, ""),
        (True, None, ";use_ssl=true"),
        (True, SecretStr(SECRET), f";use_ssl=true;token={SECRET}"),
    ):
        with pytest.raises(LakehouseError, match="Enough"):
            open_session(SparkConfig(remote=remote, tls=tls, token=token))
        assert asked == {"spark.remote": f"{remote}/{want}"}


def test_what_a_session_of_our_own_gets(monkeypatch, sound, listening):
    asked = []
    monkeypatch.setattr(spark_session, "default_memory", lambda: "5000m")

    def build(options, complaint):
        asked.append(options)
        raise LakehouseError("Enough.")

    monkeypatch.setattr(spark_session, "_build", build)
    pieces = "spark.sql.files.maxPartitionBytes"
    for config in (
        SparkConfig("local[2]", jars=sound),
        SparkConfig("local[2]", jars=sound, memory="9g", options={pieces: "1"}),
        SparkConfig(f"spark://127.0.0.1:{listening}", jars=sound),
    ):
        with pytest.raises(LakehouseError, match="Enough"):
            open_session(config)
    here, told, cluster = asked
    assert (here["spark.driver.memory"], here[pieces]) == ("5000m", "33554432")
    assert (told["spark.driver.memory"], told[pieces]) == ("9g", "1")
    # Executors have heaps of their own: their pieces are Spark's.
    assert (cluster["spark.driver.memory"], pieces in cluster) == ("5000m", False)


class Coded(Exception):  # noqa: N818 - stands for errors of others
    """An error that tells its gRPC code by a method of that name."""

    def __init__(self, method: str) -> None:
        super().__init__(SECRET)
        setattr(self, method, lambda: StatusCode.UNAUTHENTICATED)


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (ConnectionError(SECRET), "ConnectionError"),
        (Coded("code"), "UNAUTHENTICATED"),
        (Coded("getGrpcStatusCode"), "UNAUTHENTICATED"),
    ],
)
def test_somebody_else_answers(monkeypatch, listening, error, reason):
    class Resource:
        def __init__(self, spark_config):
            assert SECRET in str(spark_config)

        @property
        def spark_session(self):
            raise error

    import dagster_pyspark

    monkeypatch.setattr(dagster_pyspark, "LazyPySparkResource", Resource)
    sentence = mistake(
        SparkConfig(remote=f"sc://127.0.0.1:{listening}", tls=True, token=SecretStr(SECRET))
    )
    assert f"127.0.0.1:{listening} did not open a session ({reason})" in sentence


def test_packages_of_connect_that_are_missing(monkeypatch):
    version = metadata.version

    def missing(name: str) -> str:
        if name == "grpcio-status":
            raise metadata.PackageNotFoundError(name)
        return version(name) if name == "grpcio" else "1.0"

    monkeypatch.setattr(spark_session.metadata, "version", missing)
    with pytest.raises(LakehouseError) as caught:
        check_connect()
    assert str(caught.value) == (
        "Spark Connect needs the package grpcio-status, which is not installed; "
        "pip install 'lakehouse_assets[connect]'."
    )


def test_two_places_at_once(no_session):
    sentence = mistake(SparkConfig(remote="sc://host", databricks="serverless"))
    assert "LAKEHOUSE_SPARK_REMOTE and LAKEHOUSE_SPARK_DATABRICKS" in sentence


def test_databricks_has_a_package_of_its_own(no_session):
    sentence = mistake(SparkConfig(databricks="serverless"))
    assert "pip install 'lakehouse_assets[databricks]'" in sentence


@pytest.fixture
def databricks(monkeypatch):
    """Stand in for the package, which cannot be installed beside pyspark."""
    calls: list[tuple[str, object]] = []

    class Builder:
        def serverless(self, value):
            calls.append(("serverless", value))
            return self

        def clusterId(self, value):  # noqa: N802 - as Databricks calls it
            calls.append(("cluster", value))
            return self

        def getOrCreate(self):  # noqa: N802 - as Databricks calls it
            raise ValueError(f"cannot configure default credentials {SECRET}")

    class Module:
        class DatabricksSession:
            builder = Builder()

    monkeypatch.setattr(spark_session, "import_module", lambda _: Module)
    return calls


@pytest.mark.parametrize(
    ("name", "call"),
    [("serverless", ("serverless", True)), ("0123-456789-abc", ("cluster", "0123-456789-abc"))],
)
def test_databricks_that_gives_none(databricks, name, call):
    sentence = mistake(SparkConfig(databricks=name))
    assert sentence.startswith(
        "Databricks did not open a session (ValueError); check DATABRICKS_HOST"
    )
    assert databricks == [call]


def test_what_databricks_does_not_see_is_refused_before_it_is_asked():
    lake = LakeResource(root="/lake", engine="spark", spark_databricks="serverless")
    with pytest.raises(LakehouseError, match="Databricks cannot read folders of this machine"):
        lake.open()
    with pytest.raises(LakehouseError, match="load bronze with LAKEHOUSE_ENGINE=duckdb"):
        lake.check_reads_files()
    LakeResource(root="/lake", spark_databricks="serverless").check_reads_files()


def test_every_setting_reaches_the_lake():
    given = Settings(
        engine="spark", spark_master="spark://h:1", spark_remote="sc://h", spark_tls=True,
        spark_databricks="serverless", spark_jars=Path("/jars"), spark_memory="9g",
        spark_options={"a": "b"}, memory_limit="1GB", threads=3,
    )  # fmt: skip
    found = LakeResource.of(given).model_dump()
    wanted = given.model_dump(exclude={"spark_token"}, exclude_none=True)
    assert {name for name in wanted if name.startswith("spark_")} < set(found)
    for name in wanted.keys() & found.keys():
        assert str(found[name]) == str(wanted[name])


def test_secrets_are_not_shown(monkeypatch):
    monkeypatch.setenv("LAKEHOUSE_SPARK_TOKEN", SECRET)
    settings = load_settings()
    assert settings.spark_token is not None
    assert SECRET not in repr(settings)
    assert SECRET not in repr(SparkConfig(token=settings.spark_token))
    resource = LakeResource(root="/nowhere", engine="spark", spark_remote="sc://host")
    assert SECRET not in repr(resource)
    assert "spark_token" not in LakeResource.model_fields
    assert spark_config(resource).token == settings.spark_token


def test_settings_of_spark(monkeypatch, tmp_path):
    values = {
        "ENGINE": "spark", "SPARK_MASTER": "local[3]", "SPARK_JARS": str(tmp_path),
        "SPARK_MEMORY": "3g", "SPARK_TLS": "true", "SPARK_OPTIONS": '{"spark.cores.max": "2"}',
    }  # fmt: skip
    for name, value in values.items():
        monkeypatch.setenv(f"LAKEHOUSE_{name}", value)
    settings = load_settings()
    assert settings == Settings(
        engine="spark", spark_master="local[3]", spark_jars=tmp_path, spark_memory="3g",
        spark_tls=True, spark_options={"spark.cores.max": "2"},
    )  # fmt: skip
    monkeypatch.setenv("LAKEHOUSE_ENGINE", "spork")
    with pytest.raises(LakehouseError, match="LAKEHOUSE_ENGINE cannot be used"):
        load_settings()
