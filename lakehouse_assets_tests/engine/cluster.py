"""A Spark cluster on this machine: a standalone master, two workers and a Spark Connect server."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from lakehouse_assets_tests.engine.small import INTERPRETED, JAVA, SMALL

LOOPBACK = "127.0.0.1"
WORKERS = 2
# For tables of some thousand rows on two workers with one core each.
SPREAD = {
    **SMALL,
    # Users have it; a table's log is read in as many parts as there are workers.
    "spark.sql.adaptive.enabled": "true",
    "spark.databricks.delta.snapshotPartitions": "2",
    "spark.executor.memory": "800m",
    "spark.executor.extraJavaOptions": JAVA,
    "spark.pyspark.python": sys.executable,
}
_PATIENCE = 120.0


@dataclass
class Cluster:
    """A standalone master with two workers of one core each; ends with the `with` block.

    Attributes:
        folder: Where logs and what workers spill go.
        jars: The jars that `make spark` fetched.
    """

    folder: Path
    jars: Sequence[Path]
    master: str = ""
    _parts: ExitStack = field(default_factory=ExitStack)

    def __enter__(self) -> Cluster:
        """Start master and workers and wait until they know each other."""
        port, page = free_port(), free_port()
        self.master = f"spark://{LOOPBACK}:{port}"
        place = ["--host", LOOPBACK, "--webui-port"]
        try:
            self._start("master", "deploy.master.Master", *place, str(page), "--port", str(port))
            self._wait("master", lambda: _answers(port))
            for number in range(1, WORKERS + 1):
                work = str(self.folder / f"worker-{number}")
                size = ["--cores", "1", "--memory", "1g", "--work-dir", work]
                name = f"worker-{number}"
                self._start(name, "deploy.worker.Worker", *place, "0", *size, self.master)
            self._wait("master", lambda: _workers(page) == WORKERS)
        except BaseException:
            self._parts.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        """End every process."""
        self._parts.close()

    @contextmanager
    def connect_server(self, token: str) -> Iterator[str]:
        """Run a Spark Connect server with Delta Lake on the cluster; gives its address.

        Args:
            token: What clients have to know.
        """
        port = free_port()
        options = {
            **SPREAD,
            # Compiled code runs on the workers in the standalone test.
            **INTERPRETED,
            "spark.master": self.master,
            "spark.jars": ",".join(map(str, self.jars)),
            "spark.connect.grpc.binding.address": LOOPBACK,
            "spark.connect.grpc.binding.port": str(port),
            "spark.driver.bindAddress": LOOPBACK,
            "spark.driver.host": LOOPBACK,
            "spark.ui.enabled": "false",
            "spark.sql.catalogImplementation": "in-memory",
            "spark.sql.warehouse.dir": str(self.folder / "warehouse"),
            "spark.sql.extensions": "io.delta.sql.DeltaSparkSessionExtension",
            "spark.sql.catalog.spark_catalog": "org.apache.spark.sql.delta.catalog.DeltaCatalog",
        }
        with ExitStack() as part:
            given = [word for name, value in options.items() for word in _option(name, value)]
            server = "org.apache.spark.sql.connect.service.SparkConnectServer"
            secret = {"SPARK_CONNECT_AUTHENTICATE_TOKEN": token}
            self._run(part, "connect", "spark-submit", "--class", server, *given, **secret)
            self._wait("connect", lambda: _answers(port))
            # The client sends a token without TLS to this name only.
            yield f"sc://localhost:{port}"

    def log(self, name: str) -> str:
        """Return the end of what a process said."""
        return (self.folder / f"{name}.log").read_text(errors="replace")[-3000:]

    def _start(self, name: str, main: str, *arguments: str) -> None:
        self._run(self._parts, name, "spark-class", f"org.apache.spark.{main}", *arguments)

    def _run(
        self, stack: ExitStack, name: str, script: str, *arguments: str, **secrets: str
    ) -> None:
        import pyspark

        home = Path(pyspark.__file__).parent
        # Whatever a user has set for clusters of their own is not for this one.
        clean = {name: value for name, value in os.environ.items() if name[:6] != "SPARK_"}
        variables = {
            "SPARK_HOME": str(home),
            "PYSPARK_PYTHON": sys.executable,
            "SPARK_LOCAL_IP": LOOPBACK,
            "SPARK_LOCAL_DIRS": str(self.folder / "spill"),
            "SPARK_DAEMON_JAVA_OPTS": JAVA,
            # Jobs come from sessions; a second way in would need a port of its own.
            "SPARK_MASTER_OPTS": "-Dspark.master.rest.enabled=false",
        }
        log = stack.enter_context((self.folder / f"{name}.log").open("wb"))
        stack.enter_context(
            family(
                ["bash", str(home / "bin" / script), *arguments],
                {**clean, **variables, **secrets},
                log,
            )
        )

    def _wait(self, name: str, ready: Callable[[], bool]) -> None:
        until = time.monotonic() + _PATIENCE
        while not ready():
            if time.monotonic() > until:
                raise TimeoutError(f"{name} is not there after {_PATIENCE:g} s:\n{self.log(name)}")
            time.sleep(0.2)


@contextmanager
def family(
    command: Sequence[str], variables: Mapping[str, str], output: BinaryIO
) -> Iterator[subprocess.Popen[bytes]]:
    """Run a command in a process group of its own; all of the group ends with the block."""
    process = subprocess.Popen(
        command,
        env=dict(variables),
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    try:
        yield process
    finally:
        for signum in (signal.SIGTERM, signal.SIGKILL):
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signum)
            with suppress(subprocess.TimeoutExpired):
                process.wait(10)


def free_port() -> int:
    """Find a port on which nobody listens."""
    with socket.socket() as listener:
        listener.bind((LOOPBACK, 0))
        return int(listener.getsockname()[1])


def _option(name: str, value: str) -> tuple[str, str]:
    return "--conf", f"{name}={value}"


def _answers(port: int) -> bool:
    with suppress(OSError), socket.create_connection((LOOPBACK, port), timeout=1):
        return True
    return False


def _workers(page: int) -> int:
    """Ask the master how many workers it has."""
    state = f"http://{LOOPBACK}:{page}/json/"
    with suppress(OSError, ValueError), urllib.request.urlopen(state, timeout=5) as answer:
        return int(json.load(answer)["aliveworkers"])
    return 0
