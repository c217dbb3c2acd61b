"""Faults: what a fake server is to do wrong, and to which of its requests or connections."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Fault:
    """`status`: the request, or the WebSocket's handshake, is refused with it (and `retry_after`, in seconds).
    `delay`: seconds before anything is answered. `silent`: it is accepted and nothing is ever answered. `cut_after`:
    the connection is torn down after so many messages of the server's. `garbage`: instead of its messages, what is
    none: broken JSON, unknown types, half samples. `close`: the WebSocket is closed with this code instead of cut.
    """

    status: int | None = None
    retry_after: float | None = None
    delay: float = 0.0
    silent: bool = False
    cut_after: int | None = None
    garbage: bool = False
    close: int | None = None


WELL = Fault()


class Faults:
    """Which fault the next request gets: those that were ordered, in order, then the lasting one."""

    def __init__(self) -> None:
        self._next: deque[Fault] = deque()
        self._always = WELL

    def order(self, *faults: Fault) -> None:
        """The next requests, one fault each."""
        self._next.extend(faults)

    def always(self, fault: Fault) -> None:
        """All requests from now on, after those that were ordered (`WELL`: none is wrong any more)."""
        self._always = fault

    def take(self) -> Fault:
        """For the server: the fault of the request that has just come."""
        return self._next.popleft() if self._next else self._always
