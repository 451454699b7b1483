"""A broker of Kafka on loopback, with a listener in the shape of Azure Event Hubs."""

from __future__ import annotations

import logging
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from confluent_kafka import KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewPartitions, NewTopic

from lakehouse_assets_tests.airline.samples import REPOSITORY
from lakehouse_assets_tests.azure.authority import Certificates, make_certificates
from lakehouse_assets_tests.sources.servers import MissingError, free_port

JARS = REPOSITORY / ".lakehouse" / "kafka"
SECRET = "b25lYnJva2Vy"  # noqa: S105 - of a broker of the tests
CONNECTION_STRING = f"Endpoint=sb://localhost/;SharedAccessKeyName=listen;SharedAccessKey={SECRET};"
_LOG = logging.getLogger("confluent_kafka.test")
_LOG.addHandler(logging.NullHandler())
_PATIENCE = 90.0
_JAVA = ("-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-Xmx320m", "-Xshare:auto")
_LOGIN = "org.apache.kafka.common.security"


@dataclass
class Broker:
    """A broker, its ports, and what its clients trust.

    Attributes:
        folder: Where its messages and its log are.
        certificates: What the encrypted listener shows.
        port: Port without encryption or login.
        encrypted: Port with SASL_SSL.
    """

    folder: Path
    certificates: Certificates
    port: int = field(default_factory=free_port)
    encrypted: int = field(default_factory=free_port)
    _control: int = field(default_factory=free_port)
    _process: subprocess.Popen[bytes] | None = None

    @property
    def address(self) -> str:
        """Host and port without encryption."""
        return f"127.0.0.1:{self.port}"

    @cached_property
    def admin(self) -> AdminClient:
        """A client that makes topics."""
        return AdminClient({"bootstrap.servers": self.address}, logger=_LOG)

    def prepare(self) -> None:
        """Write the settings and format the folder of messages."""
        shown = self.folder / "shown.pem"
        keys = (self.certificates.key, self.certificates.certificate)
        shown.write_bytes(b"".join(path.read_bytes() for path in keys))
        plain = f'{_LOGIN}.plain.PlainLoginModule required user_$ConnectionString="%s";'
        token = (
            f"{_LOGIN}.oauthbearer.OAuthBearerLoginModule required "
            'unsecuredLoginStringClaim_sub="x";'
        )
        settings = {
            "process.roles": "broker,controller",
            "node.id": 1,
            "controller.quorum.voters": f"1@127.0.0.1:{self._control}",
            "listeners": f"PLAINTEXT://{self.address},TLS://127.0.0.1:{self.encrypted},"
            f"CONTROLLER://127.0.0.1:{self._control}",
            "advertised.listeners": f"PLAINTEXT://{self.address},TLS://localhost:{self.encrypted}",
            "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,TLS:SASL_SSL,"
            "CONTROLLER:PLAINTEXT",
            "controller.listener.names": "CONTROLLER",
            "inter.broker.listener.name": "PLAINTEXT",
            "listener.name.tls.sasl.enabled.mechanisms": "PLAIN,OAUTHBEARER",
            "listener.name.tls.plain.sasl.jaas.config": plain % CONNECTION_STRING,
            "listener.name.tls.oauthbearer.sasl.jaas.config": token,
            "listener.name.tls.ssl.keystore.type": "PEM",
            "listener.name.tls.ssl.keystore.location": shown,
            "log.dirs": self.folder / "messages",
            "offsets.topic.replication.factor": 1,
            "offsets.topic.num.partitions": 1,
            "transaction.state.log.replication.factor": 1,
            "transaction.state.log.min.isr": 1,
            "transaction.state.log.num.partitions": 1,
            "share.coordinator.state.topic.replication.factor": 1,
            "share.coordinator.state.topic.min.isr": 1,
            "group.initial.rebalance.delay.ms": 0,
            # After a kill it waits until it is taken for gone.
            "broker.session.timeout.ms": 1000,
            "broker.heartbeat.interval.ms": 200,
            "auto.create.topics.enable": "false",
        }
        lines = "".join(f"{name}={value}\n" for name, value in settings.items())
        (self.folder / "server.properties").write_text(lines)
        with (self.folder / "log").open("ab") as log:
            subprocess.run(
                self._java("kafka.tools.StorageTool", "format", "-t", "MkU3OEVBNTcwNTJENDM2Qg",
                           "-c", "server.properties"),
                cwd=self.folder, stdout=log, stderr=log, check=True, timeout=_PATIENCE,
            )  # fmt: skip

    def start(self) -> None:
        """Start it, and wait until it answers."""
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                self._java("kafka.Kafka", "server.properties"),
                cwd=self.folder, stdout=log, stderr=log,
            )  # fmt: skip
        ends = time.monotonic() + _PATIENCE
        while True:
            try:
                self.admin.list_topics(timeout=2)
                return
            except KafkaException:
                if self._process.poll() is not None or time.monotonic() > ends:
                    told = (self.folder / "log").read_text()[-2000:]
                    raise RuntimeError(f"Kafka does not start: {told}") from None

    def kill(self) -> None:
        """End it as a power failure does."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def make_topic(self, name: str, partitions: int = 1, **settings: str) -> None:
        """Make a topic."""
        options = {key.replace("_", "."): value for key, value in settings.items()}
        topic = NewTopic(name, partitions, replication_factor=1, config=options)
        self._done(self.admin.create_topics([topic]))

    def delete_topic(self, name: str) -> None:
        """Delete a topic."""
        self._done(self.admin.delete_topics([name]))

    def add_partitions(self, name: str, total: int) -> None:
        """Give a topic more partitions."""
        self._done(self.admin.create_partitions([NewPartitions(name, total)]))
        # The broker itself knows them a little later.
        while len(self.admin.list_topics(name, 10).topics[name].partitions) < total:
            time.sleep(0.05)

    def delete_before(self, name: str, partition: int, offset: int) -> None:
        """Delete the messages before an offset, as retention does."""
        self._done(self.admin.delete_records([TopicPartition(name, partition, offset)]))

    def producer(self, **options: Any) -> Producer:
        """Return a client that sends."""
        named = {key.replace("_", "."): value for key, value in options.items()}
        return Producer({"bootstrap.servers": self.address, "linger.ms": 5, **named}, logger=_LOG)

    def send(self, topic: str, values: Sequence[bytes], partition: int = 0) -> None:
        """Send messages, and wait until they are there."""
        producer = self.producer()
        for value in values:
            producer.produce(topic, value, partition=partition)
            producer.poll(0)
        if producer.flush(30):
            raise RuntimeError("messages were not sent")

    def _java(self, *arguments: str) -> list[str]:
        return ["java", *_JAVA, "-cp", f"{JARS}/*", *arguments]

    @staticmethod
    def _done(futures: dict[Any, Any]) -> None:
        for future in futures.values():
            future.result(timeout=30)


@contextmanager
def running_broker() -> Iterator[Broker]:
    """Run a broker for the time of the block.

    Raises:
        MissingError: Java or the jars are not there.
    """
    if not (JARS / ".ready").exists():
        raise MissingError("Kafka is not there; run `make kafka`")
    if shutil.which("java") is None:
        raise MissingError("Java is not installed, so there is no Kafka")
    folder = Path(tempfile.mkdtemp(prefix="lakehouse-kafka-"))
    broker = Broker(folder, make_certificates(folder, ()))
    try:
        broker.prepare()
        broker.start()
        yield broker
    finally:
        broker.kill()
        shutil.rmtree(folder, ignore_errors=True)
