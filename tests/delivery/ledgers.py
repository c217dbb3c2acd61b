"""What the tests of every ledger share: a script played on one, and something to put into it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from delivery.ledger import Delivery, Entry, Ledger
from voice.clock import run

Script = Callable[[Ledger], Awaitable[None]]


def play(ledger: Ledger, script: Script) -> None:
    async def main() -> None:
        await ledger.open()
        try:
            await script(ledger)
        finally:
            await ledger.aclose()

    run(main())


def result(id: str = "one", **fields: Any) -> Delivery:
    given = {"room": "lobby", "content": f"the answer to {id}", "strategy": {"name": "wait_for_idle", "buffer": 1.0}}
    return Delivery(id=id, **{**given, **fields})


async def entry(ledger: Ledger, id: str = "one") -> Entry:
    found = await ledger.get(id)
    assert found is not None
    return found
