"""Sockets that servers listen on."""

from __future__ import annotations

import ipaddress
import socket

from lakehouse_assets.errors import LakehouseError


def listen(host: str, port: int) -> socket.socket:
    """Return a socket that listens.

    Args:
        host: Address to listen on.
        port: Port to listen on; 0 for any free one.

    Raises:
        LakehouseError: the address is not this machine's, or the port is taken.
    """
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        return socket.create_server((host, port), family=family)
    except (OSError, OverflowError) as error:
        reason = (getattr(error, "strerror", None) or "no such port").partition(" (")[0]
        raise LakehouseError(
            f"The server cannot listen on port {port} of {host} ({reason}); choose others with "
            "--port and --host."
        ) from None


def is_loopback(address: str) -> bool:
    """Say whether only this machine reaches an address."""
    return ipaddress.ip_address(address).is_loopback


def require_loopback(listener: socket.socket) -> None:
    """Check that only this machine reaches a socket, because its server has no certificate.

    Raises:
        LakehouseError: other machines reach it; the socket is closed then.
    """
    address = listener.getsockname()[0]
    if not is_loopback(address):
        listener.close()
        raise LakehouseError(
            f"Other machines can reach {address}, so passwords and rows need TLS: give "
            "--certificate and --key, or listen on 127.0.0.1."
        )


def shown(listener: socket.socket) -> str:
    """Return the address and the port of a socket, such as `127.0.0.1:5432`."""
    address, port = listener.getsockname()[:2]
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"
