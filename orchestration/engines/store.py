"""Where a durable engine keeps its tasks: what differs between a SQLite file and a Postgres database."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from typing import Any, Protocol

CHANNEL = "sottovoce_tasks"
"""The notification (in Postgres) after which every process looks whether its tasks are still its own; the message is a
task's id."""


class Bodies:
    """The ids of the tasks whose bodies run in this process, and how to tell one that it is not ours any more."""

    def __init__(self, lose: Callable[[str], None]) -> None:
        self.lose = lose
        self.some = asyncio.Event()
        self._running: set[str] = set()

    def __iter__(self) -> Iterator[str]:
        return iter(list(self._running))

    def __contains__(self, id: str) -> bool:
        return id in self._running

    def add(self, id: str) -> None:
        """A body begins."""
        self._running.add(id)
        self.some.set()

    def discard(self, id: str) -> None:
        """That body has ended."""
        self._running.discard(id)
        if not self._running:
            self.some.clear()


class Store(Protocol):
    """A place for DBOS's tables. `name` says of what kind; as text it says where, with no password in it."""

    name: str

    def settings(self) -> Any:
        """What DBOS has to be configured with. Blocks; raises what `explained` explains, when it cannot be used."""
        ...

    def explained(self, error: BaseException) -> str | None:
        """Where, what the database says, and the fix; None when the error is none of the database's."""
        ...

    async def watch(self, executor: str, bodies: Bodies) -> None:
        """Until cancelled: call `bodies.lose` for each running body whose task was cancelled, or is another executor's
        now, within 30 ms of the commit that said so. Costs nothing to speak of while none runs."""
        ...

    def close(self) -> None:
        """Let go of what `settings` made, once DBOS is shut down. Blocks."""
        ...
