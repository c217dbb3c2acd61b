"""How long a SIP transaction waits, for what: the timers of RFC 3261 section 17, in seconds."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Times:
    """The three times all others follow from (RFC 3261 table 4). Raises ValueError for what is no time."""

    t1: float = 0.5
    """A round trip, as long as nobody knows better."""
    t2: float = 4.0
    """The longest wait between two sendings of the same; not for an INVITE."""
    t4: float = 5.0
    """The longest that a message lingers in the network."""

    def __post_init__(self) -> None:
        for name in ("t1", "t2", "t4"):
            if not (0 < getattr(self, name) < math.inf):
                raise ValueError(f"{name}: seconds, more than 0")

    @property
    def b(self) -> float:
        """An INVITE without any response is given up (timer B)."""
        return 64 * self.t1

    @property
    def c(self) -> float:
        """An INVITE that rings without an end is forgotten (timer C); whoever calls gives up much sooner."""
        return 180.0

    @property
    def d(self) -> float:
        """A refusal that comes again is acknowledged again for this long (timer D)."""
        return max(32.0, 64 * self.t1)

    @property
    def f(self) -> float:
        """Another request without a final response is given up (timer F)."""
        return 64 * self.t1

    @property
    def h(self) -> float:
        """An ACK is waited for (timer H)."""
        return 64 * self.t1

    @property
    def i(self) -> float:
        """ACKs that come again are taken in silence (timer I)."""
        return self.t4

    @property
    def j(self) -> float:
        """Requests that come again are answered again (timer J)."""
        return 64 * self.t1

    @property
    def k(self) -> float:
        """Responses that come again are taken in silence (timer K)."""
        return self.t4

    @property
    def l(self) -> float:  # noqa: E743 - the name it has in RFC 6026
        """An INVITE that was accepted and comes again is taken in silence (timer L)."""
        return 64 * self.t1

    @property
    def m(self) -> float:
        """Further acceptances of an INVITE are passed on (timer M)."""
        return 64 * self.t1


class Repeats:
    """When what nobody answered is sent again: after `first` seconds, then twice as long each time, at most `most`."""

    __slots__ = ("_most", "_wait", "at")

    def __init__(self, first: float, now: float, most: float = math.inf) -> None:
        self._wait = first
        self._most = most
        self.at = now + first

    def sent(self, now: float) -> None:
        """It was sent again. The next wait begins now, so that a late timer makes no burst."""
        self._wait = min(2 * self._wait, self._most)
        self.at = now + self._wait

    def slow(self, now: float) -> None:
        """From now on as seldom as may be (a provisional response to another request than INVITE)."""
        self._wait = self._most
        self.at = now + self._wait


@dataclass(frozen=True, slots=True)
class Expired:
    """The deadline of a machine has come."""
