"""The services of `deploy/` as processes: the units' own commands, on free ports of loopback."""

from __future__ import annotations

import http.client
import os
import re
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import pytest

from lakehouse_assets_tests.airline.samples import REPOSITORY, House, variables_of
from lakehouse_assets_tests.azure.authority import Certificates, make_certificates
from lakehouse_assets_tests.sources.servers import free_port

DEPLOY = REPOSITORY / "deploy"
NAMES = ("dagster.example.com", "analysts.example.com", "mlflow.example.com")
SERVING = "serving.example.com"
_FETCHED = REPOSITORY / ".lakehouse" / "nginx" / "root" / "usr" / "sbin" / "nginx"
_PATIENCE = 200.0


@dataclass
class Services:
    """What runs.

    Attributes:
        folder: Where logs and sockets are.
        certificates: What the proxy shows, and what a client trusts.
        processes: Process of each unit.
        variables: Their environment.
        tls: Port of the proxy for HTTPS.
        plain: Its port for HTTP.
        dagster: Port of the UI for operators.
        analysts: Port of the UI for analysts.
        mlflow: Port of MLflow.
        serving: Port of a model's server.
    """

    folder: Path
    certificates: Certificates
    processes: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)
    variables: dict[str, str] = field(default_factory=dict)
    tls: int = field(default_factory=free_port)
    plain: int = field(default_factory=free_port)
    dagster: int = field(default_factory=free_port)
    analysts: int = field(default_factory=free_port)
    mlflow: int = field(default_factory=free_port)
    serving: int = field(default_factory=free_port)

    @property
    def workspace(self) -> Path:
        """File that names the code location."""
        return self.folder / "workspace.yaml"

    def placed(self, text: str) -> str:
        """Put free ports and the tests' folder in the place of those of an example."""
        ports = {3000: self.dagster, 3001: self.analysts, 5000: self.mlflow, 5001: self.serving}
        text = re.sub(r"(?<=[ :])(300[01]|500[01])\b", lambda m: str(ports[int(m[0])]), text)
        text = text.replace("listen 443", f"listen 127.0.0.1:{self.tls}")
        text = text.replace("listen 80", f"listen 127.0.0.1:{self.plain}")
        text = text.replace("/opt/lakehouse/.venv/bin", str(Path(sys.executable).parent))
        for folder in ("/etc/nginx/lakehouse", "/run/lakehouse", "/opt/lakehouse/deploy"):
            text = text.replace(folder, str(self.folder))
        return text

    def tls_socket(self, name: str) -> ssl.SSLSocket:
        """Connect to the proxy as a client that asks for a name."""
        context = ssl.create_default_context(cafile=str(self.certificates.authority))
        raw = socket.create_connection(("127.0.0.1", self.tls), timeout=60)
        try:
            return context.wrap_socket(raw, server_hostname=name)
        except OSError:
            raw.close()
            raise

    def ask(
        self, name: str, path: str = "/", body: bytes | None = None, *, sni: str = "",
        headers: Mapping[str, str] | None = None, method: str = "",
    ) -> tuple[int, str]:  # fmt: skip
        """Send a request through the proxy; return the status and the answer's text."""
        connection = http.client.HTTPSConnection("127.0.0.1", self.tls)
        connection.sock = self.tls_socket(sni or name)
        return _answer(connection, name, path, body, headers or {}, method)

    def ask_plainly(self, port: int, name: str) -> tuple[int, str]:
        """Send a request without TLS to a port of loopback."""
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        return _answer(connection, name, "/", None, {}, "")


def _answer(
    connection: http.client.HTTPConnection, name: str, path: str, body: bytes | None,
    headers: Mapping[str, str], method: str,
) -> tuple[int, str]:  # fmt: skip
    try:
        connection.putrequest(
            method or ("POST" if body is not None else "GET"), path,
            skip_host=True, skip_accept_encoding=True,
        )  # fmt: skip
        length = {} if body is None else {"Content-Length": str(len(body))}
        for header, value in {"Host": name, **length, **headers}.items():
            connection.putheader(header, value)
        connection.endheaders(body)
        answer = connection.getresponse()
        return answer.status, "" if answer.status == 101 else answer.read().decode()
    finally:
        connection.close()


def unit_command(unit: str) -> str:
    """Return the command of a unit of systemd."""
    text = (DEPLOY / "systemd" / f"lakehouse-{unit}.service").read_text(encoding="utf-8")
    found = re.search(r"^ExecStart=(.*)$", text, re.MULTILINE)
    assert found, unit
    return found[1]


def nginx() -> Path:
    """Return the proxy's program, or skip the test."""
    found = _FETCHED if _FETCHED.exists() else shutil.which("nginx", path="/usr/sbin:/usr/bin")
    if not found:
        pytest.skip("nginx is not there, so the proxy is not tested: make nginx")
    return Path(found)


@contextmanager
def running(
    house: House, folder: Path, *units: str, passwords: Mapping[str, str] | None = None,
    **variables: str,
) -> Iterator[Services]:  # fmt: skip
    """Start units of `deploy/systemd` by their own commands, and with passwords the proxy.

    Args:
        house: Its settings are theirs.
        folder: Where they keep what they keep.
        units: Which, in order.
        passwords: Content of each file of passwords, by the file's name.
        variables: More of their environment.
    """
    services = Services(folder, make_certificates(folder, (*NAMES, SERVING)))
    ports = {
        "nginx": services.tls, "dagster": services.dagster, "analysts": services.analysts,
        "mlflow": services.mlflow,
    }  # fmt: skip
    ready = {unit: partial(listens, port) for unit, port in ports.items()}
    ready["code"] = (folder / "code.sock").exists
    workspace = (DEPLOY / "workspace.yaml").read_text(encoding="utf-8")
    services.workspace.write_text(services.placed(workspace), encoding="utf-8")
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("LAKEHOUSE_", "DAGSTER_"))}
    services.variables = {
        **clean, **variables_of(house), "DAGSTER_HOME": str(house.settings.dagster_home),
        "MLFLOW_BACKEND_STORE_URI": house.settings.mlflow_uri,
        "MLFLOW_ARTIFACTS_DESTINATION": str(folder / "artifacts"),
        "MLFLOW_DISABLE_TELEMETRY": "true", "DO_NOT_TRACK": "1",
        "DAGSTER_EVENT_BATCH_SIZE": "1000", **variables,
    }  # fmt: skip
    commands = {unit: services.placed(unit_command(unit)).split() for unit in units}
    if passwords is not None:
        _configure_nginx(services, passwords)
        commands["nginx"] = [str(nginx()), "-p", str(folder), "-c", str(folder / "nginx.conf")]
    with ExitStack() as stack:
        stack.callback(lambda: _end(services.processes.values()))
        for unit, command in commands.items():
            if unit not in {"code", "mlflow", "nginx"}:
                _wait(services, "code", ready["code"])
            log = stack.enter_context((folder / f"{unit}.log").open("w"))
            services.processes[unit] = subprocess.Popen(
                command, env=services.variables, cwd=folder, stdout=log, stderr=log,
                start_new_session=True,
            )  # fmt: skip
        for unit in commands.keys() & ready.keys():
            _wait(services, unit, ready[unit])
        yield services


def _configure_nginx(services: Services, passwords: Mapping[str, str]) -> None:
    """Write the example with the tests' ports and folder, and what Debian has around it."""
    folder = services.folder
    text = services.placed((DEPLOY / "nginx" / "lakehouse.conf").read_text(encoding="utf-8"))
    (folder / "lakehouse.conf").write_text(text, encoding="utf-8")
    (folder / "certificate.pem").write_bytes(services.certificates.certificate.read_bytes())
    (folder / "key.pem").write_bytes(services.certificates.key.read_bytes())
    for name, content in passwords.items():
        (folder / name).write_text(content, encoding="utf-8")
    temporary = "".join(
        f"  {kind}_temp_path {folder}/temporary-{kind};\n"
        for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    # Its workers may not enter pytest's folders as anybody else.
    user = "" if os.getuid() else "user root root;\n"
    (folder / "nginx.conf").write_text(
        f"daemon off;\nworker_processes 1;\n{user}pid {folder}/nginx.pid;\nerror_log stderr;\n"
        f"events {{}}\nhttp {{\n  access_log off;\n{temporary}  include lakehouse.conf;\n}}\n",
        encoding="utf-8",
    )


def listens(port: int, address: str = "127.0.0.1") -> bool:
    """Say whether somebody listens on a port of an address."""
    with socket.socket() as probe:
        return probe.connect_ex((address, port)) == 0


def _wait(services: Services, unit: str, ready: Callable[[], bool]) -> None:
    ends = time.monotonic() + _PATIENCE
    while not ready():
        if services.processes[unit].poll() is not None or time.monotonic() > ends:
            log = (services.folder / f"{unit}.log").read_text(encoding="utf-8")
            pytest.fail(f"{unit} does not start: {log[-2000:]}")
        time.sleep(0.1)


def _end(processes: Collection[subprocess.Popen[bytes]]) -> None:
    """End processes and what they started, all at once."""
    for kind in (signal.SIGTERM, signal.SIGKILL):
        for process in processes:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, kind)
        with suppress(subprocess.TimeoutExpired):
            for process in processes:
                process.wait(5)
