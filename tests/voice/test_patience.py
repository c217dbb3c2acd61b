"""Patience: who keeps still for too long is given up, at the very time; who does not is left alone."""

from __future__ import annotations

import asyncio

import pytest

from voice import clock
from voice.patience import Patience


async def after(seconds: float) -> float:
    await asyncio.sleep(seconds)
    return seconds


def test_pieces_that_come_in_time_come() -> None:
    async def main() -> None:
        async with Patience() as patience:
            for seconds in (0.0, 1.9, 0.5, 1.9, 1.9, 0.0):
                assert await patience.wait(after(seconds), 2.0) == seconds
            await asyncio.sleep(100)
            assert await patience.wait(after(1.9), 2.0) == 1.9
        assert not patience.over

    clock.run(main())


@pytest.mark.parametrize("before", [[], [0.0], [1.5, 1.5], [0.1] * 50])
@pytest.mark.parametrize("seconds", [0.5, 2.0, 30.0])
def test_one_that_does_not_is_given_up_at_the_very_time(before: list[float], seconds: float) -> None:
    async def main() -> None:
        async with Patience() as patience:
            for each in before:
                await patience.wait(after(each), 2.0)
            since = clock.now()
            with pytest.raises(TimeoutError):
                await patience.wait(after(100), seconds)
            assert clock.now() == pytest.approx(since + seconds)
        assert patience.over

    clock.run(main())


def test_another_ones_time_out_is_not_its_own_and_no_timer_is_left() -> None:
    async def fails() -> None:
        raise TimeoutError

    async def main() -> None:
        async with Patience() as patience:
            with pytest.raises(TimeoutError):
                await patience.wait(fails(), 2.0)
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(1):
                    await patience.wait(after(100), 2.0)
            assert not patience.over
        await asyncio.sleep(10)
        assert not patience.over

    clock.run(main())
