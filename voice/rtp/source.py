"""Which address we take sound from and send it to: the agreed one, or the one it truly comes from, never a stranger's.

Symmetric RTP (RFC 4961) with a guard: a caller behind NAT is followed to where its sound comes from, once that has
shown to be its stream; who merely sends packets to our port is not believed. `sendable` keeps us from being aimed at
others.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Collection

from voice.rtp.packet import SEQUENCES, Rtp, distance

Address = tuple[str, int]
PROOF = 5
"""Packets in sequence, of one source, that another address needs to be believed."""
SILENCE = 3.0
"""Seconds of silence from the address that is believed before another one may prove itself again."""
MISORDER = 3
"""How far apart in sequence two packets of the proof may be."""

_PRIVATE = tuple(
    map(
        ipaddress.ip_network,
        ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "169.254.0.0/16", "fc00::/7", "fe80::/10"),
    )
)
"""Networks behind routers (RFC 1918, 6598, 3927, 4193, 4291). `is_private` would have those of the manuals too."""


class Latch:
    """Begins with the address that was agreed on (`now`: loop seconds).

    `ours`: our own address, to tell whether the agreed one is hidden behind NAT. `authenticated`: packets are SRTP that
    has been checked before they come here; whoever holds the key is believed at once.
    """

    def __init__(self, agreed: Address, ours: str, now: float, *, authenticated: bool = False) -> None:
        self._agreed, self._authenticated = agreed, authenticated
        self.address = agreed
        """Where to send, and whom to take sound from."""
        self._ours = ours
        self._moved = False
        self._heard = now
        self._candidate: Address | None = None
        self._ssrc, self._sequence, self._proof = 0, 0, 0

    def accept(self, packet: Rtp, source: Address, now: float) -> bool:
        """Whether a packet is to be heard. Follows the other end to `source` when that has proved itself."""
        source = (unmapped(source[0]), source[1])
        if source == self.address:
            self._heard = now
            self._candidate = None
            return True
        if self._authenticated:
            self.address, self._heard = source, now
            return True
        if not self._may_move(source[0], now) or not self._proved(packet, source):
            return False
        self.address, self._moved, self._heard, self._candidate = source, True, now, None
        return True

    def agreed(self, address: Address, now: float) -> None:
        """The other end named an address anew (re-INVITE). The one that was named already keeps what was learned."""
        if address != self._agreed:
            self._agreed = self.address = address
            self._moved, self._heard, self._candidate = False, now, None

    def _may_move(self, host: str, now: float) -> bool:
        if self._moved and now - self._heard < SILENCE:
            return False
        return host == self._agreed[0] or (_private(self._agreed[0]) and not _private(self._ours))

    def _proved(self, packet: Rtp, source: Address) -> bool:
        ahead = distance(packet.sequence, self._sequence, SEQUENCES)
        if source == self._candidate and packet.ssrc == self._ssrc and 0 < ahead <= MISORDER:
            self._proof += 1
        else:
            self._candidate, self._ssrc, self._proof = source, packet.ssrc, 1
        self._sequence = packet.sequence
        return self._proof >= PROOF


def unmapped(host: str) -> str:
    """An IPv4 address that an IPv6 socket shows in its own way, as itself."""
    return host[7:] if host.startswith("::ffff:") and "." in host else host


def sendable(address: Address, ours: str, own_ports: Collection[int]) -> bool:
    """Whether sound may go there: a description is a stranger's wish where to send 50 packets a second.

    Not to many at once, to nobody, to our own `own_ports`, nor, unless we are there ourselves, to this machine.
    """
    host, port = address
    try:
        ip = ipaddress.ip_address(unmapped(host))
        here = ipaddress.ip_address(unmapped(ours))
    except ValueError:
        return False
    if not 0 < port < 65536 or ip.is_multicast or ip.is_unspecified or str(ip) == "255.255.255.255":
        return False
    if ip.is_loopback and not (here.is_loopback or here.is_unspecified):
        return False
    itself = ip == here or (ip.is_loopback and here.is_unspecified)
    return not (itself and port in own_ports)


def _private(host: str) -> bool:
    """An address that nobody outside can reach (a telephone behind NAT names such a one)."""
    try:
        ip = ipaddress.ip_address(host)
    except ValueError:
        return False
    return any(ip in network for network in _PRIVATE)
