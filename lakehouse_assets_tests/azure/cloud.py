"""Azurite, the stub of Entra and the proxy as one thing that tests talk to."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import os
import shutil
import socket
import ssl
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from lakehouse_assets import clock
from lakehouse_assets_tests.azure.authority import Certificates, make_certificates
from lakehouse_assets_tests.azure.entra import LOGIN_HOSTS, make_token

ACCOUNT = "lakeacc01"
# Azurite's accounts have keys; these are well known and worth nothing.
KEY = "bGFrZWhvdXNlLWFzc2V0cy10ZXN0LWtleS1vZi1ubw=="
ONELAKE_HOST = "onelake.blob.fabric.microsoft.com"
SUFFIXES = ("core.windows.net", "core.usgovcloudapi.net", "core.chinacloudapi.cn")
HOSTS = (
    *(f"{ACCOUNT}.blob.{suffix}" for suffix in SUFFIXES), ONELAKE_HOST, *LOGIN_HOSTS,
)  # fmt: skip
INSTALLED = Path(__file__).parents[2] / ".lakehouse" / "azurite"
_PATIENCE = 30.0


class MissingError(Exception):
    """Something that cannot be had here; the message says what and how to get it."""


@dataclass(frozen=True)
class Cloud:
    """Everything a client needs to find the stores of the tests under their real names.

    Attributes:
        folder: Where certificates and secrets lie.
        proxy: Address of the proxy.
        port: Port of Azurite, for those who go there directly.
        certificates: The authority and its certificate.
    """

    folder: Path
    proxy: str
    port: int
    certificates: Certificates

    @property
    def variables(self) -> dict[str, str]:
        """The environment in which every client goes through the proxy and trusts it."""
        trusted = str(self.certificates.authority)
        return {
            "HTTPS_PROXY": self.proxy, "https_proxy": self.proxy,
            "HTTP_PROXY": "", "http_proxy": "", "NO_PROXY": "127.0.0.1", "no_proxy": "127.0.0.1",
            "SSL_CERT_FILE": trusted, "REQUESTS_CA_BUNDLE": trusted, "CURL_CA_INFO": trusted,
        }  # fmt: skip

    def order(self, name: str, body: Any = None) -> Any:
        """Give the proxy an order and return its answer."""
        data = json.dumps(body).encode()
        request = urllib.request.Request(f"{self.proxy}/control/{name}", data)  # noqa: S310
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(request, timeout=10) as answer:
            return json.load(answer)

    def reset(self) -> None:
        """Forget what was counted and broken."""
        self.order("reset")

    def fault(self, target: str, **how: Any) -> None:
        """Have requests fail; the fields are those of `proxy.Fault`."""
        self.order("fault", {"target": target, **how})

    def requests(self) -> list[dict[str, Any]]:
        """Return what came through since the last reset."""
        found: list[dict[str, Any]] = self.order("requests")
        return found

    def container(self, name: str, account: str = ACCOUNT) -> None:
        """Make a container, past the proxy."""
        self.ask("PUT", f"/{account}/{name}?restype=container")

    def ask(self, method: str, target: str) -> bytes:
        """Send a request to Azurite itself."""
        headers = {"Authorization": f"Bearer {make_token(600)}", "x-ms-version": "2021-12-02"}
        request = urllib.request.Request(
            f"https://127.0.0.1:{self.port}{target}", method=method, headers=headers
        )
        handler = urllib.request.HTTPSHandler(
            context=ssl.create_default_context(cafile=self.certificates.authority)
        )
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), handler)
        with opener.open(request, timeout=10) as answer:
            return bytes(answer.read())


@contextmanager
def running_cloud(folder: Path) -> Iterator[Cloud]:
    """Start Azurite and the proxy; they end with the block, or with this process.

    Raises:
        MissingError: Node.js or Azurite is not installed.
    """
    if shutil.which("node") is None:
        raise MissingError("Node.js is not installed, which Azurite needs")
    installed = Path(os.environ.get("LAKEHOUSE_AZURITE") or INSTALLED)
    program = installed / "node_modules" / ".bin" / "azurite-blob"
    if not program.exists():
        raise MissingError("Azurite is not installed; run `make azurite`")
    certificates = make_certificates(folder, HOSTS)
    port = _free_port()
    azurite = subprocess.Popen(
        [
            program, "--blobHost", "127.0.0.1", "--blobPort", str(port), "--silent",
            "--disableTelemetry", "--skipApiVersionCheck", "--inMemoryPersistence",
            "--oauth", "basic", "--cert", certificates.certificate, "--key", certificates.key,
        ],
        env={**os.environ, "AZURITE_ACCOUNTS": f"{ACCOUNT}:{KEY};onelake:{KEY}"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        cwd=folder,
    )  # fmt: skip
    try:
        proxy = subprocess.Popen(
            [sys.executable, "-m", "lakehouse_assets_tests.azure.proxy", folder, str(port)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        try:
            assert proxy.stdout is not None
            address = f"http://127.0.0.1:{int(proxy.stdout.readline())}"
            cloud = Cloud(folder, address, port, certificates)
            _wait_for(port, azurite)
            yield cloud
        finally:
            proxy.kill()
            proxy.communicate()
    finally:
        azurite.kill()
        azurite.wait()


def _wait_for(port: int, process: subprocess.Popen[Any]) -> None:
    until = time.monotonic() + _PATIENCE
    while time.monotonic() < until and process.poll() is None:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            time.sleep(0.05)
        else:
            return
    raise MissingError("Azurite does not answer")


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def account_signature(seconds: int = 3600) -> str:
    """Make a shared access signature of the account that is good for everything, for a time."""
    until = (clock.now() + timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%SZ")
    fields = {"sv": "2021-12-02", "ss": "b", "srt": "sco", "sp": "rwdlac", "se": until}
    text = "\n".join(
        [
            ACCOUNT,
            fields["sp"],
            fields["ss"],
            fields["srt"],
            "",
            until,
            "",
            "",
            fields["sv"],
            "",
            "",
        ]
    )
    digest = hmac.new(base64.b64decode(KEY), text.encode(), hashlib.sha256).digest()
    return urlencode({**fields, "sig": base64.b64encode(digest).decode()})
