"""Addresses of Kafka and Azure Event Hubs, and what librdkafka needs to log in there."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

from pydantic import SecretStr

from lakehouse_assets.errors import LakehouseError
from lakehouse_assets.storage.access import AUTHORITY_VARIABLE
from lakehouse_assets.storage.identity import Identity
from lakehouse_assets.storage.tokens import token_of

_HOST = r"(?:[\w.-]+|\[[\da-fA-F:]+\])(?::\d{1,5})?"
_ADDRESS = re.compile(
    r"(?P<scheme>kafka|kafka\+ssl|eventhubs)://(?:(?P<user>[^@/:?,]+)@)?"
    rf"(?P<hosts>{_HOST}(?:,{_HOST})*)/?(?:\?mechanism=(?P<mechanism>[\w-]+))?",
    re.ASCII,
)
_MECHANISMS: Final = ("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512")
_EVENT_HUBS_PORT: Final = 9093


@dataclass(frozen=True)
class KafkaAddress:
    """Where a broker is, and how to log in.

    Attributes:
        variable: Variable that holds the address.
        kind: `kafka` or `eventhubs`.
        hosts: Hosts with ports, separated by commas.
        user: User of SASL; None without SASL, and where tokens are used.
        password: Password, or connection string of Event Hubs.
        mechanism: Mechanism of SASL.
        encrypted: Whether TLS is used.
        identity: Identity whose tokens are used; None where a password is, or nothing.
    """

    variable: str
    kind: str
    hosts: str
    user: str | None = None
    password: SecretStr | None = field(default=None, repr=False)
    mechanism: str = "PLAIN"
    encrypted: bool = False
    identity: Identity | None = None

    @property
    def place(self) -> str:
        """Kind and hosts, for messages."""
        return f"{'Event Hubs' if self.kind == 'eventhubs' else 'Kafka'} at {self.hosts}"

    def options(self, failed: Callable[[LakehouseError], None]) -> dict[str, Any]:
        """Return librdkafka's options, with the secret in plain text.

        Args:
            failed: Called when a token cannot be renewed, on a thread of librdkafka.

        Raises:
            LakehouseError: there is no token.
        """
        options: dict[str, Any] = {"bootstrap.servers": self.hosts}
        if self.encrypted and (authority := os.environ.get("SSL_CERT_FILE")):
            options["ssl.ca.location"] = authority
        options["security.protocol"] = self._protocol
        if self.password is not None:
            options["sasl.mechanism"] = self.mechanism
            options["sasl.username"] = self.user
            options["sasl.password"] = self.password.get_secret_value()
        if self.identity is not None:
            options["sasl.mechanism"] = "OAUTHBEARER"
            # Before librdkafka waits for it.
            self._token(failed)
            options["oauth_cb"] = lambda _: self._token(failed)
        return options

    def spark_options(self) -> dict[str, str]:
        """Return the options of Spark's own client, with the secret in plain text.

        Raises:
            LakehouseError: the login needs tokens, which Spark's client does not support without
                additional Java code.
        """
        if self.identity is not None:
            raise LakehouseError(
                "Spark needs a connection string to read Event Hubs; set "
                f"{self.variable}_PASSWORD, or read the stream with LAKEHOUSE_ENGINE=duckdb."
            )
        options = {
            "kafka.bootstrap.servers": self.hosts,
            "kafka.security.protocol": self._protocol,
            "kafka.isolation.level": "read_committed",
        }
        if self.encrypted and (authority := os.environ.get("SSL_CERT_FILE")):
            options["kafka.ssl.truststore.type"] = "PEM"
            options["kafka.ssl.truststore.location"] = authority
        if self.password is not None:
            module = "plain.Plain" if self.mechanism == "PLAIN" else "scram.Scram"
            login = {"username": self.user, "password": self.password.get_secret_value()}
            written = " ".join(f"{name}={json.dumps(value)}" for name, value in login.items())
            options["kafka.sasl.mechanism"] = self.mechanism
            options["kafka.sasl.jaas.config"] = (
                f"org.apache.kafka.common.security.{module}LoginModule required {written};"
            )
        return options

    @property
    def _protocol(self) -> str:
        sasl = self.password is not None or self.identity is not None
        return ("SASL_" if sasl else "") + ("SSL" if self.encrypted else "PLAINTEXT")

    def _token(self, failed: Callable[[LakehouseError], None]) -> tuple[str, float]:
        """Return a token for the namespace, and when it expires."""
        assert self.identity is not None  # noqa: S101 - for the type checker
        host = self.hosts.partition(":")[0]
        given = os.environ.get(AUTHORITY_VARIABLE, "").removeprefix("https://").strip("/")
        login = given or "login.microsoftonline.com"
        try:
            token = token_of(self.identity, login, f"https://{host}/.default")
        except LakehouseError as error:
            failed(error)
            raise
        return token.token, float(token.expires_on)


def parse(variable: str, text: str, password: str | None, identity: Identity) -> KafkaAddress:
    """Parse an address; no message repeats it, since it may contain a secret in the wrong place.

    Args:
        variable: Variable that holds the address.
        text: The address.
        password: Password or connection string, if there is one.
        identity: The lake's identity, for Event Hubs without a connection string.

    Raises:
        LakehouseError: the address cannot be used, or a password is missing or not expected.
    """
    found = _ADDRESS.fullmatch(text)
    if found is None:
        raise LakehouseError(
            f"The address in {variable} is not valid; write it as kafka://host:port, "
            "kafka+ssl://user@host:port, eventhubs://<namespace>.servicebus.windows.net or a "
            f"folder, and put the password in {variable}_PASSWORD."
        )
    secret = None if password is None else SecretStr(password)
    kind, hosts, user = found["scheme"], found["hosts"], found["user"]
    if kind == "eventhubs":
        return _event_hubs(variable, hosts, secret, identity)
    mechanism = found["mechanism"] or "PLAIN"
    if mechanism not in _MECHANISMS:
        raise LakehouseError(
            f"The mechanism in {variable} is unknown; use one of {', '.join(_MECHANISMS)}."
        )
    if (user is None) != (secret is None):
        raise LakehouseError(
            f"Logging in to the broker in {variable} needs a user and a password; write the user "
            f"as kafka+ssl://user@host:port, and put the password in {variable}_PASSWORD."
        )
    encrypted = kind == "kafka+ssl"
    if secret is not None and not encrypted:
        raise LakehouseError(
            f"The address in {variable} would send the password unencrypted; begin it with "
            "kafka+ssl://."
        )
    return KafkaAddress(variable, "kafka", hosts, user, secret, mechanism, encrypted)


def _event_hubs(
    variable: str, hosts: str, secret: SecretStr | None, identity: Identity
) -> KafkaAddress:
    if not re.search(r":\d+$", hosts):
        hosts = f"{hosts}:{_EVENT_HUBS_PORT}"
    if secret is None:
        resolved = identity.resolved()
        if not resolved.gets_tokens:
            raise LakehouseError(
                f"Event Hubs does not accept an identity of kind {resolved.kind}; set "
                f"{variable}_PASSWORD to the connection string, or use an Entra identity."
            )
        return KafkaAddress(variable, "eventhubs", hosts, encrypted=True, identity=resolved)
    if not secret.get_secret_value().startswith("Endpoint=sb://"):
        raise LakehouseError(
            f"{variable}_PASSWORD is not an Event Hubs connection string; copy that of a policy "
            "with the Listen permission, which begins with Endpoint=sb://."
        )
    return KafkaAddress(variable, "eventhubs", hosts, "$ConnectionString", secret, encrypted=True)
