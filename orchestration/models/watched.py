"""A model's stream, watched: whatever the model does, it comes to an end; a silent, endless or lost one is given up."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Self

from orchestration.models.model import Delta as AnyDelta
from orchestration.models.model import TextDelta, ToolCall, Usage
from orchestration.usage import charge
from voice.cancellation import cancelled_here

Delta = TextDelta | ToolCall
"""What is left of a stream when what it cost is charged."""
MAX_CALLS = 64
"""Most tools that a model may call at once."""
MAX_TEXT = 200_000
"""Most characters of one reply: hours of talk; a model that writes more has lost its way."""
STALLED = 60.0
"""Seconds without a word or a call after which a model is given up."""


class ModelLostError(RuntimeError):
    """A model came to no answer; the message says how."""


class ToolLoopError(ModelLostError):
    """A model went on calling tools and never came to an answer."""


class ModelSilentError(ModelLostError):
    """A model gave no answer: it said nothing, not even after its tools, or nothing came for a minute."""


async def watched(
    stream: AsyncGenerator[AnyDelta, None], who: str, agent: str | None = None
) -> AsyncGenerator[Delta, None]:
    """What a model streams, as long as it comes and is not endless. `who` is what errors call the model.

    What it costs is charged to `agent` (None: to the one who has the word) and goes no further (`orchestration.usage`).
    Raises ModelSilentError, ToolLoopError for more than MAX_CALLS, ModelLostError for more than MAX_TEXT, and what the
    model raises.
    """
    length = called = 0
    async with aclosing(stream) as deltas, _Patience() as patience:
        while True:
            try:
                delta = await patience.next(deltas)
            except StopAsyncIteration:
                return
            except TimeoutError:
                if not patience.over:
                    raise
                raise ModelSilentError(f"{who} said nothing for {STALLED:g} s") from None
            except asyncio.CancelledError:
                if cancelled_here():
                    raise
                raise ModelSilentError(f"{who} was cancelled") from None
            match delta:
                case TextDelta(piece):
                    length += len(piece)
                case ToolCall():
                    called += 1
                case Usage():
                    charge(delta, agent)
                    continue
            if length > MAX_TEXT:
                raise ModelLostError(f"{who} wrote more than {MAX_TEXT} characters")
            if called > MAX_CALLS:
                raise ToolLoopError(f"{who} called more than {MAX_CALLS} tools at once")
            yield delta


class _Patience:
    """Gives up a model that is silent for STALLED seconds. It has one timer, which most models never see: to set one
    for each word would cost more than the words."""

    def __init__(self) -> None:
        self.over = False
        self._loop = asyncio.get_running_loop()
        self._since = 0.0
        self._waiting: asyncio.Timeout | None = None
        self._timer: asyncio.TimerHandle | None = None

    async def next(self, deltas: AsyncGenerator[AnyDelta, None]) -> AnyDelta:
        """What comes next. Raises TimeoutError when it is `over`, and what `deltas` raises."""
        self._since = self._loop.time()
        if self._timer is None:
            self._timer = self._loop.call_at(self._since + STALLED, self._look)
        try:
            async with asyncio.timeout(None) as self._waiting:
                return await anext(deltas)
        finally:
            self._waiting = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._timer is not None:
            self._timer.cancel()

    def _look(self) -> None:
        self._timer = None
        if self._waiting is None:
            return
        if self._loop.time() < self._since + STALLED:
            self._timer = self._loop.call_at(self._since + STALLED, self._look)
        else:
            self.over = True
            self._waiting.reschedule(self._loop.time())
