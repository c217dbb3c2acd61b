"""Judging: one caller's turn model, asked whenever they fall silent in the middle of a turn.

It thinks beside what goes on; what it comes to after the caller has spoken again is not told. One that fails, or takes
too long, is not asked again for this caller, and its endpointer's longest silence is what ends their turns.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from voice.endpointing import TurnModel, TurnModelStream

log = logging.getLogger("sottovoce.listening")

PATIENCE = 2.0
"""Seconds after which it is too late for an answer."""
TRIES = 3
"""How often in a row it may fail."""


class Judging:
    """`run` is its life; `told` is given the probability that the turn is over."""

    def __init__(self, model: TurnModel, caller: str, told: Callable[[float], None]) -> None:
        self._model = model
        self._caller = caller
        self._told = told
        self._stream: TurnModelStream | None = None
        self._failed = 0
        self._silent = asyncio.Event()
        """The caller has fallen silent, and this has not been judged."""
        self._silence = 0
        """Counts silences: the answer to an old one does not count."""

    async def run(self) -> None:
        """Judge silences, until cancelled, or until the model has failed too often."""
        while self._failed < TRIES:
            await self._silent.wait()
            self._silent.clear()
            if (stream := self._stream) is None:
                continue
            silence = self._silence
            try:
                async with asyncio.timeout(PATIENCE):
                    over = await stream.over()
            except Exception as error:
                self._fail(error)
            else:
                self._failed = 0
                if silence == self._silence:
                    self._told(over)
        log.error("caller %s: turn model %s is not asked any more", self._caller, self._model.name)

    def hear(self, pcm: bytes) -> None:
        """A frame of the turn, pauses too; the first one begins it."""
        if self._failed >= TRIES:
            return
        try:
            if self._stream is None:
                self._stream = self._model.stream()
            self._stream.push(pcm)
        except Exception as error:
            self._fail(error)

    def ask(self) -> None:
        """The caller has fallen silent."""
        self._silence += 1
        self._silent.set()

    def resume(self) -> None:
        """The caller speaks again."""
        self._silence += 1
        self._silent.clear()

    def end(self) -> None:
        """The turn is over."""
        self.resume()
        if self._stream is None:
            return
        try:
            self._stream.reset()
        except Exception as error:
            self._fail(error)

    def _fail(self, error: Exception) -> None:
        self._stream = None
        self._failed += 1
        log.warning("caller %s: turn model %s failed: %s", self._caller, self._model.name, error, exc_info=error)
