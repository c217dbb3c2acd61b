"""The seam for what keeps status entries. Subclass StatusBackend for a store of your own (Redis, NATS, ...)."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence

from orchestration.status.entry import StatusEntry
from orchestration.status.filter import StatusFilter

Tell = Callable[[Sequence[StatusEntry]], None]
"""To be called in the event loop."""


class StatusError(Exception):
    """The bus is not open, or a backend cannot do its work; the message names what is in the way and the fix."""


class StatusBackend(ABC):
    """Keeps entries, as many as it has room for. Used from one event loop, by one bus at a time.

    `append` and `recent` are all that a backend of one process needs; one that several processes share overrides
    `watch`, and `clock` if it has a clock of its own. All may raise what they like: the bus logs it and tries again.
    """

    async def open(self) -> None:  # noqa: B027 (most have nothing to open)
        """Make it ready. Raises what names the thing that is in the way and the fix."""

    async def aclose(self) -> None:  # noqa: B027
        """Let go of everything; it may be opened again."""

    @abstractmethod
    async def append(self, entries: Sequence[StatusEntry]) -> None:
        """Keep the entries, in this order, dropping old ones beyond its limits.

        An entry whose `id` is known is left alone: after a failure, and when it is cancelled, it is told them again.
        """

    @abstractmethod
    async def recent(self, n: int, wanted: StatusFilter) -> list[StatusEntry]:
        """The last `n` entries that match `wanted`, oldest first."""

    async def watch(self, tell: Tell) -> Callable[[], None]:
        """Tell of what other processes append from now on. Returns what stops it. Here: there are none."""
        return _nothing

    async def clock(self) -> float | None:
        """The time by the store's own clock, in seconds since 1970. None (here): it has none, this machine's counts."""
        return None


def _nothing() -> None:
    """Nobody was watched."""
