"""Progress: at most four writes a second a task, the last word is written, an engine that is away disturbs nobody."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from itertools import pairwise

import pytest

from orchestration.engines.engine import EngineError
from orchestration.engines.memory import MemoryEngine
from orchestration.progress import EVERY, Progress
from voice.clock import now, run


class Notes(MemoryEngine):
    """Notes what is reported and when; may be away."""

    away = False

    def __init__(self) -> None:
        super().__init__()
        self.told: list[tuple[float, str, dict[str, str], bool]] = []

    async def report(self, id: str, progress: Mapping[str, str], *, queued: bool = False) -> None:
        if self.away:
            raise EngineError("no answer")
        self.told.append((now(), id, dict(progress), queued))


def play(script: Callable[[Notes, Progress], Awaitable[None]]) -> None:
    async def main() -> None:
        engine = Notes()
        progress = Progress(engine)
        writing = asyncio.create_task(progress.write())
        await script(engine, progress)
        writing.cancel()
        await asyncio.wait([writing])

    run(main())


def test_a_thousand_words_a_second_are_four_writes_and_the_last_is_written() -> None:
    async def script(engine: Notes, progress: Progress) -> None:
        for n in range(1000):
            progress.report("t1", {"": str(n)}, queued=False)
            progress.report("t2", {"": str(-n)}, queued=False)
            await asyncio.sleep(0.001)
        await asyncio.sleep(EVERY)
        mine = [(at, said[""]) for at, id, said, _ in engine.told if id == "t1"]
        assert len(mine) == 5
        assert mine[0] == (0.0, "0")
        assert mine[-1][1] == "999"
        assert min(b[0] - a[0] for a, b in pairwise(mine)) >= EVERY - 1e-6

    play(script)


def test_what_is_over_is_not_written_any_more() -> None:
    async def script(engine: Notes, progress: Progress) -> None:
        progress.report("t1", {}, queued=True)
        progress.report("t2", {"": "x"}, queued=False)
        progress.forget("t1")
        progress.forget("nobody")
        await asyncio.sleep(1)
        assert engine.told == [(0.0, "t2", {"": "x"}, False)]

    play(script)


def test_an_engine_that_is_away_is_told_once_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    async def script(engine: Notes, progress: Progress) -> None:
        engine.away = True
        for n in range(10):
            progress.report("t1", {"": str(n)}, queued=False)
            await asyncio.sleep(1)
        assert [record.getMessage() for record in caplog.records] == [
            "the progress of tasks cannot be written: no answer"
        ]
        engine.away = False
        progress.report("t1", {"": "back"}, queued=False)
        await asyncio.sleep(1)
        assert engine.told == [(10.0, "t1", {"": "back"}, False)]

    play(script)
