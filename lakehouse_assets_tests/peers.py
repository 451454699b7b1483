"""A peer that misbehaves, on a real socket: it never answers, resets, or is always busy."""

from __future__ import annotations

import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Literal

Manner = Literal["silent", "reset", "busy"]
MANNERS: tuple[Manner, ...] = ("silent", "reset", "busy")
_BUSY = b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"


class Peer:
    """Takes connections and counts them.

    Attributes:
        manner: What it does with them.
        connections: How many it took.
    """

    def __init__(self, manner: Manner) -> None:
        self.manner = manner
        self.connections = 0
        self._held: list[socket.socket] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    @property
    def address(self) -> str:
        """Its address for clients of HTTP."""
        return f"http://127.0.0.1:{self.port}"

    def _serve(self) -> None:
        with suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                self.connections += 1
                self._treat(connection)

    def _treat(self, connection: socket.socket) -> None:
        if self.manner == "silent":
            self._held.append(connection)
            return
        with connection, suppress(OSError):
            if self.manner == "reset":
                # Closing without lingering sends a reset.
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                return
            connection.settimeout(5)
            connection.recv(65536)
            connection.sendall(_BUSY)

    def close(self) -> None:
        """Take no more connections and end those that are held."""
        # Closing alone does not wake the thread that waits for a connection.
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join()
        for connection in self._held:
            connection.close()


@contextmanager
def running_peer(manner: Manner) -> Iterator[Peer]:
    """Run a peer for the time of the block."""
    peer = Peer(manner)
    try:
        yield peer
    finally:
        peer.close()
