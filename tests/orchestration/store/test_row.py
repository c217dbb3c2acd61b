"""Reading a timeline of the largest events leaves the loop to others in between."""

from __future__ import annotations

import asyncio

from orchestration.content import MAX_CONTENT
from orchestration.store.row import BREATH, read, written
from tests.orchestration.store.stores import event
from voice.clock import run


def test_others_have_their_turn_while_large_events_are_read() -> None:
    events = [event(n, text="x" * MAX_CONTENT) for n in range(20)]

    async def main() -> int:
        turns = 0

        async def other() -> None:
            nonlocal turns
            while True:
                turns += 1
                await asyncio.sleep(0)

        task = asyncio.create_task(other())
        assert await read("lobby", [written(each.to_dict()) for each in events]) == events
        task.cancel()
        return turns

    assert run(main()) >= 20 * MAX_CONTENT // BREATH
