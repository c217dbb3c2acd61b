"""Serving: one process, one port: the page, the callers' sound and the rooms of one runtime, until a signal comes."""

from __future__ import annotations

import errno
import socket
from collections.abc import Callable

import uvicorn

from orchestration.admission import RuntimeGate
from orchestration.runtime import Runtime
from orchestration.server import SETTINGS, app

LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})
LOCAL = LOOPBACK | frozenset({"0.0.0.0", "::"})  # noqa: S104 - only named, not listened on
"""Addresses under which this machine reaches itself as localhost, where browsers give the microphone."""


class PortError(Exception):
    """The address cannot be listened on; the message says why and what to do."""


async def serve(
    runtime: Runtime,
    *,
    host: str = "127.0.0.1",
    port: int = 8080,
    title: str = "Sottovoce",
    ready: Callable[[str], None] = lambda url: None,
) -> None:
    """Open the runtime and answer callers on http://host:port until the process is told to end.

    A runtime without an address gets this one, if only callers of this machine can come. `ready` is called with where
    the page is found when callers can come. Raises PortError before anything is opened.
    """
    with listen(host, port) as listener:
        at = found_at(host, listener.getsockname()[1])
        if runtime.address is None and host in LOOPBACK:
            runtime.address = at
        async with runtime:
            await runtime.prepare()
            config = uvicorn.Config(app(RuntimeGate(runtime), title=title), log_level="warning", **SETTINGS)
            server = uvicorn.Server(config)
            ready(at)
            await server.serve(sockets=[listener])


def listen(host: str, port: int) -> socket.socket:
    """A listening socket. Raises PortError."""
    if not 0 <= port <= 65535:
        raise PortError(f"port: {port} is out of range; choose 0 to 65535")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        found = socket.getaddrinfo(host, port, family, socket.SOCK_STREAM)
    except (OSError, ValueError):  # not found; or what no name can be: too long a part, a null byte
        raise PortError(f"host: {host!r} is no address; use 127.0.0.1, or 0.0.0.0 for all of this machine") from None
    try:
        return socket.create_server(found[0][4], family=family, backlog=128)
    except OSError as error:
        reasons = {
            errno.EADDRINUSE: f"port {port} is taken by another program; stop it, or choose another with --port",
            errno.EACCES: f"port {port} needs more rights; choose one above 1023 with --port",
            errno.EADDRNOTAVAIL: f"this machine has no address {host}; use 127.0.0.1, or 0.0.0.0 for all",
        }
        raise PortError(reasons.get(error.errno or 0, f"cannot listen on {host}:{port}: {error}")) from None


def found_at(host: str, port: int) -> str:
    """Where people on this machine find the page."""
    if host in LOCAL:
        return f"http://localhost:{port}"
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
