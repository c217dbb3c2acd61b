"""An alarm rings once, at the time it was last set to."""

from __future__ import annotations

import asyncio

from voice import clock
from voice.alarm import Alarm


def test_it_rings_at_the_last_time_set() -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        rung: list[float] = []
        alarm = Alarm(lambda: rung.append(loop.time()))
        alarm.set(5.0)
        alarm.set(2.0)
        alarm.set(2.0)
        assert alarm.on
        await asyncio.sleep(10)
        assert rung == [2.0]
        assert not alarm.on
        alarm.set(11.0)
        alarm.set(None)
        alarm.set(None)
        await asyncio.sleep(10)
        assert rung == [2.0]

    clock.run(main())


def test_it_can_be_set_while_it_rings() -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        rung: list[float] = []

        def ring() -> None:
            rung.append(loop.time())
            alarm.set(loop.time() + 1 if len(rung) < 3 else None)

        alarm = Alarm(ring)
        alarm.set(1.0)
        await asyncio.sleep(10)
        assert rung == [1.0, 2.0, 3.0]

    clock.run(main())
