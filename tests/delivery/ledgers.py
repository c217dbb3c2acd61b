"""What the tests of every ledger share: a script played on one, and something to put into it.

In virtual time, except with PostgreSQL: it is a server, which has its own clock and is reached over a socket.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

from delivery.ledger import Delivery, Entry, Ledger
from delivery.postgres import PostgresLedger
from voice.clock import VirtualLoop

Script = Callable[[Ledger], Awaitable[None]]


def play(ledger: Ledger, script: Script) -> None:
    async def main() -> None:
        await ledger.open()
        try:
            await script(ledger)
        finally:
            await ledger.aclose()

    run_with(ledger, main())


def run_with(ledger: Ledger, main: Coroutine[Any, Any, None]) -> None:
    """In the loop that this ledger can live in."""
    with runner(ledger) as one:
        one.run(asyncio.wait_for(main, 60.0))


def runner(ledger: Ledger) -> asyncio.Runner:
    return asyncio.Runner(loop_factory=None if isinstance(ledger, PostgresLedger) else VirtualLoop)


def result(id: str = "one", **fields: Any) -> Delivery:
    given = {"room": "lobby", "content": f"the answer to {id}", "strategy": {"name": "wait_for_idle", "buffer": 1.0}}
    return Delivery(id=id, **{**given, **fields})


async def entry(ledger: Ledger, id: str = "one") -> Entry:
    found = await ledger.get(id)
    assert found is not None
    return found
