"""The synthesizers that the contract suite runs over: an entry each, which opens its provider on a running loop.

To add one, write an async context manager that yields `Opened` (with its fake server inside, if it has one), and put an
`Entry` into `ENTRIES`. An entry whose provider is not usable here is skipped, with its fix.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from typing import Any, Protocol

import pytest

from voice import clock
from voice.check import Check
from voice.tts import booth
from voice.tts.espeak import Espeak
from voice.tts.flite import Flite
from voice.tts.synthesizer import SpeechChunk, Synthesizer


class Run(Protocol):
    """Runs a coroutine on a loop of its own: `voice.clock.run`, or `tests.sockets.run` for what needs sockets."""

    def __call__(self, work: Coroutine[Any, Any, Any], /) -> Any: ...


@dataclass(frozen=True, slots=True)
class Opened:
    """A provider that is ready. `made`: how much its engine has made since it was opened, whoever still wants it, in
    pieces of any size; None where nobody can tell.
    """

    synthesizer: Synthesizer
    made: Callable[[], int] | None = None


@dataclass(frozen=True, slots=True)
class Entry:
    """`marks`: it knows when its words begin. `paid`: it is a real service, and spared the hundreds of texts."""

    name: str
    check: Callable[[], Check]
    open: Callable[[], AbstractAsyncContextManager[Opened]]
    run: Run = clock.run
    marks: bool = False
    paid: bool = False

    def skip_unless_usable(self) -> None:
        """Skips the test."""
        check = self.check()
        if not check.usable:
            pytest.skip(f"{check.detail}: {check.fix or 'nothing would help'}")

    def use(self, work: Callable[[Opened], Coroutine[Any, Any, Any]]) -> Any:
        """Do `work` with it, opened for that alone."""

        async def main() -> Any:
            async with self.open() as opened:
                return await work(opened)

        return self.run(main())


def embedded(make: Callable[[], Synthesizer]) -> Callable[[], AbstractAsyncContextManager[Opened]]:
    """Opens an engine of the booth's."""

    @asynccontextmanager
    async def opening() -> AsyncIterator[Opened]:
        made = 0
        emit = booth._Speech._emit

        def spy(self: booth._Speech[object], chunk: SpeechChunk) -> bool:
            nonlocal made
            made += 1
            return emit(self, chunk)

        synthesizer = make()
        await synthesizer.prepare()
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(booth._Speech, "_emit", spy)
            yield Opened(synthesizer, lambda: made)

    return opening


ENTRIES = (
    Entry("flite", Flite.check, embedded(Flite), marks=True),
    Entry("flite at 8 kHz", Flite.check, embedded(lambda: Flite("kal")), marks=True),
    Entry("espeak", Espeak.check, embedded(Espeak), marks=True),
)
