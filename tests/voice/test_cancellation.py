"""One's own cancellation and another's, told apart."""

from __future__ import annotations

import asyncio

from voice.cancellation import cancelled_here
from voice.clock import run


async def wait_for(other: asyncio.Future[None]) -> bool:
    """What it says when the wait is cancelled."""
    try:
        await other
    except asyncio.CancelledError:
        return cancelled_here()
    raise AssertionError


def test_ones_own_cancellation_is_told_from_anothers() -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        assert not cancelled_here()
        for own in (True, False):
            other = loop.create_future()
            waiting = asyncio.create_task(wait_for(other))
            await asyncio.sleep(0)
            (waiting if own else other).cancel()
            assert await waiting is own

    run(main())


def test_a_timeout_is_a_cancellation_from_outside_until_it_is_over() -> None:
    async def main() -> None:
        try:
            async with asyncio.timeout(1):
                assert await wait_for(asyncio.get_running_loop().create_future())
                await asyncio.sleep(1)
        except TimeoutError:
            pass
        assert not cancelled_here()

    run(main())
