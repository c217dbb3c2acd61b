"""What passes between the SIP machines and the sockets: where a message comes from, and where one goes."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal


@dataclass(frozen=True, slots=True)
class Peer:
    """The other end of a datagram or a connection."""

    transport: Literal["UDP", "TCP", "TLS"]
    host: str
    port: int

    @property
    def reliable(self) -> bool:
        """What is sent there arrives, or the connection breaks."""
        return self.transport != "UDP"


@dataclass(frozen=True, slots=True)
class Broken:
    """A connection ended."""

    flow: int


@dataclass(frozen=True, slots=True)
class Unsent:
    """What was to be sent under this branch cannot have arrived (section 18.4)."""

    branch: str


@dataclass(frozen=True, slots=True)
class Send:
    """A whole message to `peer`; over the connection `flow` if there still is one, None: over any, or a new one."""

    data: bytes = field(repr=False)  # it may hold credentials
    peer: Peer
    flow: int | None
    branch: str = ""
    """Under which name it is told when it cannot be sent (`Unsent`); empty: nobody wants to know."""
