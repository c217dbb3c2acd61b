"""Where a SIP request goes next, and where a response goes back: RFC 3261 sections 8.1.2, 12.2.1.1 and 18, RFC 3581.

Names are looked up by others; what is said here is which name, and when there is nothing to look up.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from voice.sip.fields import Address
from voice.sip.malformed import Malformed
from voice.sip.message import Request
from voice.sip.uri import Uri, host_and_port
from voice.sip.wire import Peer

Transport = Literal["UDP", "TCP", "TLS"]

MAX_DATAGRAM = 1300
"""Bytes of a request that may go by UDP when nobody says how (section 18.1.1); a longer one would come in pieces."""
_TRANSPORTS: dict[str, Transport] = {"udp": "UDP", "tcp": "TCP", "tls": "TLS"}


@dataclass(frozen=True, slots=True)
class Hop:
    """Where a request goes next. `port` None: the name's own (SRV), else 5060, or 5061 for TLS."""

    host: str
    port: int | None
    transport: Transport
    long: bool = False
    """TCP only because the request is long: when nobody takes the connection, it goes by UDP all the same."""

    @property
    def peer(self) -> Peer | None:
        """The place itself, when the host is a number; None: its name must be looked up.

        Raises Malformed (503) for a number that nobody can have.
        """
        try:
            address = ipaddress.ip_address(self.host)
        except ValueError:
            return None
        if address.is_multicast or address.is_unspecified or self.port == 0:
            raise Malformed("a request goes to one place: not to 0.0.0.0, a group or port 0", 503)
        return Peer(self.transport, self.host, self.port or default_port(self.transport))


def default_port(transport: Transport) -> int:
    """Where SIP is spoken when nobody says."""
    return 5061 if transport == "TLS" else 5060


def along(target: Uri, route: Sequence[str]) -> tuple[Uri, list[str]]:
    """The address and the Route values of a request to `target` by a dialog's route set (section 12.2.1.1).

    A first proxy that is of old (no `lr`) wants its own address in the first line, and the target last.
    Raises Malformed for a route that cannot be read.
    """
    if not route:
        return target, []
    first = Address.parse(route[0]).uri
    if "lr" in first.parameters:
        return target, list(route)
    return first, [*route[1:], f"<{target}>"]


def next_hop(target: Uri, route: Sequence[str], size: int = 0) -> Hop:
    """Where a request to `target` by this route set (as `along` takes it) goes; `size` is how long it is, in bytes.

    Raises Malformed: 416 for an address that cannot be called without a proxy, 503 for a transport we do not speak.
    """
    uri = Address.parse(route[0]).uri if route else target
    if uri.scheme not in ("sip", "sips"):
        raise Malformed(f"{uri.scheme}: such an address is called by way of a proxy: configure one", 416)
    named = uri.parameters.get("transport")
    if named is not None and named.lower() not in _TRANSPORTS:
        raise Malformed("transport: udp, tcp and tls are spoken here", 503)
    host = uri.host
    if maddr := uri.parameters.get("maddr"):
        host = host_and_port(maddr)[0]
    if uri.scheme == "sips":
        return Hop(host, uri.port, "TLS")
    if named is not None:
        return Hop(host, uri.port, _TRANSPORTS[named.lower()])
    long = size > MAX_DATAGRAM
    return Hop(host, uri.port, "TCP" if long else "UDP", long)


def way_back(request: Request, source: Peer) -> Peer:
    """Where a response goes when the connection its request came over is gone (section 18.2.2).

    By UDP to where the request came from, asked for (RFC 3581) or not: that alone gets through a NAT.
    """
    if not source.reliable:
        return source
    return Peer(source.transport, source.host, request.via.port or default_port(source.transport))
